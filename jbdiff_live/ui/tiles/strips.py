"""Knob and choice lying flat: for parameters that share a column.

They behave as their tall relatives do, and take a half or a third of the height. Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from jbdiff_live.parameters import Parameter
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import plate
from jbdiff_live.ui.tiles.buttons import Choice
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.tile import ParameterTile

LEAST = QSize(72, 40)
INSET = 5  # pixels left and right of what is written: "120.0 BPM" fits the narrowest strip
ROOMY = 70  # pixels of height from which the note has a line of its own


class Strip(Knob):
    """A knob as a bar: the mark is the set value, the bar the heard value, from the left or from a 0 in the middle."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.setMinimumSize(LEAST)

    def sizeHint(self) -> QSize:
        return QSize(130, 56)

    def draw_still(self, painter: QPainter, area: QRectF) -> None:
        _label_and_note(self, painter, area)
        plate(painter, _track(area), theme.RAISED, round_=2)
        if self.queued and self.heard is not None:
            self._bar(painter, area, self.heard, theme.ACCENT)

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        _value(painter, area, f"{self.typed}_" if self.typed else self.parameter.text(self.value))
        if not self.queued:
            self._bar(painter, area, self.value, theme.FAINT if self.heard is None else theme.ACCENT)
        track = _track(area)
        _mark(painter, track, track.x() + (track.width() - 3) * self.parameter.to_normal(self.value))
        if self.hardware is not None:
            left = track.x() + (track.width() - 7) * self.hardware
            place = QRectF(left, track.y() - 3, 7, track.height() + 6)
            plate(painter, place, QColor(0, 0, 0, 0), theme.TEXT, 1.5, 3)

    def _bar(self, painter: QPainter, area: QRectF, value: float, colour: QColor) -> None:
        track = _track(area)
        middle = self.parameter.to_normal(0) if self.parameter.both_ways else 0.0
        low, high = sorted((self.parameter.to_normal(value), middle))
        if high > low:
            left, width = track.x() + track.width() * low, track.width() * (high - low)
            plate(painter, QRectF(left, track.y(), width, track.height()), colour, round_=2)


class StripChoice(Choice):
    """A choice that shows the one that is set, and its place among the others; a click goes to the next."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.setMinimumSize(LEAST)

    def sizeHint(self) -> QSize:
        return QSize(130, 56)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.ask((self.value + 1) % len(self.parameter.choices))

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        _label_and_note(self, painter, area)
        _value(painter, area, self.parameter.text(self.value))
        track, count = _track(area), len(self.parameter.choices)
        heard = self.value if self.heard is None else self.heard
        lit = theme.FAINT if self.heard is None else theme.ACCENT
        for index in range(count):
            left = track.x() + track.width() * index / count
            part = QRectF(left, track.y(), track.width() / count - 3, track.height())
            plate(painter, part, lit if index == int(heard) else theme.RAISED, round_=2)
            if index == int(self.value):
                _mark(painter, track, part.center().x() - 1.5)


def _track(area: QRectF) -> QRectF:
    """Where a strip shows its place, along its lower edge."""
    height = max(4.0, area.height() * 0.09)
    return QRectF(area.x() + INSET, area.bottom() - height - 6, area.width() - 2 * INSET, height)


def _mark(painter: QPainter, track: QRectF, x: float) -> None:
    """What is set, on a track."""
    painter.fillRect(QRectF(x, track.y() - 2, 3, track.height() + 4), theme.TEXT)


def _lines(area: QRectF) -> tuple[QRectF, QRectF, int]:
    """Where the label and the value below it stand, and how large the label's letters are."""
    height = area.height()
    small = int(max(10, min(height * 0.2, 14)))
    head = QRectF(area.x() + INSET, area.y() + height * 0.08, area.width() - 2 * INSET, small * 1.35)
    share = 0.32 if height >= ROOMY else 0.36
    return head, QRectF(head.x(), head.bottom(), head.width(), height * share), small


def _label_and_note(tile: ParameterTile, painter: QPainter, area: QRectF) -> None:
    """Draw the label. The note stands beside it, or under the value if there is room."""
    head, body, small = _lines(area)
    note, ink = tile.binding, theme.DIM
    if tile.learning:
        note, ink = "turn", theme.ACCENT
    elif tile.queued and tile.heard is not None:
        note, ink = tile.parameter.text(tile.heard), theme.ACCENT
    theme.write(painter, head, tile.label, small, theme.DIM)
    used = theme.metrics(small).horizontalAdvance(tile.label) + 8
    if area.height() >= ROOMY:
        line = QRectF(head.x(), body.bottom(), head.width(), _track(area).top() - 3 - body.bottom())
        theme.write(painter, line, note, small - 1, ink)
    elif note and used < head.width() - 20:
        theme.write(painter, head.adjusted(used, 0, 0, 0), note, small - 1, ink, theme.RIGHT)


def _value(painter: QPainter, area: QRectF, text: str) -> None:
    _, body, _ = _lines(area)
    theme.write(painter, body, text, int(min(area.height() * 0.3, 22)), theme.TEXT, bold=True)
