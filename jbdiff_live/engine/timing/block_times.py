"""How long the whole blocks of a voice take. Thread: that of the voice. Nothing here blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from jbdiff_live.block import Rung

TIMES_KEPT = 16  # last blocks, of which the slowest counts


class BlockTimes:
    """The times of the last blocks that were made in full. warm_up: seconds of the warm-up's block.

    The warm-up's time counts until a block was played.
    """

    def __init__(self, warm_up: float) -> None:
        self._seconds = deque([warm_up], maxlen=TIMES_KEPT)
        self._only_warmed_up = True
        self._shares: Mapping[Rung, float] = {Rung.FULL: 1.0}  # of a full block's time, best rung first

    @property
    def slowest(self) -> float:
        """Seconds of the slowest block."""
        return max(self._seconds)

    @property
    def of_rungs(self) -> Mapping[Rung, float]:
        """Seconds that a block usually takes on each rung, by the parts of the last full one."""
        full = self._usual
        return {rung: share * full for rung, share in self._shares.items()}

    @property
    def _usual(self) -> float:
        return float(np.median(self._seconds))

    def note(self, seconds: float, shares: Mapping[Rung, float]) -> None:
        """Note the time of a full block, and the share of it that each rung needs, best rung first."""
        if self._only_warmed_up:
            self._only_warmed_up = False
            self._seconds.clear()
        self._seconds.append(seconds)
        self._shares = shares

    def note_cheaper(self, rung: Rung, seconds: float) -> None:
        """Note the time of a rung that the warm-up measured. It counts until a full block was played."""
        self._shares = {Rung.FULL: 1.0, rung: seconds / self._usual}

    def begin_again(self) -> None:
        """Take the usual time for the warm-up's: the slowest block was slow for a reason that has passed."""
        self._seconds = deque([self._usual], TIMES_KEPT)
        self._only_warmed_up = True
