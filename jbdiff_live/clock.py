"""Time that can be waited for. The instrument reads one clock; tests pass one that they turn by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go back."""

    def now(self) -> float: ...

    def wait_until(self, when: float, stop: threading.Event) -> None:
        """Return at `when` or later, and at once when `stop` is set. May return early."""
        ...


class MonotonicClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.monotonic()

    def wait_until(self, when: float, stop: threading.Event) -> None:
        stop.wait(max(0.0, when - time.monotonic()))


MACHINE = MonotonicClock()  # it holds no state, so everybody may share it
NEVER = threading.Event()  # for a wait that nothing cuts short; nobody sets it
