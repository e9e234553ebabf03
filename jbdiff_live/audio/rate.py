"""Whether a device takes as many frames a second as it was opened for. Feeder only."""

from __future__ import annotations

from jbdiff_live.clock import Clock

WINDOW_SECONDS = 8.0  # a pause of the sound server of .4 s is 5 % of it
TOLERANCE = 0.05  # nearly a semitone; clocks of real devices differ by a ten-thousandth


class RateMeter:
    """`see` as often as possible, `restart` when the device paused or found nothing to play.

    Two windows in a row have to be wrong in the same direction: one window may hold a pause of the sound server.
    """

    def __init__(self, rate: int, clock: Clock) -> None:
        self.measured = 0.0  # frames a second while the rate is wrong; 0 while it is right or not known
        self._rate = rate
        self._clock = clock
        self._before = 0.0  # error of the window before
        self._began: tuple[float, int] | None = None

    def restart(self) -> None:
        self._began = None
        self._before = 0.0

    def see(self, played: int) -> None:
        """The device has taken `played` frames since it was opened."""
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
