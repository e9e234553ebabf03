"""The options of the command line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from jbdiff_live.beat.line import ClockSource
from jbdiff_live.binding import TakeoverMode
from jbdiff_live.kept.content import Ports
from jbdiff_live.links import LinkOptions
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.system.takes_folder import AlwaysOptions


@dataclass(frozen=True)
class SessionOptions:
    """The options of the command line. `device=None` is the system's default output.

    Its choice of a stack wins over the patches that are loaded before the first start.
    """

    stack: str | None = None
    levels: tuple[int, ...] | None = None
    finisher: bool | None = None
    ladder: bool = True  # cheaper blocks if time is short
    hop: int | None = None
    steps: int | None = None
    device: str | None = None
    input_device: str | None = None
    input_channels: tuple[int, ...] = ()  # one or two channels of it, from 1 on; empty: the first two
    midi: tuple[str, ...] | None = None  # None: every input
    midi_api: str | None = None
    virtual_midi: str | None = None
    takeover: TakeoverMode = TakeoverMode.PICKUP  # for controllers whose map names no mode
    program_channel: int | None = None  # MIDI channel whose program changes load patches; None: all, 0: none
    takes: Path = field(default_factory=lambda: Path("takes"))
    take_sound: str = "heard"  # what a take has, one of `TAKE_SOUNDS`
    always: AlwaysOptions | None = None  # the ring for "keep that"; None: off
    take_pictures: bool = False  # draw a picture of each closed take
    short_ring_frames: int = 4096
    threads: int | None = None
    links: LinkOptions = field(default_factory=LinkOptions)
    clock: ClockSource = ClockSource.INTERNAL
    clock_out: str | None = None  # MIDI output for clock and gates; "virtual" opens one
    clock_offset: float = 0.0  # seconds added to the times of MIDI clock messages
    beats_per_bar: int = 4
    ports: Ports = field(
        default_factory=Ports
    )  # the devices and ports above, as texts; the session keeps them
    remembered: frozenset[str] = (
        frozenset()
    )  # the ports that the last session chose; one that is gone is no error

    def over(self, choice: StackChoice) -> StackChoice:
        """Return the choice, with the command line's options in place of its own."""
        if self.stack is not None and self.stack != choice.stack:
            choice = StackChoice(self.stack)  # the old stack's levels and parts do not apply to another stack
        if self.levels is not None:
            choice = replace(choice, levels=self.levels)
        if self.hop is not None:
            choice = replace(choice, hop=self.hop)
        if self.steps is not None:
            choice = replace(choice, steps=self.steps)
        return choice if self.finisher is None else replace(choice, finisher=self.finisher)
