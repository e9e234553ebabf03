"""Program changes: hands them to whoever loads patches, on a thread of its own.

Threads: `handle` runs on the sources' threads and never blocks; `load` runs on the thread that `start` begins and may
block on the disk. Of programs that come while one is loaded the newest counts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from jbdiff_live.control.events import ControlEvent

log = logging.getLogger(__name__)

JOIN_SECONDS = 5.0


class ProgramChanges:
    """`load` is given the event. `channel` 1..16 is the one that is listened to, None all, 0 none."""

    def __init__(self, load: Callable[[ControlEvent], None], channel: int | None = None) -> None:
        if channel is not None and not 0 <= channel <= 16:
            raise ValueError(f"channel {channel} for program changes: 1 to 16, or 0 for none")
        self._load = load
        self._channel = channel
        self._news = threading.Condition()  # guards the two below; never held while loading
        self._waiting: ControlEvent | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._problem = ""

    @property
    def problem(self) -> str:
        """Why the newest program could not be loaded, where `load` did not say so itself."""
        return self._problem

    def handle(self, event: ControlEvent) -> None:
        """Takes note of a program change; sources' threads."""
        if self._channel is not None and event.channel != self._channel:
            return
        with self._news:
            self._waiting = event
            self._news.notify()

    def start(self) -> None:
        """Begins to load what comes; does nothing while it does."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._work, name="program changes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after what it is loading."""
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
                while self._waiting is None and not self._stopping:
                    self._news.wait()
                event, self._waiting = self._waiting, None
                if self._stopping or event is None:
                    return
            try:
                self._load(event)
                self._problem = ""
            except Exception as error:  # the thread's top: the player sees it, and the next program is tried
                log.exception("%s", event.text())
                self._problem = f"{event.text()} could not be loaded: {error}"
