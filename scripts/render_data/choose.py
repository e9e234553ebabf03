"""Random choices that all styles share: instruments with their knobs, and the sections in which a part plays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from score import Faust, Knob, Soundfont, Widen

MONO = ("sub", "acid", "reese", "round", "reed", "soft", "pulse")  # voices of one note at a time


def patch(
    rng: np.random.Generator,
    names: Sequence[str],
    bright: tuple[float, float] = (0.25, 0.75),
    tail: float = 0.45,
) -> Faust:
    """Return one of these patches, with knobs that move slowly."""
    name = str(rng.choice(list(names)))
    spans = {
        "bright": (*bright, 0.15),
        "shape": (0.1, 0.9, 0.1),
        "tail": (0.5 * tail, min(1.0, 1.5 * tail), 0.06),
    }
    knobs = tuple(
        Knob(
            knob,
            round(float(rng.uniform(low, high)), 4),
            depth,
            round(float(rng.uniform(0.02, 0.09)), 4),
            round(float(rng.random()), 4),
        )
        for knob, (low, high, depth) in spans.items()
    )
    return Faust(name, knobs, 3 if name in MONO else 10)


def program(rng: np.random.Generator, programs: Sequence[int]) -> Soundfont:
    return Soundfont(int(rng.choice(list(programs))))


def letters(rng: np.random.Generator, a: float, b: float, c: float) -> str:
    """Return the letters of the sections in which a part plays; a, b, c: chance of each letter."""
    return "".join(letter for letter, chance in zip("ABC", (a, b, c), strict=True) if rng.random() < chance)


def wide(rng: np.random.Generator, low: float = 0.5, high: float = 0.9) -> Widen:
    return Widen(round(float(rng.uniform(low, high)), 3), round(float(rng.uniform(0.15, 0.5)), 3))


def level(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 4)


def side(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a random place in the stereo image, left or right, from `low` to `high` away from the centre."""
    return round(float(rng.uniform(low, high) * rng.choice((-1, 1))), 3)
