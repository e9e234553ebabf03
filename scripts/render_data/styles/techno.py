"""Techno: hard, industrial or minimal; kick, metal, noise, an acid bass; a third of the tracks has no tones at all."""

from __future__ import annotations

import numpy as np
from choose import letters, level, patch, side, wide
from drums import SNARES, Layers, euclid, kit, strokes, with_fills
from form import Piece
from kits import drum_voices
from parts import BassStep, bass_line, chords_on, held_chords
from score import (
    STEPS,
    Amp,
    Crush,
    Drive,
    Effect,
    Faust,
    Hit,
    Kit,
    Knob,
    Noise,
    OneShot,
    Spring,
    TapeEcho,
    Voice,
    Wash,
)
from spans import opened_by, outside

KICKS = (
    ("X...X...X...X...", "X...X...X...X..."),
    ("X...X...X...X...", "X...X...X...X.x."),
    ("X...X...X...X...", "X...X...X..xX..."),
    ("X..x..X...x..X..", "X..x..X...x.X..."),
    ("X.....X..X......", "X.....X..X..x.x."),
    ("X..X..X..X..X...", "X..X..X..X..X.x."),
)
CLAPS = ("....X.......X...", "....X.......X..x", "............X...", "................", "....X..x....X...")
STRUCK = ("metal", "metal", "burst", "zap", "elec_twip", "elec_blip2", "perc_snap", "elec_flip")
HATS = ("..x...x...x...x.", "..X...X...X...X.", "xxXxxxXxxxXxxxXx", "x.xox.xox.xox.xo", "oxxoxxoxxoxxoxxo")
STABS = (
    "..x..x....x..x..",
    "......x.........",
    "x.....x..x......",
    "...x......x.....",
    "..x.............",
    "x..x..x..x..x...",
)
CYCLES = (3, 5, 6, 7, 9, 10, 12, 16, 16, 16, 32)  # steps after which a pattern of percussion repeats
TONES = ("1", "1", "1", "1", "8", "8", "5", "3")


def techno(piece: Piece) -> list[Voice]:
    """Drums, percussion, noise; in two of three tracks an acid bass, stabs or a drone besides, but not in all bars."""
    rng = piece.rng("voices")
    tonal = rng.random() < 0.67
    voices = [*drums(piece, rng), *percussion(piece, rng)]
    played = {hit.step // STEPS for voice in voices for hit in voice.hits}
    voices += washes(piece, rng, set(range(piece.bars)) - played)
    if tonal:
        voices += tones(piece, rng)
        bare = toneless_bars(piece)
        voices = [outside(voice, bare) if voice.notes else voice for voice in voices]
    openings = ((), ("kick",), ("kick", "drums"), ("perc",), ("perc", "noise"), ("kick", "perc", "noise"))
    return opened_by(voices, openings[int(rng.integers(len(openings)))], int(rng.choice((1, 2, 2, 4))))


def toneless_bars(piece: Piece) -> set[int]:
    """Return the bars that have drums and noise alone: the first section's start, and one or two later sections."""
    rng = piece.rng("toneless")
    bars = set(range(int(rng.choice((0, 2, 4, 8)))))
    without = letters(rng, 0.15, 0.0, 0.6)
    for section in piece.sections:
        if section.letter in without:
            bars |= set(range(section.start, section.end))
    return bars


def hard_kit(rng: np.random.Generator) -> Kit:
    """A kit of one-shots whose kick and clap are often synthetic and hard."""
    by_name = {sound.name: sound for sound in kit(rng, SNARES, 0.5)}
    if rng.random() < 0.55:
        by_name["kick"] = OneShot(
            "kick", "hard_kick", level(rng, 0.9, 1.1), level(rng, 0.25, 0.45), int(rng.integers(1 << 30))
        )
    for name, chance in (("clap", 0.5), ("snare", 0.3), ("hat", 0.25)):
        if rng.random() < chance:
            by_name[name] = OneShot(name, "burst", level(rng, 0.8, 1.3), 0.25, int(rng.integers(1 << 30)))
    return Kit(tuple(by_name.values()))


def drums(piece: Piece, rng: np.random.Generator) -> list[Voice]:
    """Return the kick, claps and hats. Hats and claps come in after the start, and C has no kick, or the kick alone."""
    sounds = hard_kit(rng)
    kick = KICKS[int(rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 5)))]
    clap, hat = str(rng.choice(list(CLAPS))), str(rng.choice(list(HATS)))
    opened, rolling = rng.random() < 0.5, rng.random() < 0.3
    rest = str(rng.choice(("no kick", "no kick", "kick alone", "all")))
    layers: Layers = {"kick": [], "drums": []}
    for section in piece.sections:
        for bar in range(section.start, section.end):
            quiet = section.letter == "C"
            if not quiet or rest != "no kick":
                layers["kick"] += strokes(bar, kick[bar % 2], "kick", 0.95)
            if quiet and rest != "all":
                continue
            if section.start or bar >= 2:
                layers["drums"] += strokes(bar, hat, "hat", 0.25, 0.3)
            if section.letter == "B" or section.start:
                layers["drums"] += strokes(bar, clap, "clap", 0.5)
            if opened and section.letter == "B":
                layers["drums"] += strokes(bar, "..x...x...x...x.", "open", 0.3, -0.3)
            if rolling and bar % 4 == 3:
                layers["drums"] += strokes(bar, "............xxxx", "snare", 0.4)
    if rng.random() < 0.5:
        layers = with_fills(piece, "drums", layers, "AB")
    hard: tuple[Effect, ...] = (Drive(level(rng, 1.0, 6.0)),)
    if rng.random() < 0.3:
        hard += (Crush(level(rng, 7000, 20000), int(rng.integers(5, 9))),)
    return drum_voices(layers, sounds, level(rng, 0.13, 0.18), level(rng, 0.02, 0.12), hard)


def percussion(piece: Piece, rng: np.random.Generator) -> list[Voice]:
    """Return two to four sounds of metal and noise, each on a pattern that repeats after its own number of steps."""
    names = [f"hit{number}" for number in range(int(rng.integers(2, 5)))]
    sounds = tuple(
        OneShot(
            name,
            str(rng.choice(STRUCK)),
            level(rng, 0.7, 1.4),
            level(rng, 0.08, 0.6),
            int(rng.integers(1 << 30)),
        )
        for name in names
    )
    hits = []
    for name in names:
        cycle, where, pan = int(rng.choice(CYCLES)), letters(rng, 0.7, 1.0, 0.75), side(rng, 0.1, 0.7)
        density = float(rng.uniform(0.15, 0.5))
        pattern = [
            float(rng.choice((0.5, 0.75, 1.0))) if rng.random() < density else 0.0 for _ in range(cycle)
        ]
        if not any(pattern):
            pattern[int(rng.integers(cycle))] = 1.0
        if rng.random() < 0.25:
            pattern = [
                0.8 if mark == "x" else 0.0
                for mark in euclid(int(rng.integers(3, 10)), int(rng.integers(16)))
            ]
        loud = float(rng.uniform(0.25, 0.5))
        for section in piece.sections:
            if section.letter in where:
                for step in range(section.start * STEPS, section.end * STEPS):
                    if pattern[step % len(pattern)]:
                        hits.append(Hit(step, name, round(loud * pattern[step % len(pattern)], 4), pan))
    effects: tuple[Effect, ...] = ()
    if rng.random() < 0.5:
        effects += (Spring(level(rng, 0.15, 0.5), level(rng, 1.0, 2.4), int(rng.integers(1 << 30))),)
    if rng.random() < 0.4:
        effects += (
            TapeEcho(int(rng.choice((3, 3, 5, 6))), level(rng, 0.3, 0.6), level(rng, 0.2, 0.5), 3500),
        )
    if rng.random() < 0.4:
        effects += (Drive(level(rng, 1.0, 4.0)),)
    hits.sort(key=lambda hit: hit.step)
    return [
        Voice(
            "perc",
            Kit(sounds),
            hits=tuple(hits),
            level=level(rng, 0.05, 0.11),
            reverb=level(rng, 0.03, 0.2),
            effects=effects,
        )
    ]


def washes(piece: Piece, rng: np.random.Generator, empty: set[int]) -> list[Voice]:
    """Return noise: sweeps that lead into sections, and in some sections a noise that pulses or hums.

    Bars that are `empty` have noise alone.
    """
    cut = int(rng.choice((0, 0, 1, 2)))  # the rise is cut into pieces in half of the tracks
    pulses = int(rng.choice((1, 2, 3, 4)))

    def wash(
        name: str, steps: int, first: tuple[int, int], last: tuple[int, int], shape: str, gate: int
    ) -> Wash:
        width, seed = level(rng, 0.3, 1.3), int(rng.integers(1 << 30))
        return Wash(name, steps, level(rng, *first), level(rng, *last), width, shape, gate, seed)

    sounds = (
        wash("rise", 32, (150, 900), (3000, 11000), "rise", cut),
        wash("fall", 24, (4000, 11000), (120, 600), "fall", 0),
        wash("gate", 16, (500, 5000), (500, 8000), "swell", pulses),
        wash("bed", 64, (60, 3000), (60, 5000), "swell", 0),
    )
    gate, bed = letters(rng, 0.25, 0.5, 0.4), letters(rng, 0.3, 0.2, 0.7)
    hits = []
    for section in piece.sections:
        if section.end < piece.bars and rng.random() < 0.6:
            hits.append(Hit(max(0, section.end * STEPS - 32), "rise", 0.8))
        if section.start and rng.random() < 0.6:
            hits.append(Hit(section.start * STEPS, "fall", 0.7))
        for bar in range(section.start, section.end):
            if section.letter in gate:
                hits.append(Hit(bar * STEPS, "gate", 0.45))
            if bar in empty or (section.letter in bed and (bar - section.start) % 2 == 0):
                hits.append(Hit(bar * STEPS, "bed", 0.4))
    hits.sort(key=lambda hit: hit.step)
    return [
        Voice(
            "noise",
            Noise(sounds),
            hits=tuple(hits),
            level=level(rng, 0.03, 0.075),
            reverb=0.1,
            ducked=bool(rng.random() < 0.5),
        )
    ]


def acid_bar(rng: np.random.Generator) -> tuple[BassStep, ...]:
    """Return a bar of a bass: sixteenths with rests, some of them tied."""
    steps: list[BassStep] = []
    density = rng.uniform(0.4, 0.95)
    for step in range(STEPS):
        if step == 0 or rng.random() < density:
            tied = 2.1 if rng.random() < 0.2 else float(rng.choice((0.5, 0.8, 1.05)))
            steps.append((step, "1" if step == 0 else str(rng.choice(TONES)), tied))
    return tuple(steps)


def swept(rng: np.random.Generator, name: str) -> Faust:
    """Return a patch whose filter opens and closes over some bars."""

    def knob(label: str, low: float, high: float, depth: float, slowest: float, fastest: float) -> Knob:
        return Knob(label, level(rng, low, high), depth, level(rng, slowest, fastest), level(rng, 0, 1))

    return Faust(
        name,
        (
            knob("bright", 0.25, 0.6, level(rng, 0.15, 0.4), 0.03, 0.15),
            knob("shape", 0.5, 0.9, 0.15, 0.02, 0.1),
            knob("tail", 0.1, 0.6, 0.1, 0.02, 0.08),
        ),
        3,
    )


def tones(piece: Piece, rng: np.random.Generator) -> list[Voice]:
    """Return one to three of these: a bass, stabs on an echo, a drone."""
    voices = []
    kinds = [str(kind) for kind in rng.choice(("bass", "stab", "drone"), size=3, replace=False)]
    chosen = set(kinds[: int(rng.choice((1, 2, 2, 3)))])
    if rng.random() < 0.6:
        chosen.add("bass")
    if "bass" in chosen:
        first, second = acid_bar(rng), acid_bar(rng)
        line = bass_line(
            piece,
            "bass",
            letters(rng, 0.9, 1.0, 0.5),
            int(rng.choice((29, 33, 36))),
            {"*": (first,), "B": (first, second)},
            100,
        )
        hot: tuple[Effect, ...] = (Amp(level(rng, 1.0, 8.0), 6000),) if rng.random() < 0.4 else ()
        name = str(rng.choice(("acid", "acid", "acid", "reese", "fold", "sub")))
        voices.append(
            Voice(
                "bass", swept(rng, name), tuple(line), level=level(rng, 0.08, 0.12), ducked=True, effects=hot
            )
        )
    if "stab" in chosen:
        marks = tuple(str(rng.choice(list(STABS))) for _ in range(2))
        echo = TapeEcho(3, level(rng, 0.4, 0.65), level(rng, 0.3, 0.6), 2800)
        notes = chords_on(
            piece,
            letters(rng, 0.6, 1.0, 0.4) or "B",
            piece.voicings(50, 70, 3),
            (marks[0], marks[0], marks[0], marks[1]),
            0.9,
            90,
        )
        stab = patch(rng, ("stab", "stab", "skank", "organ", "pulse"), (0.3, 0.8), 0.3)
        voices.append(
            Voice(
                "keys",
                stab,
                tuple(notes),
                level=level(rng, 0.05, 0.075),
                reverb=0.15,
                effects=(echo, wide(rng)),
            )
        )
    if "drone" in chosen:
        held = held_chords(piece, letters(rng, 0.5, 0.7, 0.7) or "B", piece.voicings(45, 64, 2), 74)
        drone = patch(rng, ("hum", "reese", "pad", "voice"), (0.1, 0.6), 0.6)
        voices.append(
            Voice(
                "pad",
                drone,
                tuple(held),
                level=level(rng, 0.035, 0.06),
                reverb=0.25,
                ducked=True,
                effects=(wide(rng),),
            )
        )
    return voices
