"""Load a stack during the music: one choice at a time, and a newer choice replaces it.

Threads: `ask`, `cancel`, `close` belong to the session, `take` to the engine, the properties to any thread. None of
them waits for a load, except `close`, which waits for the load's next step. Only the loader thread loads. It ends when
no choice is left to load. Its priority is below the engine's if the system allows that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from jbdiff_live.block import Preparing
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.system.thread_priority import behind_engine

log = logging.getLogger(__name__)

V = TypeVar("V")
JOIN_SECONDS = 10.0

# load(choice, report, keep_going): returns the voice, or None if keep_going turned false. Errors name the remedy.
Load = Callable[[StackChoice, Callable[[Preparing], None], Callable[[], bool]], V | None]


class StackLoader(Generic[V]):
    """The loader. It calls `on_news` on its thread when a voice is ready or a load failed; that must not block."""

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
        """Begin to load a choice. A load in work, or a voice that is ready, is dropped."""
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
        """Drop the choice. Returns at once; the thread ends at its next step."""
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
        """The choice in work and its progress; empty if there is none."""
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
        """The voice that is ready, if any."""
        ready = self._ready
        return None if ready is None else ready[1]

    # ------------------------------------------------------------------ engine thread

    def take(self) -> V | None:
        """Return the voice that is ready, once."""
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
                    continue  # replaced or cancelled meanwhile
                self._wanted, self._doing, self._problem = None, "", problem
                self._ready = None if voice is None else (choice, voice)
            self._on_news()

    def _try(self, choice: StackChoice) -> tuple[V | None, str]:
        def report(work: Preparing) -> None:
            with self._lock:
                if self._wanted is choice:
                    self._doing = f"{choice.text}: {work.detail}"

        try:
            return self._load(choice, report, lambda: self._wanted is choice), ""
        except Exception as error:  # the thread's top: the old stack plays on, and the player sees why
            log.info("stack %s", choice.text, exc_info=error)
            return None, str(error) or type(error).__name__
