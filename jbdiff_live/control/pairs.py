"""Joins the two halves of a 14-bit control into one value. No threads, no clock: event times are passed in.

A control of 14 bits sends a coarse half (0 to 127, steps of 128) and a fine half. Some controllers send the
coarse half first, some the fine half. Nothing in MIDI says which, so the first half after a pause opens a
pair and the other half closes it. Each pair gives its value once: nothing moves between its halves.

A half that stays alone is settled after `PAIR_SECONDS`. A control that never sends a fine half is a plain
control of 7 bits, and reaches both ends.
"""

from __future__ import annotations

from enum import Enum

PAIR_SECONDS = 0.06  # a period of 2048 frames may lie between the halves
FULL_7 = 127
FULL_14 = 16383

Value = tuple[int, int]  # the value, and the highest value there is: 127 or 16383


class _Order(Enum):
    UNKNOWN = "unknown"
    PLAIN = "plain"  # a fine half never came
    COARSE_FIRST = "coarse first"
    FINE_FIRST = "fine first"


class Pair:
    """One control. `coarse` and `fine` take a half and return the values that are complete now, oldest first."""

    def __init__(self) -> None:
        self._order = _Order.UNKNOWN
        self._coarse: int | None = None
        self._fine = 0
        self._value = 0  # the last 14-bit value
        self._open_coarse: int | None = None  # waits for its fine half
        self._open_fine: int | None = None  # waits for its coarse half
        self._last = float("-inf")  # when the last half came

    @property
    def waits(self) -> bool:
        """True if a half waits for the other one."""
        return self._open_coarse is not None or self._open_fine is not None

    def coarse(self, half: int, time: float) -> list[Value]:
        """Take a coarse half, 0 to 127."""
        done = self.settle(time)
        pause = self._pause(time)
        if self._open_fine is not None:
            self._order = _Order.FINE_FIRST
            return [*done, self._joined(half, self._open_fine)]
        if self._open_coarse is not None:  # two coarse halves: the first has no fine one
            done += self._alone()
        if self._order is _Order.PLAIN:
            self._coarse = half
            return [*done, (half, FULL_7)]
        if self._order is _Order.FINE_FIRST and not pause:
            return [*done, self._joined(half, self._fine)]
        self._open_coarse = half
        return done

    def fine(self, half: int, time: float) -> list[Value]:
        """Take a fine half, 0 to 127."""
        done = self.settle(time)
        pause = self._pause(time)
        if self._open_coarse is not None:
            self._order = _Order.COARSE_FIRST
            return [*done, self._joined(self._open_coarse, half)]
        if self._open_fine is not None:
            done += self._alone()
        if self._coarse is not None and not pause and self._order in (_Order.PLAIN, _Order.COARSE_FIRST):
            self._order = _Order.COARSE_FIRST
            return [*done, self._joined(self._coarse, half)]
        self._open_fine = half
        return done

    def settle(self, now: float) -> list[Value]:
        """Return the value of a half whose other half did not come in time."""
        return self._alone() if self.waits and now - self._last > PAIR_SECONDS else []

    def _pause(self, time: float) -> bool:
        pause = time - self._last > PAIR_SECONDS
        self._last = time
        return pause

    def _joined(self, coarse: int, fine: int) -> Value:
        self._coarse, self._fine = coarse, fine
        self._open_coarse = self._open_fine = None
        self._value = coarse << 7 | fine
        return self._value, FULL_14

    def _alone(self) -> list[Value]:
        coarse, fine = self._open_coarse, self._open_fine
        self._open_coarse = self._open_fine = None
        if coarse is None:
            if fine is None or self._coarse is None:
                return []  # a fine half alone gives no position
            if self._order is _Order.PLAIN:
                self._order = _Order.COARSE_FIRST
            return [self._joined(self._coarse, fine)]
        if self._order is _Order.UNKNOWN:
            self._order = _Order.PLAIN
        if self._order is _Order.PLAIN:
            self._coarse = coarse
            return [(coarse, FULL_7)]
        before = self._value >> 7
        if coarse == before:
            return []
        # Choose the end that is nearer to where the control came from, so that the value never steps back. At an end of
        # the travel, choose that end.
        fine = 127 if coarse == 127 or 0 < coarse < before else 0
        return [self._joined(coarse, fine)]
