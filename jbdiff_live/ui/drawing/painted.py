"""A widget that draws itself only when its state has changed, and keeps a picture of its still parts.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QWidget

from jbdiff_live.ui.drawing import theme


class Painted(QWidget):
    """The base of painted widgets. Subclasses draw in `draw`; callers may call `present` at any rate.

    A widget with moving parts, such as a knob's pointer, may put its still parts into a face. `face` returns the
    values on which the face depends. `draw_face` draws it once for each of them. `draw` draws over a copy of it.

    The background is drawn here, so Qt need not paint the parents below it first (WA_OpaquePaintEvent):
    that halves the cost of a small repaint.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._shown: tuple[object, ...] = ()
        self._face: QPixmap | None = None
        self._face_of: tuple[object, ...] = ()

    def present(self, *state: object) -> bool:
        """Repaint if `state` differs from the state on screen. Return True if it did."""
        if state == self._shown:
            return False
        self._shown = state
        self.update()
        return True

    def face(self) -> tuple[object, ...] | None:
        """Return the values on which the face depends, besides its size. None: the widget has no face."""
        return None

    def draw_face(self, painter: QPainter, area: QRectF) -> None:
        """Draw the still parts."""

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Draw the whole widget, or only its moving parts if it has a face. Nothing moves by default."""

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area = QRectF(self.rect())
        if (face := self.face()) is None:
            painter.fillRect(self.rect(), self.parent_colour())
        elif (ratio := self.devicePixelRatioF()) == int(ratio):
            painter.drawPixmap(0, 0, self._kept_face(face, ratio))
        else:  # a widget may begin between two device pixels there, where a copy would not be the same
            painter.fillRect(self.rect(), self.parent_colour())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self.draw_face(painter, area)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw(painter, area)
        painter.end()

    def _kept_face(self, face: tuple[object, ...], ratio: float) -> QPixmap:
        """Return the face in device pixels. Draw it again if its values have changed."""
        face_of = (face, theme.look_number(), self.width(), self.height(), ratio)
        if self._face is None or face_of != self._face_of:
            kept = QPixmap(math.ceil(self.width() * ratio), math.ceil(self.height() * ratio))
            kept.setDevicePixelRatio(ratio)
            kept.fill(self.parent_colour())
            painter = QPainter(kept)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self.draw_face(painter, QRectF(self.rect()))
            painter.end()
            self._face, self._face_of = kept, face_of
        return self._face

    def parent_colour(self) -> QColor:
        """What lies below the widget's round corners."""
        return theme.BACKGROUND


def menu_place(widget: QWidget, event: QContextMenuEvent) -> QPoint:
    """Return the place on the screen for a right-click menu: the pointer's; the widget's middle for the menu key."""
    if event.reason() == QContextMenuEvent.Reason.Keyboard:
        return widget.mapToGlobal(QPoint(widget.width() // 2, widget.height() // 2))
    return event.globalPos()


def head_of(area: QRectF) -> tuple[QRectF, int]:
    """The line at the top of a readout, and the size of its letters in pixels."""
    height = area.height()
    inner = area.adjusted(11, 0, -11, 0)
    head = QRectF(inner.x(), area.y() + height * 0.06, inner.width(), height * 0.27)
    return head, int(max(12, min(14, height * 0.19)))


def readout_plate(painter: QPainter, area: QRectF, caption: str) -> tuple[QRectF, int, float]:
    """Draw the plate of a readout and its caption.

    Returns the line at the top, the size of its letters, and the width that the caption took.
    """
    plate(painter, area, theme.PANEL)
    head, size = head_of(area)
    theme.write(painter, head, caption, size, theme.FAINT, bold=True)
    return head, size, theme.metrics(size, True).horizontalAdvance(caption) + 14


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
