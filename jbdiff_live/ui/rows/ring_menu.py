"""The menu of the last minutes that are always recorded: length, size on the disk, and what `J` keeps.

Thread: Qt's. A line to type in is opened and answers by a signal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from jbdiff_live.status import Transport
from jbdiff_live.system.takes_folder import (
    LEAST_KEEP_MINUTES,
    LEAST_MB,
    MOST_MB,
    MOST_MINUTES,
    AlwaysOptions,
)
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.letting_go import let_go

LENGTHS = (0.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)  # minutes; 0: off
SIZES = (250.0, 500.0, 1000.0, 2000.0, 5000.0)  # MB
KEPT = (1.0, 2.0, 5.0, 10.0, 15.0)  # minutes

Put = Callable[[float], object]


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
        for number in sorted({*numbers, now}):
            entry = inside.addAction(_text(number, unit))
            entry.setCheckable(True)
            entry.setChecked(number == now)
            entry.triggered.connect(lambda _=False, number=number: put(number))
        inside.addSeparator()
        entry = inside.addAction("Type a number…")
        entry.triggered.connect(lambda: self.ask_number(what, unit, now, limits, put))

    def ask_number(
        self, what: str, unit: str, now: float, limits: tuple[float, float], put: Put
    ) -> QInputDialog:
        """Open a line to type a number in. It does not block, and takes no number out of the limits."""
        dialog = QInputDialog(self._widget.window())
        dialog.setWindowTitle("The last minutes")
        dialog.setLabelText(f"{what}, in {unit}: {limits[0]:g} to {limits[1]:g}")
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleRange(*limits)
        dialog.setDoubleDecimals(1)
        dialog.setDoubleValue(now)
        dialog.doubleValueSelected.connect(put)
        dialog.finished.connect(dialog.deleteLater)
        let_go(self._widget, dialog)
        dialog.open()
        return dialog

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
