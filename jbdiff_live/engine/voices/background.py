"""Loads a stack beside the music: one choice at a time, a newer one replaces it.

Threads: `ask`, `cancel`, `close` belong to the session, `take` to the engine, the properties to anyone; none of
them waits for a load, but `close` for the load's next step. The loader thread alone loads, and ends when nothing
is wanted. It steps back behind the engine where the system lets a thread do that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.system.thread_priority import behind_engine

log = logging.getLogger(__name__)

V = TypeVar("V")
JOIN_SECONDS = 10.0

# load(choice, report, keep_going): the voice, or None when keep_going turned false; raises with the remedy.
Load = Callable[[StackChoice, Callable[[str], None], Callable[[], bool]], V | None]


class StackLoader(Generic[V]):
    """`on_news` is called on the loader thread when something is ready or has failed; it must not block."""

    def __init__(self, load: Load[V], on_news: Callable[[], None]) -> None:
        self._load = load
        self._on_news = on_news
        self._lock = threading.Lock()  # guards everything below; never held while loading
        self._wanted: StackChoice | None = None
        self._ready: tuple[StackChoice, V] | None = None
        self._doing = ""
        self._problem = ""
        self._working = False
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------ session's thread

    def ask(self, choice: StackChoice) -> None:
        """Begins to load; what was being loaded or waited to be taken is dropped."""
        with self._lock:
            if self._wanted == choice or (self._ready is not None and self._ready[0] == choice):
                return
            self._wanted, self._ready, self._problem = choice, None, ""
            self._doing = choice.text
            if self._working:
                return
            self._working = True
            self._thread = threading.Thread(target=self._work, name="stack loader", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Nothing is wanted any more. Returns at once; the thread ends at its next step."""
        with self._lock:
            self._wanted, self._ready, self._doing, self._problem = None, None, "", ""

    def close(self) -> None:
        """Cancels and waits for the thread."""
        self.cancel()
        thread = self._thread
        if thread is not None:
            thread.join(JOIN_SECONDS)
            if thread.is_alive():
                log.warning("a stack is still being read; the program ends without waiting for it")

    # ------------------------------------------------------------------ any thread

    @property
    def loading(self) -> str:
        """What is being loaded and how far it is; empty when nothing is."""
        return self._doing

    @property
    def problem(self) -> str:
        """Why the newest choice could not be loaded."""
        return self._problem

    @property
    def wanted(self) -> StackChoice | None:
        """The choice that is being loaded, or is ready."""
        with self._lock:
            return self._wanted or (self._ready[0] if self._ready is not None else None)

    @property
    def ready(self) -> V | None:
        """What can be taken."""
        ready = self._ready
        return None if ready is None else ready[1]

    # ------------------------------------------------------------------ engine thread

    def take(self) -> V | None:
        """Hands over what is ready, once."""
        with self._lock:
            ready, self._ready = self._ready, None
        return None if ready is None else ready[1]

    # ------------------------------------------------------------------ loader thread

    def _work(self) -> None:
        behind_engine()
        while True:
            with self._lock:
                choice = self._wanted
                if choice is None:
                    self._working = False
                    return
            voice, problem = self._try(choice)
            with self._lock:
                if self._wanted is not choice:
                    continue  # replaced or cancelled on the way
                self._wanted, self._doing, self._problem = None, "", problem
                self._ready = None if voice is None else (choice, voice)
            self._on_news()

    def _try(self, choice: StackChoice) -> tuple[V | None, str]:
        def report(detail: str) -> None:
            with self._lock:
                if self._wanted is choice:
                    self._doing = f"{choice.text}: {detail}"

        try:
            return self._load(choice, report, lambda: self._wanted is choice), ""
        except Exception as error:  # the thread's top: the old stack plays on, and the player sees why
            log.info("stack %s", choice.text, exc_info=error)
            return None, str(error) or type(error).__name__
