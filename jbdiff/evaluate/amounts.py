"""How much an evaluation plays and compares: the whole one, and a quick look. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Amounts:
    """Lengths are in seconds. Cost on one core of the pocket stack: some 16 minutes, 2 minutes when quick."""

    pieces: int = 24  # held-out tracks
    continuation: float = 30.0  # that is played after each one's context
    stretch: float = 10.0  # that makes one value of a statistic
    feature: float = 2.0  # of a window whose features are compared
    middle: float = 10.0  # of each track that the codec is judged by
    minutes: float = 30.0  # that are played without a break
    splits: int = 10  # into thirds, for the Fréchet distance
    cells: int = 8  # pieces that each knob is tried with
    seeds: int = 4
    training_tracks: int = 64
    timed_blocks: int = 8


FULL = Amounts()
QUICK = replace(
    FULL, pieces=12, continuation=8.0, stretch=4.0, minutes=1.0, splits=5, cells=2, seeds=3,
    training_tracks=8, timed_blocks=3,
)  # fmt: skip
