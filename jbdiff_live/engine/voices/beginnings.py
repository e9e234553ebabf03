"""A stack's beginning from a sound, computed during the music: that takes longer than a short block.

Threads: `ask`, `wait` and `close` belong to the engine thread; after its end `close` belongs to the session. `prepare`
runs on one thread for each key. Its priority is below the engine's if the system allows that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.system.thread_priority import behind_engine

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")
JOIN_SECONDS = 10.0
LOOK_SECONDS = 0.05  # between two checks of `keep_going`
LONGEST_WAIT_SECONDS = 8.0  # longest silence after a panic; then the music begins without the sound


class _Work(Generic[K, V]):
    """One key's preparation."""

    def __init__(self, key: K, prepare: Callable[[K], V]) -> None:
        self.key = key
        self.value: V | None = None
        self.error: Exception | None = None
        self.done = threading.Event()
        self._prepare = prepare
        self.thread = threading.Thread(target=self._run, name="beginning", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        behind_engine()
        try:
            self.value = self._prepare(self.key)
        except Exception as error:  # `ask` raises it
            self.error = error
        finally:
            self.done.set()


class Beginnings(Generic[K, V]):
    """The preparation of one key at a time; it keeps the last result. Keys compare by identity or equality."""

    def __init__(self, prepare: Callable[[K], V], clock: Clock = MACHINE) -> None:
        self._prepare = prepare
        self._clock = clock
        self._work: _Work[K, V] | None = None

    def ask(self, key: K) -> V | None:
        """Return the result for the key, or None while it is prepared. Begins that if no other key is in work.

        Raises the error of `prepare` once. The next call tries again.
        """
        work = self._work
        if work is None or (work.key != key and work.done.is_set()):
            work = self._work = _Work(key, self._prepare)
        if work.key != key or not work.done.is_set():
            return None
        if work.error is not None:
            self._work = None
            raise work.error
        return work.value

    def wait(self, key: K, keep_going: Callable[[], bool], longest: float = LONGEST_WAIT_SECONDS) -> V | None:
        """Wait for the result of `ask`. None if `keep_going` turned false, or after `longest` seconds."""
        until = self._clock.now() + longest
        while (found := self.ask(key)) is None:
            assert self._work is not None
            if not keep_going() or self._clock.now() > until:
                return None
            self._clock.wait_until(self._clock.now() + LOOK_SECONDS, self._work.done)
        return found

    def close(self) -> None:
        """Wait for the thread, and free its result."""
        work, self._work = self._work, None
        if work is not None:
            work.thread.join(JOIN_SECONDS)
            if work.thread.is_alive():
                log.warning("a beginning is still being worked out; the program ends without waiting for it")
