"""Work that takes a while: on a thread of its own, with progress, time left, and cancel.

Threads: the job's own runs `work`, behind the engine's. Any thread may read `state` and call `cancel`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jbdiff_live.browse.takes import JobState
from jbdiff_live.shown import shown
from jbdiff_live.system.thread_priority import behind_engine

log = logging.getLogger(__name__)

LEAST_SECONDS = 0.5  # of work before the time left is worth saying


class Cancelled(Exception):
    """The player ended the job."""


class ThreadJob:
    """A job. `work(job)` calls `job.step` often, and returns the words for the player and what it made."""

    def __init__(
        self,
        words: str,
        work: Callable[[ThreadJob], tuple[str, Path | None]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state = JobState(words)
        self._work = work
        self._now = now
        self._began = now()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()  # for a change of the state, which two threads make
        self.on_cancel: Callable[[], object] = lambda: None  # the cancelling thread calls it too
        self._thread = threading.Thread(target=self._run, name="take job", daemon=True)
        self._thread.start()

    def step(self, done: float, of: float, seconds_left: float | None = None) -> None:
        """Note the progress. Cancelled if the player has ended the job. seconds_left: None is estimated here."""
        if self._cancelled.is_set():
            raise Cancelled
        part = min(1.0, done / of) if of > 0 else None
        passed = self._now() - self._began
        if seconds_left is None and part and passed >= LEAST_SECONDS:
            seconds_left = passed / part * (1 - part)
        self._change(part=part, seconds_left=seconds_left)

    def wait_for(self, words: str) -> None:
        """Note what the job waits for; empty: it goes on. Any thread may call it."""
        self._change(waits=words)

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds. Cancelled if the player has ended the job."""
        if self._cancelled.wait(seconds):
            raise Cancelled

    def _change(self, **changes: Any) -> None:
        with self._lock:
            self.state = replace(self.state, **changes)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """End the job soon. What it has made until then is removed."""
        if not self.state.ended:
            self._cancelled.set()
            self.on_cancel()

    def wait(self, seconds: float) -> bool:
        """Wait for the end. Return True if it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        behind_engine()
        try:
            words, result = self._work(self)
            self._change(words=words, part=1.0, seconds_left=0.0, ended=True, result=result)
        except Cancelled:
            self._change(words="cancelled", ended=True, cancelled=True)
        except Exception as error:  # the thread's top: the player must see why there is no result
            log.warning("%s", self.state.words, exc_info=error)
            words = shown(str(error)) or type(error).__name__
            self._change(ended=True, problem=words)
