"""Numbers in a menu: some to choose from, and a line to type another one in.

Thread: Qt's. The line is opened and answers by a signal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from jbdiff_live.ui.letting_go import let_go
from jbdiff_live.ui.rows.pickers import add_choice

Put = Callable[[float], object]


@dataclass(frozen=True)
class Numbers:
    """A number that a menu chooses. text: returns a number as the menu shows it.

    title: of the line to type in. what, unit, limits: what may be typed.
    """

    title: str
    what: str
    unit: str
    numbers: tuple[float, ...]
    limits: tuple[float, float]
    text: Callable[[float], str]

    def fill(self, menu: QMenu, widget: QWidget, now: float, put: Put) -> None:
        """Add an entry for each number, and one to type another. The line to type in lies over `widget`."""
        add_numbers(menu, {*self.numbers, now}, now, self.text, put)
        menu.addSeparator()
        menu.addAction("Type a number…").triggered.connect(lambda: self.ask(widget, now, put))

    def ask(self, widget: QWidget, now: float, put: Put) -> QInputDialog:
        """Open a line to type a number in. It does not block, and takes no number out of the limits."""
        dialog = QInputDialog(widget.window())
        dialog.setWindowTitle(self.title)
        dialog.setLabelText(f"{self.what}, in {self.unit}: {self.limits[0]:g} to {self.limits[1]:g}")
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleRange(*self.limits)
        dialog.setDoubleDecimals(1)
        dialog.setDoubleValue(now)
        dialog.doubleValueSelected.connect(put)
        dialog.finished.connect(dialog.deleteLater)
        let_go(widget, dialog)
        dialog.open()
        return dialog


def add_numbers(
    menu: QMenu, numbers: Iterable[float], now: float, text: Callable[[float], str], put: Put
) -> None:
    """Add an entry for each number, in their order of size. The present one is marked."""
    for number in sorted(numbers):
        add_choice(menu, text(number), number == now, partial(put, number))
