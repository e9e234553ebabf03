"""The second at which a MIDI message was received, more exact than the moment when Python gets it. Pure."""

from __future__ import annotations

from jbdiff_live.beat.frame_time import FrameTime

# A message that Python gets later than that has a wrong sum: the system lost messages with their times. A busy machine
# keeps a thread waiting for tenths of a second, and the sum stays right.
MOST_LATE_SECONDS = 1.0


class Receipt:
    """Adds up the times between messages, as the MIDI system measures them. One input, one thread.

    Python gets messages with a delay that is never negative. So the smallest delay of the last second fixes where the
    sum begins.
    """

    def __init__(self, period: float = 0.0) -> None:
        """period: of the JACK server, in seconds. rtmidi gives a period's messages its first moment."""
        self.resolution = period
        self._later = period / 2
        self._sum = 0.0
        self._time = FrameTime(1.0)

    def second(self, since_last: float, now: float) -> float:
        """Return the second at which a message was received, `since_last` seconds after the one before it.

        now: when Python got it.
        """
        self._sum += since_last
        self._time.see(self._sum, now)
        received = self._time.time_of(self._sum)
        if received is None or now - received > MOST_LATE_SECONDS:
            self._time.restart()
            self._time.see(self._sum, now)
            return now + self._later
        return received + self._later
