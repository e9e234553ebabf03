"""Measure the loudness of takes in the background, one after another, and keep it in `take.json`.

Threads: `want` belongs to the window's. A thread of its own measures, with the lowest priority, and ends when nothing
is left. It works only while the music is stopped: measuring takes time of the processor.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jbdiff_live.block import Audio
from jbdiff_live.browse.takes import Level
from jbdiff_live.record.shelf.export import Measure
from jbdiff_live.record.shelf.notes import set_level
from jbdiff_live.record.shelf.reader import TakeReader
from jbdiff_live.record.take import Take, TakeError, open_take
from jbdiff_live.system.thread_priority import behind_engine

log = logging.getLogger(__name__)


class Ended(Exception):
    """The measuring was ended, or the music plays."""


def level_of(take: Take, measure: Measure, step: Callable[[], None] = lambda: None) -> Level:
    """Measure a take. step: called between pieces; what it raises ends the work."""
    reader = TakeReader(take)
    try:
        return measure(_stepped(reader.pieces(), step), reader.rate, max(1, reader.channels))
    finally:
        reader.close()


def _stepped(pieces: Iterable[Audio], step: Callable[[], None]) -> Iterator[Audio]:
    for piece in pieces:
        step()
        yield piece


class Levels:
    """measure: as in `export`. may_work: False while the music plays."""

    def __init__(self, measure: Measure, may_work: Callable[[], bool]) -> None:
        self._measure, self._may_work = measure, may_work
        self._lock = threading.Lock()  # for the three below
        self._wanted: list[Path] = []
        self._failed: set[Path] = set()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def want(self, folders: Iterable[Path]) -> None:
        """Measure these takes, in this order, unless they could not be measured before. Returns at once."""
        with self._lock:
            self._wanted = [folder for folder in folders if folder not in self._failed]
            running = self._thread is not None and self._thread.is_alive()
            if self._wanted and not running and self._may_work():
                self._ended.clear()
                self._thread = threading.Thread(target=self._work, name="take levels", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the measuring, and wait for its thread."""
        self._ended.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left. Return True if that has come."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def _step(self) -> None:
        if self._ended.is_set() or not self._may_work():
            raise Ended

    def _work(self) -> None:
        behind_engine()
        while True:
            with self._lock:
                if not self._wanted or self._ended.is_set():
                    return
                folder = self._wanted.pop(0)
            try:
                set_level(folder, level_of(open_take(folder), self._measure, self._step))
            except Ended:
                return
            except (TakeError, OSError, ValueError) as error:
                log.info("the level of %s: %s", folder, error)
                with self._lock:
                    self._failed.add(folder)
