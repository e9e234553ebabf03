"""A block's progress after each step, estimated from the last blocks. Engine thread only. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

NEW = 0.3  # weight of the newest block: a momentary delay of one block does not predict the next


class Progress:
    """The share of a block's time that has passed after each step.

    Steps are only a part of that time: a context is prepared before them, and the sound is decoded after them. Call
    `begin` before a block, `step` after each step, and `end` if the block got all of its work. Until the first `end`
    the share counts steps only.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._marks: list[float] = []  # seconds from the block's beginning to the end of each step
        self._shares = np.array([1.0])  # of a block's time, at the end of each step of the last ones

    def begin(self) -> None:
        self._began, self._marks = self._clock(), []

    def step(self, done: int, of: int) -> float:
        """Return the share 0..1 of the block's time that has passed when `done` steps of `of` are done."""
        self._marks.append(self._clock() - self._began)
        steps = len(self._shares)
        return float(
            np.interp(done / of, np.arange(steps + 1) / steps, np.concatenate([[0.0], self._shares]))
        )

    def end(self) -> None:
        """Learn the steps' shares from a finished block."""
        taken = self._clock() - self._began
        if not self._marks or taken <= 0:
            return
        shares = np.array(self._marks) / taken
        if len(shares) == len(self._shares):
            shares = NEW * shares + (1 - NEW) * self._shares
        self._shares = shares
