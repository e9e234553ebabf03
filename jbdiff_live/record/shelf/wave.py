"""The outline of a take's sound: lowest and highest sample of each piece, for any part at any zoom.

Threads: one of its own reads the sound once. The window's thread calls `part`, which reads the sound of a short part
from the disk, and takes the rest from memory. An hour has 5 MB.
"""

from __future__ import annotations

import logging
import threading

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.browse.takes import Peaks
from jbdiff_live.record.shelf.reader import TakeReader
from jbdiff_live.record.take import Take, TakeError
from jbdiff_live.shown import shown
from jbdiff_live.system.thread_priority import behind_engine

log = logging.getLogger(__name__)

BUCKET = 256  # frames whose lowest and highest sample are kept
AT_ONCE = 512  # buckets read at once


class TakeWave:
    """Begins to read at once. `close` ends the reading."""

    def __init__(self, take: Take) -> None:
        self._reader = TakeReader(take)  # of the window's thread
        self.frames = self._reader.frames
        self.problem = ""
        self.ready = 0
        self._peaks = np.zeros((-(-self.frames // BUCKET), 2), np.float32)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(take,), name="take outline", daemon=True)
        self._thread.start()

    def _read(self, take: Take) -> None:
        behind_engine()
        try:
            reader = TakeReader(take)
            try:
                for piece in reader.pieces(frames=BUCKET * AT_ONCE):
                    if self._closed.is_set():
                        return
                    first = self.ready // BUCKET
                    peaks = outline(piece, BUCKET)
                    self._peaks[first : first + len(peaks)] = peaks
                    self.ready += len(piece)  # after its peaks: a reader of `ready` finds them
            finally:
                reader.close()
        except (TakeError, OSError) as error:
            log.warning("the outline of %s: %s", take.folder, error)
            self.problem = shown(str(error))

    def part(self, begin: int, end: int, columns: int) -> tuple[NDArray[np.float64], Peaks]:
        """Return the first frame of each column `[n]` and its lowest and highest sample `[n, 2]`.

        n is at most `columns`. A part that is not read yet is left out. TakeError if the disk refuses.
        """
        begin, end = max(0, begin), min(end, self.frames)
        columns = max(1, columns)
        if end <= begin:
            return np.zeros(0), np.zeros((0, 2), np.float32)
        per_column = -(-(end - begin) // columns)
        if per_column < BUCKET:
            begin -= begin % per_column
            peaks = outline(self._reader.read(begin, end - begin), per_column)
            return _places(begin, per_column, len(peaks)), peaks
        buckets = -(-per_column // BUCKET)
        first = (
            begin // BUCKET // buckets * buckets
        )  # the same grid at every place: nothing flickers on the way
        last = min(-(-end // BUCKET), -(-self.ready // BUCKET))
        peaks = _fewer(self._peaks[first:last], buckets)
        return _places(first * BUCKET, buckets * BUCKET, len(peaks)), peaks

    def wait(self, seconds: float) -> bool:
        """Wait until all is read. Return True if it is."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._reader.close()


def _places(first: int, step: int, count: int) -> NDArray[np.float64]:
    return first + np.arange(count, dtype=np.float64) * step


def outline(sound: NDArray[np.float32], frames: int) -> Peaks:
    """Return lowest and highest sample of all channels for each piece of `frames`; the last piece may be shorter."""
    whole = len(sound) // frames * frames
    rows = np.ascontiguousarray(sound[:whole]).reshape(
        -1, frames * sound.shape[1]
    )  # one run of memory a piece
    parts = [np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1)]
    if whole < len(sound):
        parts.append(np.array([[sound[whole:].min(), sound[whole:].max()]], np.float32))
    return np.concatenate(parts)


def _fewer(peaks: Peaks, count: int) -> Peaks:
    """Join each `count` rows into one."""
    whole = len(peaks) // count * count
    rows = peaks[:whole].reshape(-1, count, 2)
    parts = [np.stack([rows[:, :, 0].min(axis=1), rows[:, :, 1].max(axis=1)], axis=1)]
    if whole < len(peaks):
        rest = peaks[whole:]
        parts.append(np.array([[rest[:, 0].min(), rest[:, 1].max()]], np.float32))
    return np.concatenate(parts).astype(np.float32)
