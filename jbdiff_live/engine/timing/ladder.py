"""The ladder: it chooses full work for a block, or a cheaper rung if time is short. Engine thread only.

A block may go down any number of rungs, and up one. Three numbers decide: the queued seconds, the measured seconds of
each rung, and the slowness: how much longer than measured the last blocks took.

A measured time may stay wrong: a warm-up on a busy machine measures ten times too much. So now and then the ladder
tries a better rung that seems too slow. The trial is broken off in time for the rung that fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from jbdiff_live.block import Rung

SPARE_SECONDS = 0.05  # part of the queue kept for the thread's waking and for copying into the ring
PATIENCE = 1.2  # a block expected to take this many times its budget is broken off at once
DONE = 0.98  # from this share on a block is always finished: shares are not exact, and no rung is faster then
HOPELESS = 4.0  # a block that takes this many times its duration is too slow to begin with
FORGET = 0.7  # share of a slowness that is kept one block later
TRY_AFTER = 3  # blocks on a lower rung before a better one is tried, even if its measured time is too long
BELIEVED = 1.5  # a measured time of at most this many times the true one needs no correction


class Ladder:
    """The choice of a rung. Call `choose` before a block, and `made` or `broken_off` after it.

    Call `new_stack` when another stack takes over. `seconds` is always the generator's time of each rung, best first.
    """

    def __init__(self) -> None:
        self.slowness = 1.0  # time of a block now over its measured time
        self._rung = Rung.FULL
        self._fits = Rung.FULL  # the best rung that fits, by measured times
        self._tried: dict[Rung, float] = {}  # seconds of a trial, if less than the generator's
        self._lower = 0  # blocks on a lower rung since the last trial
        self._begins = 0  # place of the rung for a block that cannot be late

    def choose(self, queued: float, seconds: Mapping[Rung, float]) -> Rung:
        """Return the best rung whose block is ready before `queued` seconds have played.

        The rung is at most one better than the last. If no rung fits, it is the last one.
        """
        rungs = list(seconds)
        best = max((n for n, rung in enumerate(rungs) if rung < self._rung), default=0)
        ready = (n for n in range(best, len(rungs)) if self.needed(rungs[n], seconds) <= queued)
        fits = next(ready, len(rungs) - 1)
        self._rung = self._fits = rungs[fits]
        if fits > best and self._lower >= TRY_AFTER and self._trial_budget(queued, seconds) > 0:
            self._rung = rungs[fits - 1]
        return self._rung

    def begin(self, seconds: Mapping[Rung, float], duration: float) -> tuple[Rung, float]:
        """Return the rung and the budget for a block before which nothing plays, so that it cannot be late.

        That is the full rung, or a cheaper one after `begin_lower`. The cheapest one that makes new sound has all the
        time that it needs. duration: seconds that the block plays.
        """
        rungs = _making(seconds)
        self._rung = self._fits = rungs[min(self._begins, len(rungs) - 1)]
        return self._rung, math.inf if self._rung is rungs[-1] else HOPELESS * duration

    def begin_lower(self) -> None:
        """Let the next block of `begin` be cheaper: the last one was broken off."""
        self._begins += 1

    def needed(self, rung: Rung, seconds: Mapping[Rung, float]) -> float:
        """Return the seconds that must be queued for a block on `rung`."""
        return self._cost(rung, seconds) * self.slowness + SPARE_SECONDS

    def _cost(self, rung: Rung, seconds: Mapping[Rung, float]) -> float:
        return min(seconds[rung], self._tried.get(rung, math.inf))

    @property
    def _trying(self) -> bool:
        return self._rung < self._fits

    def _trial_budget(self, queued: float, seconds: Mapping[Rung, float]) -> float:
        """Return the seconds for a trial, so that the rung that fits can still be made afterwards."""
        return queued - self.needed(self._fits, seconds)

    def budget(self, queued: float, seconds: Mapping[Rung, float]) -> float:
        """Return the seconds that the block may take if a lower rung must still fit after it. The last rung: inf."""
        last = list(seconds)[-1]
        if self._rung is last:
            return math.inf
        if self._trying:
            return max(0.0, self._trial_budget(queued, seconds))
        return max(0.0, queued - SPARE_SECONDS - seconds[last])

    def made(self, rung: Rung, taken: float | None, seconds: Mapping[Rung, float]) -> None:
        """Learn from a finished block. taken: its seconds; None if they do not predict other blocks.

        The seconds of a repeat, or of a block that two stacks made, do not.
        """
        if self._trying:
            self._lower = TRY_AFTER  # the trial was in time: try the next better rung at once
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
            if seconds[rung] < BELIEVED * taken:  # the generator's time is right by now
                self._tried.pop(rung, None)

    def broken_off(self, rung: Rung, expected: float, seconds: Mapping[Rung, float]) -> None:
        """Learn from a block on `rung` that would have taken `expected` seconds."""
        self._lower = 0
        if self._trying:
            self._tried[rung] = expected
        elif self._cost(rung, seconds) > 0:
            self.slowness = max(self.slowness, expected / self._cost(rung, seconds))

    def new_stack(self) -> None:
        """Forget the times of another stack's trials. Keep the slowness: it does not depend on the stack."""
        self._tried.clear()


def _making(seconds: Mapping[Rung, float]) -> list[Rung]:
    """Return the rungs that make new sound, best first."""
    return [rung for rung in seconds if rung < Rung.LOOP]


class BlockWatch:
    """A check after every step of a block. It breaks the block off if it will exceed its budget."""

    def __init__(self, wanted: Callable[[], bool], budget: float, clock: Callable[[], float]) -> None:
        self.expected = 0.0  # expected seconds of a block that was broken off; else 0
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
        # One slow step proves little. So the block goes on only if another step like it also fits into the budget. If
        # less work is left, less must fit: the last step of a block, its decode or finisher, may be the longest.
        next_step = min(step, (1.0 - share) * step / done) if done > 0 else step
        if expected > PATIENCE * self._budget or elapsed + next_step > self._budget:
            self.expected = max(expected, elapsed + next_step)
            return False
        return True
