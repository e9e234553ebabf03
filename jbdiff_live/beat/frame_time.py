"""The second at which the device plays a frame, although its position jumps. Pure; one writer, any reader.

A device takes frames by the period: its position stands still, then jumps. A reader sees a position at the jump or
later, never earlier. So the earliest second at which each position was seen lies on a line.
"""

from __future__ import annotations

WINDOW_SECONDS = 1.0  # clocks of device and machine drift apart by less than a tenth of a millisecond in it


class FrameTime:
    """Position over time as a line, found from the earliest sightings of the last one or two seconds."""

    def __init__(self, rate: float) -> None:
        """rate: frames a second."""
        self._rate = rate
        self.restart()

    def restart(self) -> None:
        """Forget all sightings: the device was opened again, or it found nothing to play."""
        self._since: float | None = None
        self._now: float | None = None  # least `now - frame / rate` since `_since`, and in the window before
        self._before: float | None = None
        self._start: float | None = None  # their minimum: second of frame 0. Swapped whole.

    def see(self, frame: float, now: float) -> None:
        """Record that the device had taken `frame` frames at second `now`."""
        start = now - frame / self._rate
        if self._since is None:
            self._since = now
        elif now - self._since > WINDOW_SECONDS:
            self._since, self._before, self._now = now, self._now, None
        self._now = start if self._now is None else min(self._now, start)
        self._start = self._now if self._before is None else min(self._now, self._before)

    def time_of(self, frame: float) -> float | None:
        """Return the second at which the device takes `frame`; None before anything was seen."""
        start = self._start
        return None if start is None else start + frame / self._rate

    def frame_at(self, when: float) -> float | None:
        """Return the frame that the device takes at second `when`; None before anything was seen."""
        start = self._start
        return None if start is None else (when - start) * self._rate
