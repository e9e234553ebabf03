"""Controllers in the window: where the hardware stands, learning in a row, letting go, finding, and the question."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demo_transport import DemoTransport
from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from jbdiff_live.control_view import Ghost, LearnQuestion, Waiting
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.strips import Strip
from jbdiff_live.ui.window import MainWindow

QUESTION = LearnQuestion(
    "box", "resample", "CC 80", ("gain",), "CC 80 moves Gain already. Replace that, keep both, or cancel?"
)
SHIFT = Qt.KeyboardModifier.ShiftModifier


def show(window: MainWindow, demo: DemoTransport, **control: object) -> None:
    demo.set_status(control=replace(demo.state.control, **control))
    window.look()


def test_a_hollow_mark_shows_where_the_hardware_stands_until_it_has_taken_over(
    window: MainWindow, demo: DemoTransport
) -> None:
    knob = window.tiles["resample"]
    assert isinstance(knob, Knob)
    plain = knob.grab().toImage()
    pictures = []
    for place in (0.25, 0.75):
        show(window, demo, hardware={"resample": Ghost(place, taken=False)})
        pictures.append(knob.grab().toImage())
    assert plain != pictures[0] != pictures[1]
    show(window, demo, hardware={"resample": Ghost(0.25, taken=True)})
    assert knob.grab().toImage() == plain


def test_a_row_is_learned_from_the_focused_knob_on_and_the_same_key_skips(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    order = [tile.name for tile in window.panel.order]
    window.tiles["guidance"].setFocus()
    qtbot.keyClick(window, Qt.Key.Key_L, SHIFT)
    qtbot.keyClick(window, Qt.Key.Key_L, SHIFT)
    assert demo.asked == [("learn_row", tuple(order[order.index("guidance") :])), ("skip_learning",)]
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert demo.asked[-1] == ("learn", None)


@pytest.mark.parametrize(("button", "function"), [("start", "play"), ("record", "record")])
def test_start_and_record_are_learned_like_a_knob(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, button: str, function: str
) -> None:
    getattr(window.bar, button).setFocus()
    qtbot.keyClick(window, Qt.Key.Key_L)
    assert demo.asked == [("learn", function)]
    show(window, demo, row=(function,), last_message="CC 41 = 0 (ch 1)")
    assert f"Learn {function.capitalize()}: move a control" in window.notices.toPlainText()
    assert "CC 41 = 0" in window.notices.toPlainText()


@pytest.mark.parametrize(
    ("key", "what", "words"), [(Qt.Key.Key_U, "unlearn", "Unlearn"), (Qt.Key.Key_K, "locate", "Locate")]
)
@pytest.mark.parametrize("end", ["again", "escape"])
def test_unlearn_and_locate_wait_for_a_control_and_are_ended(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, key: Qt.Key, what: str, words: str, end: str
) -> None:
    qtbot.keyClick(window, key)
    assert demo.asked == [(what,)] and words in window.notices.toPlainText()
    qtbot.keyClick(window, key if end == "again" else Qt.Key.Key_Escape)
    assert demo.asked[-1] == ("learn", None)
    assert words not in window.notices.toPlainText()


def test_a_located_control_focuses_its_knob(window: MainWindow, demo: DemoTransport) -> None:
    show(window, demo, waiting=Waiting.LOCATE, touched=("gain",), note="it moves Gain")
    assert window.focusWidget() is window.tiles["gain"]
    assert "it moves Gain" in window.notices.toPlainText()


@pytest.mark.parametrize(
    ("entry", "answer"), [("Replace", "replace"), ("Keep both", "both"), ("Cancel", "cancel")]
)
def test_a_control_that_moves_something_asks_what_to_do(
    window: MainWindow, demo: DemoTransport, entry: str, answer: str
) -> None:
    show(window, demo, question=QUESTION)
    menu = window.question.menu
    assert menu is not None and QUESTION.text in window.notices.toPlainText()
    window.look()
    assert window.question.menu is menu, "asked once"
    next(action for action in menu.actions() if action.text() == entry).trigger()
    menu.close()
    QApplication.processEvents()
    assert demo.asked == [("answer_learning", answer)] and window.question.menu is None


def test_closing_the_question_cancels(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    show(window, demo, question=QUESTION)
    assert window.question.menu is not None
    window.question.menu.close()
    qtbot.waitUntil(lambda: demo.asked == [("answer_learning", "cancel")])
    QCoreApplication.processEvents()
    show(window, demo, question=QUESTION)
    assert window.question.menu is not None, "the same question may come again"
    window.question.menu.close()
    qtbot.waitUntil(lambda: len(demo.asked) == 2)


@pytest.mark.parametrize(("key", "function"), [(Qt.Key.Key_Space, "play"), (Qt.Key.Key_R, "record")])
def test_what_is_held_for_the_bar_is_not_done_at_once(
    window: MainWindow,
    demo: DemoTransport,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    key: Qt.Key,
    function: str,
) -> None:
    held: list[str] = []
    monkeypatch.setattr(demo, "holds", lambda name: held.append(name) or True)
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keyClick(window, key)
    assert held == [function] and demo.asked == []


@pytest.mark.parametrize("size", [(82, 46), (160, 104)])
def test_the_hollow_mark_of_a_strip_is_a_ring_on_its_track(qtbot: QtBot, size: tuple[int, int]) -> None:
    """A tall one stood in the value above, and looked like a 0."""
    strip = Strip(BY_NAME["motion"])
    qtbot.addWidget(strip)
    strip.resize(*size)
    plain = strip.grab().toImage()
    strip.show_hardware(0.3)
    ghost = strip.grab().toImage()
    changed = [
        (x, y) for x in range(size[0]) for y in range(size[1]) if plain.pixel(x, y) != ghost.pixel(x, y)
    ]
    wide, high = (max(place) - min(place) + 1 for place in zip(*changed, strict=True))
    assert abs(wide - high) <= 1, "as wide as it is high"
    assert min(y for _, y in changed) > size[1] * 0.7
