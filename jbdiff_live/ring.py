"""The ring between the engine and the feeder: one writer thread, one reader thread, no lock.

Contract: only the writer swaps `_marks`, only the reader moves `_read`. One is an immutable tuple, the other a plain
int. Storing a reference is atomic under the GIL. Samples are copied before the marks say so. So the other side never
sees frames that are not there. Only the reader skips frames: `request_drain` leaves a mark, and the reader skips up to
it. `answer_panics` does the same, and stores the number of the last panic on which the writer has acted. A `write` that
joins drops the frames before it and adds its own in one step: the reader finds the old sound or the new one, and
crossfades between them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jbdiff_live.block import Audio


class _Marks(NamedTuple):
    """The writer's side. Frames count from the session's beginning."""

    written: int = 0
    drain_to: int = 0
    joined_at: int = -1
    panics_answered: int = 0


class RingBuffer:
    """A preallocated ring of float32 frames `[frames, channels]`. Sizes are in frames."""

    def __init__(self, capacity: int, channels: int) -> None:
        if capacity < 1 or channels < 1:
            raise ValueError(f"a ring needs room: capacity {capacity}, channels {channels}")
        self._data = np.zeros((capacity, channels), np.float32)
        self._marks = _Marks()
        self._read = 0

    @property
    def capacity(self) -> int:
        return len(self._data)

    @property
    def channels(self) -> int:
        return self._data.shape[1]

    @property
    def frames_written(self) -> int:
        return self._marks.written

    @property
    def frames_read(self) -> int:
        """Frames read since the beginning, including skipped frames: the session's clock."""
        return self._read

    @property
    def available(self) -> int:
        """Frames ready to be read."""
        # The reader never moves `_read` past `written`. The marks are read first, so they can only be too old.
        marks = self._marks
        return max(0, marks.written - max(self._read, marks.drain_to))

    @property
    def drained_to(self) -> int:
        """The first frame after the drained ones. When it moves, the next frames do not continue the last ones."""
        return self._marks.drain_to

    @property
    def joined_at(self) -> int:
        """The first frame of the last `write` that joined. The reader crossfades to it if it is `drained_to`."""
        return self._marks.joined_at

    @property
    def panics_answered(self) -> int:
        """Number of the last panic on which the writer has acted. The reader is silent until it is the newest."""
        return self._marks.panics_answered

    @property
    def room(self) -> int:
        """Frames that fit now. Drained frames become room after the reader has skipped them."""
        return max(0, self.capacity - (self._marks.written - self._read))

    def write(self, frames: Audio, joins: bool = False, drop: int = 0) -> int:
        """Writer: copy as many frames as fit. Return their number.

        joins: drop all frames written before. The reader crossfades from them to these. drop: the first of these frames
        that are dropped too, with all frames before them; at most as many as fit.
        """
        if frames.ndim != 2 or frames.shape[1] != self.channels:
            raise ValueError(f"ring has {self.channels} channels, got an array of shape {frames.shape}")
        marks = self._marks
        count = min(len(frames), self.room)
        start = marks.written % self.capacity
        first = min(count, self.capacity - start)
        self._data[start : start + first] = frames[:first]
        self._data[: count - first] = frames[first:count]
        if joins or drop:
            marks = marks._replace(drain_to=marks.written + min(drop, count))
        if joins:
            marks = marks._replace(joined_at=marks.drain_to)
        self._marks = marks._replace(written=marks.written + count)
        return count

    def read(self, out: Audio) -> int:
        """Reader: fill all of `out`, missing frames with silence. Return the number of missing frames."""
        if out.ndim != 2 or out.shape[1] != self.channels:
            raise ValueError(f"ring has {self.channels} channels, got an array of shape {out.shape}")
        marks = self._marks
        begin = max(self._read, marks.drain_to)
        count = min(len(out), marks.written - begin)
        start = begin % self.capacity
        first = min(count, self.capacity - start)
        out[:first] = self._data[start : start + first]
        out[first:count] = self._data[: count - first]
        out[count:] = 0.0
        self._read = begin + count  # one store: other threads see the skip and the read together
        return len(out) - count

    def request_drain(self) -> None:
        """Writer: drop all frames written so far. The reader skips them at its next read."""
        self._marks = self._marks._replace(drain_to=self._marks.written)

    def peek_dropped(self, out: Audio) -> int:
        """Reader: copy the next frames that a drain drops into `out`, without reading. Return their number.

        The writer does not write over them before the reader has moved on.
        """
        count = max(0, min(len(out), self._marks.drain_to - self._read))
        start = self._read % self.capacity
        first = min(count, self.capacity - start)
        out[:first] = self._data[start : start + first]
        out[first:count] = self._data[: count - first]
        return count

    def drop(self, frames: int) -> None:
        """Writer: count `frames` as written and drop them, with all frames before them. They need no room.

        Call it only while a panic is not answered: the reader does not read then.
        """
        written = self._marks.written + frames
        self._marks = self._marks._replace(written=written, drain_to=written)

    def answer_panics(self, count: int) -> None:
        """Writer: drop all frames written so far, and mark all panics up to number `count` as answered."""
        self._marks = self._marks._replace(drain_to=self._marks.written, panics_answered=count)

    def skip_drained(self) -> None:
        """Reader: skip the drained frames without reading. This makes room while no device plays."""
        self._read = max(self._read, self._marks.drain_to)
