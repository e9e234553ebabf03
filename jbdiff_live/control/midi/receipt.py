"""When a MIDI message was received, more exactly than by the moment at which Python gets it. Pure."""

from __future__ import annotations

from jbdiff_live.beat.frame_time import FrameTime

MOST_LATE_SECONDS = 0.05  # Python gets a message later than that only if the sum below is wrong


class Receipt:
    """Adds up the times between messages, which the MIDI system takes. One input, one thread.

    Python gets messages with a delay that is never negative. So the sum lies where the least delay of the last second
    puts it.
    """

    def __init__(self, later: float = 0.0) -> None:
        """later: seconds to add. Under JACK it is half a period: rtmidi gives all messages of one its first moment."""
        self._later = later
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
