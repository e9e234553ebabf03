"""The parts that follow the chords: bass lines, chords on a rhythm or held, and arpeggios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from form import Piece
from harmony import nearest
from score import STEPS, Note

BassStep = tuple[int, str, float]
"""Step in the bar, which tone of the chord ("1", "3", "5", "7", or "8" for the octave), length in steps."""


def steps_of(marks: str, length: float) -> tuple[BassStep, ...]:
    """A bar of a bass from its marks: a digit names the tone, "." is a rest."""
    return tuple((step, mark, length) for step, mark in enumerate(marks) if mark != ".")


def velocity_at(piece: Piece, bar: int, base: float) -> float:
    return base * (0.72 + 0.34 * piece.intensity(bar))


def bass_line(
    piece: Piece,
    name: str,
    letters: str,
    low: int,
    patterns: Mapping[str, Sequence[Sequence[BassStep]]],
    base: float = 100,
) -> list[Note]:
    """A bass in the sections of these letters. `patterns` are the bars of a riff for each letter; "*" is for the rest.

    Every note is a tone of the chord at its step, the root within an octave above `low`.
    """
    rng = piece.rng(name)
    notes = []
    for section in piece.sections:
        if section.letter not in letters:
            continue
        riff = patterns.get(section.letter, patterns.get("*", ()))
        for bar in range(section.start, section.end):
            for step, tone, length in riff[(bar - section.start) % len(riff)]:
                start = bar * STEPS + step
                chord = piece.chord(start)
                root = low + (chord.root - low) % 12
                place = {"1": 0, "3": 1, "5": 2, "7": 3}.get(tone, 0)
                place = place if place < len(chord.tones) else 0
                pitch = root + (chord.tones[place] - chord.root) % 12 + (12 if tone == "8" else 0)
                # A note ends where its chord does.
                half = STEPS // 2
                same = 0.0
                while same < length and piece.chord(start + int(same)) == chord:
                    same += half - (start + int(same)) % half
                velocity = velocity_at(piece, bar, base) + rng.integers(-5, 6) + (6 if step == 0 else 0)
                notes.append(Note(start, max(0.6, min(length, same)), pitch, int(np.clip(velocity, 1, 127))))
    return notes


def chords_on(
    piece: Piece,
    letters: str,
    voicings: Sequence[tuple[int, ...]],
    rhythm: Sequence[str],
    length: float,
    base: float = 82,
) -> list[Note]:
    """Chords on the marks of a rhythm of one or more bars: "X" is loud, "x" soft, "-" holds the chord before it."""
    notes = []
    for section in piece.sections:
        if section.letter not in letters:
            continue
        for bar in range(section.start, section.end):
            marks = rhythm[(bar - section.start) % len(rhythm)]
            for step, mark in enumerate(marks):
                if mark not in "xX":
                    continue
                held = length
                if step + 1 < STEPS and marks[step + 1] == "-":
                    held = 1 + next(
                        (i for i, m in enumerate(marks[step + 1 :]) if m != "-"), STEPS - step - 1
                    )
                start = bar * STEPS + step
                velocity = velocity_at(piece, bar, base) * (1.12 if mark == "X" else 0.94)
                pitches = voicings[min(2 * bar + step // 8, len(voicings) - 1)]
                for place, pitch in enumerate(pitches):
                    loud = velocity + (4 if place == len(pitches) - 1 else 0)
                    notes.append(Note(start, held, pitch, int(np.clip(loud, 1, 127))))
    return notes


def held_chords(
    piece: Piece, letters: str, voicings: Sequence[tuple[int, ...]], base: float = 78
) -> list[Note]:
    """Chords that sound until they change. Tones that the next chord keeps are tied over, within a section."""
    notes = []
    for section in piece.sections:
        if section.letter not in letters:
            continue
        begun: dict[int, int] = {}
        end = 2 * section.end
        for half in range(2 * section.start, end + 1):
            now = set(voicings[half]) if half < end else set()
            for pitch in sorted(set(begun) - now):
                start = begun.pop(pitch)
                velocity = velocity_at(piece, section.start, base)
                notes.append(Note(start * 8, (half - start) * 8 - 0.4, pitch, int(np.clip(velocity, 1, 127))))
            for pitch in sorted(now - set(begun)):
                begun[pitch] = half
    return sorted(notes, key=lambda note: (note.step, note.pitch))


ORDERS: dict[str, Callable[[int, int], int]] = {
    "up": lambda index, size: index % size,
    "down": lambda index, size: size - 1 - index % size,
    "up and down": lambda index, size: (
        abs((index + size - 1) % (2 * size - 2) - (size - 1)) if size > 1 else 0
    ),
    "broken": lambda index, size: (0, size - 1, 1, size - 1)[index % 4] % size,
    "skip": lambda index, size: (index * 2) % size,
}


def arpeggio(
    piece: Piece,
    name: str,
    letters: str,
    voicings: Sequence[tuple[int, ...]],
    *,
    density: float,
    octaves: int = 1,
    every: int = 1,
    length: float = 1.0,
    base: float = 80,
) -> list[Note]:
    """Tones of the chords one after the other, on a rhythm of so many steps that repeats and changes at sections.

    Its contour is an order of the chord's tones, over one or two octaves.
    """
    notes = []
    for section in piece.sections:
        if section.letter not in letters:
            continue
        rng = piece.rng(f"{name} {section.letter}")
        order = ORDERS[str(rng.choice(list(ORDERS)))]
        cycle = int(rng.choice((8, 16, 16, 12)))
        mask = [rng.random() < density for _ in range(cycle)]
        mask[0] = True
        accents = rng.uniform(0.78, 1.08, cycle)
        if section.visit and cycle > 8:
            change = piece.rng(f"{name} {section.letter} {section.visit}")
            place = int(change.integers(1, cycle))
            mask[place] = not mask[place]
        index = 0
        for step in range(section.start * STEPS, section.end * STEPS, every):
            inside = step % STEPS
            cell = (inside // every) % cycle
            if inside == 0:
                index = 0  # every bar begins anew, as a sequencer that is reset does
            if not mask[cell]:
                continue
            pitches = voicings[min(step // 8, len(voicings) - 1)]
            ladder = [pitch + 12 * octave for octave in range(octaves) for pitch in pitches]
            pitch = ladder[order(index, len(ladder))]
            index += 1
            velocity = velocity_at(piece, step // STEPS, base) * accents[cell]
            notes.append(Note(step, length * every, pitch, int(np.clip(velocity, 1, 127))))
    return notes


def pedal(piece: Piece, letters: str, pitches: Sequence[int], bars: int, base: float = 70) -> list[Note]:
    """Tones near these pitches that belong to the chord, each held for so many bars (or until the section ends)."""
    notes = []
    for section in piece.sections:
        if section.letter not in letters:
            continue
        for bar in range(section.start, section.end, bars):
            chord = piece.chord(bar * STEPS)
            until = min(bar + bars, section.end)
            steps = (until - bar) * STEPS
            for place, around in enumerate(pitches):
                tones = (
                    (chord.root,) if place == 0 else (chord.tones[min(2, len(chord.tones) - 1)], chord.root)
                )
                pitch = nearest(around, tones, around - 7, around + 7)
                velocity = int(np.clip(velocity_at(piece, bar, base), 1, 127))
                notes.append(Note(bar * STEPS, steps - 0.5, pitch, velocity))
    return notes
