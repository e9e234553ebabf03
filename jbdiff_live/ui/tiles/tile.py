"""The common parts of every control on the panel: focus ring, learning, binding text, right-click menu.

A tile knows one parameter or action by name. It never touches the session: it emits the player's requests, and shows
the values that the panel gives it.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math
from dataclasses import replace

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QKeyEvent, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.parameters import Parameter, TakesEffect
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, menu_place, plate
from jbdiff_live.ui.grey.words import grey_entry
from jbdiff_live.ui.letting_go import let_go, let_go_after
from jbdiff_live.ui.tiles.lfo_menu import fill_lfo_menu, lfo_text
from jbdiff_live.ui.tiles.typed import range_text, typed_value

LINE = 16.0  # pixels of the smallest line
TALL = 150  # pixels of height from which a tile has two lines at the bottom
SEEN_STEPS = 1000  # of a knob's travel: finer than the pixels of the largest ring


class Tile(Painted):
    """A focusable, learnable control. Subclasses draw in `draw_body` and emit `set_asked` or `triggered`.

    One that is turned while it is looked at has a face, and draws in `draw_still` what does not turn.
    """

    learnable = True  # a controller may move it

    set_asked = Signal(str, float)
    triggered = Signal(str)
    learn_asked = Signal(str)
    unbind_asked = Signal(str)
    lfo_asked = Signal(str, object)  # an `Lfo`, or None to take it away
    menu_made = Signal(str, object)  # the name and the `QMenu`: for what the window adds
    refused = Signal(str)  # why what a hand did here changed nothing, such as a typed value beyond the range

    def __init__(self, name: str, label: str, help_text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self.label = self.face_label = label  # face_label: what is drawn
        self.help_text = help_text
        self.binding = ""
        self.learning = False
        self.inapplicable = ""  # why it does nothing now
        self.lfo: Lfo | None = None
        self.coming = ""  # when the newest change is heard
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

    def show_coming(self, text: str) -> None:
        """Show when the newest change is heard, such as "in 1.2 s"; empty if no change is on its way."""
        if text != self.coming:
            self.coming = text
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

    def value_text(self) -> str:
        """What a screen reader says as the value."""
        return ""

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        """Draw what stands on the plate. A plain tile has nothing there."""

    def draw_still(self, painter: QPainter, area: QRectF) -> None:
        """What a face shows besides the plate."""

    def add_to_menu(self, menu: QMenu) -> None:
        """The first entries of the right-click menu."""

    # Shared behaviour

    def make_menu(self) -> QMenu:
        """The right-click menu, made anew so that it says what is bound now: values, LFO, controls, learn, unlearn."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.add_to_menu(menu)
        self.menu_made.emit(self.name, menu)
        learn = menu.addAction("Cancel learn\tEsc" if self.learning else "Learn MIDI\tL")
        learn.triggered.connect(lambda: self.learn_asked.emit("" if self.learning else self.name))
        unlearn = menu.addAction(f"Unlearn {self.binding}" if self.binding else "Unlearn")
        grey_entry(unlearn, "" if self.binding else "no control moves it")
        unlearn.triggered.connect(lambda: self.unbind_asked.emit(self.name))
        return menu

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = self.make_menu()
        # A hand at the keyboard goes on where it was.
        let_go_after(self, menu, event.reason() != QContextMenuEvent.Reason.Keyboard)
        menu.popup(menu_place(self, event))

    def open_menu(self) -> None:
        """Open the menu in the middle of the tile, for the keyboard."""
        self.make_menu().popup(self.mapToGlobal(self.rect().center()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if event.key() == Qt.Key.Key_Menu or (event.key() == Qt.Key.Key_F10 and shift):
            self.open_menu()
        else:
            super().keyPressEvent(event)

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
        painter.setOpacity(theme.faded() if self.inapplicable else 1.0)
        plate(painter, area, self.plate_colour())
        self.draw_still(painter, area)
        painter.setOpacity(1.0)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        if self.face() is None:
            self.draw_face(painter, area)
        painter.setOpacity(theme.faded() if self.inapplicable else 1.0)
        self.draw_body(painter, area)
        painter.setOpacity(1.0)
        if self.lfo is not None and self.lfo.on:
            draw_wave(painter, self.wave_place(area))
        if self.learning:
            edge = QColor(theme.ACCENT)
            edge.setAlphaF(0.35 + 0.65 * self._pulse)
            plate(painter, area, QColor(0, 0, 0, 0), edge, 4.0)
        elif self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)

    def plate_colour(self) -> QColor:
        return theme.PANEL

    def wave_place(self, area: QRectF) -> QRectF:
        """Where the mark of an LFO stands."""
        return QRectF(area.right() - 25, area.y() + 6, 18, 9)

    def draw_footer(self, painter: QPainter, area: QRectF, first: str, colour: QColor = theme.FAINT) -> None:
        """Draw one or two small lines at the bottom: the moment at which a change acts, and the binding."""
        lines = 2 if area.height() >= 2 * LINE else 1
        line = area.height() / lines
        size = int(min(line * 0.8, 14))
        if self.learning:
            theme.write(painter, area, "move a control", size + 1, theme.ACCENT, theme.CENTRE, bold=True)
            return
        top = QRectF(area.x(), area.y(), area.width(), line)
        if self.inapplicable:  # why it is grey counts more than what moves it
            why = self.inapplicable.partition(";")[0]
            ways = (why, why.removeprefix("Style is at ").removeprefix("Clock is at "), "does nothing")
            theme.write(
                painter, top, theme.first_fitting(ways, area.width(), size), size, theme.TEXT, theme.CENTRE
            )
            return
        bound = short_binding(self.binding, area.width(), size)
        if lines == 1:
            said = self.coming or bound or first
            theme.write(painter, top, said, size, theme.ACCENT if self.coming else theme.DIM, theme.CENTRE)
            return
        theme.write(painter, top, first, size, colour, theme.CENTRE)
        ink = theme.ACCENT if self.coming else theme.DIM
        theme.write(painter, top.translated(0, line), self.coming or bound or "–", size, ink, theme.CENTRE)

    def fitting_note(self, status: str, area: QRectF) -> str:
        """The state and the binding if both fit, else the binding if there is one, else the state."""
        width, pixels = area.width() - 14, int(max(12, min(area.height() * 0.19, 15)))
        bound = short_binding(self.binding, width, pixels)
        both = f"{status} · {bound}" if bound and status else bound or status
        return theme.first_fitting((both, bound or status), width, pixels)

    def _tell(self) -> None:
        """Keep tooltip and accessible description true."""
        self.setToolTip(self.whole_text())
        self.setAccessibleDescription(f"{self.state_text()} {self.toolTip()}".strip())

    def whole_text(self) -> str:
        """All that the tooltip says."""
        bound = f"Bound to {self.binding}." if self.binding else "Not bound; L learns a knob."
        when = f"Heard: {self.takes_effect()}."
        learning = " Learning: move a control or press a pad, Esc cancels." if self.learning else ""
        nothing = f" Does nothing now: {self.inapplicable}." if self.inapplicable else ""
        lfo = f" LFO: {lfo_text(self.lfo)}." if self.lfo is not None and self.lfo.on else ""
        return f"{self.label}: {self.help_text}.{nothing} {when}{self.facts()} {bound}{lfo}{learning}"

    def facts(self) -> str:
        """Further facts for the tooltip, with a space before them."""
        return ""


class ParameterTile(Tile):
    """A tile with a set value and a heard value. They differ while a change is queued."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        self.parameter = parameter
        self.value = parameter.default
        self.start = (
            parameter.default
        )  # the value to which a reset goes: the patch's, or else the parameter's
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

    def show_unit(self, unit: str) -> None:
        """Show the value in another unit: that of Morph time is a knob's choice."""
        if unit != self.parameter.unit:
            self.parameter = replace(self.parameter, unit=unit)
            self.setAccessibleDescription(f"{self.state_text()} {self.toolTip()}")
            self.update()

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
        return (
            heard,
            self.parameter.unit,
            self.learning,
            self.binding,
            self.inapplicable,
            self.coming,
            self.start,
        )

    @property
    def queued(self) -> bool:
        """True while the set value differs from the heard value."""
        return self.heard is not None and self.heard != self.value

    def ask(self, value: float) -> None:
        """Emits the wish for a value, clamped to the range."""
        value = self.parameter.clamp(value)
        if value != self.value:
            self.set_asked.emit(self.name, value)

    def show_start(self, value: float) -> None:
        """Show the value to which a reset goes."""
        if value != self.start:
            self.start = value
            self._tell()
            self.update()

    def reset(self) -> None:
        self.ask(self.start)

    def facts(self) -> str:
        """The range, and the value to which a reset goes."""
        one = self.parameter
        ends = "" if one.toggle or one.choices else f" From {one.text(one.low)} to {one.text(one.high)}."
        return f"{ends} Double-click: {one.text(self.start)}."

    def value_text(self) -> str:
        return self.parameter.text(self.value)

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
        one = self.parameter
        if one.choices or one.toggle:
            inside = menu.addMenu(f"Value: {one.text(self.value)}")
            for number in range(int(one.high) + 1):
                entry = inside.addAction(one.text(float(number)))
                entry.setCheckable(True)
                entry.setChecked(number == int(self.value))
                entry.triggered.connect(lambda _=False, number=number: self.ask(float(number)))
        else:
            menu.addAction("Type a value…").triggered.connect(self.ask_value)
        for words, value in (("The patch's value", self.start), ("The factory value", one.default)):
            entry = menu.addAction(f"{words}: {one.text(value)}")
            entry.triggered.connect(lambda _=False, value=value: self.ask(value))
        lfo = menu.addMenu("LFO" if self.lfo is None else f"LFO  {lfo_text(self.lfo)}")
        fill_lfo_menu(lfo, self.lfo, lambda chosen: self.lfo_asked.emit(self.name, chosen))

    def ask_value(self) -> QInputDialog:
        """Open a line to type a value in. It does not block. What the knob cannot hold is refused with the reason."""
        one = self.parameter
        dialog = QInputDialog(self.window())
        dialog.setWindowTitle(one.label)
        dialog.setLabelText(f"{one.label}, {range_text(one)}")
        dialog.setTextValue(one.text(self.value).partition(" ")[0])
        dialog.textValueSelected.connect(self.set_typed)
        dialog.finished.connect(dialog.deleteLater)
        let_go(self, dialog)
        dialog.open()
        return dialog

    def set_typed(self, text: str) -> None:
        """Set what was typed, or say why the knob cannot hold it."""
        try:
            value = typed_value(self.parameter, text)
        except ValueError as error:
            self.refused.emit(str(error))
        else:
            self.ask(value)

    def frame_places(self, area: QRectF) -> tuple[QRectF, QRectF]:
        """Where label and number stand above, and the footer below."""
        height = area.height()
        head = QRectF(area.x(), area.y() + 3, area.width(), max(18.0, min(height * 0.14, 26)))
        lines = 2 if height >= TALL else 1
        foot = lines * max(LINE, min(height * 0.09, 19))
        return head, QRectF(area.x() + 5, area.bottom() - foot - 3, area.width() - 10, foot)

    def draw_frame(self, painter: QPainter, area: QRectF) -> None:
        """Label above, footer below."""
        head, foot = self.frame_places(area)
        size = int(min(max(13, head.height() * 0.74), 18))
        label = head.adjusted(4, 0, -4, 0)
        theme.write(painter, label, self.face_label, size, theme.TEXT, theme.CENTRE, bold=True)
        note, colour = self.takes_effect(), theme.FAINT
        if self.queued and self.heard is not None:
            note, colour = f"heard {self.parameter.text(self.heard)}", theme.ACCENT
        self.draw_footer(painter, foot, note, colour)


def short_binding(text: str, width: float, pixels: int) -> str:
    """The binding in the most words that fit: all, the first one and how many more, or that it is bound."""
    first, *more = text.split(", ")
    count = f" +{len(more)}" if more else ""
    brief = first.removesuffix(" 14-bit")
    key = brief.partition(" note ")[2]
    ways = (text, f"{first}{count}", f"{brief}{count}", key and key + count, "bound")
    return theme.first_fitting(tuple(way for way in ways if way), width, pixels) if text else ""


def draw_wave(painter: QPainter, place: QRectF) -> None:
    """The mark of an LFO: one cycle of a wave."""
    path = QPainterPath(place.topLeft() + QPointF(0, place.height() / 2))
    for left, way in ((0.0, -1.0), (0.5, 1.0)):
        x, middle, half = place.x() + left * place.width(), place.center().y(), place.width() / 2
        path.quadTo(x + half / 2, middle + way * place.height(), x + half, middle)
    painter.setPen(QPen(theme.ACCENT, 2.0))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPath(path)
