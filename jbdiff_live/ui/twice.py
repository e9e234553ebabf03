"""A press that counts only if a second one follows soon: for what would end the music or lose work. Pure."""

from __future__ import annotations

from collections.abc import Callable

ASK_SECONDS = 3.0  # within which the second press counts


class Twice:
    """Asks at the first press. clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._asked = float("-inf")

    @property
    def asks(self) -> bool:
        """True for some seconds after the first press."""
        return self._clock() - self._asked < ASK_SECONDS

    def press(self) -> bool:
        """Return True for the second press in time. Any other press asks."""
        again = self.asks
        self._asked = float("-inf") if again else self._clock()
        return again

    def forget(self) -> None:
        """Ask no longer."""
        self._asked = float("-inf")
