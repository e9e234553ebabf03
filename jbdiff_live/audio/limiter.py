"""A look-ahead peak limiter. Samples below the ceiling pass unchanged, bit for bit.

No thread: the feeder calls it. The gain falls at most 1/look_ahead and rises at most 1/release a frame. So it is a
straight ramp down to each peak, and exactly 1 far from peaks:

    held[i] = min(need[i], held[i-1] + release)          the gain after a peak
    gain[i] = min over j >= i of held[j] + attack * (j - i)   the gain before a peak

Both are running minima of a tilted line, so no loop over frames is needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.block import Audio

CEILING = float(10 ** (-0.3 / 20))
RELEASE_SECONDS = 0.25  # time from silence to full level; usual peaks need a small part of it


class Limiter:
    """A limiter for chunks of up to `chunk` frames. Its output is `look_ahead` frames behind its input."""

    def __init__(self, look_ahead: int, chunk: int, sample_rate: int) -> None:
        self._ahead = look_ahead
        self._attack = 1.0 / look_ahead
        self._release = 1.0 / (RELEASE_SECONDS * sample_rate)
        self._need = np.ones(look_ahead + chunk, np.float64)
        self._index = np.arange(look_ahead + chunk, dtype=np.float64)
        self._held = 1.0
        self._idle = True

    def apply(self, out: Audio, delayed: Audio, peaks: NDArray[np.float32]) -> bool:
        """Write `delayed`, limited, into `out`, both `[frames, channels]`. Return True if the gain was below 1.

        `peaks` `[frames]` are the magnitudes of the newest frames, `look_ahead` frames ahead of `delayed`.
        """
        if self._idle and peaks.max() <= CEILING:
            np.copyto(out, delayed)
            return False
        frames, ahead = len(out), self._ahead
        need = self._need[: ahead + frames]
        index = self._index[: ahead + frames]
        np.divide(CEILING, np.maximum(peaks, CEILING), out=need[ahead:])
        held = np.minimum.accumulate(need - self._release * index) + self._release * index
        np.minimum(held, self._held + self._release * (index + 1.0), out=held)
        tilted = held + self._attack * index
        gain = np.minimum.accumulate(tilted[::-1])[::-1][:frames] - self._attack * index[:frames]
        gain[gain > 1.0 - 1e-7] = 1.0  # rounding must not change frames that need no limiting
        np.multiply(delayed, gain[:, None], out=out, casting="same_kind")
        self._held = float(held[frames - 1])
        need[:ahead] = need[frames:].copy()
        self._idle = self._held > 1.0 - 1e-7 and need[:ahead].min() >= 1.0
        if self._idle:
            self._held = 1.0
        return bool(gain.min() < 1.0)
