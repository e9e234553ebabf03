"""What a block may cost when time runs short: full work, or a rung further down. Engine thread only.

The ladder is walked down at once and climbed one rung a block. Three numbers decide: the seconds that are queued, the
seconds that each rung was measured to take, and how much slower than that the last blocks were.

A measured time may be wrong for long: a warm-up on a busy machine measures ten times too much. So a better rung is
tried now and then, although it seems to take too long. The trial is broken off in time for the rung that fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from jbdiff_live.block import Rung

SPARE_SECONDS = 0.05  # kept of the queue: the thread's own waking, copying into the ring
PATIENCE = 1.2  # a block that seems to take so many times its budget is broken off at once
DONE = 0.98  # from this share on a block is finished in any case: shares are not exact, and nothing is ready sooner
FORGET = 0.7  # share of a slowness that is still believed one block later
TRY_AFTER = 3  # blocks on a lower rung before a better one is tried against the measurements
BELIEVED = 1.5  # a measured time that is at most so many times the true one needs no correction


class Ladder:
    """Call `choose` before a block, and `made` or `broken_off` after it. `new_stack` when another stack takes over.

    `seconds` is always what the generator says that each rung takes, best rung first.
    """

    def __init__(self) -> None:
        self.slowness = 1.0  # how many times longer than measured before blocks take now
        self._rung = Rung.FULL
        self._fits = Rung.FULL  # the best rung that fits by the measurements
        self._tried: dict[Rung, float] = {}  # seconds that a trial took, when the generator says more
        self._lower = 0  # blocks on a lower rung since the last trial

    def choose(self, queued: float, seconds: Mapping[Rung, float]) -> Rung:
        """Return the best rung whose block is ready before `queued` seconds have been played.

        Climbs one rung at most. The last rung is taken when none fits.
        """
        rungs = list(seconds)
        best = max((n for n, rung in enumerate(rungs) if rung < self._rung), default=0)
        ready = (n for n in range(best, len(rungs)) if self.needed(rungs[n], seconds) <= queued)
        fits = next(ready, len(rungs) - 1)
        self._rung = self._fits = rungs[fits]
        if fits > best and self._lower >= TRY_AFTER and self._trial_budget(queued, seconds) > 0:
            self._rung = rungs[fits - 1]
        return self._rung

    def take_time(self) -> Rung:
        """Choose full work without a look at the queue, for a block that nobody waits for."""
        self._rung = self._fits = Rung.FULL
        return Rung.FULL

    def needed(self, rung: Rung, seconds: Mapping[Rung, float]) -> float:
        """Return the seconds to be queued for a block on `rung`."""
        return self._cost(rung, seconds) * self.slowness + SPARE_SECONDS

    def _cost(self, rung: Rung, seconds: Mapping[Rung, float]) -> float:
        return min(seconds[rung], self._tried.get(rung, math.inf))

    @property
    def _trying(self) -> bool:
        return self._rung < self._fits

    def _trial_budget(self, queued: float, seconds: Mapping[Rung, float]) -> float:
        """Seconds for a trial, so that the rung that fits can still be made afterwards."""
        return queued - self.needed(self._fits, seconds)

    def budget(self, queued: float, seconds: Mapping[Rung, float]) -> float:
        """Return the seconds that the block may take, so that a lower rung still fits behind it; inf on the last."""
        last = list(seconds)[-1]
        if self._rung is last:
            return math.inf
        if self._trying:
            return max(0.0, self._trial_budget(queued, seconds))
        return max(0.0, queued - SPARE_SECONDS - seconds[last])

    def made(self, rung: Rung, taken: float | None, seconds: Mapping[Rung, float]) -> None:
        """Learn from a finished block. taken: its seconds; None when they tell nothing about other blocks.

        The seconds of a repeat tell nothing, nor do those of a block that two stacks made.
        """
        if self._trying:
            self._lower = TRY_AFTER  # it was in time: the next better rung is tried at once
            if taken is not None:
                self._tried[rung], self.slowness = taken, 1.0
            return
        self._lower = 0 if rung is next(iter(seconds)) else self._lower + 1
        if rung is Rung.REPEAT:
            self.slowness = 1.0 + FORGET * (self.slowness - 1.0)
        elif taken is not None:
            expected = self._cost(rung, seconds)
            ratio = taken / expected if expected > 0 else 1.0
            self.slowness = max(1.0, ratio, 1.0 + FORGET * (self.slowness - 1.0))
            if seconds[rung] < BELIEVED * taken:  # the generator has noticed by now
                self._tried.pop(rung, None)

    def broken_off(self, rung: Rung, expected: float, seconds: Mapping[Rung, float]) -> None:
        """Learn from a block on `rung` that would have taken `expected` seconds."""
        self._lower = 0
        if self._trying:
            self._tried[rung] = expected
        elif self._cost(rung, seconds) > 0:
            self.slowness = max(self.slowness, expected / self._cost(rung, seconds))

    def new_stack(self) -> None:
        """Forget what trials of another stack took. How slow the machine is does not depend on the stack."""
        self._tried.clear()


class BlockWatch:
    """Asked after every step of a block; breaks it off as soon as it will not be ready within its budget."""

    def __init__(self, wanted: Callable[[], bool], budget: float, clock: Callable[[], float]) -> None:
        self.expected = 0.0  # seconds the block would have taken; 0 unless it was broken off for that
        self._wanted = wanted
        self._budget = budget
        self._clock = clock
        self._began = self._last = clock()
        self._share = 0.0

    def __call__(self, share: float = 0.0) -> bool:
        if not self._wanted():
            return False
        now = self._clock()
        elapsed, step, self._last = now - self._began, now - self._last, now
        done, self._share = share - self._share, share
        if self._budget == math.inf or share >= DONE:
            return True
        expected = elapsed / share if share > 0 else elapsed
        # One slow step proves little; one more like it must fit in any case, unless less than that is left to do: the
        # last step of a block, its decode or finisher, may be the longest.
        next_step = min(step, (1.0 - share) * step / done) if done > 0 else step
        if expected > PATIENCE * self._budget or elapsed + next_step > self._budget:
            self.expected = max(expected, elapsed + next_step)
            return False
        return True
