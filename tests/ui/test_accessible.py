"""What a screen reader gets: a role, a name and a value for every control."""

from __future__ import annotations

import gc

from demo_states import play
from demo_transport import DemoTransport
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow

Role, Text = QAccessible.Role, QAccessible.Text


def told(widget: QWidget) -> tuple[QAccessible.Role, str, str]:
    interface = QAccessible.queryAccessibleInterface(widget)
    assert interface is not None
    return interface.role(), interface.text(Text.Name), interface.text(Text.Value)


def test_each_kind_of_control_has_its_role_and_value(window: MainWindow, demo: DemoTransport) -> None:
    demo.start()
    play(demo, 1.0)
    window.set_parameter("noise_step", 0.62)
    window.look()
    tiles = window.tiles
    assert told(tiles["noise_step"]) == (Role.Slider, "Noise", "0.62")
    assert told(tiles["gain"]) == (Role.Slider, "Gain", "0.0 dB")
    assert told(tiles["noise_style"]) == (Role.ComboBox, "Style", "walk")
    assert told(tiles["hold"]) == (Role.CheckBox, "Hold", "off")
    assert told(tiles["reroll"])[:2] == (Role.Button, "Re-roll")
    assert told(window.bar.panic)[:2] == (Role.Button, "Panic")
    assert told(window.patch) == (Role.ButtonMenu, "Patch", "first light")
    assert told(window.scope)[0] is Role.Graphic
    role, name, value = told(window.bar.meter)
    assert (role, name) == (Role.Indicator, "Output level") and value.endswith("dB")


def test_a_switch_says_whether_it_is_on(window: MainWindow) -> None:
    window.set_parameter("hold", 1)
    interface = QAccessible.queryAccessibleInterface(window.tiles["hold"])
    assert interface is not None and interface.state().checkable and interface.state().checked
    window.set_parameter("hold", 0)
    assert not interface.state().checked


def test_every_control_that_takes_the_focus_has_a_role_and_a_name(window: MainWindow) -> None:
    for view in View:
        window.show_view(view)
        for widget in window.findChildren(QWidget):
            if widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                role, name, _ = told(widget)
                assert name and role not in (Role.NoRole, Role.Client, Role.StaticText), (widget, role, name)


def test_a_closed_window_leaves_no_description_behind(qtbot: QtBot, demo: DemoTransport) -> None:
    from jbdiff_live.ui import accessible

    kept = set(accessible._kept)
    made = MainWindow(demo)
    for widget in [made, *made.findChildren(QWidget)]:
        told(widget)
    assert len(accessible._kept) > len(kept) + 40
    made.close()
    made.deleteLater()
    del made, widget
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert len(accessible._kept) <= len(kept)
