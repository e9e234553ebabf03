"""The ring between the engine and the feeder: one writer thread, one reader thread, no lock.

Contract: only the writer moves `_written`, only the reader moves `_read`. Both are plain ints that only
grow; storing one is atomic under the GIL, and samples are copied before the counter that announces them
moves, so the other side never sees frames that are not there. Only the reader ever skips: `request_drain`
leaves a note that the reader honours. `answer_panics` does the same and says up to which panic the writer has acted.
"""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio


class RingBuffer:
    """Float32 frames `[frames, channels]`, preallocated. Sizes are in frames."""

    def __init__(self, capacity: int, channels: int) -> None:
        if capacity < 1 or channels < 1:
            raise ValueError(f"a ring needs room: capacity {capacity}, channels {channels}")
        self._data = np.zeros((capacity, channels), np.float32)
        self._written = 0
        self._read = 0
        self._drain_to = 0
        self._panics_answered = 0

    @property
    def capacity(self) -> int:
        return len(self._data)

    @property
    def channels(self) -> int:
        return self._data.shape[1]

    @property
    def frames_written(self) -> int:
        return self._written

    @property
    def frames_read(self) -> int:
        """Frames taken out since the beginning, skipped ones included: the session's clock."""
        return self._read

    @property
    def available(self) -> int:
        """Frames ready to be read."""
        # The reader moves `_read` last and never past `_written`: taken before it, `_written` is at worst old.
        written = self._written
        return max(0, written - max(self._read, self._drain_to))

    @property
    def drained_to(self) -> int:
        """The frame behind everything that was drained. It moves when what comes next does not follow on."""
        return self._drain_to

    @property
    def panics_answered(self) -> int:
        """Number of the last panic that the writer has acted upon. The reader is silent until this is the newest."""
        return self._panics_answered

    @property
    def room(self) -> int:
        """Frames that fit now. Drained frames become room once the reader has skipped them."""
        return self.capacity - (self._written - self._read)

    def write(self, frames: Audio) -> int:
        """Writer: copies as many frames as fit, says how many."""
        if frames.ndim != 2 or frames.shape[1] != self.channels:
            raise ValueError(f"ring has {self.channels} channels, got an array of shape {frames.shape}")
        count = min(len(frames), self.room)
        start = self._written % self.capacity
        first = min(count, self.capacity - start)
        self._data[start : start + first] = frames[:first]
        self._data[: count - first] = frames[first:count]
        self._written += count
        return count

    def read(self, out: Audio) -> int:
        """Reader: always fills `out`, with silence where frames are missing; says how many were missing."""
        if out.ndim != 2 or out.shape[1] != self.channels:
            raise ValueError(f"ring has {self.channels} channels, got an array of shape {out.shape}")
        begin = max(self._read, self._drain_to)
        count = min(len(out), self._written - begin)
        start = begin % self.capacity
        first = min(count, self.capacity - start)
        out[:first] = self._data[start : start + first]
        out[first:count] = self._data[: count - first]
        out[count:] = 0.0
        self._read = begin + count  # one store: nobody sees skipped frames without those read behind them
        return len(out) - count

    def request_drain(self) -> None:
        """Writer: drop everything written so far. The reader does it at its next read."""
        self._drain_to = self._written

    def answer_panics(self, count: int) -> None:
        """Writer: drop everything written so far, and say that all panics up to number `count` are acted upon."""
        self.request_drain()
        self._panics_answered = count  # after the drain mark: a reader that sees the number sees the mark too

    def skip_drained(self) -> None:
        """Reader: skip what was drained, without reading. Makes room for new frames while no device plays."""
        self._read = max(self._read, self._drain_to)
