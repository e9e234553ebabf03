"""A widget that draws itself whole and only when what it shows has changed.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from jbdiff_live.ui import theme


class Painted(QWidget):
    """Subclasses draw in `draw`; whoever feeds them calls `present` as often as it likes.

    The background is drawn here, so Qt need not paint the parents below it first (WA_OpaquePaintEvent):
    that halves the cost of a small repaint.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._shown: tuple[object, ...] = ()

    def present(self, *state: object) -> bool:
        """Repaints if `state` differs from what is on screen; says whether it did."""
        if state == self._shown:
            return False
        self._shown = state
        self.update()
        return True

    def draw(self, painter: QPainter, area: QRectF) -> None:
        raise NotImplementedError

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.parent_colour())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw(painter, QRectF(self.rect()))
        painter.end()

    def parent_colour(self) -> QColor:
        """What lies below the widget's round corners."""
        return theme.BACKGROUND


def plate(
    painter: QPainter,
    area: QRectF,
    fill: QColor,
    edge: QColor | None = None,
    width: float = 1.0,
    round_: float = 8,
) -> None:
    """A filled rounded rectangle, with its edge kept inside `area`."""
    painter.setBrush(fill)
    painter.setPen(QPen(edge, width) if edge is not None else Qt.PenStyle.NoPen)
    inset = width / 2 if edge is not None else 0.0
    painter.drawRoundedRect(area.adjusted(inset, inset, -inset, -inset), round_, round_)
    painter.setBrush(Qt.BrushStyle.NoBrush)
