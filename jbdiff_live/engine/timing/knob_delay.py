"""The delay from a knob's turn to its sound, measured from the blocks. Engine thread only."""

from __future__ import annotations

from collections import deque

import numpy as np

MEMORY = 64  # blocks
POINTS = 16  # moments of turning in each block's time, from which the percentiles are computed


class KnobDelay:
    """The delays of a knob over the last blocks: from its last reading for a block to the block's first sound.

    A turned knob waits for the next reading, then for that block to play. Let two readings be `gap` seconds apart, and
    `lead` the time from the second reading to its sound. The delay is then spread evenly over `lead` to `lead + gap`.
    The percentiles are over all moments of the last `MEMORY` blocks.
    """

    def __init__(self) -> None:
        self._delays: deque[np.ndarray] = deque(maxlen=MEMORY)
        self._read_at: float | None = None

    def block(self, read_at: float, lead: float) -> None:
        """Add a block. read_at: seconds on a running clock. lead: seconds from there to its first new sample."""
        if self._read_at is not None:
            gap = max(0.0, read_at - self._read_at)
            self._delays.append(lead + gap * (np.arange(POINTS) + 0.5) / POINTS)
        self._read_at = read_at

    def begin(self) -> None:
        """Begin the music again: the time since the last block does not count as a delay."""
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
