"""The tap behind the output stage: the last seconds of what was heard, and which frame of the session each was.

Beside it lies the live input in time with the sound, for takes with stems.

Threads: `put` and `put_input` run on the audio feeder: they neither wait nor take a lock, and `put` allocates a `Place`
only when the sound breaks off or begins again. Any thread may read. A reader that is too slow finds its frames
overwritten, and the feeder never notices.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from jbdiff_live.block import Audio

SECONDS = 30.0  # 10 MB; as long as a disk may take for one write
PLACES = 8192
MARGIN_FRAMES = 8192  # not read: the feeder may be writing over them


class Place(NamedTuple):
    """From position `at` of the heard sound on, the session's frames count from `frame`.

    moves: False is a silence, during which the session's frame stands still.
    """

    at: int
    frame: int
    moves: bool


class HeardTap:
    """Sound as it leaves the output stage. Positions count heard frames, silence included, from the first sound on."""

    def __init__(self, sample_rate: int, channels: int, seconds: float = SECONDS) -> None:
        self.channels = channels
        self._size = round(seconds * sample_rate) + MARGIN_FRAMES
        self._frames = np.zeros((self._size, channels), np.float32)
        self._input = np.zeros((self._size, channels), np.float32)
        self._input_to = 0  # position behind the newest frame of the input
        self._places: deque[Place] = deque(maxlen=PLACES)
        self._written = 0

    # ------------------------------------------------------------------ feeder

    def put(self, chunk: Audio, frame: int, end: int) -> None:
        """Keep rendered sound, `[frames, channels]`. frame, end: the session's frame before and after it.

        They are equal if the session's frame stands still, or as far apart as the sound is long.
        """
        at, count = self._written, len(chunk)
        self._mark(at, frame, end > frame)
        self._copy(self._frames, at, chunk)
        if self._input_to < at + count:  # no input came: what lay there is of an earlier round
            self._input[np.arange(max(at, self._input_to), at + count) % self._size] = 0.0
            self._input_to = at + count
        self._written = at + count  # last: a reader never goes beyond it

    def put_input(self, sound: Audio, ahead: int) -> None:
        """Keep live input, `[frames, channels]`, before the `put` of the chunk that is rendered with it.

        ahead: frames by which the output stage delays it. So it lies beside the sound that is heard with it.
        """
        self._copy(self._input, self._written + ahead, sound)
        self._input_to = self._written + ahead + len(sound)

    def _copy(self, ring: Audio, at: int, sound: Audio) -> None:
        """Copy sound into a ring, from position `at` on."""
        start = at % self._size
        first = min(len(sound), self._size - start)
        ring[start : start + first] = sound[:first]
        ring[: len(sound) - first] = sound[first:]

    def _mark(self, at: int, frame: int, moves: bool) -> None:
        """Add a place, if the frames do not simply go on."""
        if self._places:
            last = self._places[-1]
            expected = last.frame + (at - last.at) * last.moves
            if last.moves == moves and expected == frame:
                return
        self._places.append(Place(at, frame, moves))

    # ------------------------------------------------------------------ any thread

    @property
    def written(self) -> int:
        """The position behind the newest frame."""
        return self._written

    @property
    def oldest(self) -> int:
        """The oldest position that can still be read."""
        return max(0, self._written - self._size + MARGIN_FRAMES)

    def read(self, start: int, end: int) -> Audio | None:
        """Return a copy of the frames from `start` to `end`; None if they were written over."""
        copy = self._frames[np.arange(start, end) % self._size]
        return copy if start >= self.oldest else None

    def read_input(self, start: int, end: int) -> Audio:
        """Return a copy of the live input beside the frames from `start` to `end`. Call it before `read`.

        If `read` returns None, these frames are wrong too.
        """
        copy: Audio = self._input[np.arange(start, end) % self._size]
        return copy

    def position_of(self, frame: int) -> int | None:
        """Return the first position that is at the session's `frame` or behind it. None: it was not heard yet.

        The silence before the very first sound is no such position.
        """
        places, written = tuple(self._places), self._written
        ends = (*(place.at for place in places[1:]), written)
        for place, end in zip(places, ends, strict=False):  # before the first sound there is no place
            if place.moves and frame < place.frame + end - place.at:
                return max(self.oldest, place.at + max(0, frame - place.frame))
            if not place.moves and frame < place.frame and place.at:
                return max(self.oldest, place.at)
        return None

    def places(self, start: int, end: int) -> list[Place]:
        """Return the places from position `start` to `end`. The first one is at `start` itself."""
        found: list[Place] = []
        for place in tuple(self._places):
            if place.at >= end:
                break
            if place.at <= start:
                found = [Place(start, place.frame + (start - place.at) * place.moves, place.moves)]
            else:
                found.append(place)
        return found

    def goes_on(self, at: int) -> bool:
        """Return True if the sound goes on at position `at` as before it: then no place event is needed."""
        before, here = self.places(at - 1, at), self.places(at, at + 1)
        if not before or not here:
            return False
        (last,), (now,) = before[-1:], here[-1:]
        return last.moves == now.moves and now.frame == last.frame + last.moves
