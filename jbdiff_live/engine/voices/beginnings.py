"""What a stack needs to begin from a sound, worked out beside the music: it takes longer than a short block lasts.

Threads: `ask`, `wait` and `close` are the engine thread's (`close` the session's, when that has ended); `prepare` runs
on a thread for each key, behind the engine where the system lets a thread do that.
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
LOOK_SECONDS = 0.05  # between two looks whether the wait is still wanted
LONGEST_WAIT_SECONDS = 8.0  # of silence after a panic; the music then begins without the sound


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
        except Exception as error:  # raised where the result is asked for
            self.error = error
        finally:
            self.done.set()


class Beginnings(Generic[K, V]):
    """Prepares one thing at a time and keeps the last; keys are equal where they are the same object, or equal."""

    def __init__(self, prepare: Callable[[K], V], clock: Clock = MACHINE) -> None:
        self._prepare = prepare
        self._clock = clock
        self._work: _Work[K, V] | None = None

    def ask(self, key: K) -> V | None:
        """What was prepared for the key, or None while that goes on; begins it where nothing else is in work.

        Raises what `prepare` raised, once: the next one who asks has it tried again.
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
        """Wait for what `ask` returns. None if `keep_going` turned false, or after `longest` seconds."""
        until = self._clock.now() + longest
        while (found := self.ask(key)) is None:
            assert self._work is not None
            if not keep_going() or self._clock.now() > until:
                return None
            self._clock.wait_until(self._clock.now() + LOOK_SECONDS, self._work.done)
        return found

    def close(self) -> None:
        """Waits for the thread, and lets what it made go."""
        work, self._work = self._work, None
        if work is not None:
            work.thread.join(JOIN_SECONDS)
            if work.thread.is_alive():
                log.warning("a beginning is still being worked out; the program ends without waiting for it")
