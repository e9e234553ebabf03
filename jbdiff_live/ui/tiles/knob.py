"""The rotary knob: drag, wheel, keys, typed numbers. The pointer is the set value, the arc the heard value.

A hollow mark on the ring shows the position of a control that has not taken over yet.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPen, QWheelEvent
from PySide6.QtWidgets import QWidget

from jbdiff_live.parameters import Parameter
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import plate
from jbdiff_live.ui.keys import ENTER
from jbdiff_live.ui.tiles.tile import ParameterTile

START_DEGREES = 225.0  # half past seven, counted anticlockwise from three o'clock as Qt does
SWEEP_DEGREES = 270.0
DRAG_PIXELS = 220.0  # of vertical travel for the whole range
FINE = 0.1  # Shift makes every movement so much smaller
SILENT_BELOW = "gain"  # the knob whose lowest position is silence
STEP = 0.01  # of the travel, for one arrow key or wheel notch
PAGE = 0.1

_TYPED = set("0123456789.,-")


class Knob(ParameterTile):
    """One continuous or counted parameter."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parameter, parent)
        self._dragged = False  # since the button was pressed
        self.typed = ""
        self.hardware: float | None = None  # in the travel, 0 to 1; None if the hardware has taken over
        self._drag_from: tuple[QPointF, float] | None = None  # the pointer, travel 0..1
        self.setMinimumSize(72, 98)

    def sizeHint(self) -> QSize:
        return QSize(130, 190)

    def show_hardware(self, place: float | None) -> None:
        """Show where the knob of a controller stands; None if there is none, or if it moves the value."""
        if place != self.hardware:
            self.hardware = place
            self.update()

    # Mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._drag_from = (event.position(), self.parameter.to_normal(self.value))
            self._dragged = False
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag_from is None:
            return
        last, travel = self._drag_from
        at = event.position()
        fine = FINE if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1.0
        # The travel is kept unrounded, so that a slow drag over a counter does not stick between two counts.
        travel = min(1.0, max(0.0, travel + self.dragged(last, at) * fine))
        self._drag_from = (at, travel)
        self._dragged = True
        self.forget_typed()
        self.ask(self.parameter.from_normal(travel))

    def dragged(self, before: QPointF, now: QPointF) -> float:
        """The part of the travel by which the pointer moved the knob."""
        return (before.y() - now.y()) / DRAG_PIXELS

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag. Only a click without a turn keeps the focus: after a turn, the digits recall scenes again."""
        self._drag_from = None
        if self._dragged:
            self.clearFocus()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.reset()

    def wheelEvent(self, event: QWheelEvent) -> None:
        # Qt turns the wheel sideways while Alt is held; either axis counts.
        self.forget_typed()
        notches = (event.angleDelta().y() or event.angleDelta().x()) / 120
        self.move_by(notches * STEP, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        event.accept()

    # Keys

    def wants_key(self, event: QKeyEvent) -> bool:
        if event.modifiers() & (Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ControlModifier):
            return False
        if event.text() and event.text() in _TYPED:
            return True
        return bool(self.typed) and event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Backspace, *ENTER)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, text = event.key(), event.text()
        fine = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if self.wants_key(event) or (key in ENTER and self.typed):
            self._type(key, text)
        elif key in ENTER:
            self.clearFocus()
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Right):
            self.move_by(STEP, fine)
        elif key in (Qt.Key.Key_Down, Qt.Key.Key_Left):
            self.move_by(-STEP, fine)
        elif key == Qt.Key.Key_PageUp:
            self.move_by(PAGE, fine)
        elif key == Qt.Key.Key_PageDown:
            self.move_by(-PAGE, fine)
        elif key == Qt.Key.Key_Home:
            # The lowest gain is silence: no single key may end the music.
            self.ask(self.start if self.name == SILENT_BELOW else self.parameter.low)
        elif key == Qt.Key.Key_End:
            self.ask(self.parameter.high)
        else:
            super().keyPressEvent(event)

    def move_by(self, travel: float, fine: bool = False) -> None:
        """Move by a part of the travel; a counter moves by whole counts, one for the smallest step."""
        if self.parameter.integer:
            counts = max(1, 1 if fine else round(abs(travel) / STEP))
            self.ask(self.value + math.copysign(counts, travel))
            return
        now = self.parameter.to_normal(self.value)
        self.ask(self.parameter.from_normal(now + travel * (FINE if fine else 1.0)))

    def _type(self, key: int, text: str) -> None:
        """Collect digits; Enter sets exactly what was typed or says why not, Esc forgets it."""
        if key in ENTER:
            typed, self.typed = self.typed, ""
            self.clearFocus()  # the digits recall scenes again
            self.set_typed(typed)
        elif key == Qt.Key.Key_Escape:
            self.typed = ""
        elif key == Qt.Key.Key_Backspace:
            self.typed = self.typed[:-1]
        elif len(self.typed) < 10:
            self.typed += text
        self.update()

    def forget_typed(self) -> None:
        """Drop a half-typed value."""
        if self.typed:
            self.typed = ""
            self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.forget_typed()
        super().focusOutEvent(event)

    # Drawing

    def face(self) -> tuple[object, ...]:
        return self.turning_face()

    def _dial(self, area: QRectF) -> tuple[QPointF, float, float]:
        """Middle and radius of the ring, and how thick it is."""
        head, foot = self.frame_places(area)
        room = QRectF(area.x() + 6, head.bottom(), area.width() - 12, foot.top() - head.bottom())
        size = min(
            room.width(), room.height() * 1.12
        )  # the ring is open below: its box may reach into the footer
        thick = size * 0.105
        middle = QPointF(room.center().x(), room.top() + max(size / 2, room.height() * 0.54))
        return middle, size / 2 - thick, thick

    def wave_place(self, area: QRectF) -> QRectF:
        head, _ = self.frame_places(area)
        return QRectF(area.right() - 25, head.bottom() + 2, 18, 9)

    def _from_zero(self, place: float) -> tuple[float, float]:
        """The ends of the arc, in the travel. It begins in the middle for a knob that goes both ways."""
        zero = self.parameter.to_normal(0) if self.parameter.both_ways else 0.0
        return min(zero, place), max(zero, place)

    def draw_still(self, painter: QPainter, area: QRectF) -> None:
        self.draw_frame(painter, area)
        middle, radius, thick = self._dial(area)
        self._arc(painter, middle, radius, 0.0, 1.0, theme.RAISED, thick)
        if self.queued and self.heard is not None:
            heard = self.parameter.to_normal(self.heard)
            self._arc(painter, middle, radius, *self._from_zero(heard), theme.ACCENT, thick)
        start = self.parameter.to_normal(self.start)
        self._tick(painter, middle, radius + thick * 0.85, start, theme.FAINT, 1.0, max(2.5, thick * 0.28))

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        middle, radius, thick = self._dial(area)
        place = self.parameter.to_normal(self.value)
        if self.queued and self.heard is not None:
            heard = self.parameter.to_normal(self.heard)
            low, high = sorted((place, heard))
            self._arc(painter, middle, radius, low, high, theme.ACCENT_DIM, thick)
            self._tick(painter, middle, radius, heard, theme.ACCENT, thick, max(2.0, thick * 0.3))
        else:
            colour = theme.FAINT if self.heard is None else theme.ACCENT
            self._arc(painter, middle, radius, *self._from_zero(place), colour, thick)
        # The needle ends short of the number, which may be as wide as the ring leaves room for.
        needle = radius - thick * 0.2
        self._tick(painter, middle, needle, place, theme.TEXT, thick * 1.2, max(3.0, thick * 0.45))
        if self.hardware is not None:
            self._hollow(painter, middle, radius, self.hardware, thick)
        self._value(painter, middle, radius, thick)

    def _value(self, painter: QPainter, middle: QPointF, ring: float, thick: float) -> None:
        """Write the value in the middle of the ring of radius `ring`, or what is typed."""
        radius = ring - thick * 1.15
        box = QRectF(middle.x() - radius, middle.y() - radius * 0.42, 2 * radius, radius * 0.84)
        if self.typed:
            plate(painter, box.adjusted(2, 0, -2, 0), theme.ACCENT_DEEP, theme.ACCENT, 2, 5)
            theme.write(painter, box.adjusted(6, 0, -6, 0), self.typed + "_", int(radius * 0.62), theme.TEXT,
                        theme.CENTRE, bold=True)  # fmt: skip
            return
        text = self.parameter.text(self.value)
        number, _, unit = text.partition(" ")
        place, unit_place, pixels = number_places(number, middle, ring, thick)
        theme.write(painter, place, number, pixels, theme.TEXT, theme.CENTRE, bold=True)
        if unit:
            theme.write(painter, unit_place, unit, unit_pixels(radius), theme.DIM, theme.CENTRE)

    @staticmethod
    def _arc(
        painter: QPainter,
        middle: QPointF,
        radius: float,
        low: float,
        high: float,
        colour: QColor,
        width: float,
    ) -> None:
        """A part of the ring of `radius`, between two places 0..1 of the travel."""
        if high <= low:
            return
        ring = QRectF(middle.x() - radius, middle.y() - radius, 2 * radius, 2 * radius)
        painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        start = START_DEGREES - SWEEP_DEGREES * low
        painter.drawArc(ring, round(start * 16), round(-SWEEP_DEGREES * (high - low) * 16))

    @staticmethod
    def _hollow(painter: QPainter, middle: QPointF, radius: float, place: float, thick: float) -> None:
        """An empty circle on the ring of `radius`, at a place 0..1 of the travel."""
        angle = math.radians(START_DEGREES - SWEEP_DEGREES * place)
        centre = middle + QPointF(math.cos(angle), -math.sin(angle)) * radius
        painter.setPen(QPen(theme.TEXT, max(1.5, thick * 0.16)))
        painter.drawEllipse(centre, thick * 0.42, thick * 0.42)

    @staticmethod
    def _tick(
        painter: QPainter,
        middle: QPointF,
        radius: float,
        place: float,
        colour: QColor,
        length: float,
        width: float,
    ) -> None:
        """A radial mark of `length`, centred on the circle of `radius`."""
        angle = math.radians(START_DEGREES - SWEEP_DEGREES * place)
        way = QPointF(math.cos(angle), -math.sin(angle))
        painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(middle + way * (radius - length / 2), middle + way * (radius + length / 2))


def number_places(number: str, middle: QPointF, ring: float, thick: float) -> tuple[QRectF, QRectF, int]:
    """Return where a number and the unit below it stand inside a ring, and the size of the number's letters.

    ring, thick: the radius of the ring's middle and its width. All lengths in logical pixels. A small ring, in which
    the smallest letters do not fit beside the needle, gives the number all the room inside it.
    """
    inner = ring - thick * 1.15
    least = theme.width_of(number, theme.least_nominal(), True)
    half = inner if least <= 2 * inner else ring - thick / 2
    pixels = int(inner * 0.62)
    place = QRectF(middle.x() - half, middle.y() - inner * 0.42, 2 * half, inner * 0.84)
    digits = theme.metrics(theme.written_size(number, place, pixels, bold=True), True)
    capital = theme.metrics(unit_pixels(inner)).capHeight()
    top = middle.y() + digits.capHeight() / 2 + max(3.0, inner * 0.12)
    high = min(capital * 1.5, middle.y() + ring + thick / 2 - top)  # down to the end of the open ring
    return place, QRectF(middle.x() - half, top + (capital - high) / 2, 2 * half, high), pixels


def unit_pixels(inner: float) -> int:
    """The size of the letters of a unit, in a ring with this radius inside."""
    return int(max(theme.LEAST_PIXELS, inner * 0.32))
