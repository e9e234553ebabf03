"""Lit switches, segmented choices and pads: the tiles that are pressed rather than turned.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QWheelEvent
from PySide6.QtWidgets import QWidget

from jbdiff_live.parameters import Action, Parameter
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import plate
from jbdiff_live.ui.keys import ENTER
from jbdiff_live.ui.tiles.tile import TALL, ParameterTile, Tile

_MORE = (Qt.Key.Key_Up, Qt.Key.Key_Right)
_LESS = (Qt.Key.Key_Down, Qt.Key.Key_Left)


class Toggle(ParameterTile):
    """A lit button for an on/off parameter. It fires on press, not on release: a player hits it in time."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None, *, key: str = "") -> None:
        super().__init__(parameter, parent)
        self.key = key
        self.warning = False  # lit in the warning colour: for a switch that silences
        self.setMinimumSize(72, 46)

    def sizeHint(self) -> QSize:
        return QSize(130, 60)

    def flip(self) -> None:
        self.ask(0.0 if self.value >= 0.5 else 1.0)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.flip()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)  # two fast hits are two hits

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER and not event.isAutoRepeat():
            self.flip()
        elif event.key() in (*_MORE, Qt.Key.Key_End):
            self.ask(1.0)
        elif event.key() in (*_LESS, Qt.Key.Key_Home):
            self.ask(0.0)
        else:
            super().keyPressEvent(event)

    def plate_colour(self) -> QColor:
        if self.value < 0.5 or self.inapplicable:
            return theme.RAISED
        if self.warning:
            return theme.WARN
        return theme.ACCENT_DIM if self.queued else theme.ACCENT

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        on = self.value >= 0.5 and not self.inapplicable
        dark = on and not self.queued
        ink = theme.BACKGROUND if dark else theme.TEXT
        note = ink if dark else theme.TEXT if self.queued else theme.DIM
        if self.queued:
            plate(painter, area, QColor(0, 0, 0, 0), theme.ACCENT, 2)
        status = "not here" if self.inapplicable else self.parameter.text(self.value)
        if self.queued:
            status = join(status, self.coming)
        small = "turn a knob" if self.learning else self.fitting_note(status, area)
        two_lines(painter, area, self.label, small, ink, note, self.key)

    def wave_place(self, area: QRectF) -> QRectF:
        return QRectF(area.x() + 8, area.y() + 6, 18, 9)  # the key stands at the right


class Pad(Tile):
    """A pad for an action. It is lit from the hit until the block that obeys it plays."""

    def __init__(
        self, action: Action, parent: QWidget | None = None, *, key: str = "", warning: bool = False
    ) -> None:
        self.warning = warning
        self.key = key
        self._down = False
        self._waiting = False
        super().__init__(action.name, action.label, action.help, parent)
        self.setMinimumSize(72, 46)

    def sizeHint(self) -> QSize:
        return QSize(130, 60)

    def show_waiting(self, waiting: bool) -> None:
        """Light the pad. waiting: True until the block that obeys the hit plays."""
        if waiting != self._waiting:
            self._waiting = waiting
            self.update()

    def takes_effect(self) -> str:
        if self.name == "tap":
            return "sets tempo"
        return "now" if self.warning else "next block"

    def value_text(self) -> str:
        return "on its way" if self._waiting else ""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._down = True
            self.triggered.emit(self.name)
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._down = False
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER and not event.isAutoRepeat():
            self.triggered.emit(self.name)
        else:
            super().keyPressEvent(event)

    def plate_colour(self) -> QColor:
        if self.warning:
            return theme.WARN.darker(112) if self._down else theme.WARN
        if self._down:
            return theme.ACCENT
        return theme.ACCENT_DIM if self._waiting else theme.RAISED

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        ink = theme.BACKGROUND if self.warning or self._down else theme.TEXT
        note = ink if self.warning or self._down else theme.TEXT if self._waiting else theme.DIM
        if self.learning:
            small = "hit a pad"
        elif self._waiting and not self.warning:
            small = self.coming or "on its way"
        else:
            small = self.fitting_note(self.takes_effect(), area)
        label = self.label.upper() if self.warning else self.label
        two_lines(painter, area, label, small, ink, note, self.key)


class Choice(ParameterTile):
    """A segmented selector with a row per choice. The set value is filled; a mark at the left is the heard value."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self._wheel = 0.0
        self.setMinimumSize(72, 98)

    def sizeHint(self) -> QSize:
        return QSize(130, 190)

    def _rows(self) -> list[QRectF]:
        """The segments, in widget coordinates."""
        head, foot = self.frame_places(QRectF(self.rect()))
        top, bottom = head.bottom() + 1, foot.top() - 1
        if self.height() < TALL:  # the rows need all the room that there is
            bottom = self.height() - 3
        count = len(self.parameter.choices)
        step = (bottom - top) / count
        return [QRectF(5, top + i * step + 1, self.width() - 10, step - 2) for i in range(count)]

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            for index, row in enumerate(self._rows()):
                if row.contains(event.position()):
                    self.ask(float(index))

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._wheel += event.angleDelta().y() / 120  # a touchpad sends parts of a notch
        steps = int(self._wheel)
        self._wheel -= steps
        self.ask(self.value - steps)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        # Down goes to the row below, which is the next choice.
        if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Right, Qt.Key.Key_PageDown):
            self.ask(self.value + 1)
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Left, Qt.Key.Key_PageUp):
            self.ask(self.value - 1)
        elif event.key() == Qt.Key.Key_Home:
            self.ask(self.parameter.low)
        elif event.key() == Qt.Key.Key_End:
            self.ask(self.parameter.high)
        elif event.key() in ENTER:
            self.clearFocus()
        else:
            super().keyPressEvent(event)

    def draw_footer(self, painter: QPainter, area: QRectF, first: str, colour: QColor = theme.FAINT) -> None:
        if self.height() >= TALL or self.learning:
            super().draw_footer(painter, area, first, colour)

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        self.draw_frame(painter, area)
        size = int(min(16, self._rows()[0].height() * 0.7))
        for index, (row, text) in enumerate(zip(self._rows(), self.parameter.choices, strict=True)):
            is_set, is_heard = index == int(self.value), self.heard is not None and index == int(self.heard)
            fill, ink = theme.RAISED, theme.DIM
            if is_set:
                fill, ink = (
                    (theme.ACCENT_DIM, theme.TEXT) if self.queued else (theme.ACCENT, theme.BACKGROUND)
                )
                if self.heard is None:
                    fill, ink = theme.DIM, theme.BACKGROUND
            plate(painter, row, fill, round_=5)
            if is_heard and not is_set:
                plate(painter, QRectF(row.x(), row.y(), 5, row.height()), theme.ACCENT, round_=2)
            words = row.adjusted(7, 0, -4, 0)
            bold = is_set and theme.width_of(text, theme.least_nominal(), True) <= words.width()
            theme.write(painter, words, text, size, ink, theme.CENTRE, bold=bold)


def join(*parts: str) -> str:
    """The non-empty parts with a dot between them."""
    return " · ".join(part for part in parts if part)


def two_lines(
    painter: QPainter, area: QRectF, label: str, note: str, ink: QColor, note_ink: QColor, key: str = ""
) -> None:
    """A large label over a small note, in the middle; the key that does the same stands in the corner."""
    height = area.height()
    big = int(min(height * 0.36, 30))
    small = int(max(12, min(height * 0.19, 15)))
    block = big * 1.25 + small * 1.4
    top = area.y() + (height - block) / 2
    shows_key = key and height >= 44
    inset = 8.0
    if shows_key and top - area.y() < small + 6:  # side by side: the label stays clear of the key
        beside = inset + theme.metrics(12).horizontalAdvance(key)
        least = theme.metrics(theme.LEAST_PIXELS, True).horizontalAdvance(label)
        shows_key = least <= area.width() - 2 * beside  # the label goes before the key
        inset = beside if shows_key else inset
    theme.write(painter, QRectF(area.x() + inset, top, area.width() - 2 * inset, big * 1.25), label, big, ink,
                theme.CENTRE, bold=True)  # fmt: skip
    theme.write(painter, QRectF(area.x() + 6, top + big * 1.25, area.width() - 12, small * 1.4), note, small,
                note_ink, theme.CENTRE)  # fmt: skip
    if shows_key:
        corner = QRectF(area.x() + 8, area.y() + 4, area.width() - 15, small * 1.2)
        theme.write(painter, corner, key, 12, note_ink, theme.RIGHT)
