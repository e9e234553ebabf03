"""What a block may cost when time runs short: full work, or a rung further down. Engine thread only.

The ladder is walked down at once and climbed one rung a block. Which rung fits is told by what is queued, by what
each rung was measured to take, and by how much slower than that the last blocks were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from jbdiff_live.block import Rung

SPARE_SECONDS = 0.05  # kept of the queue: the thread's own waking, copying into the ring
PATIENCE = 1.2  # a block that seems to take so many times its budget is broken off at once
DONE = (
    0.98  # a block of which this share is made is finished, and nothing is ready sooner; shares are not exact
)
FORGET = 0.7  # share of a slowness that is still believed in one block later


class Ladder:
    """`choose` before a block, `took` after it, or `broken_off` where it ran over its budget; `rested` where the
    block cost nothing, and so told nothing of how slow the machine is now.
    """

    def __init__(self) -> None:
        self.slowness = 1.0  # how many times longer than measured before blocks take now
        self._rung = Rung.FULL

    def choose(self, queued: float, seconds: Mapping[Rung, float]) -> Rung:
        """The best rung whose block is ready before `queued` seconds have been played.

        seconds: what each rung takes, best first. Climbs one rung at most; the last one is taken where none fits.
        """
        rungs = list(seconds)
        best = max((n for n, rung in enumerate(rungs) if rung < self._rung), default=0)
        fits = (rung for rung in rungs[best:] if self.needed(seconds[rung]) <= queued)
        self._rung = next(fits, rungs[-1])
        return self._rung

    def needed(self, seconds: float) -> float:
        """Seconds to be queued for a block that was measured to take `seconds`."""
        return seconds * self.slowness + SPARE_SECONDS

    def budget(self, queued: float, seconds: Mapping[Rung, float]) -> float:
        """Seconds that the block may take, so that the last rung still fits behind it; without end on the last."""
        last = list(seconds)[-1]
        if self._rung is last:
            return math.inf
        return max(0.0, queued - SPARE_SECONDS - seconds[last])

    def took(self, rung: Rung, taken: float, seconds: Mapping[Rung, float]) -> None:
        """A block on `rung` took so long."""
        expected = seconds[rung]
        ratio = taken / expected if expected > 0 else 1.0
        self.slowness = max(1.0, ratio, 1.0 + FORGET * (self.slowness - 1.0))

    def rested(self) -> None:
        """A block was a repeat. Without this a machine once found slow would stay so for ever: only work can tell."""
        self.slowness = 1.0 + FORGET * (self.slowness - 1.0)

    def broken_off(self, rung: Rung, expected: float, seconds: Mapping[Rung, float]) -> None:
        """A block on `rung` would have taken `expected` seconds."""
        if seconds[rung] > 0:
            self.slowness = max(self.slowness, expected / seconds[rung])


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
