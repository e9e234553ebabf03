"""The player's choice of the clock: source, MIDI output, offset, and beats in a bar. It acts while the music plays.

Thread: the window's, or the command line's. A list of MIDI outputs takes some milliseconds; nothing else blocks.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from jbdiff_live.beat.conductor import Conductor
from jbdiff_live.beat.line import MOST_BEATS, MOST_OFFSET, ORIGINS, VIRTUAL, ClockSource, ClockStatus

NO_VIRTUAL = (
    "clock out: Windows has no virtual MIDI ports; install loopMIDI, make a port in it, and choose that port "
    "here"
)


class OutKeeper(Protocol):
    """The part of the beat's thread that sends clock out."""

    def choose(self, port: str | None) -> None: ...

    @property
    def port(self) -> str | None: ...

    @property
    def port_problem(self) -> str: ...


class ClockDesk:
    """Each choice acts at once, or is refused and the old one stays."""

    def __init__(
        self,
        conductor: Conductor,
        keeper: OutKeeper,
        outputs: Callable[[], Sequence[str]],
        say: Callable[[str], None],
    ) -> None:
        """outputs: returns the names of the MIDI outputs; raises ValueError without a MIDI system. say: answers."""
        self._conductor = conductor
        self._keeper = keeper
        self.outputs = outputs
        self._say = say

    @property
    def source(self) -> ClockSource:
        return self._conductor.clock.source

    def status(self) -> ClockStatus:
        """Return the clock for the window, with the port of clock out. Any thread."""
        return replace(
            self._conductor.status(), out=self._keeper.port or "", out_problem=self._keeper.port_problem
        )

    def choose(self, source: ClockSource) -> None:
        """Follow another clock. LinkError: Link is not installed."""
        self._conductor.choose_clock(source)
        self._say(f"clock: {ORIGINS[source]}")

    def choose_out(self, name: str) -> None:
        """Send clock to a MIDI output, or to "virtual"; an empty name sends nothing.

        ValueError: the output is gone, or this system has none.
        """
        if name == VIRTUAL and platform.system() == "Windows":
            raise ValueError(NO_VIRTUAL)
        if name:
            there = self.outputs()
            if name != VIRTUAL and name not in there:
                raise ValueError(
                    f"clock out: {name} is gone; connect it again, or choose another output: "
                    f"{', '.join((*there, VIRTUAL))}"
                )
        self._keeper.choose(name or None)
        self._say(f"clock out: {name or 'none'}")

    def choose_offset(self, milliseconds: float) -> None:
        """Add so many milliseconds to the times of a MIDI clock's messages. ValueError: out of range."""
        if not abs(milliseconds) <= MOST_OFFSET:  # also refuses NaN
            raise ValueError(f"clock offset {milliseconds:g} ms: choose {-MOST_OFFSET:g} to {MOST_OFFSET:g}")
        self._conductor.choose_offset(milliseconds / 1000)
        self._say(f"clock offset: {milliseconds:+g} ms")

    def choose_beats(self, beats: int) -> None:
        """Count bars of so many beats. ValueError: out of range."""
        if not 1 <= beats <= MOST_BEATS:
            raise ValueError(f"{beats} beats in a bar: choose 1 to {MOST_BEATS}")
        self._conductor.count_bars(beats)
        self._say(f"beats in a bar: {beats}")
