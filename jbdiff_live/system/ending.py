"""Ctrl-C, SIGTERM, SIGHUP (a closed terminal) and SIGQUIT (Ctrl-\\): each ends the instrument and closes its take.

Main thread only: Python runs signal handlers there, between two bytecodes.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Without a handler, each of them ends the process at once. SIGBREAK is Windows', all from SIGHUP on are Unix's.
NAMES = ("SIGBREAK", "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2")
ALWAYS = ("SIGINT", "SIGTERM")  # handled even if whoever started the process ignored them


@contextmanager
def on_ending(act: Callable[[], object]) -> Iterator[None]:
    """Inside the `with` block, call `act` for each signal that asks the process to end. Then restore the handlers.

    A hang-up that was ignored from the start stays ignored: that is what `nohup` is for. So do the signals after it.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        act()

    before = {}
    try:
        for name in NAMES:
            number = getattr(signal, name, None)
            if number is None or (name not in ALWAYS and signal.getsignal(number) is signal.SIG_IGN):
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
