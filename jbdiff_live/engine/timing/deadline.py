"""The latest start of the next block: measured block times in, seconds of queue out. Engine thread only."""

from __future__ import annotations

from collections import deque

import numpy as np

CAP_SECONDS = 0.6  # limit of the deadline for short blocks, so that two or three can be queued


class Deadline:
    """The queue level at which the next block has to start, from measured times.

    deadline = p99 of the block times + margin. The margin is the largest of three times:
    the worst excess of a block over p99, plus the worst lateness of the thread's waking;
    p99 itself, but at most a quarter of a block; and `least_margin`. p99 counts because another program may suddenly
    take half of the machine. The quarter keeps the delay of knobs small for short blocks.

    All times are over the last `memory` blocks. The deadline is at most one block, or `CAP_SECONDS` if blocks are
    short. It is at this maximum until three blocks were measured, so blocks start at once. A block that takes longer
    makes no hole: it is broken off while there is time for a cheaper one (`ladder.py`).
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
        """Record how many seconds too late the thread woke to start a block."""
        self._late.append(max(0.0, seconds))

    @property
    def p99(self) -> float:
        """99th percentile of the block times. With fewer than 100 of them it is close to the worst."""
        return float(np.percentile(np.fromiter(self._taken, float), 99)) if self._taken else 0.0

    @property
    def most(self) -> float:
        """The maximum of `seconds`."""
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
