"""Start and stop: one at a time, from whichever thread, and the newest wish counts.

A stop takes a moment, as the sound fades out. A start that comes meanwhile does not wait: it is done when the stop has
ended, on the thread of the stop.

Threads: any. `start` returns at once, `stop` when everything has stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Life:
    """begin: starts the parts, and returns at once. end: stops them; its error is raised by `stop`.

    later: starts the music as soon as a stop that failed has ended after all. say: answers the player.
    """

    def __init__(
        self,
        begin: Callable[[], None],
        end: Callable[[], None],
        later: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._begin = begin
        self._end = end
        self._later = later
        self._say = say
        self._ending = threading.Lock()  # held by the thread that stops
        self._wishing = threading.Lock()  # for the two below, and for a start
        self._stops = False  # a stop is being done
        self._again = False  # the music is to start after it

    def start(self) -> None:
        """Start the music, or let it start when the present stop has ended."""
        with self._wishing:
            if not self._stops:
                self._begin()
                return
            self._again = True
        self._say("Start: as soon as the stop has ended")

    def stop(self) -> None:
        """Stop the music. A start that was asked for during an earlier stop is taken back."""
        with self._wishing:
            self._again = False
        with self._ending:
            with self._wishing:
                self._stops, self._again = True, False
            failed = True
            try:
                self._end()
                failed = False
            finally:
                self._go_on(failed)

    def _go_on(self, failed: bool) -> None:
        """Do what was asked for during the stop."""
        with self._wishing:
            self._stops, again = False, self._again
            self._again = False
            if again and not failed:
                self._begin()
        if again and failed:
            self._later()
