"""The thread that saves the session: it looks every few seconds, and writes if something changed.

Threads: `start` and `close` belong to the command line; the keeper's own thread does the rest. It never waits for the
audio or engine thread, and they never wait for it. Any thread may read `problem`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.kept.content import Content

log = logging.getLogger(__name__)

SAVE_SECONDS = 3.0
JOIN_SECONDS = 10.0


class Moment(Protocol):
    """The session at one moment, cheap to take. Two equal moments have the same content."""

    def same_music(self, other: object) -> bool:
        """Return True if the two differ in the window's place at most."""
        ...

    def content(self) -> Content: ...


class Keeper:
    """`look` takes a moment. `write` saves its content; OSError or UnicodeEncodeError is shown and tried again.

    first_change: called once, before the first change of more than the window's place is written. Until then nothing
    is written. None: every change is written.
    """

    def __init__(
        self,
        look: Callable[[], Moment],
        write: Callable[[Content], None],
        clock: Clock = MACHINE,
        first_change: Callable[[], None] | None = None,
    ) -> None:
        self._look = look
        self._write = write
        self._clock = clock
        self._first_change = first_change
        self._first: Moment | None = None
        self._saved: Moment | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem = ""  # why the session is not kept; empty if it is

    def start(self) -> None:
        """Take the first moment, and begin to save."""
        self._first = self._look()
        self._thread = threading.Thread(target=self._keep, name="session keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Save once more, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        thread.join(JOIN_SECONDS)
        if thread.is_alive():
            log.warning("the session is not saved: the disk does not answer")

    def _keep(self) -> None:
        due = self._clock.now() + SAVE_SECONDS
        while not self._stop.is_set():
            self._clock.wait_until(due, self._stop)
            if self._clock.now() >= due:
                due = self._clock.now() + SAVE_SECONDS
                self._save()
        self._save()

    def _save(self) -> None:
        try:
            now = self._look()
            if now == self._saved:
                return
            if self._first_change is not None:
                if now.same_music(self._first):
                    return
                self._first_change()
                self._first_change = None
            self._write(now.content())
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "a name in it is no text"
            self.problem = f"the session is not kept ({reason}); save your patch with Ctrl+S"
            log.info("the session is not kept", exc_info=error)
        except Exception as error:  # the thread's top: the music and later saves go on
            self.problem = (
                f"the session is not kept ({error or type(error).__name__}); save your patch with Ctrl+S"
            )
            log.warning("the session is not kept", exc_info=error)
        else:
            self._saved, self.problem = now, ""
