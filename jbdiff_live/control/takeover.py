"""Takeover: what a control may do when its position differs from the value that it moves.

One object for each control and value. No threads, no clock; the caller's lock protects it. Places are travels, 0 to 1.

| mode | what happens |
|---|---|
| jump | the value goes to where the control stands |
| pickup | the value waits until the control comes to it or passes it, and follows from then on |
| scale | the value moves in the same direction, by the same share of the remaining travel, until they meet |

The first message after `arm` only gives the control's position: it moves nothing, in every mode. So a controller that
sends all its positions when it is plugged in moves nothing. If another source (the mouse, a patch, another controller)
moves the value, the control loses it and must take it over again.

`tests/instrument/takeover.csv` is the truth table.
"""

from __future__ import annotations

from jbdiff_live.binding import TakeoverMode

EXACT = 1e-9  # of the travel: rounding


class Takeover:
    """`position` is where the control stands, None before its first message."""

    def __init__(self) -> None:
        self.position: float | None = None
        self._holds: float | None = (
            None  # the value as this control set it last; None while it may not move it
        )

    def arm(self) -> None:
        """Make the control take over again: it was learned, or its device came back."""
        self.position = self._holds = None

    def holds(self, value: float) -> bool:
        """Return True if the control moves the value: it has taken over, and nobody moved the value since."""
        return self._holds is not None and abs(self._holds - value) <= EXACT

    def move(self, mode: TakeoverMode, position: float, value: float, step: float) -> float | None:
        """Take the control's new `position`. Return the value's new place, or None if it stays.

        value: where it stands. step: how far the control's finest message moves it.
        """
        before, self.position = self.position, position
        if before is None:
            self._holds = value if abs(position - value) <= step + EXACT else None
            return None
        if position == before:
            return None
        if mode is TakeoverMode.JUMP or self.holds(value) or _between(before, value, position, step):
            return self._take(position)
        self._holds = None
        if mode is TakeoverMode.PICKUP:
            return None
        left = (1.0 - value) / (1.0 - before) if position > before else value / before
        new = min(1.0, max(0.0, value + (position - before) * left))
        return self._take(position) if abs(new - position) <= EXACT else new

    def wrote(self, value: float) -> None:
        """Note the value that resulted from `move`: it may have been rounded."""
        if self._holds is not None:
            self._holds = value

    def placed(self, position: float, value: float) -> None:
        """Note that a motor moved the control to its value: the control has taken over."""
        self.position, self._holds = position, value

    def _take(self, position: float) -> float:
        self._holds = position
        return position


def _between(before: float, value: float, position: float, step: float) -> bool:
    """Return True if the control passed the value, or came within a step of it."""
    low, high = sorted((before, position))
    return low - EXACT <= value <= high + EXACT or abs(position - value) <= step + EXACT
