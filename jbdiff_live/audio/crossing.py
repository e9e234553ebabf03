"""The crossfade of a jump: from the frames that were dropped to those that take their place. Rendering thread only."""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio
from jbdiff_live.ring import RingBuffer

CROSS_SECONDS = 0.045  # longer than a period of the bass, shorter than a beat
LEAST_FRAMES = 64  # fewer dropped frames are no sound to fade from


class Crossing:
    """One crossfade at a time, with equal power. Only `begin` allocates, some kilobytes."""

    def __init__(self, ring: RingBuffer, sample_rate: int) -> None:
        self._ring = ring
        frames = max(LEAST_FRAMES, round(CROSS_SECONDS * sample_rate))
        self._old = np.zeros((frames, ring.channels), np.float32)
        self._scratch = np.zeros((frames, ring.channels), np.float32)
        self._angle = np.zeros((frames, 1), np.float32)
        self._weight = np.zeros((frames, 1), np.float32)
        self._length = self._done = 0

    @property
    def active(self) -> bool:
        """True while a crossfade is not over."""
        return self._done < self._length

    def begin(self) -> None:
        """Take the next frames that the ring drops. Call it before they are skipped."""
        count = self._ring.peek_dropped(self._old)
        self._length, self._done = (count if count >= LEAST_FRAMES else 0), 0
        self._angle[:count, 0] = np.arange(1, count + 1, dtype=np.float32)
        self._angle *= np.float32(np.pi / 2 / (count + 1))

    def cancel(self) -> None:
        """Forget the crossfade."""
        self._length = self._done = 0

    def mix(self, new: Audio) -> None:
        """Mix the next of the dropped frames into `new`, `[frames, channels]`, in place."""
        count = min(len(new), self._length - self._done)
        part = slice(self._done, self._done + count)
        weight, scratch = self._weight[:count], self._scratch[:count]
        np.sin(self._angle[part], out=weight)
        new[:count] *= weight
        np.cos(self._angle[part], out=weight)
        np.multiply(self._old[part], weight, out=scratch)
        new[:count] += scratch
        self._done += count
