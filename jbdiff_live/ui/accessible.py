"""Roles and values for screen readers: what each painted control is, and what it is set to.

Qt asks the factory when a screen reader, or a test, looks at a widget. Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QAccessibleWidget, QWidget

from jbdiff_live.ui.drawing.meters import PeakMeter
from jbdiff_live.ui.drawing.painted import Painted
from jbdiff_live.ui.drawing.scope import Scope
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.rows.transport_bar import BigButton
from jbdiff_live.ui.tiles.buttons import Choice, Pad, Toggle
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.views.settings import PageTab
from jbdiff_live.ui.views.tabs import Tab

Role = QAccessible.Role
ROLES: tuple[tuple[type[QWidget], QAccessible.Role], ...] = (  # the first that fits counts
    (Knob, Role.Slider),
    (Choice, Role.ComboBox),
    (Toggle, Role.CheckBox),
    (Pad, Role.Button),
    (BigButton, Role.Button),
    (Tab, Role.PageTab),
    (PageTab, Role.PageTab),
    (Picker, Role.ButtonMenu),
    (PeakMeter, Role.Indicator),
    (Scope, Role.Graphic),
    (Painted, Role.StaticText),
)


class Described(QAccessibleWidget):
    """The widget as a screen reader sees it."""

    def __init__(self, widget: QWidget, role: QAccessible.Role) -> None:
        super().__init__(widget, role)
        self._widget = widget

    def text(self, which: QAccessible.Text) -> str:
        if which == QAccessible.Text.Value:
            return value_of(self._widget)
        return super().text(which)

    def state(self) -> QAccessible.State:
        state = super().state()
        if isinstance(self._widget, Toggle):
            state.checkable = True
            state.checked = self._widget.value >= 0.5
        elif isinstance(self._widget, (Tab, PageTab)):
            state.selected = self._widget.chosen
        return state


def value_of(widget: QWidget) -> str:
    """The value of a control in words; for a text or a button what it shows."""
    told = getattr(widget, "value_text", None)
    return str(told()) if callable(told) else str(getattr(widget, "value", ""))


def _describe(_key: str, thing: QObject) -> Described | None:
    role = next((role for kind, role in ROLES if isinstance(thing, kind)), None)
    if role is None or not isinstance(thing, QWidget):
        return None
    described = Described(thing, role)
    number = id(thing)
    _kept[number] = described
    thing.destroyed.connect(lambda: _kept.pop(number, None))
    return described


# Qt owns the descriptions in C++; this keeps their Python halves, whose methods it calls, as long as the widgets live.
_kept: dict[int, Described] = {}
_installed: list[bool] = []


def install() -> None:
    """Let Qt ask here. Once for the process; further calls do nothing."""
    if not _installed:
        _installed.append(True)
        QAccessible.installFactory(_describe)
