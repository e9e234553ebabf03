"""Tap tempo. Pure; one thread at a time."""

from __future__ import annotations

from statistics import median

from jbdiff_live.beat.line import BeatLine

RESET_SECONDS = 2.0  # a longer pause begins a new tempo: 30 beats a minute is the slowest
SHORTEST_SECONDS = 0.15  # two taps that are closer are one press that bounced
TAPS = 8  # intervals that count


class TapTempo:
    """The tapped tempo: the median of the last intervals, so that one bad tap changes nothing."""

    def __init__(self) -> None:
        self._taps: list[float] = []
        self._beat = 0  # of the last tap
        self.line: BeatLine | None = None  # swapped whole; None before the second tap

    def tap(self, now: float) -> float | None:
        """Take a tap at second `now`. Return beats a minute, or None if it is the first of a row.

        The last tap is a beat. The first tap of a row is the first beat of a bar.
        """
        if self._taps and now - self._taps[-1] < SHORTEST_SECONDS:
            return None if self.line is None else self.line.tempo
        if self._taps and now - self._taps[-1] > RESET_SECONDS:
            self._taps.clear()
        self._beat = self._beat + 1 if self._taps else 0
        self._taps = [*self._taps[-TAPS:], now]
        if len(self._taps) < 2:
            return None
        interval = median(b - a for a, b in zip(self._taps, self._taps[1:], strict=False))
        self.line = BeatLine(now, float(self._beat), 60 / interval)
        return self.line.tempo

    def forget(self) -> None:
        """Forget the tapped tempo: the music's own counts again."""
        self._taps.clear()
        self.line = None
