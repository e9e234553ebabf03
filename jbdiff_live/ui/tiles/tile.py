"""The common parts of every control on the panel: focus ring, learning, binding text, right-click menu.

A tile knows one parameter or action by name. It never touches the session: it emits the player's requests, and shows
the values that the panel gives it.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QPoint, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QFocusEvent, QKeyEvent, QPainter
from PySide6.QtWidgets import QMenu, QWidget

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.parameters import Parameter, TakesEffect
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, plate
from jbdiff_live.ui.tiles.lfo_menu import fill_lfo_menu, lfo_text

FADED = 0.45  # opacity of a tile that does nothing now
SEEN_STEPS = 1000  # of a knob's travel: finer than the pixels of the largest ring


class Tile(Painted):
    """A focusable, learnable control. Subclasses draw in `draw_body` and emit `set_asked` or `triggered`.

    One that is turned while it is looked at has a face, and draws in `draw_still` what does not turn.
    """

    set_asked = Signal(str, float)
    triggered = Signal(str)
    learn_asked = Signal(str)
    unbind_asked = Signal(str)
    lfo_asked = Signal(str, object)  # an `Lfo`, or None to take it away
    refused = Signal(str)  # the player typed something that the parameter cannot hold, and why

    def __init__(self, name: str, label: str, help_text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self.label = label
        self.help_text = help_text
        self.binding = ""
        self.learning = False
        self.number = ""  # the key that focuses it
        self.inapplicable = ""  # why it does nothing now
        self.lfo: Lfo | None = None
        self._pulse = 0.0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setObjectName(name)
        self.setAccessibleName(label)
        self._tell()

    # What the window tells the tile

    def show_binding(self, text: str) -> None:
        if text != self.binding:
            self.binding = text
            self._tell()
            self.update()

    def show_lfo(self, lfo: Lfo | None) -> None:
        if lfo != self.lfo:
            self.lfo = lfo
            self._tell()
            self.update()

    def show_learning(self, learning: bool) -> None:
        if learning != self.learning:
            self.learning = learning
            self._tell()
            self.update()

    def show_inapplicable(self, why: str) -> None:
        """Greys it out; it can still be set and learned, for when it does something again."""
        if why != self.inapplicable:
            self.inapplicable = why
            self._tell()
            self.update()

    def pulse(self, seconds: float) -> None:
        """Called while learning, so that the outline breathes; `seconds` is any running clock."""
        self._pulse = 0.5 + 0.5 * math.sin(seconds * 2 * math.pi * 1.2)
        self.update()

    # What subclasses say

    def takes_effect(self) -> str:
        return "now"

    def state_text(self) -> str:
        """What a screen reader says after the label."""
        return ""

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        raise NotImplementedError

    def draw_still(self, painter: QPainter, area: QRectF) -> None:
        """What a face shows besides the plate."""

    def add_to_menu(self, menu: QMenu) -> None:
        """Further entries of the right-click menu."""

    # Shared behaviour

    def make_menu(self) -> QMenu:
        """Learn, unbind, reset: the right-click menu, made anew so that it says what is bound now."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        learn = menu.addAction("Cancel learn\tEsc" if self.learning else "Learn MIDI\tL")
        learn.triggered.connect(lambda: self.learn_asked.emit("" if self.learning else self.name))
        unbind = menu.addAction(f"Unbind {self.binding}" if self.binding else "Unbind")
        unbind.setEnabled(bool(self.binding))
        unbind.triggered.connect(lambda: self.unbind_asked.emit(self.name))
        self.add_to_menu(menu)
        return menu

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        where = event.globalPos()
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            where = self.mapToGlobal(QPoint(self.width() // 2, self.height() // 2))
        self.make_menu().popup(where)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()
        super().focusOutEvent(event)

    def event(self, event: QEvent) -> bool:
        # Says "this key is mine" before the window's shortcuts see it.
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and isinstance(event, QKeyEvent)
            and self.wants_key(event)
        ):
            event.accept()
            return True
        return super().event(event)

    def wants_key(self, event: QKeyEvent) -> bool:
        """Keys that the window's shortcuts must leave to this tile."""
        return False

    def draw_face(self, painter: QPainter, area: QRectF) -> None:
        painter.setOpacity(FADED if self.inapplicable else 1.0)
        plate(painter, area, self.plate_colour())
        self.draw_still(painter, area)
        painter.setOpacity(1.0)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        if self.face() is None:
            self.draw_face(painter, area)
        painter.setOpacity(FADED if self.inapplicable else 1.0)
        self.draw_body(painter, area)
        painter.setOpacity(1.0)
        if self.learning:
            edge = QColor(theme.ACCENT)
            edge.setAlphaF(0.35 + 0.65 * self._pulse)
            plate(painter, area, QColor(0, 0, 0, 0), edge, 4.0)
        elif self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)

    def plate_colour(self) -> QColor:
        return theme.PANEL

    def draw_footer(self, painter: QPainter, area: QRectF, first: str, colour: QColor = theme.FAINT) -> None:
        """Draw two small lines at the bottom: the moment at which a change acts, and the binding."""
        line = area.height() / 2
        size = int(line * 0.78)
        if self.learning:
            theme.write(painter, area, "turn a knob", int(line * 0.95), theme.ACCENT, theme.CENTRE, bold=True)
            return
        top = QRectF(area.x(), area.y(), area.width(), line)
        theme.write(painter, top, first, size, colour, theme.CENTRE)
        theme.write(painter, top.translated(0, line), self.binding or "–", size, theme.DIM, theme.CENTRE)

    def _tell(self) -> None:
        """Keep tooltip and accessible description true."""
        bound = f"Bound to {self.binding}." if self.binding else "Not bound; L learns a knob."
        when = f"Heard: {self.takes_effect()}."
        learning = " Learning: turn a knob or press a pad, Esc cancels." if self.learning else ""
        nothing = f" Does nothing now: {self.inapplicable}." if self.inapplicable else ""
        lfo = f" LFO: {lfo_text(self.lfo)}." if self.lfo is not None and self.lfo.on else ""
        text = f"{self.label}: {self.help_text}.{nothing} {when} {bound}{lfo}{learning}"
        self.setToolTip(text)
        self.setAccessibleDescription(f"{self.state_text()} {text}".strip())


class ParameterTile(Tile):
    """A tile with a set value and a heard value. They differ while a change is queued."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        self.parameter = parameter
        self.value = parameter.default
        self.heard: float | None = None
        super().__init__(parameter.name, parameter.label, parameter.help, parent)

    def show_value(self, value: float, heard: float | None) -> None:
        """Show a value. heard: the value of the block that plays, or None if nothing plays."""
        moved = self.lfo is not None and self.lfo.on
        if self.parameter.takes_effect is TakesEffect.NOW and heard is not None and not moved:
            heard = value  # applied behind the ring, so it is not in the block's snapshot
        if (value, heard) != (self.value, self.heard):
            self.value, self.heard = value, heard
            if self.present(*self._seen()):
                self.setAccessibleDescription(f"{self.state_text()} {self.toolTip()}")

    def _seen(self) -> tuple[object, ...]:
        """What of the values can be seen: a turn that moves nothing on the screen repaints nothing."""
        return (
            self.queued,
            *(
                (self.parameter.text(value), round(self.parameter.to_normal(value) * SEEN_STEPS))
                for value in (self.value, self.heard)
                if value is not None
            ),
        )

    def turning_face(self) -> tuple[object, ...]:
        """What the still part of a knob depends on: all but the value that is set.

        The heard value is part of the face while a change is queued, since it stands still then.
        """
        heard = self.heard if self.queued else None
        return heard, self.learning, self.binding, self.inapplicable, self.number

    @property
    def queued(self) -> bool:
        """True while the set value differs from the heard value."""
        return self.heard is not None and self.heard != self.value

    def ask(self, value: float) -> None:
        """Emits the wish for a value, clamped to the range."""
        value = self.parameter.clamp(value)
        if value != self.value:
            self.set_asked.emit(self.name, value)

    def reset(self) -> None:
        self.ask(self.parameter.default)

    def takes_effect(self) -> str:
        return self.parameter.takes_effect.value

    def state_text(self) -> str:
        text = f"{self.parameter.text(self.value)}."
        return (
            f"{text} Heard now: {self.parameter.text(self.heard)}."
            if self.queued and self.heard is not None
            else text
        )

    def add_to_menu(self, menu: QMenu) -> None:
        lfo = menu.addMenu("LFO" if self.lfo is None else f"LFO  {lfo_text(self.lfo)}")
        fill_lfo_menu(lfo, self.lfo, lambda chosen: self.lfo_asked.emit(self.name, chosen))
        reset = menu.addAction(f"Reset to {self.parameter.text(self.parameter.default)}")
        reset.triggered.connect(self.reset)

    def frame_places(self, area: QRectF) -> tuple[QRectF, QRectF]:
        """Where label and number stand above, and the footer below."""
        height = area.height()
        head = QRectF(area.x(), area.y() + height * 0.03, area.width(), height * 0.14)
        foot = QRectF(area.x() + 5, area.bottom() - height * 0.205, area.width() - 10, height * 0.19)
        return head, foot

    def draw_frame(self, painter: QPainter, area: QRectF) -> None:
        """Label and number above, footer below."""
        height = area.height()
        head, foot = self.frame_places(area)
        small = int(max(10, height * 0.06))
        inset = small + 4  # on both sides, so that labels stay centred beside the number
        label, size = head.adjusted(inset, 0, -inset, 0), int(height * 0.086)
        if theme.metrics(size, True).horizontalAdvance(self.label) > label.width():
            label = head.adjusted(inset, 0, -3, 0)
        theme.write(painter, label, self.label, size, theme.TEXT, theme.CENTRE, bold=True)
        if self.number:
            corner = QRectF(area.x() + 7, area.y() + 4, inset, small * 1.3)
            theme.write(painter, corner, self.number, small, theme.FAINT, theme.LEFT)
        note, colour = self.takes_effect(), theme.FAINT
        if self.queued and self.heard is not None:
            note, colour = f"heard {self.parameter.text(self.heard)}", theme.ACCENT
        self.draw_footer(painter, foot, note, colour)
