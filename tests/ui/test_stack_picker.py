"""The chooser of stacks, and the finisher's knobs where there is a finisher and where there is none."""

from __future__ import annotations

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from jbdiff_live.parameters import OF_THE_ANCHOR, OF_THE_FINISHER
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.ui.tiles.strips import Strip, StripChoice
from jbdiff_live.ui.tiles.tile import ParameterTile
from jbdiff_live.ui.window import MainWindow

LEFT = Qt.MouseButton.LeftButton


def entries(menu: QMenu) -> dict[str, QAction]:
    """Every entry by its text, those of menus inside it too."""
    found: dict[str, QAction] = {}
    for action in menu.actions():
        inside = action.menu()
        found |= (
            {f"{action.text()} > {text}": entry for text, entry in entries(inside).items()}
            if isinstance(inside, QMenu)
            else {action.text(): action}
        )
    return found


def click(qtbot: QtBot, window: MainWindow, *texts: str) -> None:
    """Opens the chooser with the mouse and goes through its entries with keys; each text is of one menu."""
    qtbot.mouseClick(window.stack, LEFT)
    menu = QApplication.activePopupWidget()
    for text in texts:
        assert isinstance(menu, QMenu)
        action = next(action for action in menu.actions() if action.text() == text)
        assert action.isEnabled()
        menu.setActiveAction(action)
        qtbot.keyClick(menu, Qt.Key.Key_Return)  # opens the menu inside it, or triggers it
        menu = action.menu()
    if (popup := QApplication.activePopupWidget()) is not None:
        popup.close()


def test_the_chooser_lists_stacks_and_greys_out_what_the_one_that_plays_lacks(window: MainWindow) -> None:
    menu = window.stack.make_menu()
    found = {text.partition(":")[0]: entry for text, entry in entries(menu).items()}  # without the reasons
    assert found["pocket"].isChecked()
    assert {"v1 > Levels 2 1 0 + finisher", "v1 > Levels 2 1", "v1 > Level 2"} <= set(found)
    for text in ("Level 1  cleans", "Level 0  cleans finest", "Finisher  stereo"):
        assert not found[text].isEnabled() and not found[text].isChecked()
    invents = found["Level 2  invents"]
    assert invents.isChecked() and not invents.isEnabled(), "the coarsest level has to play"
    menu.deleteLater()


def test_a_stack_and_its_parts_are_chosen_by_hand(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    click(qtbot, window, "v1", "Levels 2 1 + finisher")
    assert demo.asked == [("choose_stack", StackChoice("v1", (2, 1), True))]
    demo.stack_is_ready(StackChoice("v1", (2, 1)))
    window.look()
    click(qtbot, window, "Level 0  cleans finest")
    click(qtbot, window, "Level 1  cleans")
    click(qtbot, window, "Finisher  stereo")
    click(qtbot, window, "pocket")
    assert demo.asked[1:] == [
        ("choose_stack", StackChoice("v1", (2, 1, 0), True)),
        ("choose_stack", StackChoice("v1", (2,), True)),
        ("choose_stack", StackChoice("v1", (2, 1), False)),
        ("choose_stack", StackChoice("pocket")),
    ]


def test_the_chooser_says_what_plays_and_what_is_loading(window: MainWindow, demo: DemoTransport) -> None:
    assert (window.stack.value, window.stack.note) == ("pocket", "level 2")
    demo.choose_stack(StackChoice("v1"))
    window.look()
    assert (window.stack.value, window.stack.note) == ("pocket", "loading v1")
    assert "Loading v1: warming up, block 1 of 2." in window.notices.toPlainText()
    demo.start()
    window.look()
    assert "block 1 of 2. The old one plays until then." in window.notices.toPlainText()
    demo.stack_is_ready(StackChoice("v1"))
    window.look()
    assert (window.stack.value, window.stack.note) == ("v1", "levels 2 1 0 + finisher")
    assert "Loading" not in window.notices.toPlainText()


def test_a_stack_in_a_folder_is_shown_by_its_last_name(window: MainWindow, demo: DemoTransport) -> None:
    wanted, loading = StackChoice("/somewhere/far away/mine"), "/somewhere/else/other levels 2 1: loading"
    demo.set_stack(wanted=wanted, playing=None, loading=loading)
    window.look()
    assert (window.stack.value, window.stack.note) == ("mine", "loading other levels 2 1")


def test_why_a_stack_does_not_play_is_read_in_the_window(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_status(message="v1: a block takes about 95 s and lasts 2.2 s, so it cannot keep up here")
    window.look()
    assert "a block takes about 95 s" in window.notices.toPlainText()
    demo.refuse["choose_stack"] = ValueError("this generator plays no stacks")
    menu = window.stack.make_menu()
    entries(menu)["pocket"].trigger()
    window.look()
    assert "stack: this generator plays no stacks" in window.notices.toPlainText()
    menu.deleteLater()


def test_nothing_found_yet_is_said(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "stacks", list)
    demo.set_stack(playing=None)
    window.look()
    menu = window.stack.make_menu()
    found = entries(menu)
    assert "looking for stacks; open this again" in found
    assert not any(action.isEnabled() for action in found.values() if action.text())
    menu.deleteLater()


def test_the_finishers_knobs_do_nothing_without_one_and_say_why(
    window: MainWindow, demo: DemoTransport
) -> None:
    window.set_parameter("finisher_style", 3)
    window.look()
    tiles = [window.tiles[name] for name in OF_THE_FINISHER]
    assert len(tiles) == 5 and all("this stack has no finisher" in tile.toolTip() for tile in tiles)
    grey = {tile.name: tile.grab().toImage() for tile in tiles}
    demo.stack_is_ready(StackChoice("v1"))
    window.look()
    assert not any(tile.inapplicable for tile in tiles)
    assert all(tile.grab().toImage() != grey[tile.name] for tile in tiles)
    demo.stack_is_ready(StackChoice("v1", finisher=False))
    window.look()
    assert all("left out under Stack" in tile.accessibleDescription() for tile in tiles)
    demo.set_stack(playing=None)
    window.look()
    assert not any(tile.inapplicable for tile in tiles), "not known before the stack is loaded"


def test_the_anchors_knobs_do_nothing_where_a_stack_cannot_be_told_of_one(
    window: MainWindow, demo: DemoTransport
) -> None:
    tiles = {name: window.tiles[name] for name in OF_THE_ANCHOR}
    assert {name for name, tile in tiles.items() if tile.inapplicable} == {"tempo"}
    demo.stack_is_ready(StackChoice("v1"))
    window.look()
    assert all("this stack cannot be held to an anchor" in tile.toolTip() for tile in tiles.values())
    demo.set_stack(playing=None)
    window.look()
    assert not tiles["anchor"].inapplicable, "not known before the stack is loaded"


def test_knobs_that_another_knob_leaves_without_effect_say_which(
    window: MainWindow, demo: DemoTransport
) -> None:
    assert "Clock is at context" in window.tiles["tempo"].toolTip()
    window.set_parameter("clock", 2)
    window.set_parameter("anchor", 0)
    window.look()
    assert not window.tiles["tempo"].inapplicable
    assert "Anchor is at 0" in window.tiles["brightness"].toolTip()
    assert "Anchor is at 0" in window.tiles["motion"].accessibleDescription()
    assert not window.tiles["anchor"].inapplicable and not window.tiles["clock"].inapplicable


def test_a_strip_is_a_knob_that_lies_flat(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    strip, style = window.tiles["finisher_strength"], window.tiles["finisher_style"]
    assert isinstance(strip, Strip) and isinstance(style, StripChoice)
    strip.setFocus()
    qtbot.keyClick(strip, Qt.Key.Key_PageUp)
    assert demo.snapshot()["finisher_strength"] == pytest.approx(0.33)
    qtbot.keyClicks(strip, "0,5")
    qtbot.keyClick(strip, Qt.Key.Key_Return)
    assert demo.snapshot()["finisher_strength"] == 0.5
    for part, expected in ((0.6, "region"), (0.9, "walk"), (0.1, "random")):
        qtbot.mouseClick(style, LEFT, pos=QPoint(round(style.width() * part), 20))
        window.look()
        assert demo.snapshot().choice("finisher_style") == expected
    plain = strip.grab().toImage()
    assert isinstance(strip, ParameterTile)
    strip.show_value(0.9, 0.5)
    assert strip.queued and strip.grab().toImage() != plain
