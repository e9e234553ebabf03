"""How far a block is when so many of its steps are done, by the blocks before. Engine thread only. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

NEW = 0.3  # weight of the newest block: one that was held up for a moment says little about the next


class Progress:
    """Steps are not all of a block: before them a context is prepared, behind them the sound is decoded.

    `begin` before a block, `step` after each of its steps, `end` where it was made with all of its work. Until then
    steps are taken for all there is.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._marks: list[float] = []  # seconds from the block's beginning to the end of each step
        self._shares = np.array([1.0])  # of a block's time, at the end of each step of the last ones

    def begin(self) -> None:
        self._began, self._marks = self._clock(), []

    def step(self, done: int, of: int) -> float:
        """The share of the block's time that has gone by, 0..1, when `done` steps of `of` are done."""
        self._marks.append(self._clock() - self._began)
        steps = len(self._shares)
        return float(
            np.interp(done / of, np.arange(steps + 1) / steps, np.concatenate([[0.0], self._shares]))
        )

    def end(self) -> None:
        """The block is finished: so it goes on a quiet machine, or nearly so."""
        taken = self._clock() - self._began
        if not self._marks or taken <= 0:
            return
        shares = np.array(self._marks) / taken
        if len(shares) == len(self._shares):
            shares = NEW * shares + (1 - NEW) * self._shares
        self._shares = shares
