"""A process that works behind the music: with the lowest priority, and stopped while the music plays.

Threads: the one that starts the process makes a `BehindMusic`, whose own thread stops it and lets it go on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

LOWEST = 19  # the nice value
PAUSES = hasattr(signal, "SIGSTOP")  # False: a process cannot be stopped, as on Windows; it is ended instead
LOOK_SECONDS = 0.1  # between two looks at the music; a block of music takes longer to make


def start_behind(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a process without input; its output and errors are one stream of text.

    The process has a group of its own: Ctrl-C in the terminal ends the instrument, which then ends the process. The
    group stays in the instrument's session. So if the instrument is killed while the process is stopped, the kernel
    hangs it up and lets it go on. It does not stay stopped for ever.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
        creationflags=getattr(subprocess, "IDLE_PRIORITY_CLASS", 0),  # Windows
    )
    with suppress(OSError, AttributeError):  # Windows has no such call
        os.setpriority(os.PRIO_PROCESS, process.pid, LOWEST)
    return process


class BehindMusic:
    """Stops a process while `plays` returns True. Calls `told` with True when it stops it, with False when it goes on.

    Windows cannot stop a process. There it is ended, and `gave_way` becomes True: whoever started it starts it again
    after the music, so its work must be able to go on.
    """

    def __init__(
        self, process: subprocess.Popen[str], plays: Callable[[], bool], told: Callable[[bool], object]
    ) -> None:
        self._process, self._plays, self._told = process, plays, told
        self.gave_way = False
        self._stopped = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="behind the music", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let the process go on, and look no more."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            if not PAUSES:
                self._end(self._plays())
            else:
                self._stop(self._plays())
            self._closed.wait(LOOK_SECONDS)
        self._stop(False)

    def _end(self, end: bool) -> None:
        if end and not self.gave_way:
            self.gave_way = True
            self._process.terminate()

    def _stop(self, stop: bool) -> None:
        if stop != self._stopped:
            self._stopped = stop
            self._process.send_signal(signal.SIGSTOP if stop else signal.SIGCONT)
            self._told(stop)
