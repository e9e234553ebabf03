"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal): each ends the instrument and closes its take.

Main thread only: Python runs signal handlers there, between two bytecodes.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # SIGHUP is Unix's, SIGBREAK Windows'


@contextmanager
def on_ending(act: Callable[[], object]) -> Iterator[None]:
    """Inside the `with` block, call `act` for each signal that asks the process to end. Then restore the handlers.

    A hang-up that was ignored from the start stays ignored: that is what `nohup` is for.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        act()

    before = {}
    try:
        for name in NAMES:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue
            before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


class Interrupts:
    """The `act` of `on_ending` for a whole run: raises KeyboardInterrupt, except while the session is being closed."""

    def __init__(self) -> None:
        self.closing = False

    def __call__(self) -> None:
        if not self.closing:
            raise KeyboardInterrupt
