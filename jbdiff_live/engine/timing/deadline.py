"""How late the next block may start: measured block times in, seconds of queue out. Engine thread only."""

from __future__ import annotations

from collections import deque

import numpy as np

CAP_SECONDS = 0.6  # a short block may be begun that early, so that two or three can be queued


class Deadline:
    """Turns measured times into the queue level at which the next block has to be started.

    deadline = p99 of the block times + margin; the margin is the largest of what was really seen (the worst
    excess of a block over p99, plus the worst lateness of the thread's own waking), of p99 itself, but at
    most a quarter of a block (another program may suddenly take half of the machine; but who chose short blocks
    wants the knobs heard soon), and of `least_margin`. All over the last `memory` blocks, and never more than one
    block, or `CAP_SECONDS` where blocks are short. Until three blocks were measured it is that most: start at once.
    A block that takes longer still is not a hole: it is broken off while there is time for a cheaper one (`ladder.py`).
    """

    def __init__(self, block_duration: float, memory: int = 64, least_margin: float = 0.08) -> None:
        if block_duration <= 0:
            raise ValueError(f"a block lasts longer than {block_duration} s")
        self.block_duration = block_duration
        self.least_margin = least_margin
        self._taken: deque[float] = deque(maxlen=memory)
        self._late: deque[float] = deque(maxlen=memory)

    def block_took(self, seconds: float) -> None:
        self._taken.append(seconds)

    def woke_late(self, seconds: float) -> None:
        """The thread meant to start a block and was this many seconds late."""
        self._late.append(max(0.0, seconds))

    @property
    def p99(self) -> float:
        """99th percentile of the block times; with fewer than 100 of them that is close to the worst."""
        return float(np.percentile(np.fromiter(self._taken, float), 99)) if self._taken else 0.0

    @property
    def most(self) -> float:
        """The highest that `seconds` may be."""
        return max(self.block_duration, CAP_SECONDS)

    @property
    def seconds(self) -> float:
        """Queue level, in seconds, at which the next block is started."""
        if len(self._taken) < 3:
            return self.most
        taken = np.fromiter(self._taken, float)
        p99 = self.p99
        jitter = float(taken.max()) - p99
        spare = min(p99, self.block_duration / 4)
        margin = max(self.least_margin, spare, jitter + max(self._late, default=0.0))
        return min(self.most, p99 + margin)
