"""Asking the session for something: what it refuses is shown to the player, never swallowed, never a crash.

Thread: Qt's. As long as the session's calls take, which is not long.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from jbdiff_live.ui.rows.notices import NoticeLine

log = logging.getLogger(__name__)

REFUSALS = (
    KeyError,
    ValueError,
    OSError,
    RuntimeError,
)  # what a Transport may answer; anything else is a bug
T = TypeVar("T")


def reason(error: BaseException) -> str:
    """The error's own words. A KeyError would put them in quotation marks."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__


class Asker:
    """Calls the session and tells the notice line how it went; `what` names the deed for the player."""

    def __init__(self, notices: NoticeLine) -> None:
        self._notices = notices

    def ask(self, what: str, call: Callable[..., object], *args: object) -> bool:
        """Call the session. Return True if it granted the request."""
        try:
            call(*args)
        except REFUSALS as error:
            log.warning("%s refused", what, exc_info=error)
            self._notices.refuse(what, reason(error))
            return False
        self._notices.succeed(what)
        return True

    def get(self, what: str, call: Callable[[], T], otherwise: T) -> T:
        """The answer, or `otherwise`. Quiet in the log: this is asked thirty times a second."""
        try:
            answer = call()
        except REFUSALS as error:
            self._notices.refuse(what, reason(error))
            return otherwise
        self._notices.succeed(what)
        return answer
