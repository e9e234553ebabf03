"""Melodies with phrases: a motif, its variation, a question and an answer, rests, and a cadence.

Strong and long notes belong to the chord. The others may be passing tones of the scale, never a semitone above a tone
of the chord for long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from form import Piece
from harmony import Chord, nearest
from score import STEPS, Note

# One beat of rhythm, from empty to full.
CELLS = {
    0: ("....", "x...", "..x.", "...."),
    1: ("x...", "x...", "..x.", "x..x"),
    2: ("x.x.", "x.x.", "x..x", "x...", "..x."),
    3: ("x.x.", "x.xx", "xxx.", ".xx.", "x..x"),
}
MOVES = (-2, -1, -1, -1, 0, 1, 1, 1, 2, 3, -3)


@dataclass(frozen=True)
class Motif:
    """Onsets within a bar, and the steps of the scale by which each note moves from the one before."""

    onsets: tuple[int, ...]
    moves: tuple[int, ...]

    def varied(self, rng: np.random.Generator, chance: float) -> Motif:
        """Return the motif with some moves changed, and perhaps without one note."""
        moves = [int(rng.choice(MOVES)) if rng.random() < chance else move for move in self.moves]
        onsets = list(self.onsets)
        if len(onsets) > 2 and rng.random() < chance:
            drop = int(rng.integers(1, len(onsets)))
            del onsets[drop], moves[drop]
        return Motif(tuple(onsets), tuple(moves))

    def until(self, step: int) -> Motif:
        kept = sum(onset < step for onset in self.onsets)
        return Motif(self.onsets[:kept], self.moves[:kept])


def motif(rng: np.random.Generator, density: float) -> Motif:
    """A bar of rhythm and contour. `density` 0..1 says how full its beats are."""
    onsets: list[int] = []
    while not 2 <= len(onsets) <= 10:
        fullness = np.clip(np.round(3 * density + rng.normal(0, 0.7, 4)), 0, 3).astype(int)
        cells = [str(rng.choice(CELLS[int(full)])) for full in fullness]
        onsets = [step for step, mark in enumerate("".join(cells)) if mark == "x"]
    return Motif(tuple(onsets), tuple(int(rng.choice(MOVES)) for _ in onsets))


def phrase(
    rng: np.random.Generator,
    answers: np.random.Generator,
    chords: Sequence[Chord],
    low: int,
    high: int,
    density: float,
) -> list[Note]:
    """A question and an answer over chords by half bar (an even number of bars). Steps count from its start.

    A half is a motif and, in the next bar, its shorter variation. The question ends away from the root, the answer on
    the root or the third. After both there is a rest. `answers` is the randomness of the answer alone: one question can
    have several answers.
    """
    bars = len(chords) // 2
    head, tail = motif(rng, density), motif(rng, max(0.15, density - 0.3))
    notes: list[Note] = []
    pitch = float(rng.uniform(low + 0.35 * (high - low), low + 0.65 * (high - low)))
    half = max(1, bars // 2)
    for bar in range(bars):
        place, answer = bar % half, bar >= half
        ends = place == half - 1
        shape = head if place % 2 == 0 else tail
        if answer or bar >= 2:
            shape = shape.varied(answers if answer else rng, 0.35)
        if ends:
            shape = shape.until(9 if half > 1 else 13)
        if place == 0:  # both halves begin from about the same height
            height = pitch if not notes else notes[0].pitch + int(answers.choice((0, 0, 0, 4, -4)))
            pitch = nearest(float(np.clip(height, low, high)), chords[2 * bar].clear, low, high)
        for index, (onset, move) in enumerate(zip(shape.onsets, shape.moves, strict=True)):
            final = ends and index == len(shape.onsets) - 1
            following = shape.onsets[index + 1] if index + 1 < len(shape.onsets) else STEPS
            length = min(following - onset, 4)
            chord = chords[2 * bar + onset // 8]
            if not (place == 0 and index == 0):
                pitch = _moved(pitch, move, chord, low, high, notes)
            if final:
                length = min(STEPS - 2 - onset, 6)
                targets = [
                    tone for tone in (chord.tones[:2] if answer else chord.tones[1:3]) if tone in chord.clear
                ]
                pitch = nearest(pitch, targets or chord.clear, low, high)
            elif onset % 4 == 0 or length >= 3 or _rubs(pitch, chord):
                pitch = nearest(pitch + 0.1 * np.sign(move), chord.clear, low, high)
            if onset < 8 < onset + length and int(pitch) % 12 not in chords[2 * bar + 1].clear:
                length = 8 - onset  # otherwise it would clash with the next chord
            accent = 96 if onset % 4 == 0 else 84
            rise = 10 * np.sin(np.pi * (bar + onset / STEPS) / bars)  # a phrase swells and sinks
            velocity = int(accent + rise + rng.integers(-5, 6))
            notes.append(Note(bar * STEPS + onset, max(0.8, 0.92 * length), int(pitch), velocity))
    return notes


def _moved(pitch: float, move: int, chord: Chord, low: int, high: int, notes: Sequence[Note]) -> float:
    """Return the pitch `move` steps of the scale further. After a leap, and at the ends of the range, it turns back."""
    scale = [p for p in range(low, high + 1) if p % 12 in chord.scale]
    at = min(range(len(scale)), key=lambda index: abs(scale[index] - pitch))
    if len(notes) >= 2:
        leap = notes[-1].pitch - notes[-2].pitch
        if abs(leap) > 5:
            move = -int(np.sign(leap)) * max(1, min(2, abs(move)))
    if not 0 <= at + move < len(scale):
        move = -move
    return scale[int(np.clip(at + move, 0, len(scale) - 1))]


def _rubs(pitch: float, chord: Chord) -> bool:
    """Whether a pitch lies a semitone above a tone of the chord."""
    return any((pitch - tone) % 12 == 1 for tone in chord.tones)


def melody(
    piece: Piece,
    name: str,
    letters: str,
    low: int,
    high: int,
    density: float,
    thinner: Mapping[str, float] | None = None,
) -> list[Note]:
    """The melody of a track in the sections of these letters: each letter has its own, which returns with it.

    A section of eight bars has two phrases, the second with its own answer. A return is played with small changes.
    `thinner` multiplies the density in the sections of a letter.
    """
    notes: list[Note] = []
    for section in piece.sections:
        if section.letter not in letters:
            continue
        chords = piece.chords[2 * section.start : 2 * section.end]
        density_here = density * (thinner or {}).get(section.letter, 1.0)
        length = 4 if section.bars >= 4 else max(2, section.bars)
        gain = 0.75 + 0.3 * section.intensity
        for number, start in enumerate(range(0, section.bars, length)):
            part = chords[2 * start : 2 * (start + length)]
            if len(part) < 2:
                continue
            # The second phrase begins as the first does: the same seed, other chords.
            rng = piece.rng(f"{name} {section.letter}")
            answers = piece.rng(f"{name} {section.letter} answer {number}")
            own = phrase(rng, answers, part, low, high, density_here)
            change = piece.rng(f"{name} {section.letter} {section.visit} {number}")
            for note in own:
                velocity = int(np.clip(note.velocity * gain, 1, 127))
                if section.visit and note.step % 4 and change.random() < 0.15:
                    continue  # some passing notes are left out when a section returns
                notes.append(
                    Note((section.start + start) * STEPS + note.step, note.length, note.pitch, velocity)
                )
    return notes
