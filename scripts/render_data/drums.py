"""Drums: patterns of sixteenths, ghost notes, fills before a section changes, and breaks that are chopped and put
together anew.

In a pattern "X" is an accent, "x" a stroke, "o" a ghost note and "." a rest. All of them are written for this project.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from form import Piece
from score import STEPS, Hit, OneShot

Layers = dict[str, list[Hit]]
"""The hits of each stem of a kit."""
LOUDNESS = {"X": 1.0, "x": 0.78, "o": 0.32}
KICKS = (
    "bd_haus",
    "bd_klub",
    "bd_tek",
    "bd_808",
    "bd_fat",
    "bd_zum",
    "bd_ada",
    "bd_gas",
    "bd_pure",
    "drum_heavy_kick",
)
SNARES = (
    "sn_dolf",
    "sn_generic",
    "sn_zome",
    "drum_snare_hard",
    "elec_snare",
    "elec_mid_snare",
    "elec_hi_snare",
)
SOFT_SNARES = ("sn_dub", "drum_snare_soft", "elec_lo_snare", "elec_filt_snare")
CLAPS = ("perc_snap", "perc_snap2", "elec_hi_snare", "elec_flip")
PERCUSSION = (
    "elec_wood", "elec_tick", "elec_blip", "elec_bong", "elec_pop", "elec_twip", "perc_till", "drum_cowbell",
    "tabla_tas1", "tabla_te1", "tabla_na", "tabla_ke1", "drum_tom_mid_soft", "drum_tom_hi_soft", "elec_triangle",
)  # fmt: skip
TOMS = ("drum_tom_hi_hard", "drum_tom_mid_hard", "drum_tom_lo_hard")


def kit(
    rng: np.random.Generator, snares: Sequence[str] = SNARES, synthetic: float = 0.4
) -> tuple[OneShot, ...]:
    """Kick, snare, clap, hats, cymbal, toms and two percussion sounds; some of them synthetic."""

    def one(
        name: str, choices: Sequence[str], made: str | None, low: float, high: float, seconds: float
    ) -> OneShot:
        source = made if made is not None and rng.random() < synthetic else str(rng.choice(list(choices)))
        speed = round(float(rng.uniform(low, high)), 3)
        return OneShot(name, source, speed, seconds, int(rng.integers(1 << 30)))

    return (
        one("kick", KICKS, "kick", 0.94, 1.12, 0.34),
        one("snare", snares, "snare", 0.92, 1.12, 0.4),
        one("clap", CLAPS, "snare", 0.95, 1.2, 0.3),
        one("hat", ("drum_cymbal_closed", "drum_cymbal_pedal"), "hat", 0.9, 1.25, 0.2),
        one("open", ("drum_cymbal_open",), "open_hat", 0.95, 1.2, 0.35),
        one("crash", ("drum_splash_hard", "drum_splash_soft", "drum_cymbal_soft"), None, 0.9, 1.1, 1.8),
        one("rim", ("elec_tick", "elec_wood", "perc_snap2", "elec_twip"), None, 0.8, 1.2, 0.2),
        one("one", PERCUSSION, None, 0.85, 1.3, 0.4),
        one("two", PERCUSSION, None, 0.85, 1.3, 0.4),
        *(OneShot(f"tom{number}", name, 1.0, 0.6) for number, name in enumerate(TOMS)),
    )


def euclid(hits: int, rotation: int) -> str:
    """Return a bar with `hits` strokes, spread as evenly as possible (Toussaint 2005)."""
    return "".join("x" if ((step + rotation) * hits) % STEPS < hits else "." for step in range(STEPS))


def strokes(bar: int, pattern: str, sound: str, gain: float, pan: float = 0.0) -> list[Hit]:
    """Return the hits of a pattern in one bar."""
    return [
        Hit(bar * STEPS + step, sound, round(gain * LOUDNESS[mark], 4), pan)
        for step, mark in enumerate(pattern)
        if mark in LOUDNESS
    ]


def fill(rng: np.random.Generator, bar: int, gain: float) -> tuple[int, list[Hit]]:
    """A fill at the end of a bar: the step from which the pattern is silent, and the strokes in its place."""
    start = int(rng.choice((8, 12, 12)))
    kind = str(rng.choice(("roll", "toms", "gap", "stutter")))
    steps = range(start, STEPS)
    if kind == "roll":
        hits = [
            Hit(bar * STEPS + s, "snare", round(gain * (0.35 + 0.6 * (s - start + 1) / len(steps)), 4))
            for s in steps
        ]
    elif kind == "toms":
        order = [f"tom{min(2, 3 * (s - start) // len(steps))}" for s in steps]
        hits = [
            Hit(bar * STEPS + s, name, round(gain * 0.8, 4), 0.4 - 0.4 * int(name[-1]))
            for s, name in zip(steps, order, strict=True)
            if s % 2 == 0 or rng.random() < 0.4
        ]
    elif kind == "stutter":
        hits = [
            Hit(bar * STEPS + s, "snare" if s % 4 else "kick", round(gain * 0.8, 4))
            for s in steps
            if s % 3 != 1
        ]
    else:
        start, hits = 14, []
    return start, hits


def with_fills(piece: Piece, name: str, layers: Layers, letters: str) -> Layers:
    """Layers of hits by stem with a fill in the last bar before every new section, and a cymbal on the first beat."""
    rng = piece.rng(f"{name} fills")
    layers = {stem: list(hits) for stem, hits in layers.items()}
    for before, after in zip(piece.sections, piece.sections[1:], strict=False):
        start, hits = fill(rng, before.end - 1, 0.75)
        crash = rng.random() < 0.6
        if before.letter in letters:
            first = (before.end - 1) * STEPS + start
            last = before.end * STEPS
            for stem in layers:
                layers[stem] = [hit for hit in layers[stem] if not first <= hit.step < last]
            layers["drums"] += [hit for hit in hits if hit.sound != "kick"]
            layers.setdefault("kick", []).extend(hit for hit in hits if hit.sound == "kick")
        if after.letter in letters and crash:
            layers["drums"].append(Hit(after.start * STEPS, "crash", 0.4, -0.25))
    return {stem: sorted(hits, key=lambda hit: hit.step) for stem, hits in layers.items()}


# Two bars each, of kick, snare (with ghost notes) and hat.
BREAKS = (
    (
        ("X.....x...X..x..", "....X..o.o..X..o", "x.x.x.x.x.x.x.x."),
        ("X..x......X.....", "....X..o..o.X.o.", "x.x.x.x.x.x.x.xx"),
    ),
    (
        ("X.x.......xX....", "....X..o.o.oX...", "x.x.x.x.x.x.x.x."),
        ("..x...x...X..x..", "....X....o..X..o", "x.xxx.x.x.xxx.x."),
    ),
    (
        ("X..x..x...X.....", "....X.....o.X..x", "x...x...x...x..."),
        ("X..x..x.....x...", "....X..o.o..X...", "x...x...x..xx..."),
    ),
    (
        ("X.........x..x..", "....X..o....X...", "x.x.xxx.x.x.xxx."),
        ("X......x..x.....", "....X..o.o..X.xo", "x.x.xxx.x.x.x.x."),
    ),
    (
        ("X.....X.........", "........X....o..", "x.x.x.x.x.x.x.x."),
        ("X.....X...x.....", "........X..o.o..", "x.x.x.x.x.xxx.x."),
    ),
)


def break_bars(rng: np.random.Generator) -> list[list[tuple[int, str, float, float]]]:
    """A break of two bars as strokes (step 0..31, sound, gain, pan) for each of its eight slices of four steps."""
    bars = BREAKS[int(rng.integers(len(BREAKS)))]
    slices: list[list[tuple[int, str, float, float]]] = [[] for _ in range(8)]
    for number, (kick, snare, hat) in enumerate(bars):
        for pattern, sound, gain, pan in (
            (kick, "kick", 0.9, 0.0),
            (snare, "snare", 0.75, 0.0),
            (hat, "hat", 0.3, 0.4),
        ):
            for step, mark in enumerate(pattern):
                if mark in LOUDNESS:
                    place = number * STEPS + step
                    slices[place // 4].append((place % 4, sound, round(gain * LOUDNESS[mark], 4), pan))
    return slices


def chop(rng: np.random.Generator, amount: float) -> list[tuple[int, bool]]:
    """Return an order of eight slices (two bars), and for each whether its first half is played twice.

    The first slice of each bar stays, so that the bar can still be felt. `amount` 0..1: share of slices that move.
    """
    order = []
    for place in range(8):
        source = place
        if place % 4 and rng.random() < amount:
            source = int(rng.integers(8))
        order.append((source, bool(place % 4 == 3 and rng.random() < amount * 0.5)))
    return order


def chopped(piece: Piece, letters: str) -> Layers:
    """Return a break for the track, by stem: straight at first, and chopped more and more in each section."""
    rng = piece.rng("break")
    slices = break_bars(rng)
    layers: Layers = {"kick": [], "drums": []}
    orders: dict[tuple[str, int], list[tuple[int, bool]]] = {}
    for section in piece.sections:
        if section.letter not in letters:
            continue
        for bar in range(section.start, section.end):
            pair = (bar - section.start) // 2 % 4
            key = (section.letter, pair)
            if key not in orders:
                orders[key] = chop(rng, (0.0, 0.3, 0.15, 0.6)[pair])
            for beat in range(4):
                source, twice = orders[key][(bar - section.start) % 2 * 4 + beat]
                start = bar * STEPS + 4 * beat
                for step, sound, gain, pan in slices[source]:
                    for repeat in (0, 2) if twice else (0,):
                        if twice and step >= 2:
                            continue
                        hit = Hit(
                            start + step + repeat, sound, round(gain * (0.8 if repeat else 1.0), 4), pan
                        )
                        layers["kick" if sound == "kick" else "drums"].append(hit)
    return layers
