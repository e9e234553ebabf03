"""Ableton Link: tempo and bar shared with other programs on the network. Needs the extra `link` (aalink).

Any thread may call `line`; the library keeps its own threads and locks. It is imported when a session is joined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from jbdiff_live.beat.line import BeatLine

MISSING = (
    "Ableton Link needs the package aalink, which is not installed; run: pip install 'jbdiff-live[link]', or choose "
    "the own beat (--clock internal) or MIDI clock (--clock midi)"
)


class LinkError(RuntimeError):
    """Link cannot be used. The text gives the reason and the remedy."""


class LinkClock:
    """One peer of a Link session. `close` leaves the session."""

    def __init__(
        self, tempo: float, beats_per_bar: int, library: Callable[[], Any] = lambda: _library()
    ) -> None:
        """tempo: beats a minute, if no other program is in the session. Raises LinkError without aalink."""
        self._loop = (
            asyncio.new_event_loop()
        )  # aalink wants one for its callbacks, of which none is registered

        async def join() -> Any:
            return library().Link(tempo)

        try:
            self._link = self._loop.run_until_complete(join())
        except BaseException:
            self._loop.close()
            raise
        self.count_bars(beats_per_bar)
        self._link.enabled = True

    @property
    def peers(self) -> int:
        """The number of other programs in the session."""
        return int(self._link.num_peers)

    def line(self, now: float) -> BeatLine:
        """Return the session's beat, which is read at this moment: second `now`."""
        return BeatLine(now, float(self._link.beat), float(self._link.tempo))

    def count_bars(self, beats: int) -> None:
        """Share bars of so many beats with the other programs."""
        self._link.quantum = float(beats)

    def close(self) -> None:
        """Leave the session. May be called twice."""
        self._link.enabled = False
        self._loop.close()


def _library() -> Any:
    try:
        import aalink
    except ImportError as error:
        raise LinkError(MISSING) from error
    return aalink
