"""The ring between the engine and the feeder: one writer thread, one reader thread, no lock.

Contract: only the writer moves `_written`, only the reader moves `_read`. Both are plain ints that only
grow. Storing one is atomic under the GIL. Samples are copied before their counter moves, so the other side never
sees frames that are not there. Only the reader skips frames: `request_drain` leaves a mark, and the reader skips up to
it. `answer_panics` and `join` do the same. The first also stores the number of the last panic on which the writer has
acted; the second asks the reader for a crossfade from the dropped frames.
"""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio


class RingBuffer:
    """A preallocated ring of float32 frames `[frames, channels]`. Sizes are in frames."""

    def __init__(self, capacity: int, channels: int) -> None:
        if capacity < 1 or channels < 1:
            raise ValueError(f"a ring needs room: capacity {capacity}, channels {channels}")
        self._data = np.zeros((capacity, channels), np.float32)
        self._written = 0
        self._read = 0
        self._drain_to = 0
        self._joined_at = -1
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
        """Frames read since the beginning, including skipped frames: the session's clock."""
        return self._read

    @property
    def available(self) -> int:
        """Frames ready to be read."""
        # The reader never moves `_read` past `_written`. `_written` is read first, so it can only be too old.
        written = self._written
        return max(0, written - max(self._read, self._drain_to))

    @property
    def drained_to(self) -> int:
        """The first frame after the drained ones. When it moves, the next frames do not continue the last ones."""
        return self._drain_to

    @property
    def joined_at(self) -> int:
        """The first frame of the last `join`. The reader crossfades to it if it is `drained_to`."""
        return self._joined_at

    @property
    def panics_answered(self) -> int:
        """Number of the last panic on which the writer has acted. The reader is silent until it is the newest."""
        return self._panics_answered

    @property
    def room(self) -> int:
        """Frames that fit now. Drained frames become room after the reader has skipped them."""
        return max(0, self.capacity - (self._written - self._read))

    def write(self, frames: Audio) -> int:
        """Writer: copy as many frames as fit. Return their number."""
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
        """Reader: fill all of `out`, missing frames with silence. Return the number of missing frames."""
        if out.ndim != 2 or out.shape[1] != self.channels:
            raise ValueError(f"ring has {self.channels} channels, got an array of shape {out.shape}")
        begin = max(self._read, self._drain_to)
        count = min(len(out), self._written - begin)
        start = begin % self.capacity
        first = min(count, self.capacity - start)
        out[:first] = self._data[start : start + first]
        out[first:count] = self._data[: count - first]
        out[count:] = 0.0
        self._read = begin + count  # one store: other threads see the skip and the read together
        return len(out) - count

    def request_drain(self) -> None:
        """Writer: drop all frames written so far. The reader skips them at its next read."""
        self._drain_to = self._written

    def join(self) -> None:
        """Writer: drop all frames written so far. The reader crossfades from them to the next written frame."""
        self._joined_at = self._written  # before the drain mark: a reader that sees the mark sees this too
        self.request_drain()

    def peek_dropped(self, out: Audio) -> int:
        """Reader: copy the next frames that a drain drops into `out`, without reading. Return their number.

        The writer does not write over them before the reader has moved on.
        """
        count = max(0, min(len(out), self._drain_to - self._read))
        start = self._read % self.capacity
        first = min(count, self.capacity - start)
        out[:first] = self._data[start : start + first]
        out[first:count] = self._data[: count - first]
        return count

    def drop(self, frames: int) -> None:
        """Writer: count `frames` as written and drop them, with all frames before them. They need no room.

        Call it only while a panic is not answered: the reader does not read then.
        """
        self._written += frames
        self._drain_to = self._written

    def answer_panics(self, count: int) -> None:
        """Writer: drop all frames written so far, and mark all panics up to number `count` as answered."""
        self.request_drain()
        self._panics_answered = count  # after the drain mark: a reader that sees the number sees the mark too

    def skip_drained(self) -> None:
        """Reader: skip the drained frames without reading. This makes room while no device plays."""
        self._read = max(self._read, self._drain_to)
