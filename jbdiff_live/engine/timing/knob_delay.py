"""How long a knob takes to be heard, measured from the blocks. Engine thread only."""

from __future__ import annotations

from collections import deque

import numpy as np

MEMORY = 64  # blocks
POINTS = 16  # moments of turning, in each block's time, that the percentiles are taken over


class KnobDelay:
    """Collects, for every block, when a knob was read for it, for the last time, and when its new sound is heard.

    A knob turned at any moment waits for the next reading, then for that block to be heard. So between two readings
    that lie `gap` seconds apart the delay is spread evenly over `lead` to `lead + gap`, where `lead` is the time from
    the second reading to its sound. The percentiles are over all moments of the last `MEMORY` blocks.
    """

    def __init__(self) -> None:
        self._delays: deque[np.ndarray] = deque(maxlen=MEMORY)
        self._read_at: float | None = None

    def block(self, read_at: float, lead: float) -> None:
        """`read_at` on a running clock in seconds; `lead` seconds from there to the block's first new sample."""
        if self._read_at is not None:
            gap = max(0.0, read_at - self._read_at)
            self._delays.append(lead + gap * (np.arange(POINTS) + 0.5) / POINTS)
        self._read_at = read_at

    def begin(self) -> None:
        """The music begins anew: the time since the last block was no waiting."""
        self._read_at = None

    @property
    def median(self) -> float:
        """Seconds; 0 before the second block."""
        return self._percentile(50)

    @property
    def p99(self) -> float:
        """Seconds; 0 before the second block."""
        return self._percentile(99)

    def _percentile(self, share: float) -> float:
        return float(np.percentile(np.concatenate(self._delays), share)) if self._delays else 0.0
