"""Knob and choice lying flat: for parameters that share a column.

They behave as their tall relatives do, and take a half or a third of the height. Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QWidget

from jbdiff_live.parameters import Parameter
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import plate
from jbdiff_live.ui.tiles.buttons import Choice
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.tile import ParameterTile, short_binding

LEAST = QSize(72, 46)
GHOST = 8.0  # pixels: the ring where a control stands that has not taken over yet
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
        widest = max((self.parameter.text(end) for end in (self.parameter.low, self.parameter.high)), key=len)
        _label_and_note(self, painter, area, widest)  # the value turns: room is left for the longest
        plate(painter, _track(area), theme.RAISED, round_=2)
        if self.queued and self.heard is not None:
            self._bar(painter, area, self.heard, theme.ACCENT)

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        _value(painter, area, f"{self.typed}_" if self.typed else self.parameter.text(self.value))
        if not self.queued:
            self._bar(painter, area, self.value, theme.FAINT if self.heard is None else theme.ACCENT)
        track = _track(area)
        if not self._marks():
            return
        _mark(painter, track, track.x() + (track.width() - 3) * self.parameter.to_normal(self.value))
        if self.hardware is not None:
            left = track.x() + (track.width() - GHOST) * self.hardware
            place = QRectF(left, track.center().y() - GHOST / 2, GHOST, GHOST)
            plate(painter, place, QColor(0, 0, 0, 0), theme.TEXT, 1.5, GHOST / 2)

    def wave_place(self, area: QRectF) -> QRectF:
        return QRectF(area.right() - 24, area.y() + 7, 18, 9)

    def dragged(self, before: QPointF, now: QPointF) -> float:
        """A bar lies flat: it follows the pointer to the side, and up and down as a knob does."""
        return super().dragged(before, now) + (now.x() - before.x()) / max(1, self.width() - 2 * INSET)

    def _marks(self) -> bool:
        """Whether a mark on the track shows the set value."""
        return True

    def _bar(self, painter: QPainter, area: QRectF, value: float, colour: QColor) -> None:
        track = _track(area)
        middle = self.parameter.to_normal(0) if self.parameter.both_ways else 0.0
        low, high = sorted((self.parameter.to_normal(value), middle))
        if high > low:
            left, width = track.x() + track.width() * low, track.width() * (high - low)
            plate(painter, QRectF(left, track.y(), width, track.height()), colour, round_=2)


class SlotsStrip(Strip):
    """The length of the noise register, with its slots in place of a bar. The slot of the sound that plays is lit."""

    slot: int | None = None  # the one that is lit

    def show_slot(self, slot: int | None) -> None:
        """Light a slot, counted from 0. None: the register does not play."""
        if slot != self.slot:
            self.slot = slot
            self.update()

    def facts(self) -> str:
        where = "" if self.slot is None else f" Slot {self.slot + 1} plays."
        return super().facts() + where

    def _bar(self, painter: QPainter, area: QRectF, value: float, colour: QColor) -> None:
        track, count = _track(area), int(self.value)
        step = track.width() / count
        for index in range(count):
            fill = theme.ACCENT if index == self.slot else theme.FAINT
            gap = 1.0 if step < 6 else 2.0
            place = QRectF(track.x() + index * step, track.y() - 1, step - gap, track.height() + 2)
            plate(painter, place, fill, round_=2)

    def _marks(self) -> bool:
        return False


class StripChoice(Choice):
    """A choice that lies flat, with a segment for each value. A click chooses the segment below the pointer.

    The segments hold the names if there is room for all of them, else the name of the set value stands above them.
    """

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self.setMinimumSize(LEAST)

    def sizeHint(self) -> QSize:
        return QSize(130, 56)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            count = len(self.parameter.choices)
            place = (event.position().x() - INSET) / max(1, self.width() - 2 * INSET)
            self.ask(float(min(count - 1, max(0, int(place * count)))))

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        parts, names = self._parts(area), self.parameter.choices
        widest = max(theme.metrics(12, True).horizontalAdvance(name) for name in names)
        named = widest + 6 <= parts[0].width()
        _label_and_note(self, painter, area, "" if named else self.parameter.text(self.value))
        if not named:
            _value(painter, area, self.parameter.text(self.value))
            track = _track(area)
            parts = [QRectF(part.x(), track.y() - 2, part.width(), track.height() + 4) for part in parts]
        heard = self.value if self.heard is None else self.heard
        lit = theme.FAINT if self.heard is None else theme.ACCENT
        for index, (part, name) in enumerate(zip(parts, names, strict=True)):
            is_set, is_heard = index == int(self.value), index == int(heard)
            plate(painter, part, lit if is_heard else theme.RAISED, theme.TEXT if is_set else None, 2, 4)
            if named:
                ink = theme.BACKGROUND if is_heard else theme.TEXT if is_set else theme.DIM
                theme.write(painter, part.adjusted(2, 0, -2, 0), name, 14, ink, theme.CENTRE, bold=is_set)

    def _parts(self, area: QRectF) -> list[QRectF]:
        """The segments, as high as the tile leaves room for below the label."""
        head, _, _ = _lines(area)
        count, gap = len(self.parameter.choices), 3
        width = (area.width() - 2 * INSET + gap) / count
        height = min(30.0, area.bottom() - head.bottom() - 8)
        top = head.bottom() + (area.bottom() - head.bottom() - height) / 2
        return [QRectF(area.x() + INSET + index * width, top, width - gap, height) for index in range(count)]


class WindowChoice(StripChoice):
    """A choice that belongs to the window: no controller moves it, and it has no menu."""

    learnable = False

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        event.ignore()

    def open_menu(self) -> None:
        """No menu."""


def _track(area: QRectF) -> QRectF:
    """Where a strip shows its place, along its lower edge."""
    height = max(5.0, area.height() * 0.09)
    below = min(6.0, area.height() * 0.09)  # a low strip needs the room above the track for its value
    return QRectF(area.x() + INSET, area.bottom() - height - below, area.width() - 2 * INSET, height)


def _mark(painter: QPainter, track: QRectF, x: float) -> None:
    """What is set, on a track."""
    painter.fillRect(QRectF(x, track.y() - 2, 3, track.height() + 4), theme.TEXT)


def _lines(area: QRectF) -> tuple[QRectF, QRectF, int]:
    """Where the label and the value below it stand, and how large the label's letters are."""
    height = area.height()
    small = int(max(12, min(height * 0.2, 14)))
    # The label may end closer to the edge than it begins: "Hold changes" fits the narrowest strip of the workshop.
    head = QRectF(
        area.x() + INSET, area.y() + max(2.0, height * 0.05), area.width() - INSET - 1, small * 1.35
    )
    share = 0.32 if height >= ROOMY else 0.36
    return head, QRectF(head.x(), head.bottom(), area.width() - 2 * INSET, height * share), small


def _label_and_note(tile: ParameterTile, painter: QPainter, area: QRectF, value: str) -> None:
    """Draw the label. The note stands beside it if both fit, or beside the value, or under it if there is room.

    value: the text that stands below the label; empty if the whole line is taken.
    """
    head, body, small = _lines(area)
    theme.write(painter, head, tile.face_label, small, theme.DIM)
    mark = 24 if tile.lfo is not None and tile.lfo.on else 0
    beside = head.adjusted(
        theme.metrics(small).horizontalAdvance(tile.face_label) + 8, 0, 1 - INSET - mark, 0
    )
    ways = [beside]
    if value:
        used = theme.metrics(_value_pixels(area), True).horizontalAdvance(value) + 8
        ways.append(body.adjusted(used, 0, 0, 0))
        line = QRectF(head.x(), body.bottom(), body.width(), _track(area).top() - 3 - body.bottom())
        if area.height() >= ROOMY and line.height() >= theme.LEAST_PIXELS:
            ways = [line]
    room = max(way.width() for way in ways)
    note, ink = short_binding(tile.binding, room, small), theme.DIM
    if tile.learning:
        note, ink = "turn", theme.ACCENT
    elif tile.queued and tile.heard is not None:
        note, ink = tile.coming or tile.parameter.text(tile.heard), theme.ACCENT
    place = next((way for way in ways if theme.metrics(small).horizontalAdvance(note) <= way.width()), None)
    if note and place is not None:
        theme.write(painter, place, note, small, ink, theme.LEFT if len(ways) == 1 and value else theme.RIGHT)


def _value_pixels(area: QRectF) -> int:
    """The size of the letters of a value."""
    return int(min(area.height() * 0.3, 22))


def _value(painter: QPainter, area: QRectF, text: str) -> None:
    _, body, _ = _lines(area)
    theme.write(painter, body, text, _value_pixels(area), theme.TEXT, bold=True)
