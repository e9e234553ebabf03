"""Ctrl-C, SIGTERM and a terminal that was closed (SIGHUP): each of them ends the instrument with its take closed.

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
    """Call `act` for each signal that asks the process to end, until the block is left; then as it was before.

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
    """For `on_ending` around a whole run: raises KeyboardInterrupt, but not while what is open is being closed."""

    def __init__(self) -> None:
        self.closing = False

    def __call__(self) -> None:
        if not self.closing:
            raise KeyboardInterrupt
