"""The browser in the window: by keys alone and by mouse, at 960 x 540, with a reason for each grey button."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QLineEdit, QListView, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.beat.line import ClockState, ClockStatus
from jbdiff_live.browse.entry import LibraryStatus
from jbdiff_live.scenes.view import UndoStatus
from jbdiff_live.status import EngineState, EngineStatus
from jbdiff_live.ui.browser.detail import Action
from jbdiff_live.ui.browser.dialog import Browser
from jbdiff_live.ui.window import MainWindow

Key, CONTROL, SHIFT = Qt.Key, Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def browser(window: MainWindow, qtbot: QtBot, demo: DemoTransport) -> Browser:
    """Opened by its key, in the smallest window."""
    window.resize(960, 540)
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, Key.Key_O, CONTROL)
    assert window.browser.isVisible()
    window.browser.activateWindow()
    qtbot.waitUntil(window.browser.isActiveWindow)
    demo.asked.clear()
    return window.browser


def names(browser: Browser) -> list[str]:
    return [entry.name for entry in browser.model.rows]


def chosen(browser: Browser) -> str:
    entry = browser.chosen
    return "" if entry is None else entry.name


def press(qtbot: QtBot, browser: Browser, key: Qt.Key, how: Qt.KeyboardModifier | None = None) -> None:
    qtbot.keyClick(browser.focusWidget() or browser, key, how or Qt.KeyboardModifier.NoModifier)


def choose(browser: Browser, name: str) -> None:
    browser.list.setCurrentIndex(browser.model.index(names(browser).index(name)))


def test_letters_search_arrows_choose_and_enter_loads(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    assert len(names(browser)) == 5
    qtbot.keyClicks(browser.search, "slow no")
    assert names(browser) == ["slow-glass"]
    press(qtbot, browser, Key.Key_Return)
    assert demo.asked == [("load_patch", Path("patches/slow-glass.toml"))] and browser.isVisible()
    assert demo.state.patch == "slow-glass" and browser.model.plays(browser.model.rows[0])
    press(qtbot, browser, Key.Key_Escape)
    assert len(names(browser)) == 5 and browser.isVisible() and chosen(browser) == "slow-glass"
    press(qtbot, browser, Key.Key_Up)
    assert chosen(browser) == "first-light"
    press(qtbot, browser, Key.Key_Escape)
    assert not browser.isVisible()


def test_it_opens_from_the_patch_menu_too_and_asks_for_a_file_from_elsewhere(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    menu = window.patch.make_menu()
    next(entry for entry in menu.actions() if entry.text().startswith("Browser")).trigger()
    menu.deleteLater()
    assert window.browser.isVisible()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/tmp/dawn.toml", ""))
    qtbot.mouseClick(window.browser.elsewhere, Qt.MouseButton.LeftButton)
    assert ("load_patch", Path("/tmp/dawn.toml")) in demo.asked


def test_a_letter_never_does_something_to_the_music(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    qtbot.keyClicks(browser.search, "pmnrs 1")
    qtbot.keyClick(browser.search, Key.Key_Space)
    assert demo.asked == []
    press(qtbot, browser, Key.Key_P, CONTROL)
    assert demo.asked == [("trigger", "panic")]


def test_a_patch_is_armed_by_its_key_and_taken_back(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    choose(browser, "slow-glass")
    assert not browser.detail.arm.isEnabled() and "no clock runs" in browser.detail.reasons.text()
    press(qtbot, browser, Key.Key_Return, CONTROL)
    assert demo.asked == [] and "no clock runs" in browser.line.text()
    demo.start()
    demo.set_status(clock=ClockStatus(state=ClockState.RUNNING, bar=3))
    browser.look()
    demo.asked.clear()
    press(qtbot, browser, Key.Key_Return, CONTROL)
    assert demo.asked == [("arm_patch", Path("patches/slow-glass.toml"))]
    assert "loads in 1 s" in browser.detail.what.text() and browser.detail.arm.text().startswith("Take back")
    press(qtbot, browser, Key.Key_Return, CONTROL)
    assert demo.asked[-1] == ("arm_patch", None)


def test_listening_is_grey_with_its_reason_while_the_music_plays(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    choose(browser, "first-light")
    press(qtbot, browser, Key.Key_L, CONTROL)
    assert demo.asked == [("listen_to", Path("patches/sounds/light.ogg"))]
    assert browser.detail.listen.text().startswith("Stop")
    press(qtbot, browser, Key.Key_L, CONTROL)
    assert demo.asked[-1] == ("listen_to", None)
    demo.start()
    browser.look()
    demo.asked.clear()
    assert not browser.detail.listen.isEnabled()
    assert (
        "the audience would hear it; stop the music first, or arm the patch" in browser.detail.reasons.text()
    )
    press(qtbot, browser, Key.Key_L, CONTROL)
    assert demo.asked == [] and "the audience would hear it" in browser.line.text()


@pytest.mark.parametrize("state", [EngineState.LOADING, EngineState.WARMING, EngineState.READY])
def test_listening_needs_no_model_that_is_ready(
    browser: Browser, demo: DemoTransport, state: EngineState
) -> None:
    """The reason said to stop the music, and none played."""
    demo.set_status(engine=EngineStatus(state, asked=False))
    choose(browser, "first-light")
    browser.look()
    assert browser.detail.listen.isEnabled()
    demo.set_status(engine=EngineStatus(EngineState.STOPPING))
    browser.look()
    assert "the audience would hear it" in browser.detail.listen.why


def test_a_patch_without_a_sound_and_a_missing_device_have_other_reasons(
    browser: Browser, demo: DemoTransport
) -> None:
    choose(browser, "friday")
    assert "no sound to begin from" in browser.detail.listen.why
    demo.set_status(audio=replace(demo.state.audio, nowhere=True))
    choose(browser, "first-light")
    browser.look()
    assert "choose one in the settings" in browser.detail.listen.why


def test_closing_ends_what_is_listened_to(browser: Browser, demo: DemoTransport, qtbot: QtBot) -> None:
    choose(browser, "first-light")
    press(qtbot, browser, Key.Key_L, CONTROL)
    press(qtbot, browser, Key.Key_Escape)
    assert demo.asked[-1] == ("listen_to", None)


def test_a_bad_patch_is_listed_with_its_reason_and_cannot_be_loaded(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    choose(browser, "broken")
    assert "line 4: not TOML" in browser.detail.problem.text()
    press(qtbot, browser, Key.Key_Return)
    assert demo.asked == [] and "cannot be loaded" in browser.line.text()


def test_a_sound_is_continued_or_resampled(browser: Browser, demo: DemoTransport, qtbot: QtBot) -> None:
    choose(browser, "light.ogg")
    path = Path("patches/sounds/light.ogg")
    press(qtbot, browser, Key.Key_Return)
    press(qtbot, browser, Key.Key_Return, CONTROL)
    assert demo.asked == [("load_context_file", path), ("load_init_file", path)]


def test_favourites_are_marked_and_filtered(browser: Browser, demo: DemoTransport, qtbot: QtBot) -> None:
    choose(browser, "slow-glass")
    press(qtbot, browser, Key.Key_F, CONTROL)
    assert demo.asked == [("mark_favourite", "factory:slow-glass", True)]
    qtbot.mouseClick(browser.filters[4], Qt.MouseButton.LeftButton)
    assert names(browser) == ["first-light", "slow-glass"]
    press(qtbot, browser, Key.Key_F, CONTROL)
    assert demo.asked[-1] == ("mark_favourite", "factory:slow-glass", False)
    assert names(browser) == ["first-light"] and chosen(browser) == "first-light"


def test_factory_patches_are_read_only_and_say_so(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    choose(browser, "first-light")
    for key, how in ((Key.Key_F2, None), (Key.Key_T, CONTROL), (Key.Key_S, CONTROL)):
        press(qtbot, browser, key, how)
    assert demo.asked == []
    assert "it comes with the instrument" in browser.detail.reasons.text()


def test_an_own_patch_is_renamed_in_the_place_of_the_search(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    choose(browser, "friday")
    press(qtbot, browser, Key.Key_F2)
    assert browser.name.text() == "friday" and not browser.search.isVisible()
    qtbot.keyClicks(browser.name, "saturday")
    press(qtbot, browser, Key.Key_Return)
    assert demo.asked == [("rename_patch", Path("mine/friday.toml"), "saturday")]
    assert browser.search.isVisible()
    choose(browser, "friday")
    press(qtbot, browser, Key.Key_F2)
    press(qtbot, browser, Key.Key_Escape)
    assert len(demo.asked) == 1 and browser.isVisible() and browser.search.isVisible()


def test_a_refused_name_can_be_mended(browser: Browser, demo: DemoTransport, qtbot: QtBot) -> None:
    demo.refuse["save_patch_as"] = ValueError("there is a patch 'x' already; choose another name")
    press(qtbot, browser, Key.Key_S, CONTROL | SHIFT)
    qtbot.keyClicks(browser.name, "x")
    press(qtbot, browser, Key.Key_Return)
    assert "choose another name" in browser.line.text() and browser.name.isVisible()
    demo.refuse.clear()
    qtbot.keyClicks(browser.name, "y")
    press(qtbot, browser, Key.Key_Return)
    assert demo.asked[-1] == ("save_patch_as", "xy") and not browser.name.isVisible()


def test_the_trash_needs_two_presses(browser: Browser, demo: DemoTransport, qtbot: QtBot) -> None:
    choose(browser, "friday")
    press(qtbot, browser, Key.Key_T, CONTROL)
    assert demo.asked == [] and browser.detail.trash.text().startswith("Once more")
    choose(browser, "first-light")
    choose(browser, "friday")
    press(qtbot, browser, Key.Key_T, CONTROL)
    assert demo.asked == [], "another choice ends the question"
    press(qtbot, browser, Key.Key_T, CONTROL)
    assert demo.asked == [("trash_patch", Path("mine/friday.toml"))] and "friday" not in names(browser)


def test_save_and_revert_are_for_the_patch_that_plays(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    assert not browser.save.isEnabled() and not browser.revert.isEnabled()
    mine = str(Path("mine/friday.toml").resolve())
    demo.set_status(patch="friday", patch_file=mine, undo=UndoStatus(modified=True))
    browser.look()
    assert browser.playing.text() == "Plays: friday (changed)"
    press(qtbot, browser, Key.Key_S, CONTROL)
    press(qtbot, browser, Key.Key_R, CONTROL)
    assert demo.asked == [("save_own_patch",), ("revert",)]


def test_the_mouse_does_all_of_it(browser: Browser, demo: DemoTransport, qtbot: QtBot) -> None:
    row = browser.list.visualRect(browser.model.index(1)).center()
    qtbot.mouseClick(browser.list.viewport(), Qt.MouseButton.LeftButton, pos=row)
    assert chosen(browser) == "slow-glass"
    for button in (browser.detail.favourite, browser.detail.listen, browser.detail.load):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert [name for name, *_ in demo.asked] == ["mark_favourite", "listen_to", "load_patch"]
    qtbot.mouseDClick(browser.list.viewport(), Qt.MouseButton.LeftButton, pos=row)
    assert demo.asked[-1] == ("load_patch", Path("patches/slow-glass.toml"))


def test_nothing_is_cut_at_960_by_540_and_everything_has_a_name(
    browser: Browser, demo: DemoTransport
) -> None:
    demo.start()
    demo.set_status(library=LibraryStatus(problem="favourites are not read: a long reason; mend the file"))
    for name in names(browser):
        choose(browser, name)
        browser.look()
        QApplication.processEvents()  # the layout is made anew then
        for widget in browser.findChildren(QWidget):
            if not widget.isVisible() or not isinstance(widget, (Action, QLabel, QLineEdit, QListView)):
                continue
            if widget.parent() not in (browser, browser.detail):
                continue
            where = widget.mapTo(browser, widget.rect().topLeft())
            assert browser.rect().contains(widget.rect().translated(where)), widget
            if isinstance(widget, Action):
                assert widget.width() >= widget.minimumSizeHint().width(), widget.text()
            elif isinstance(widget, QLabel) and widget.wordWrap():
                assert widget.height() >= widget.heightForWidth(widget.width()), (name, widget.text())
    for row in range(browser.model.rowCount()):
        words = browser.model.index(row, 0).data(Qt.ItemDataRole.AccessibleTextRole)
        assert browser.model.rows[row].name in words


def test_an_armed_patch_that_came_is_said_to_be_loaded(
    browser: Browser, demo: DemoTransport, qtbot: QtBot
) -> None:
    """The line went on saying that it loads at the next bar."""
    demo.start()
    demo.set_status(clock=ClockStatus(state=ClockState.RUNNING, bar=3))
    browser.look()
    choose(browser, "slow-glass")
    press(qtbot, browser, Key.Key_Return, CONTROL)
    assert "loads at the next bar" in browser.line.text()
    demo.set_status(library=LibraryStatus(), patch_file="/patches/slow-glass.toml")
    browser.look()
    assert browser.line.text() == "slow-glass is loaded"
    press(qtbot, browser, Key.Key_Return, CONTROL)
    demo.trigger("panic")
    demo.set_status(library=LibraryStatus(), patch_file="/patches/drift.toml")
    browser.look()
    assert browser.line.text() == "no patch is armed"
