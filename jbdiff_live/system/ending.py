"""Ctrl-C, SIGTERM, SIGHUP (a closed terminal) and SIGQUIT (Ctrl-\\): each ends the instrument and closes its take.

Main thread only: Python runs signal handlers there, between two bytecodes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
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


class ThreadsLeft:
    """Ends the process in good order although a daemon thread still runs. Make it before others register with atexit.

    A model that is being built, or a server that hangs, may hold a thread for longer than its owner waits. At the end
    of the interpreter, CPython before 3.14 ends such a thread when it asks for the interpreter's lock. If the thread is
    inside torch's C++, that aborts the process (SIGABRT). So the end of the interpreter is then left out.
    """

    def __init__(self) -> None:
        self.status = 1  # the exit status, unless `main` sets another one
        atexit.register(self._leave)

    def _leave(self) -> None:
        """Runs last of all atexit functions: they are called in reverse order."""
        if not any(
            thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()
        ):
            return
        for stream in (sys.stdout, sys.stderr):
            # a console that has gone, or none at all
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(self.status)


class Interrupts:
    """The `act` of `on_ending` for a whole run: raises KeyboardInterrupt, except while the session is being closed."""

    def __init__(self) -> None:
        self.closing = False

    def __call__(self) -> None:
        if not self.closing:
            raise KeyboardInterrupt
