"""Nothing is grey without a reason that a mouse, a keyboard and a screen reader get to."""

from __future__ import annotations

import re
from pathlib import Path

from demo_transport import DemoTransport
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QAction
from PySide6.QtWidgets import QDialog, QMenu, QPushButton
from pytestqt.qtbot import QtBot

from jbdiff_live.scenes.view import SceneStatus, SceneView
from jbdiff_live.ui import grey
from jbdiff_live.ui.grey.words import WhyGrey
from jbdiff_live.ui.window import MainWindow

UI = Path(grey.__file__).parent.parent


def grey_buttons(dialog: QDialog) -> list[QPushButton]:
    return [b for b in dialog.findChildren(QPushButton) if b.isVisible() and not b.isEnabled()]


def grey_entries(menu: QMenu) -> dict[str, QAction]:
    """The grey entries of a menu and its submenus, by the text before the reason."""
    found: dict[str, QAction] = {}
    for action in menu.actions():
        inside = action.menu()
        if isinstance(inside, QMenu):
            found |= grey_entries(inside)
        elif not action.isEnabled() and not action.isSeparator():
            found[action.text().partition(":")[0]] = action
    return found


def test_only_this_folder_makes_things_grey() -> None:
    """Elsewhere, `setEnabled(False)` is for lines of a menu that are no entries."""
    sources = {path: path.read_text() for path in UI.rglob("*.py") if path.parent != UI / "grey"}
    found = {
        str(path.relative_to(UI)): wrong
        for path, text in sources.items()
        if (wrong := [how for how in re.findall(r"setEnabled\((.*)\)", text) if how != "False"])
    }
    assert not found and len(sources) > 50


def test_the_browser_says_why_each_button_is_grey(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    demo.start()
    window.open_browser()
    browser = window.browser
    for row in range(len(browser.model.rows)):
        browser.list.setCurrentIndex(browser.model.index(row))
        assert grey_buttons(browser)
        for button in grey_buttons(browser):
            why = button.toolTip()
            assert why and button.accessibleDescription() == why
            assert why in browser.detail.reasons.text()
    qtbot.keyClicks(browser.search, "no patch has this name")
    assert all("nothing is chosen" in b.toolTip() for b in browser.detail.buttons if b.isVisible())
    line = browser.detail.reasons
    assert line.isVisible() and "nothing is chosen" in line.text()
    reader = QAccessible.queryAccessibleInterface(line)
    assert reader is not None and reader.text(QAccessible.Text.Name) == line.text()


def test_tab_reaches_the_line_of_reasons(window: MainWindow, qtbot: QtBot) -> None:
    window.open_browser()
    browser = window.browser
    browser.activateWindow()
    qtbot.waitUntil(browser.isActiveWindow)
    for _ in range(40):
        focused = browser.focusWidget()
        if isinstance(focused, WhyGrey):
            break
        qtbot.keyClick(focused or browser, Qt.Key.Key_Tab)
    assert isinstance(browser.focusWidget(), WhyGrey)


def test_entries_of_menus_say_why_they_are_grey(window: MainWindow, demo: DemoTransport) -> None:
    demo.bound.pop("noise_step")
    window.show_bindings()
    found = grey_entries(window.tiles["noise_step"].make_menu())
    assert found["Unlearn"].text() == "Unlearn: no control moves it"
    assert found["Remove"].text() == "Remove: the knob has no LFO"
    filled = SceneView(1, True, "calm")
    demo.set_status(scenes=SceneStatus((filled, *(SceneView(n) for n in range(2, 9)))))
    window.look()
    found = grey_entries(window.scenes.pads[1].make_menu())
    assert found["No program"].text() == "No program: it has none"
    found = grey_entries(window.stack.make_menu())
    assert found["Level 2  invents"].text().endswith(": the coarsest level always plays")
    assert found["Level 1  cleans"].text().endswith(": this stack has no such level")
    assert found["Finisher  stereo"].text().endswith(": this stack has none")


def test_the_table_of_bindings_says_why_a_line_stays(window: MainWindow) -> None:
    window.open_bindings()
    table, said = window.bindings, []
    for number in range(len(table.model.rows)):
        table.table.setCurrentIndex(table.model.index(number, 0))
        why = table.remove.toolTip()
        assert table.remove.isEnabled() == (why == "")
        if why:
            assert f"Remove: {why}." in table.line.text()
            said.append(why)
    assert said == ["this message always means panic", "the map uses CC 23"]
    table.close()
