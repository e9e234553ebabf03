"""Slow work for controllers, on a thread of its own: program changes, functions of the session, saving of maps.

Threads: `handle` and `ask` run on the sources' threads and never block. The jobs run on the thread that `start` begins,
and may block on the disk or on the engine. If several programs come while one is loaded, only the newest counts. Other
jobs run in the order of their requests.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections import deque
from collections.abc import Callable

from jbdiff_live.control.source import ControlEvent

log = logging.getLogger(__name__)

JOIN_SECONDS = 5.0
REFUSALS = (ValueError, OSError, RuntimeError)  # what a session may answer; anything else is a bug
MOST_JOBS = 16  # further jobs are dropped: a stuck button must not fill the queue


class ProgramChanges:
    """`load` gets the event. `channel`: 1 to 16 listens to this channel, None to all, 0 to none."""

    def __init__(self, load: Callable[[ControlEvent], None], channel: int | None = None) -> None:
        if channel is not None and not 0 <= channel <= 16:
            raise ValueError(f"channel {channel} for program changes: 1 to 16, or 0 for none")
        self._load = load
        self._channel = channel
        self._news = threading.Condition()  # guards the three below; never held while working
        self._waiting: ControlEvent | None = None
        self._jobs: deque[tuple[str, Callable[[], None]]] = deque()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._problem = ""

    @property
    def problem(self) -> str:
        """Return why the newest program or the newest job failed."""
        return self._problem

    def handle(self, event: ControlEvent) -> None:
        """Queue a program change. Sources' threads."""
        if self._channel is not None and event.channel != self._channel:
            return
        with self._news:
            self._waiting = event
            self._news.notify()

    def ask(self, what: str, job: Callable[[], None]) -> None:
        """Queue a job. what: its name in a message. Sources' threads."""
        with self._news:
            if len(self._jobs) < MOST_JOBS:
                self._jobs.append((what, job))
                self._news.notify()

    def start(self) -> None:
        """Start the thread. Does nothing while it runs."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._work, name="program changes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread after its current job."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._news:
            self._stopping = True
            self._news.notify()
        thread.join(JOIN_SECONDS)
        if thread.is_alive():
            log.warning("a patch is still being read; the program ends without waiting for it")

    def _work(self) -> None:
        while True:
            with self._news:
                while self._waiting is None and not self._jobs and not self._stopping:
                    self._news.wait()
                if self._stopping:
                    return
                event, self._waiting = self._waiting, None
                jobs, self._jobs = self._jobs, deque()
            if event is not None:
                self._do(f"{event.text()} could not be loaded", functools.partial(self._load, event))
            for what, job in jobs:
                self._do(f"{what} did not work", job)

    def _do(self, failure: str, job: Callable[[], None]) -> None:
        try:
            job()
            self._problem = ""
        except REFUSALS as error:
            log.warning("%s: %s", failure, error)
            self._problem = f"{failure}: {error}"
        except Exception as error:  # the thread's top: the player sees the error, and the next job is tried
            log.exception("%s", failure)
            self._problem = f"{failure}: {error}"
