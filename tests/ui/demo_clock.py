"""The requests about the clock, as `DemoTransport` answers them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from jbdiff_live.beat.line import ClockSource
from jbdiff_live.status import Status


class DemoClock(ABC):
    """The part of `DemoTransport` that the pickers of the clock use."""

    state: Status

    @abstractmethod
    def _note(self, *call: object) -> None: ...

    @abstractmethod
    def set_status(self, **parts: object) -> None: ...

    def clock_outputs(self) -> Sequence[str]:
        return ["USB MIDI Interface", "Keystep Pro"]

    def choose_clock(self, source: ClockSource) -> None:
        self._note("choose_clock", source)
        self.set_status(clock=replace(self.state.clock, source=source))

    def choose_clock_out(self, name: str) -> None:
        self._note("choose_clock_out", name)
        self.set_status(clock=replace(self.state.clock, out=name, out_problem=""))

    def choose_clock_offset(self, milliseconds: float) -> None:
        self._note("choose_clock_offset", milliseconds)
        self.set_status(clock=replace(self.state.clock, offset=milliseconds / 1000))

    def choose_beats_per_bar(self, beats: int) -> None:
        self._note("choose_beats_per_bar", beats)
        self.set_status(clock=replace(self.state.clock, beats_per_bar=beats))
