"""The menu of a knob: its value, its defaults, its LFO, and range, curve and takeover of its controls."""

from __future__ import annotations

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction, QContextMenuEvent
from PySide6.QtWidgets import QApplication, QInputDialog, QMenu
from pytestqt.qtbot import QtBot

from jbdiff_live.parameters import PARAMETERS
from jbdiff_live.ui.tiles.tile import ParameterTile, Tile
from jbdiff_live.ui.window import MainWindow


def entries(menu: QMenu) -> dict[str, QAction]:
    return {action.text(): action for action in menu.actions() if not action.isSeparator()}


def entry(menu: QMenu, *way: str) -> QAction:
    """The entry at the end of a way through submenus, each named by the beginning of its text."""
    found = next(action for action in menu.actions() if action.text().startswith(way[0]))
    inside = found.menu()
    return entry(inside, *way[1:]) if len(way) > 1 and isinstance(inside, QMenu) else found


def opened(window: MainWindow) -> QMenu:
    popup = QApplication.activePopupWidget()
    assert isinstance(popup, QMenu)
    return popup


@pytest.mark.parametrize("name", [parameter.name for parameter in PARAMETERS])
def test_every_knob_has_a_menu_with_value_defaults_and_learn(window: MainWindow, name: str) -> None:
    tile = window.tiles[name]
    assert isinstance(tile, ParameterTile)
    menu = tile.make_menu()
    texts = " / ".join(entries(menu))
    for word in ("alue", "The patch's value", "The factory value", "LFO", "Learn MIDI", "Unlearn"):
        assert word in texts, texts
    menu.close()


@pytest.mark.parametrize(
    ("key", "modifier"),
    [(Qt.Key.Key_Menu, Qt.KeyboardModifier.NoModifier), (Qt.Key.Key_F10, Qt.KeyboardModifier.ShiftModifier)],
)
@pytest.mark.parametrize("name", ["noise_step", "noise_style", "guidance", "mute", "reroll"])
def test_keys_open_the_menu(
    window: MainWindow, qtbot: QtBot, name: str, key: Qt.Key, modifier: Qt.KeyboardModifier
) -> None:
    tile = window.tiles[name]
    tile.setFocus()
    qtbot.keyClick(tile, key, modifier)
    menu = opened(window)
    assert any(text.startswith("Learn") for text in entries(menu))
    menu.close()


def test_a_right_click_opens_the_menu(window: MainWindow) -> None:
    tile = window.tiles["noise_step"]
    place = QPoint(20, 20)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, tile.mapToGlobal(place))
    QApplication.sendEvent(tile, event)
    opened(window).close()


@pytest.mark.parametrize(("typed", "value"), [("0.25", 0.25), (" 0,5 ", 0.5)])
def test_a_value_is_typed(window: MainWindow, demo: DemoTransport, typed: str, value: float) -> None:
    tile = window.tiles["noise_step"]
    assert isinstance(tile, ParameterTile)
    dialog = tile.ask_value()
    dialog.setTextValue(typed)
    dialog.accept()
    assert ("set_parameter", "noise_step", value) in demo.asked


@pytest.mark.parametrize("typed", ["7", "loud", "nan", ""])
def test_a_value_that_the_knob_cannot_hold_is_refused_with_its_reason(
    window: MainWindow, demo: DemoTransport, typed: str
) -> None:
    tile = window.tiles["noise_step"]
    assert isinstance(tile, ParameterTile)
    dialog = tile.ask_value()
    dialog.setTextValue(typed)
    dialog.accept()
    window.look()
    assert not [call for call in demo.asked if call[0] == "set_parameter"]
    assert "slip" in window.notices.hints and window.notices.isVisible()


def test_both_defaults_and_a_choice_are_set(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_status(patch_values={"noise_step": 0.7})
    window.set_parameter("noise_step", 0.1)
    window.look()
    tile = window.tiles["noise_step"]
    for way, value in ((("The patch's",), 0.7), (("The factory",), tile.parameter.default)):  # type: ignore[attr-defined]
        entry(tile.make_menu(), *way).trigger()
        assert demo.snapshot()["noise_step"] == value
    entry(window.tiles["noise_style"].make_menu(), "Value", "walk").trigger()
    assert demo.snapshot().choice("noise_style") == "walk"


@pytest.mark.parametrize(
    ("way", "text"),
    [
        (("Curve", "fast"), "ch 1 CC 21 from 0.2 to 0.8 curve fast hold bar"),
        (("Takeover", "jump"), "ch 1 CC 21 from 0.2 to 0.8 curve slow jump hold bar"),
        (("Inverted", "yes"), "ch 1 CC 21 from 0.2 to 0.8 inverted curve slow hold bar"),
        (("MIDI channel", "5"), "ch 5 CC 21 from 0.2 to 0.8 curve slow hold bar"),
    ],
)
def test_a_property_of_a_control_is_chosen(
    window: MainWindow, demo: DemoTransport, way: tuple[str, ...], text: str
) -> None:
    from jbdiff_live.binding import Binding

    entry(window.tiles["noise_step"].make_menu(), "CC 21", *way).trigger()
    assert Binding.parse("noise_step", text) in demo.bindings_of


def test_a_range_is_typed_and_nonsense_is_refused(window: MainWindow, demo: DemoTransport) -> None:
    def type_range(text: str) -> None:
        entry(window.tiles["noise_step"].make_menu(), "CC 21", "Range").trigger()
        dialog = next(d for d in window.findChildren(QInputDialog) if d.isVisible())
        dialog.setTextValue(text)
        dialog.accept()

    type_range("0.1 to 0.4")
    assert [b.span for b in demo.bindings_of if b.target == "noise_step"] == [(0.1, 0.4)]
    type_range("all the way")
    window.look()
    assert "write two values" in window.notices.toPlainText()


def test_without_a_control_the_menu_says_what_to_do(window: MainWindow) -> None:
    tile: Tile = window.tiles["memory"]
    found = entry(tile.make_menu(), "Range, curve, takeover")
    assert not found.isEnabled() and "learn a control first" in found.text()
