"""The window's requests about the clock. Each is passed on to the desk, and kept for the next start.

Thread: the window's, or the command line's.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from jbdiff_live.beat.line import ClockSource
from jbdiff_live.desks.clock_desk import ClockDesk
from jbdiff_live.kept.content import Ports


class ClockWishes:
    """The part of `jbdiff_live.status.Transport` about the clock. A subclass makes the parts below."""

    clock_desk: ClockDesk
    ports: Ports

    def clock_outputs(self) -> Sequence[str]:
        return self.clock_desk.outputs()

    def choose_clock(self, source: ClockSource) -> None:
        """Follow another clock from now on. LinkError: Link is not installed; then the old clock goes on."""
        self.clock_desk.choose(source)
        self.ports = replace(self.ports, clock=source.value)

    def choose_clock_out(self, name: str) -> None:
        """Send clock to another output from now on; an empty name sends none. ValueError: it is gone."""
        self.clock_desk.choose_out(name)
        self.ports = replace(self.ports, clock_out=name or None)

    def choose_clock_offset(self, milliseconds: float) -> None:
        """Move the times of a MIDI clock. ValueError: out of range."""
        self.clock_desk.choose_offset(milliseconds)
        self.ports = replace(self.ports, clock_offset=milliseconds)

    def choose_beats_per_bar(self, beats: int) -> None:
        """Count bars of so many beats from now on. ValueError: out of range."""
        self.clock_desk.choose_beats(beats)
        self.ports = replace(self.ports, beats_per_bar=beats)
