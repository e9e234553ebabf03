"""The pickers of the clock: its source, beats in a bar and offset in one menu, its MIDI output in the other.

A choice acts while the music plays, and is kept for the next start. Thread: Qt's. The MIDI outputs are asked for when
their menu opens; nothing else blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtWidgets import QMenu

from jbdiff_live.beat.line import (
    MOST_BEATS,
    MOST_OFFSET,
    ORIGINS,
    VIRTUAL,
    ClockSource,
    ClockState,
    ClockStatus,
)
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.rows.numbers import Numbers, add_numbers
from jbdiff_live.ui.rows.pickers import Picker, add_choice

VIRTUAL_TEXT = "own port"
USUAL_BEATS = 4  # in a bar
SOURCES = {
    ClockSource.INTERNAL: "own beat: the music itself, or what you tap",
    ClockSource.MIDI: "MIDI clock: tempo, start and stop of a rack or sequencer",
    ClockSource.LINK: "Link: Ableton Link with other programs on the network",
}


def offset_text(milliseconds: float) -> str:
    sign = "+" if milliseconds > 0 else "\N{MINUS SIGN}" if milliseconds < 0 else ""
    return f"{sign}{abs(milliseconds):g} ms"


OFFSETS = Numbers(
    "Clock offset", "Added to the times of MIDI clock", "ms",
    (-50.0, -20.0, -10.0, -5.0, 0.0, 5.0, 10.0, 20.0, 50.0), (-MOST_OFFSET, MOST_OFFSET), offset_text,
)  # fmt: skip


class ClockPickers:
    """`source` and `out`, for the row of devices."""

    def __init__(self, transport: Transport, asker: Asker) -> None:
        self._transport = transport
        self._asker = asker
        self._clock = ClockStatus()
        self.source = Picker(
            "CLOCK", self._fill_source,
            help_text="where tempo and bars come from; in the menu also the beats in a bar, and the offset",
        )  # fmt: skip
        self.out = Picker(
            "CLOCK OUT", self._fill_outputs, help_text="sends MIDI clock of the music that you hear"
        )

    def show_status(self, status: Status) -> None:
        clock = self._clock = status.clock
        lost = clock.source is not ClockSource.INTERNAL and clock.state is ClockState.LOST
        self.source.show_value(ORIGINS[clock.source], _note(clock), warning=lost)
        out = VIRTUAL_TEXT if clock.out == VIRTUAL else clock.out
        self.out.show_value(out, "gone" if clock.out_problem else "", warning=bool(clock.out_problem))

    # ------------------------------------------------------------------ menus

    def _fill_source(self, menu: QMenu) -> None:
        clock = self._clock
        for source, text in SOURCES.items():
            choose = partial(self._asker.ask, "clock", self._transport.choose_clock, source)
            add_choice(menu, text, source is clock.source, choose)
        menu.addSeparator()
        add_numbers(
            menu.addMenu(f"Beats in a bar  {clock.beats_per_bar}"),
            range(1, MOST_BEATS + 1), clock.beats_per_bar, str,
            lambda new: self._asker.ask("beats in a bar", self._transport.choose_beats_per_bar, int(new)),
        )  # fmt: skip
        offset = _milliseconds(clock)
        OFFSETS.fill(
            menu.addMenu(f"MIDI clock comes later by  {offset_text(offset)}"), self.source, offset,
            lambda new: self._asker.ask("clock offset", self._transport.choose_clock_offset, new),
        )  # fmt: skip

    def _fill_outputs(self, menu: QMenu) -> None:
        none: Sequence[str] = ()
        there = list(self._asker.get("list MIDI outputs", self._transport.clock_outputs, none))
        now = self._clock.out
        gone = [now] if now not in ("", VIRTUAL, *there) else []
        for name, text in (
            ("", "none"),
            *((name, name) for name in there),
            *((name, f"{name} (gone)") for name in gone),
            (VIRTUAL, f"{VIRTUAL_TEXT}: other programs connect to it"),
        ):
            choose = partial(self._asker.ask, "clock out", self._transport.choose_clock_out, name)
            add_choice(menu, text, name == now, choose)


def _milliseconds(clock: ClockStatus) -> float:
    return round(clock.offset * 1000, 1) + 0.0  # no minus before 0


def _note(clock: ClockStatus) -> str:
    """The tempo of a clock that runs, or else what it does; then what is not as usual. There may be room for one."""
    if clock.state is ClockState.RUNNING:
        words = [f"{clock.tempo:.1f} BPM"]
    elif clock.state is ClockState.NONE:
        words = ["waiting"] if clock.source is ClockSource.MIDI else []
    else:
        words = [clock.state.value]
    if clock.beats_per_bar != USUAL_BEATS:
        words.append(f"bars of {clock.beats_per_bar}")
    if clock.source is ClockSource.MIDI and (offset := _milliseconds(clock)):
        words.append(offset_text(offset))
    return ", ".join(words)
