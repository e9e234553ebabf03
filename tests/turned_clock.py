"""A clock that stands still until the test turns it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

STEP_SECONDS = 0.01
LED = (
    "engine",
    "audio feeder",
    "null feeder",
    "listening",
)  # threads that live by the clock: a turn waits until each waits for it
BUSY_SECONDS = 0.25  # real time that a turn waits for them: they need a thousandth of it, or wait for a lock
PATIENCE = (
    120.0  # real seconds for a condition that should hold soon: a machine may have a hundredth of a core left
)


class TurnedClock:
    """`jbdiff_live.clock.Clock`. The thread that made it turns it, and a wait on that thread turns it too."""

    def __init__(self) -> None:
        self._now = 100.0
        self._owner = threading.get_ident()
        self._news = threading.Condition()
        self._waits: dict[int, float] = {}  # for every thread that ever waited, what it waited for last

    def now(self) -> float:
        return self._now

    def wait_until(self, when: float, stop: threading.Event) -> None:
        if threading.get_ident() == self._owner:
            while self._now < when and not stop.is_set():
                self.turn(min(STEP_SECONDS, when - self._now))
            return
        with self._news:
            self._waits[threading.get_ident()] = when
            self._news.notify_all()
            # Nobody tells the condition that `stop` was set, so it is looked at now and then.
            self._news.wait_for(lambda: self._now >= when or stop.is_set(), 0.01)
            if stop.is_set():
                self._waits.pop(threading.get_ident())  # due at once

    def turn(self, seconds: float = STEP_SECONDS) -> None:
        """Move on, and wait until everything that was due by then is done."""
        with self._news:
            self._now += seconds
            self._news.notify_all()
            until = time.monotonic() + BUSY_SECONDS
            while not self._nobody_is_due() and time.monotonic() < until:
                self._news.wait(0.002)  # a thread that ends tells nobody

    def _nobody_is_due(self) -> bool:
        return all(
            not thread.is_alive() or self._waits.get(thread.ident or 0, 0.0) > self._now
            for thread in threading.enumerate()
            if thread.name in LED
        )

    def run(self, seconds: float) -> None:
        """Turn on for so many seconds."""
        until = self._now + seconds
        while self._now < until:
            self.turn()

    def run_until(self, condition: Callable[[], object], what: str | Callable[[], str]) -> float:
        """Turn until a condition holds. Return the turned seconds; AssertionError after `PATIENCE` real seconds."""
        began, until = self._now, time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > until:
                raise AssertionError(f"never came: {what if isinstance(what, str) else what()}")
            self.turn()
        return self._now - began
