"""Numbers of the feeder: the session's frame at the device, the short ring's lowest fill, recent holes.

The feeder writes, any thread reads, without a lock. Numbers go into preallocated arrays, and their count moves last, as
in the engine's ring. If the feeder overtakes a reader, it reads a neighbouring mark.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jbdiff_live.clock import Clock

MARKS = 256  # several short rings' worth of chunks, or a look-ahead of very small ones
WINDOW_SECONDS = 1.0
LATELY_SECONDS = 10.0


class Run(NamedTuple):
    """Device positions `start` to `end`: the ring's frame counts on from `frame`, or stands still there."""

    start: int
    end: int
    frame: int
    moves: bool

    @property
    def end_frame(self) -> int:
        return self.frame + (self.end - self.start) * self.moves


class FrameMarks:
    """Pairs (device frames written, ring frames passed), one a chunk. They map a device's position to the ring's."""

    def __init__(self) -> None:
        self._device = np.zeros(MARKS, np.int64)
        self._ours = np.zeros(MARKS, np.int64)
        self._count = 0

    def restart(self, device_frames: int, ring_frames: int) -> None:
        """Feeder: forget all marks, and begin here."""
        self._device[0], self._ours[0] = device_frames, ring_frames
        self._count = 1  # one store: a reader never finds the list empty

    def add(self, device_frames: int, ring_frames: int) -> None:
        """Feeder: add the mark that `device_frames` written to the device hold ring frames up to `ring_frames`."""
        place = self._count % MARKS
        self._device[place] = device_frames
        self._ours[place] = ring_frames
        self._count += 1

    def find(self, played: int) -> int:
        """Return the ring frame at device position `played`, interpolated between marks; 0 before the first."""
        count = self._count
        later: tuple[int, int] | None = None
        for number in range(count - 1, max(-1, count - MARKS), -1):
            device, ours = int(self._device[number % MARKS]), int(self._ours[number % MARKS])
            if device <= played:
                if later is None or later[0] <= device:
                    return ours
                return ours + (later[1] - ours) * (played - device) // (later[0] - device)
            later = device, ours
        return 0 if later is None else later[1]

    def runs(self, start: int, end: int) -> list[Run]:
        """Feeder: return the runs of the device positions from `start` to `end`, in order.

        A new one begins where the ring's frame stops, goes on, or jumps.
        """
        count, found = self._count, list[Run]()
        later: tuple[int, int] | None = None
        for number in range(count - 1, max(-1, count - MARKS), -1):
            device, ours = int(self._device[number % MARKS]), int(self._ours[number % MARKS])
            if later is not None and max(device, start) < min(later[0], end):
                moves, begin = later[1] > ours, max(device, start)
                run = Run(begin, min(later[0], end), ours + (begin - device) * moves, moves)
                if found and (found[-1].moves, found[-1].frame) == (moves, run.end_frame):
                    run = run._replace(end=found.pop().end)
                found.append(run)
            if device <= start:
                break
            later = device, ours
        found.reverse()
        return found


class LowWater:
    """The lowest fill of a ring within the last one or two seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        self._since = self._clock.now()
        self._now: int | None = None
        self._before: int | None = None

    def see(self, frames: int) -> None:
        """Feeder: record the frames in the ring before it was filled."""
        now = self._clock.now()
        if now - self._since > WINDOW_SECONDS:
            self._since, self._before, self._now = now, self._now, frames
        self._now = frames if self._now is None else min(self._now, frames)

    @property
    def frames(self) -> int:
        """The lowest fill, in frames. Any thread."""
        return min((n for n in (self._now, self._before) if n is not None), default=0)


class Lately:
    """The growth of a count within the last ten seconds. `see` on the feeder, `growth` on any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._total = 0
        self._seen: tuple[tuple[float, int], ...] = ()  # times and amounts of growth; swapped whole

    def begin(self, total: int) -> None:
        """Count from `total` on, the present count of another device."""
        self._total = total

    def see(self, total: int) -> None:
        if total > self._total:
            now = self._clock.now()
            kept = tuple(grown for grown in self._seen if now - grown[0] < LATELY_SECONDS)
            self._seen = (*kept, (now, total - self._total))
        self._total = total

    @property
    def growth(self) -> int:
        now = self._clock.now()
        return sum(by for at, by in self._seen if now - at < LATELY_SECONDS)
