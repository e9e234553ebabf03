"""After a menu, a dialog or a refused value, all keys are the window's again."""

from __future__ import annotations

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QInputDialog, QMenu, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow

KEYS = {Qt.Key.Key_3: ("recall_scene", 3), Qt.Key.Key_N: ("trigger", "reroll"), Qt.Key.Key_Space: ("start",)}


def right_click(widget: QWidget) -> QMenu:
    at = widget.rect().center()
    mouse = QContextMenuEvent.Reason.Mouse
    QApplication.sendEvent(widget, QContextMenuEvent(mouse, at, widget.mapToGlobal(at)))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def all_keys_work(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: QApplication.activePopupWidget() is None)
    qtbot.waitActive(window)
    demo.asked.clear()
    for key in KEYS:
        qtbot.keyClick(window.focusWidget() or window, key)
    assert [call for call in demo.asked if call[0] != "learn"] == list(KEYS.values())


@pytest.mark.parametrize("clicked", [False, True])
@pytest.mark.parametrize("name", ["memory", "seed", "noise_style", "hold", "scene 1"])
def test_all_keys_work_after_a_right_click_and_escape(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, name: str, clicked: bool
) -> None:
    tile: QWidget = window.scenes.pads[1] if name == "scene 1" else window.tiles[name]
    if name == "scene 1":
        window.show_view(View.STAGE)
    if clicked:
        tile.setFocus()
    qtbot.keyClick(right_click(tile), Qt.Key.Key_Escape)
    QApplication.processEvents()
    all_keys_work(window, demo, qtbot)


def test_all_keys_work_after_a_value_that_is_refused(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    knob = window.tiles["memory"]
    assert isinstance(knob, Knob)
    knob.setFocus()
    qtbot.keyClicks(knob, "7")
    qtbot.keyClick(knob, Qt.Key.Key_Return)
    assert not knob.hasFocus() and knob.typed == ""
    assert "Memory goes from 0.00 to 1.00: 7 is outside." in window.notices.toPlainText()
    all_keys_work(window, demo, qtbot)


@pytest.mark.parametrize("end", ["accept", "reject"])
@pytest.mark.parametrize("name", ["memory", "scene 1"])
def test_all_keys_work_after_a_dialog(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, name: str, end: str
) -> None:
    tile: QWidget = window.scenes.pads[1] if name == "scene 1" else window.tiles[name]
    tile.setFocus()
    dialog: QInputDialog = tile.ask_name() if name == "scene 1" else tile.ask_value()  # type: ignore[attr-defined]
    dialog.setTextValue("9")
    getattr(dialog, end)()
    QApplication.processEvents()
    qtbot.waitActive(window)
    all_keys_work(window, demo, qtbot)


def test_escape_lets_go_of_a_knob(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    knob = window.tiles["memory"]
    knob.setFocus()
    window.notices.dismiss()
    qtbot.keyClick(knob, Qt.Key.Key_Escape)
    assert not knob.hasFocus()
    all_keys_work(window, demo, qtbot)


def test_a_menu_from_the_keyboard_leaves_the_hand_where_it_was(window: MainWindow, qtbot: QtBot) -> None:
    knob = window.tiles["memory"]
    knob.setFocus()
    keyboard = QContextMenuEvent.Reason.Keyboard
    QApplication.sendEvent(knob, QContextMenuEvent(keyboard, QPoint(5, 5), knob.mapToGlobal(QPoint(5, 5))))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    qtbot.keyClick(menu, Qt.Key.Key_Escape)
    assert window.focusWidget() is knob


def test_a_page_of_the_settings_that_goes_takes_the_focus_to_no_pad(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    """Hold got it, so Enter held the noise."""
    window.resize(960, 540)
    window.show_view(View.SETTINGS)
    QApplication.processEvents()
    choice = next(iter(window.look_row.tiles.values()))
    choice.setFocus()
    assert choice.hasFocus()
    qtbot.keyClick(window, Qt.Key.Key_F4)
    assert not choice.isVisible()
    assert window.focusWidget() in (None, window)
    all_keys_work(window, demo, qtbot)
