"""The buttons that choose a view, and the names of the views. Thread: Qt's. Nothing here blocks."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, plate
from jbdiff_live.ui.keys import ENTER


class View(IntEnum):
    """The views, in the order of their keys F2, F3 and F4."""

    STAGE = 0
    WORKSHOP = 1
    SETTINGS = 2

    @property
    def key(self) -> str:
        return f"F{self.value + 2}"


HELP = {
    View.STAGE: "what a performance needs, with large knobs and pads",
    View.WORKSHOP: "every knob",
    View.SETTINGS: "devices, and how the instrument is doing",
}


class Tab(Painted):
    """One button. It is lit while its view is shown."""

    pressed = Signal(int)

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view
        self.chosen = False
        self.setObjectName(f"view {view.name.lower()}")
        self.setAccessibleName(f"{view.name.capitalize()} view")
        self.setToolTip(f"{view.name.capitalize()}: {HELP[view]} ({view.key})")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(86)

    def show_chosen(self, chosen: bool) -> None:
        self.chosen = chosen
        self.setAccessibleDescription("shown" if chosen else "not shown")
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.pressed.emit(int(self.view))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER:
            self.pressed.emit(int(self.view))
        else:
            super().keyPressEvent(event)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, theme.RAISED if self.chosen else theme.BACKGROUND, theme.LINE, 1)
        if self.chosen:
            plate(
                painter, QRectF(area.x() + 8, area.bottom() - 6, area.width() - 16, 3), theme.ACCENT, round_=1
            )
        half = area.height() / 2
        ink = theme.TEXT if self.chosen else theme.DIM
        head = QRectF(area.x() + 4, area.y() + half * 0.25, area.width() - 8, half * 0.8)
        size = int(max(16, min(22, half * 0.42)))
        theme.write(painter, head, self.view.name.capitalize(), size, ink, theme.CENTRE, bold=self.chosen)
        theme.write(painter, head.translated(0, half * 0.75), self.view.key, 12, theme.DIM, theme.CENTRE)
        if self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)


class Tabs(QWidget):
    """A button for each view. `chosen` carries the number of the view."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.buttons = [Tab(view) for view in View]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for button in self.buttons:
            button.pressed.connect(self.chosen)
            row.addWidget(button, 1)

    def show_view(self, view: View) -> None:
        for button in self.buttons:
            button.show_chosen(button.view is view)
