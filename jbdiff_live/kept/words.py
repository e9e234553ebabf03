"""What a start has to say about the session, shown until the player has had time to read it. Any thread."""

from __future__ import annotations

import logging

from jbdiff_live.clock import Clock

log = logging.getLogger(__name__)

READ_SECONDS = 30.0


class StartWords:
    """Sentences. They are shown until music was started and `READ_SECONDS` have passed since the first look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: tuple[str, ...] = ()  # swapped whole
        self._seen_at: float | None = None

    def say(self, sentence: str) -> None:
        log.warning("%s", sentence)  # for a player who started it in a terminal
        self._said = (*self._said, sentence)

    def newest(self, plays: bool) -> str:
        """Return the sentences; empty when they have been shown. plays: music was started."""
        if not self._said:
            return ""
        now = self._clock.now()
        if self._seen_at is None:
            self._seen_at = now
        if plays and now - self._seen_at >= READ_SECONDS:
            self._said, self._seen_at = (), None
        return " ".join(self._said)
