"""Read sound files during the music: one file at a time, and only the newest of each role.

Threads: `read`, `wait_for_errors` and `close` belong to the session, `wait` to the engine, `wanted` to any thread.
Only the reader's thread touches the disk and calls `on_source` and `on_problem`. It ends when no file is left to read.
Its priority is below the engine's if the system allows that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jbdiff.audio.files import ReadingStopped
from jbdiff_live.engine.voices.sources import FileSource, load_file_source
from jbdiff_live.system.thread_priority import behind_engine

log = logging.getLogger(__name__)

JOIN_SECONDS = 3.0
LOOK_SECONDS = 0.1


@dataclass(frozen=True, eq=False)
class _Request:
    role: str
    path: Path
    asked_by: str  # before the error: "patch 'mine'"; empty for the player


class SoundReader:
    """The reader. `on_source(role, source)` gets a sound, `on_problem(role, words)` why a file cannot be used."""

    def __init__(
        self,
        sample_rate: int,
        on_source: Callable[[str, FileSource], None],
        on_problem: Callable[[str, str], None],
    ) -> None:
        self._sample_rate = sample_rate
        self._on_source = on_source
        self._on_problem = on_problem
        self._lock = threading.Lock()  # guards the three below; never held while reading
        self._wanted: dict[str, _Request] = {}
        self._errors: list[Exception] = []  # since `wait_for_errors` was called last
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()
        self._idle.set()

    # ------------------------------------------------------------------ session's thread

    def read(self, role: str, path: Path, asked_by: str = "") -> None:
        """Begin to read a file for "context" or "init", instead of one that is still being read. Returns at once."""
        with self._lock:
            self._wanted[role] = _Request(role, path, asked_by)
            if self._idle.is_set():
                self._idle.clear()
                self._thread = threading.Thread(target=self._work, name="sound reader", daemon=True)
                self._thread.start()

    def wait_for_errors(self) -> list[Exception]:
        """Wait until every file is read. Return the errors since the last call."""
        self._idle.wait()
        with self._lock:
            errors, self._errors = self._errors, []
        return errors

    def close(self) -> None:
        """Stop reading and let the thread go."""
        with self._lock:
            self._wanted.clear()
            thread = self._thread
        if thread is not None:
            thread.join(JOIN_SECONDS)
            if thread.is_alive():
                log.warning("a sound file is still being read; the program ends without waiting for it")

    # ------------------------------------------------------------------ any thread

    def wanted(self, role: str) -> Path | None:
        """Return the file that is being read for a role, or None."""
        with self._lock:
            request = self._wanted.get(role)
        return None if request is None else request.path

    def wait(self, keep_going: Callable[[], bool]) -> None:
        """Wait until everything is read, or `keep_going` turned false."""
        while keep_going() and not self._idle.wait(LOOK_SECONDS):
            continue

    # ------------------------------------------------------------------ reader's thread

    def _work(self) -> None:
        behind_engine()
        while True:
            with self._lock:
                request = next(iter(self._wanted.values()), None)
                if request is None:
                    self._idle.set()
                    return
            try:
                source = load_file_source(
                    request.path, self._sample_rate, keep_going=partial(self._is_wanted, request)
                )
            except ReadingStopped:
                continue
            except Exception as error:  # the thread's top: the music goes on, and the player sees why
                log.info("reading %s", request.path, exc_info=error)
                self._finish(request, None, error)
            else:
                self._finish(request, source, None)

    def _is_wanted(self, request: _Request) -> bool:
        with self._lock:
            return self._wanted.get(request.role) is request

    def _finish(self, request: _Request, source: FileSource | None, error: Exception | None) -> None:
        """Pass on the result of a request, unless a newer request replaced it."""
        if not self._is_wanted(request):
            return
        if source is not None:
            self._on_source(request.role, source)
        elif error is not None:
            words = str(error) or type(error).__name__
            self._on_problem(request.role, f"{request.asked_by}: {words}" if request.asked_by else words)
        with self._lock:
            if error is not None and not request.asked_by:
                self._errors.append(error)
            if self._wanted.get(request.role) is request:
                del self._wanted[request.role]
