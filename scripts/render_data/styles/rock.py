"""Rock: a drum kit, guitars through an amplifier, bass guitar; riffs, palm-muted eighths, power chords."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from choose import letters, level, program, side
from drums import SNARES, Layers, kit, strokes, with_fills
from form import Piece
from harmony import Chord
from kits import drum_set, drum_voices
from melody import melody
from parts import BassStep, arpeggio, bass_line, chords_on, held_chords, velocity_at
from score import STEPS, Amp, Drive, Kit, Note, OneShot, Soundfont, Voice
from spans import alone, opened_by

# "X" is an open chord, "m" a palm-muted root, "-" holds. Two bars each.
RIFFS = (
    ("X-mmX-mmX-X-mmmm", "X-mmX-mmX---X-X-"),
    ("X---..X-X---..X-", "X---..X-X-X-X---"),
    ("mmmmX-mmmmX-mmX-", "mmmmX-mmmmX-X-X-"),
    ("X-X-..X-..X-X---", "X-X-..X-X---X-X-"),
    ("m.mmm.mmm.mmX-X-", "m.mmm.mmX-X-X---"),
    ("X-----m.X---X-m.", "X-----m.X-X-X-X-"),
    ("X-X-m.X-X-m.X-m.", "X-X-m.X-X---....",),
    ("X-..X-..X-X-..X-", "..X-..X-X-X-X---"),
)  # fmt: skip
VERSES = ("m.m.m.m.m.m.m.m.", "mmmmmmmmmmmmmmmm", "m.m.m.m.m.m.X---", "X---m.m.m.m.m.m.", "m.mmm.mmm.mmm.mm")
CHORUSES = (
    "X-------X-------",
    "X-X-X-X-X-X-X-X-",
    "X---X---X---X---",
    "X-----X---X-X---",
    "X-----X-----X---",
)
MOVES = (0, 0, 0, 2, 3, 4, 6)  # steps of the scale above the root; the sixth lies below it
KICKS = (
    ("X.......x.......", "X.......x.x....."),
    ("X.....x.x.......", "X.....x...x..x.."),
    ("X..x..x...x.....", "X..x..x...x...x."),
    ("X.x.....x.x.....", "X.x.....x.x...x."),
    ("X...x...x...x...", "X...x...x...x.x."),
    ("xxx.xxx.xxx.xxx.", "xxxxxxxxxxxxxxxx"),
)
BACKBEATS = ("....X.......X...", "....X.......X..o", "....X..o....X...", "....X.......X...")
HALF_TIME = "........X......."
HATS = ("x.x.x.x.x.x.x.x.", "X.x.X.x.X.x.X.x.", "X...X...X...X...", "xoxoxoxoxoxoxoxo")
TOM_BEATS = (
    ("x..x..x.x..x..x.", "tom2"),
    ("..x..x.x..x..x..", "tom1"),
    ("x.x.x.x.x.xxx.xx", "tom2"),
    ("....x.......x.xx", "tom0"),
)
SETS = (0, 1, 3, 5, 8, 9, 12, 15, 16, 16, 17, 19, 24, 32)
DISTORTED, CLEAN = (29, 30, 30), (24, 25, 26, 27, 27)


@dataclass(frozen=True)
class Riff:
    """Two bars of marks, and for each open chord by how many steps of the scale it lies above the root."""

    bars: tuple[str, ...]
    moves: tuple[tuple[int, ...], ...]


def riff_of(rng: np.random.Generator, bars: tuple[str, ...], moving: float) -> Riff:
    """Draw the moves of a riff; a share `moving` of its open chords leaves the root. The first one stays."""
    moves = [
        tuple(
            int(rng.choice(MOVES)) if mark == "X" and (number or step) and rng.random() < moving else 0
            for step, mark in enumerate(bar)
        )
        for number, bar in enumerate(bars)
    ]
    return Riff(bars, tuple(moves))


def power(chord: Chord, move: int, low: int, octave: bool) -> tuple[int, ...]:
    """Return root and fifth (and octave) of a power chord, `move` steps of the scale above the chord's root."""
    at = chord.scale.index(chord.root)
    above = (chord.scale[(at + move) % 7] - chord.root) % 12 - (12 if move == 6 else 0)
    root = low + (chord.root - low) % 12 + above
    return (root, root + 7, root + 12)[: 3 if octave else 2]


def held_steps(bar: str, step: int) -> int:
    """Return the length of an open chord: its mark and the "-" after it."""
    end = step + 1
    while end < STEPS and bar[end] == "-":
        end += 1
    return end - step


def guitar(piece: Piece, parts: dict[str, Riff], low: int, octave: bool) -> tuple[list[Note], list[Note]]:
    """Return the open chords and the palm-muted roots. `parts`: the riff of each letter."""
    rng = piece.rng("guitar")
    opened: list[Note] = []
    muted: list[Note] = []
    for section in piece.sections:
        if section.letter not in parts:
            continue
        riff = parts[section.letter]
        for bar in range(section.start, section.end):
            number = (bar - section.start) % len(riff.bars)
            for step, mark in enumerate(riff.bars[number]):
                if mark not in "Xm":
                    continue
                start = bar * STEPS + step
                chord = piece.chord(start)
                loud = velocity_at(piece, bar, 104 if step % 4 == 0 else 94) + int(rng.integers(-6, 7))
                velocity = int(np.clip(loud, 1, 127))
                if mark == "m":
                    muted += [Note(start, 0.9, pitch, velocity) for pitch in power(chord, 0, low, False)]
                else:
                    length = held_steps(riff.bars[number], step) - 0.1
                    pitches = power(chord, riff.moves[number][step], low, octave)
                    opened += [Note(start, length, pitch, velocity) for pitch in pitches]
    return opened, muted


def bass_of(rng: np.random.Generator, riff: Riff) -> tuple[tuple[BassStep, ...], ...]:
    """Return the bars of a bass that plays with a riff: roots, and at times another tone of the chord."""
    bars = []
    for bar in riff.bars:
        steps: list[BassStep] = []
        for step, mark in enumerate(bar):
            if mark in "Xm":
                tone = str(rng.choice(("5", "8", "3"))) if step % 4 and rng.random() < 0.12 else "1"
                steps.append((step, tone, held_steps(bar, step) - 0.15))
        bars.append(tuple(steps))
    return tuple(bars)


def drum_layers(piece: Piece, rest: str) -> Layers:
    """Return the drums: verse with hats, chorus with a ride cymbal, and in C `rest`: toms, half time or less."""
    rng = piece.rng("drums")
    verse, chorus = (KICKS[int(place)] for place in rng.permutation(len(KICKS))[:2])
    snare, hat, chorus_hat = (str(rng.choice(list(choices))) for choices in (BACKBEATS, HATS, HATS))
    loud = str(rng.choice(("ride", "crash", "open", "ride")))
    toms = [TOM_BEATS[int(place)] for place in rng.permutation(len(TOM_BEATS))[:2]]
    layers: Layers = {"kick": [], "drums": []}
    for section in piece.sections:
        for bar in range(section.start, section.end):
            odd = (bar - section.start) % 2
            if section.letter == "C" and rest == "toms":
                layers["kick"] += strokes(bar, "X...X...X...X...", "kick", 0.8)
                for pattern, name in toms:
                    layers["drums"] += strokes(bar, pattern, name, 0.6, 0.3 - 0.3 * int(name[-1]))
            elif section.letter == "C" and rest == "half time":
                layers["kick"] += strokes(bar, ("X.........x.....", "X..x......x...x.")[odd], "kick", 0.9)
                layers["drums"] += strokes(bar, HALF_TIME, "snare", 0.7)
                layers["drums"] += strokes(bar, "X...X...X...X...", loud, 0.35, 0.3)
            elif section.letter == "C":
                layers["drums"] += strokes(bar, "X...X...X...X...", "hat", 0.25, 0.4)
            else:
                first = section.letter == "A"
                layers["kick"] += strokes(bar, (verse if first else chorus)[odd], "kick", 0.9)
                layers["drums"] += strokes(bar, snare, "snare", 0.7)
                layers["drums"] += strokes(
                    bar, hat if first else chorus_hat, "hat" if first else loud, 0.34, 0.4
                )
        if section.letter == "B" or section.start == 0:
            layers["drums"] += strokes(section.start, "X...............", "crash", 0.5, -0.25)
    return with_fills(piece, "drums", layers, "ABC" if rest != "hat" else "AB")


def rock(piece: Piece) -> list[Voice]:
    """Riffs and power chords over a drum kit; in C, or at the start, the drums or the riff are alone."""
    rng = piece.rng("voices")
    rest = str(rng.choice(("toms", "toms", "half time", "hat")))
    sounds = (
        drum_set(rng, SETS)
        if rng.random() < 0.7
        else Kit((*kit(rng, SNARES, 0.1), OneShot("ride", "drum_cymbal_soft", 1.25, 0.6)))
    )
    driven = (Drive(level(rng, 0.5, 1.6)),)
    made = drum_voices(
        drum_layers(piece, rest), sounds, level(rng, 0.12, 0.16), level(rng, 0.05, 0.14), driven
    )
    # Snare and cymbals have to stand against the guitars.
    voices = [replace(v, level=round(1.4 * v.level, 4)) if v.part == "drums" else v for v in made]
    main = riff_of(rng, RIFFS[int(rng.integers(len(RIFFS)))], float(rng.uniform(0.2, 0.7)))
    verse = main if rng.random() < 0.5 else riff_of(rng, (str(rng.choice(list(VERSES))),), 0.3)
    chorus = riff_of(rng, (str(rng.choice(list(CHORUSES))),), 0.1) if rng.random() < 0.75 else main
    clean = rng.random() < 0.4  # the verse has a clean guitar
    parts = {"B": chorus, "C": main} if clean else {"A": verse, "B": chorus, "C": main}
    tuned = int(rng.integers(36, 42))
    voices += guitars(piece, rng, parts, tuned)
    bass = {letter: bass_of(rng, riff) for letter, riff in {"A": verse, "B": chorus, "C": main}.items()}
    voices.append(
        Voice(
            "bass",
            Soundfont(int(rng.choice((33, 33, 34, 34, 36, 37)))),
            tuple(bass_line(piece, "bass", "ABC", 28, bass, 104)),
            level=level(rng, 0.085, 0.115),
            reverb=0.01,
            effects=(Drive(level(rng, 0.5, 3.0)),),
        )
    )
    voices += colours(piece, rng, clean)
    quiet = [section for section in piece.sections if section.letter == "C"]
    if rest == "toms":
        voices = alone(voices, ("kick", "drums"), {bar for s in quiet for bar in range(s.start, s.end)})
    elif rest == "hat":
        halves = {bar for s in quiet for bar in range(s.start, s.start + s.bars // 2)}
        voices = alone(voices, ("kick", "drums", "guitar"), halves)
    openings = (
        ("guitar",),
        ("guitar",),
        ("kick", "drums"),
        ("bass", "kick", "drums"),
        ("guitar", "kick", "drums"),
        (),
    )
    return opened_by(voices, openings[int(rng.integers(len(openings)))], int(rng.choice((2, 4))))


def guitars(piece: Piece, rng: np.random.Generator, parts: dict[str, Riff], low: int) -> list[Voice]:
    """Return one or two guitars that play the riffs, left and right, and their palm mutes."""
    opened, muted = guitar(piece, parts, low, bool(rng.random() < 0.5))
    heavy, tone = float(np.exp(rng.uniform(np.log(1.5), np.log(18)))), level(rng, 4000, 7500)
    twice = rng.random() < 0.65
    place = 0.55 if twice else 0.1
    voices = []
    for number in range(1 + int(twice)):
        sound = int(rng.choice(DISTORTED)) if rng.random() < 0.75 else int(rng.choice((27, 25, 26)))
        amp = Amp(round(heavy * (0.6 if sound in DISTORTED else 1.6) * float(rng.uniform(0.7, 1.3)), 3), tone)
        pan, loud = round(place * (1 - 2 * number), 3), level(rng, 0.075, 0.11) / (1.3 if twice else 1.0)
        voices.append(
            Voice("guitar", Soundfont(sound), tuple(opened), level=loud, reverb=0.05, pan=pan, effects=(amp,))
        )
        if muted:
            palm = Soundfont(28 if rng.random() < 0.7 else sound)
            voices.append(
                Voice(
                    "guitar",
                    palm,
                    tuple(muted),
                    level=0.9 * loud,
                    reverb=0.03,
                    pan=pan,
                    effects=(Amp(1.5 * heavy, tone),),
                )
            )
    return voices


def colours(piece: Piece, rng: np.random.Generator, clean: bool) -> list[Voice]:
    """Return what some tracks have besides: a clean guitar, an organ or strings, a lead."""
    voices = []
    voicings = piece.voicings(52, 72, 3)
    if clean or rng.random() < 0.2:
        notes = (
            arpeggio(piece, "clean", "A", voicings, density=0.85, every=2, length=1.8, base=84)
            if rng.random() < 0.6
            else chords_on(
                piece, "A", voicings, (str(rng.choice(("x-x.x-x.x-x.x-x.", "X---..x-..x-x---"))),), 1.8, 84
            )
        )
        box = (Amp(level(rng, 0.5, 1.6), 5500),) if rng.random() < 0.6 else ()
        instrument = program(rng, CLEAN)
        voices.append(
            Voice(
                "keys",
                instrument,
                tuple(notes),
                level=level(rng, 0.05, 0.08),
                reverb=0.15,
                pan=side(rng, 0.1, 0.4),
                effects=box,
            )
        )
    if rng.random() < 0.45:
        held = held_chords(piece, letters(rng, 0.3, 1.0, 0.3), piece.voicings(55, 74, 3), 74)
        instrument = program(rng, (16, 17, 18, 18, 48, 52, 81, 89))
        rotor = (Drive(level(rng, 0.8, 2.5)),) if instrument.program in (16, 17, 18) else ()
        voices.append(
            Voice("pad", instrument, tuple(held), level=level(rng, 0.035, 0.06), reverb=0.15, effects=rotor)
        )
    if rng.random() < 0.65:
        where = letters(rng, 0.25, 1.0, 0.3)
        tune = melody(piece, "lead", where, 60, 82, float(rng.uniform(0.35, 0.8)))
        instrument = program(rng, (29, 30, 30, 27, 26, 31, 16, 62, 80))
        amp = (Amp(level(rng, 1.0, 10.0), 5000),) if instrument.program < 32 else ()
        voices.append(
            Voice(
                "lead", instrument, tuple(tune), level=level(rng, 0.055, 0.08), reverb=0.15, delay=0.2,
                pan=side(rng, 0, 0.25), effects=amp,
            )
        )  # fmt: skip
    return voices
