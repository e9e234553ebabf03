"""The menu of the last minutes that are always recorded: length, size on the disk, and what `J` keeps.

Thread: Qt's.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QMenu, QWidget

from jbdiff_live.status import Transport
from jbdiff_live.system.takes_folder import (
    LEAST_KEEP_MINUTES,
    LEAST_MB,
    MOST_MB,
    MOST_MINUTES,
    AlwaysOptions,
)
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.rows.numbers import Numbers, Put

LENGTHS = (0.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)  # minutes; 0: off
SIZES = (250.0, 500.0, 1000.0, 2000.0, 5000.0)  # MB
KEPT = (1.0, 2.0, 5.0, 10.0, 15.0)  # minutes


class RingMenu:
    """`fill` adds the entries. The lines to type in lie over `widget`."""

    def __init__(self, widget: QWidget, transport: Transport, asker: Asker) -> None:
        self._widget = widget
        self._transport = transport
        self._asker = asker
        self._last = AlwaysOptions(Path())  # size and kept minutes count again after it was off

    def show(self, always: AlwaysOptions | None) -> None:
        """Take in what is always recorded now; None: nothing."""
        self._last = always or self._last

    def fill(self, menu: QMenu, on: bool) -> None:
        """Add a submenu for each number. on: something is always recorded."""
        last = self._last
        length = last.minutes if on else 0.0
        self._add(
            menu, "Length", "min", LENGTHS, length, (0.0, MOST_MINUTES), lambda new: self._put(minutes=new)
        )
        if on:
            limits = LEAST_KEEP_MINUTES, MOST_MINUTES
            self._add(
                menu, "Most room on the disk", "MB", SIZES, last.megabytes, (LEAST_MB, MOST_MB),
                lambda new: self._put(megabytes=new),
            )  # fmt: skip
            self._add(
                menu, "J keeps", "min", KEPT, last.keep_minutes, limits, lambda new: self._put(keep=new)
            )

    def _add(
        self, menu: QMenu, what: str, unit: str, numbers: tuple[float, ...], now: float,
        limits: tuple[float, float], put: Put,
    ) -> None:  # fmt: skip
        inside = menu.addMenu(f"{what}  {_text(now, unit)}")
        kind = Numbers("The last minutes", what, unit, numbers, limits, lambda number: _text(number, unit))
        kind.fill(inside, self._widget, now, put)

    def _put(
        self, minutes: float | None = None, megabytes: float | None = None, keep: float | None = None
    ) -> None:
        last = self._last
        self._asker.ask(
            "the last minutes",
            self._transport.choose_always,
            last.minutes if minutes is None else minutes,
            last.megabytes if megabytes is None else megabytes,
            last.keep_minutes if keep is None else keep,
        )


def _text(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number else "off"
