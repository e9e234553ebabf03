"""A check that a device takes frames at the rate for which it was opened. Feeder only."""

from __future__ import annotations

from jbdiff_live.clock import Clock

WINDOW_SECONDS = 8.0  # a sound server's pause of 0.4 s is 5 % of a window
TOLERANCE = 0.05  # nearly a semitone; clocks of real devices differ by a ten-thousandth


class RateMeter:
    """The measured rate. Call `see` often, and `restart` if the device paused or found the ring empty.

    The rate is wrong if two windows in a row differ in the same direction. One alone may hold a server's pause.
    """

    def __init__(self, rate: int, clock: Clock) -> None:
        self.measured = 0.0  # frames a second if the rate is wrong; 0 if it is right or unknown
        self._rate = rate
        self._clock = clock
        self._before = 0.0  # error of the window before
        self._began: tuple[float, int] | None = None

    def restart(self) -> None:
        self._began = None
        self._before = 0.0

    def see(self, played: int) -> None:
        """Record that the device has taken `played` frames since it was opened."""
        now = self._clock.now()
        if self._began is None:
            self._began = now, played
            return
        since, frames = self._began
        if now - since < WINDOW_SECONDS:
            return
        measured = (played - frames) / (now - since)
        error = measured / self._rate - 1.0
        wrong = abs(error) > TOLERANCE
        if not wrong:
            self.measured = 0.0
        elif self._before * error > 0:
            self.measured = measured
        self._before = error if wrong else 0.0
        self._began = now, played
