"""The window's part in the noise: keys for its gestures, LFOs in the menu, grey knobs that say why."""

from __future__ import annotations

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from jbdiff_live.beat.modulation import Lfo, Shape
from jbdiff_live.ui.window import MainWindow

KEYS = {
    "S": "advance",
    "W": "write",
    "E": "erase",
    "X": "reset_context",
    "N": "reroll",
    "B": "home",
    "P": "panic",
}


@pytest.mark.parametrize(("key", "action"), KEYS.items())
def test_every_gesture_has_a_key(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, key: str, action: str
) -> None:
    qtbot.keyClick(window, getattr(Qt.Key, f"Key_{key}"))
    assert demo.snapshot().counts[action] == 1


def test_no_tile_lies_on_another_in_the_smallest_window(window: MainWindow, qtbot: QtBot) -> None:
    window.resize(window.minimumSize())
    qtbot.waitUntil(lambda: window.size() == window.minimumSize())
    areas = [(name, tile.geometry()) for name, tile in window.panel.tiles.items()]
    for number, (name, area) in enumerate(areas):
        for other, its in areas[:number]:
            assert not area.intersects(its), f"{name} and {other}"


def submenu(menu: QMenu, text: str) -> QMenu:
    inside = next(action.menu() for action in menu.actions() if action.text().startswith(text))
    assert isinstance(inside, QMenu)
    return inside


def choose(menu: QMenu, text: str) -> None:
    next(action for action in menu.actions() if action.text() == text).trigger()


def test_the_menu_gives_a_knob_an_lfo_and_takes_it_away(window: MainWindow, demo: DemoTransport) -> None:
    tile = window.tiles["resample"]
    choose(submenu(submenu(tile.make_menu(), "LFO"), "Shape"), "triangle")
    assert demo.lfos() == {"resample": Lfo(Shape.TRIANGLE)}
    choose(submenu(submenu(tile.make_menu(), "LFO"), "Speed"), "4 bars")
    assert demo.lfos() == {"resample": Lfo(Shape.TRIANGLE, bars=4.0)}
    choose(submenu(submenu(tile.make_menu(), "LFO"), "Speed"), "0.5 Hz")
    choose(submenu(tile.make_menu(), "LFO"), "On")
    assert demo.lfos() == {"resample": Lfo(Shape.TRIANGLE, rate=0.5, on=False)}
    choose(submenu(tile.make_menu(), "LFO"), "Remove")
    assert demo.lfos() == {}


def test_the_tooltip_tells_of_an_lfo_that_is_on(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_lfo("resample", Lfo(bars=2))
    window.look()
    assert "LFO: sine, 2 bars, depth 0.3." in window.tiles["resample"].toolTip()
    demo.set_lfo("resample", Lfo(on=False))
    window.look()
    assert "LFO" not in window.tiles["resample"].toolTip()


def test_what_sounds_is_shown_beside_what_is_set(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_lfo("resample", Lfo(depth=0.0, offset=0.5))
    demo.start()
    demo.advance(0.1)
    window.look()
    tile = window.tiles["resample"]
    assert (tile.value, tile.heard) == (0.0, 0.5)  # type: ignore[attr-defined]


def test_knobs_that_do_nothing_say_why(window: MainWindow, demo: DemoTransport) -> None:
    tiles = window.tiles
    window.look()
    assert tiles["noise_length"].inapplicable == "Style is at walk" and not tiles["noise_step"].inapplicable
    assert tiles["seed_b"].inapplicable == "Morph is at 0"
    window.set_parameter("noise_style", 4)
    window.set_parameter("seed_morph", 0.5)
    window.look()
    assert not tiles["noise_length"].inapplicable and not tiles["seed_b"].inapplicable
    assert tiles["noise_step"].inapplicable == "Style is at register"
