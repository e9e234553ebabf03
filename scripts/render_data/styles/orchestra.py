"""Orchestra: strings, brass, woodwinds, choir, harp, timpani, snare drum and cymbals, from pianissimo to tutti."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from choose import letters, level, program, side, wide
from drums import Layers, strokes
from form import Piece
from harmony import nearest
from kits import drum_voices
from melody import melody
from parts import BassStep, arpeggio, bass_line, chords_on, held_chords
from score import STEPS, DrumSet, Effect, Hit, Note, Soundfont, Voice
from spans import alone, opened_by

KIT = DrumSet(48, (("kick", 36), ("snare", 38), ("crash", 57), ("clash", 59), ("rim", 37)))
# Bars of low strings: which tone of the chord each step has.
OSTINATI = (
    "1.1.1.1.1.1.1.1.", "1.11.11.1.11.11.", "1..1..1.1..1..1.", "1111111111111111", "1.5.8.5.1.5.8.5.",
    "1.1.3.1.5.1.3.1.", "1...1.1.1...1.1.", "1.113.115.113.11", "1..1..8.5..5..3.",
)  # fmt: skip
MARCHES = ("X.xxX.x.X.xxx.x.", "X...x.xxX...x.x.", "X.x.X.x.X.xxXxxx", "x.ooX.oox.ooX.oo", "X..xX..xX..xXxxx")
TIMPANI = ("X.......X.......", "X...X...X...X...", "X.....xxX.......", "X..x..x.X.......", "X...........xxxx")
HITS = ("X...............", "X.......X.......", "X..X..X.........", "X.....X...X.....", "X.X.....X.X.....")
BRASS_CHORDS = (
    "X-------X-------",
    "X---X-X-X-------",
    "X-----X-X---X---",
    "....X-......X---",
    "X-X-X-----------",
)


@dataclass(frozen=True)
class Character:
    """How a piece is scored: chances of each group, how full the tune is, and the loudness (0..1) of A, B and C."""

    strings: float
    brass: float
    winds: float
    choir: float
    harp: float
    drums: float
    density: tuple[float, float]
    loudness: tuple[float, float, float]


CHARACTERS = {
    "march": Character(0.8, 1.0, 0.7, 0.1, 0.1, 1.0, (0.4, 0.75), (0.75, 1.0, 0.5)),
    "battle": Character(1.0, 0.95, 0.3, 0.5, 0.1, 1.0, (0.35, 0.8), (0.8, 1.0, 0.47)),
    "calm": Character(0.3, 0.3, 1.0, 0.4, 0.8, 0.05, (0.2, 0.45), (0.6, 0.8, 0.45)),
    "hymn": Character(0.2, 0.7, 0.3, 0.9, 0.3, 0.4, (0.15, 0.4), (0.6, 1.0, 0.42)),
    "dark": Character(0.7, 0.6, 0.3, 0.5, 0.3, 0.5, (0.15, 0.35), (0.55, 0.95, 0.38)),
}


def orchestra(piece: Piece) -> list[Voice]:
    """A march, a battle, a calm piece, a hymn or a dark one; its sections differ much in loudness."""
    rng = piece.rng("voices")
    how = CHARACTERS[str(rng.choice(list(CHARACTERS)))]
    room = level(rng, 0.14, 0.3)
    voices = [*low_strings(piece, rng, how), *held(piece, rng, how), *tunes(piece, rng, how)]
    if rng.random() < how.brass:
        marks = str(rng.choice(list(BRASS_CHORDS)))
        notes = chords_on(piece, letters(rng, 0.35, 1.0, 0.0), piece.voicings(48, 67, 3), (marks,), 1.8, 92)
        voices.append(
            voice_of(
                "keys", program(rng, (61, 61, 57, 60)), notes, level(rng, 0.05, 0.08), side(rng, 0.1, 0.3)
            )
        )
    if rng.random() < how.harp:
        harp = arpeggio(
            piece, "harp", letters(rng, 0.8, 0.6, 0.7) or "A", piece.voicings(52, 72, 4),
            density=float(rng.uniform(0.6, 1.0)), octaves=int(rng.integers(1, 3)),
            every=int(rng.choice((1, 2, 2))), length=2.5,
        )  # fmt: skip
        voices.append(
            voice_of(
                "arp",
                program(rng, (46, 46, 46, 45, 0, 8)),
                harp,
                level(rng, 0.04, 0.06),
                side(rng, 0.15, 0.4),
            )
        )
    if rng.random() < how.drums:
        voices += percussion(piece, rng)
    loudness = dict(zip("ABC", how.loudness, strict=True))
    voices = [
        replace(shaped(piece, voice, loudness), reverb=round(room * (1 if voice.notes else 0.7), 3))
        for voice in voices
    ]
    if rng.random() < 0.25:  # drums alone for a moment
        bare = {
            bar
            for section in piece.sections
            if section.letter == "C" or section.visit
            for bar in range(section.start, section.start + min(2, section.bars))
        }
        voices = alone(voices, ("drums", "timpani"), bare)
    openings = ((), (), ("pad",), ("bass", "ostinato"), ("drums", "timpani"), ("lead",), ("arp", "pad"))
    return opened_by(voices, openings[int(rng.integers(len(openings)))], int(rng.choice((2, 2, 4))))


def voice_of(
    part: str,
    instrument: Soundfont,
    notes: list[Note],
    loud: float,
    pan: float = 0.0,
    effects: tuple[Effect, ...] = (),
) -> Voice:
    return Voice(part, instrument, tuple(notes), level=loud, pan=pan, effects=effects)


def shaped(piece: Piece, voice: Voice, loudness: dict[str, float]) -> Voice:
    """Return a voice at the loudness of its sections; in the last bar before a louder section it grows."""
    by_bar = np.ones(piece.bars)
    for section, after in zip(piece.sections, [*piece.sections[1:], None], strict=True):
        here = loudness[section.letter]
        by_bar[section.start : section.end] = here
        if after is not None and loudness[after.letter] > here:
            by_bar[max(section.start, section.end - 1)] = (here + loudness[after.letter]) / 2
    notes = tuple(
        replace(note, velocity=int(np.clip(note.velocity * by_bar[note.step // STEPS], 12, 127)))
        for note in voice.notes
    )
    # A hit's gain goes with a smaller power than a velocity (`render.set_strokes`).
    hits = tuple(
        replace(hit, gain=round(hit.gain * float(by_bar[hit.step // STEPS]) ** 2.5, 4)) for hit in voice.hits
    )
    return replace(voice, notes=notes, hits=hits)


def low_strings(piece: Piece, rng: np.random.Generator, how: Character) -> list[Voice]:
    """Return the bass, held or as an ostinato, and at times an ostinato of violas and cellos above it."""
    moving = rng.random() < how.strings
    length = float(rng.choice((0.6, 0.8, 1.0)))
    bars: dict[str, tuple[tuple[BassStep, ...], ...]] = {
        "*": (((0, "1", 15.5),),),
        "B": (((0, "1", 7.6), (8, "1", 7.6)),),
    }
    if moving:
        marks = OSTINATI[int(rng.integers(len(OSTINATI)))]
        bars["*"] = (tuple((step, mark, length) for step, mark in enumerate(marks) if mark != "."),)
        bars["B"] = bars["*"] if rng.random() < 0.7 else bars["B"]
        if rng.random() < 0.6:
            bars["C"] = (((0, "1", 15.5),),)
    notes = bass_line(piece, "bass", "ABC", int(rng.choice((28, 33))), bars, 100)
    voices = [
        voice_of(
            "bass", program(rng, (43, 42, 48, 43, 58)), notes, level(rng, 0.06, 0.09), side(rng, 0.05, 0.15)
        )
    ]
    if moving and rng.random() < 0.75:
        marks = str(
            rng.choice(("x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx", "x..x..x.x..x..x.", "x.xxx.xxx.xxx.xx"))
        )
        where = letters(rng, 0.7, 1.0, 0.3) or "B"
        if rng.random() < 0.5:
            short = chords_on(piece, where, piece.voicings(48, 64, 2), (marks,), length, 88)
        else:
            short = arpeggio(
                piece, "ostinato", where, piece.voicings(48, 67, 3), density=0.95, length=length, base=90
            )
        voices.append(
            voice_of(
                "ostinato",
                program(rng, (48, 48, 42, 45, 41, 44)),
                short,
                level(rng, 0.045, 0.07),
                side(rng, 0.1, 0.35),
            )
        )
    return voices


def held(piece: Piece, rng: np.random.Generator, how: Character) -> list[Voice]:
    """Return held strings, and at times a choir or horns that hold with them."""
    width = (wide(rng, 0.3, 0.5),)
    high = piece.voicings(55, 76, int(rng.integers(3, 5)))
    notes = held_chords(piece, letters(rng, 0.7, 1.0, 0.9) or "AC", high, 86)
    voices = [
        voice_of("pad", program(rng, (48, 48, 49, 44, 50)), notes, level(rng, 0.05, 0.075), effects=width)
    ]
    if rng.random() < how.choir:
        sung = held_chords(piece, letters(rng, 0.3, 1.0, 0.5) or "B", piece.voicings(57, 79, 3), 88)
        voices.append(
            voice_of("pad", program(rng, (52, 52, 53)), sung, level(rng, 0.04, 0.07), effects=width)
        )
    if rng.random() < 0.5 * how.brass:
        horns = held_chords(piece, letters(rng, 0.2, 1.0, 0.1), piece.voicings(48, 67, 3), 84)
        voices.append(
            voice_of("pad", program(rng, (60, 60, 57)), horns, level(rng, 0.04, 0.06), side(rng, 0.1, 0.2))
        )
    return voices


def tunes(piece: Piece, rng: np.random.Generator, how: Character) -> list[Voice]:
    """Return the melodies: brass or violins in A and B, in octaves at times, and a woodwind that has C or answers."""
    density = float(rng.uniform(*how.density))
    loud, place = level(rng, 0.07, 0.095), side(rng, 0, 0.2)
    brass = rng.random() < how.brass
    low, high = (55, 75) if brass else (64, 86)
    tune = melody(piece, "tune", letters(rng, 0.8, 1.0, 0.0), low, high, density)
    instrument = program(rng, (56, 56, 60, 61, 57)) if brass else program(rng, (48, 40, 48, 73, 68))
    voices = [voice_of("lead", instrument, tune, loud, place)]
    if rng.random() < 0.4:  # the same tune an octave higher, in B
        bars = {bar for s in piece.sections if s.letter == "B" for bar in range(s.start, s.end)}
        above = [replace(note, pitch=note.pitch + 12) for note in tune if note.step // STEPS in bars]
        voices.append(voice_of("lead", program(rng, (48, 73, 72, 40)), above, round(0.6 * loud, 4), -place))
    if rng.random() < how.winds:
        where = letters(rng, 0.3, 0.2, 1.0)
        notes = melody(piece, "wind", where, 62, 84, float(rng.uniform(0.2, 0.5)))
        wind = program(rng, (68, 69, 70, 71, 73, 73, 74, 75, 9, 8, 14))
        voices.append(voice_of("lead", wind, notes, level(rng, 0.055, 0.08), side(rng, 0.1, 0.35)))
    return voices


def percussion(piece: Piece, rng: np.random.Generator) -> list[Voice]:
    """Return snare, bass drum and cymbals, and timpani on root and fifth. Rolls lead into new sections."""
    snare, bass, beats = (str(rng.choice(list(choices))) for choices in (MARCHES, HITS, TIMPANI))
    where = {
        "snare": letters(rng, 0.7, 0.9, 0.25),
        "kick": letters(rng, 0.5, 1.0, 0.2),
        "timpani": letters(rng, 0.5, 1.0, 0.3),
    }
    layers: Layers = {"drums": []}
    kettles: list[Note] = []
    for section in piece.sections:
        for bar in range(section.start, section.end):
            if section.letter in where["snare"]:
                layers["drums"] += strokes(bar, snare, "snare", 0.5, 0.15)
            if section.letter in where["kick"]:
                layers["drums"] += strokes(bar, bass, "kick", 0.8)
            if section.letter in where["timpani"]:
                kettles += kettle_notes(piece, bar, beats)
        if section.letter == "B" or (section.start and rng.random() < 0.4):
            layers["drums"].append(Hit(section.start * STEPS, "crash", 0.6, -0.2))
        if section.end < piece.bars and rng.random() < 0.7:
            first = (section.end - 1) * STEPS
            if rng.random() < 0.5:
                layers["drums"] += [
                    Hit(first + s, "snare", round(0.05 + 0.03 * s, 3), 0.15) for s in range(STEPS)
                ]
            else:
                root = nearest(43, piece.chord(first + 12).tones[:1], 36, 47)
                kettles += [Note(first + s, 0.9, root, 40 + 5 * s) for s in range(8, STEPS)]
    kettles = sorted(
        {(note.step, note.pitch): note for note in kettles}.values(), key=lambda note: (note.step, note.pitch)
    )
    once = {(hit.step, hit.sound): hit for hit in layers["drums"]}
    layers["drums"] = sorted(once.values(), key=lambda hit: hit.step)
    voices = drum_voices(layers, KIT, level(rng, 0.1, 0.15), 0.15)
    voices.append(Voice("timpani", Soundfont(47), tuple(kettles), level=level(rng, 0.06, 0.1)))
    return voices


def kettle_notes(piece: Piece, bar: int, beats: str) -> list[Note]:
    """Return a bar of timpani: the root on accents, the fifth elsewhere."""
    notes = []
    for step, mark in enumerate(beats):
        if mark in "Xx":
            chord = piece.chord(bar * STEPS + step)
            tone = chord.root if mark == "X" else chord.tones[2]
            notes.append(
                Note(bar * STEPS + step, 2.0, nearest(43, (tone,), 36, 48), 108 if mark == "X" else 88)
            )
    return notes
