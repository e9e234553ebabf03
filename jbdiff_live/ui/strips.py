"""Knob and choice lying flat: for parameters that are set between pieces rather than played.

They behave as their tall relatives do, and take a third of the height. Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from jbdiff_live.parameters import Parameter
from jbdiff_live.ui import theme
from jbdiff_live.ui.buttons import Choice
from jbdiff_live.ui.knob import Knob
from jbdiff_live.ui.painted import plate
from jbdiff_live.ui.tile import ParameterTile

LEAST = QSize(84, 40)


class Strip(Knob):
    """A knob drawn as a level: the mark is what is set, the bar is what is heard."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.setMinimumSize(LEAST)

    def sizeHint(self) -> QSize:
        return QSize(130, 56)

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        value = f"{self.typed}_" if self.typed else self.parameter.text(self.value)
        _two_lines(self, painter, area, value)
        place = self.parameter.to_normal(self.value)
        heard = place if self.heard is None else self.parameter.to_normal(self.heard)
        height = max(4.0, area.height() * 0.09)
        track = QRectF(area.x() + 8, area.bottom() - height - 6, area.width() - 16, height)
        plate(painter, track, theme.RAISED, round_=2)
        colour = theme.FAINT if self.heard is None else theme.ACCENT
        if heard > 0:
            plate(painter, QRectF(track.x(), track.y(), track.width() * heard, height), colour, round_=2)
        x = track.x() + (track.width() - 3) * place
        painter.fillRect(QRectF(x, track.y() - 2, 3, height + 4), theme.TEXT)


class StripChoice(Choice):
    """A choice that shows the one that is set; a click goes to the next."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.setMinimumSize(LEAST)

    def sizeHint(self) -> QSize:
        return QSize(130, 56)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.ask((self.value + 1) % len(self.parameter.choices))

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        _two_lines(self, painter, area.adjusted(0, 0, 0, -2), self.parameter.text(self.value), lift=0.06)


def _two_lines(tile: ParameterTile, painter: QPainter, area: QRectF, value: str, lift: float = 0.0) -> None:
    """Label and note in the upper line, the value below it. `lift`: how much lower, of the height, both stand."""
    height = area.height()
    small = int(max(10, min(height * 0.2, 14)))
    head = QRectF(area.x() + 8, area.y() + height * (0.08 + lift), area.width() - 16, small * 1.35)
    note, ink = tile.binding, theme.DIM
    if tile.learning:
        note, ink = "turn", theme.ACCENT
    elif tile.queued and tile.heard is not None:
        note, ink = tile.parameter.text(tile.heard), theme.ACCENT
    theme.write(painter, head, tile.label, small, theme.DIM)
    used = theme.metrics(small).horizontalAdvance(tile.label) + 8
    if note and used < head.width() - 20:
        theme.write(painter, head.adjusted(used, 0, 0, 0), note, small - 1, ink, theme.RIGHT)
    body = QRectF(head.x(), head.bottom(), head.width(), height * 0.36)
    theme.write(painter, body, value, int(min(height * 0.3, 22)), theme.TEXT, bold=True)
