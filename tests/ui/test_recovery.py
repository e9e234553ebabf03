"""The question that offers broken takes: Recover is the default, and the window can be used meanwhile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from jbdiff_live.ui.recovery import offer_recovery, question
from jbdiff_live.ui.window import MainWindow


def test_recover_is_the_default_and_the_question_blocks_nothing(qtbot: QtBot) -> None:
    window = MainWindow(DemoTransport())
    qtbot.addWidget(window)
    asked: list[str] = []
    box = offer_recovery(window, [Path("takes/one")], lambda: asked.append("recover"))
    assert box is not None and box.windowModality() is Qt.WindowModality.NonModal
    assert box.defaultButton().text() == "Recover"
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert asked == ["recover"]


def test_a_take_and_the_ring_of_the_same_second_are_told_apart(tmp_path: Path) -> None:
    """The question listed the same name twice."""
    for file in ("takes/night/take.json", "always/night/000001/take.json"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("{}")
    asked = question([tmp_path / "takes" / "night", tmp_path / "always" / "night"])
    assert "2 takes" in asked and "\nnight\nnight: the last minutes, which are always recorded\n" in asked


def test_later_leaves_everything_and_a_refusal_is_shown(qtbot: QtBot) -> None:
    window = MainWindow(DemoTransport())
    qtbot.addWidget(window)
    asked: list[str] = []
    box = offer_recovery(window, [Path("one")], lambda: asked.append("recover"))
    assert box is not None
    box.reject()
    assert asked == []

    def refuse() -> None:
        raise ValueError("the disk does not answer")

    box = offer_recovery(window, [Path("one")], refuse)
    assert box is not None
    box.defaultButton().click()
    assert window.notices.refused == {"recover": "the disk does not answer"}
    assert offer_recovery(window, [], refuse) is None


def test_the_folder_of_the_take_opens(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()) is None)
    demo = DemoTransport()
    window = MainWindow(demo)
    qtbot.addWidget(window)
    window.deeds()["show_take"]("Ctrl+T")
    assert "press R" in window.notices.refused["show the take"]
    demo.set_status(recorder=replace(demo.state.recorder, folder=tmp_path))
    window.look()
    window.deeds()["show_take"]("Ctrl+T")
    assert opened == [str(tmp_path)] and not window.notices.refused


def test_the_keys_keep_what_was_heard(qtbot: QtBot) -> None:
    demo = DemoTransport()
    window = MainWindow(demo)
    qtbot.addWidget(window)
    window.deeds()["keep"]("J")
    window.deeds()["keep_all"]("Shift+J")
    assert demo.asked[-2:] == [("keep", False), ("keep", True)]


def test_the_question_names_the_takes() -> None:
    many = [Path("takes") / f"take {number}" for number in range(7)]
    assert "take 4" in question(many) and "and 2 more" in question(many)
