"""Messages: read once, dismissed by key and mouse, amber only if something is degraded; and the two state words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demo_states import play
from demo_transport import DemoTransport
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from jbdiff_live.block import Rung
from jbdiff_live.stage_word import NO_DEVICE, Word, stage_word
from jbdiff_live.status import ControlStatus, EngineState, EngineStatus, Held
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.window import MainWindow


@pytest.fixture
def playing(window: MainWindow, demo: DemoTransport) -> DemoTransport:
    demo.start()
    play(demo, 3.0)
    window.look()
    return demo


def say(demo: DemoTransport, problem: str) -> None:
    demo.set_status(recorder=replace(demo.state.recorder, problem=problem))


@pytest.mark.parametrize("hand", ["key", "mouse"])
def test_a_message_is_dismissed_and_comes_back_when_it_changes(
    window: MainWindow, playing: DemoTransport, qtbot: QtBot, hand: str
) -> None:
    say(playing, "the disk is full")
    window.look()
    assert window.notices.isVisible()
    if hand == "key":
        qtbot.keyClick(window, Qt.Key.Key_Escape)
    else:
        qtbot.mouseClick(window.notices.viewport(), Qt.MouseButton.LeftButton)
    assert window.notices.isHidden()
    window.look()
    assert window.notices.isHidden(), "the same problem stays dismissed"
    say(playing, "the disk is gone")
    window.look()
    assert "the disk is gone" in window.notices.toPlainText() and window.notices.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    say(playing, "")
    window.look()
    say(playing, "the disk is gone")
    window.look()
    assert window.notices.isVisible(), "it went away and is back"


def test_a_click_on_the_word_shows_again_what_was_dismissed(
    window: MainWindow, playing: DemoTransport, qtbot: QtBot
) -> None:
    say(playing, "the disk is full")
    window.look()
    window.escape()
    qtbot.mouseClick(window.bar.view, Qt.MouseButton.LeftButton)
    window.look()
    assert "the disk is full" in window.notices.toPlainText()


def test_escape_cancels_learning_before_it_dismisses(window: MainWindow, playing: DemoTransport) -> None:
    say(playing, "the disk is full")
    playing.learn("gain")
    window.look()
    window.escape()
    assert window.notices.isVisible() and playing.state.control.learning is None


def test_a_drag_selects_the_text_and_dismisses_nothing(
    window: MainWindow, playing: DemoTransport, qtbot: QtBot
) -> None:
    say(playing, "the disk is full")
    window.look()
    port = window.notices.viewport()
    start, end = port.rect().center(), port.rect().center()
    start.setX(10)
    end.setX(150)
    qtbot.mousePress(port, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(port, end)
    qtbot.mouseRelease(port, Qt.MouseButton.LeftButton, pos=end)
    assert window.notices.isVisible()


def test_a_computer_without_midi_is_news_and_no_fault(window: MainWindow, playing: DemoTransport) -> None:
    playing.set_status(control=ControlStatus(problem="no MIDI: controllers cannot be used"))
    window.look()
    assert "No MIDI: controllers cannot be used." in window.notices.toPlainText()
    assert theme.CAUTION.name() not in window.notices.styleSheet()
    playing.set_status(control=ControlStatus(problem="the input X cannot be opened"))
    window.look()
    assert theme.CAUTION.name() in window.notices.styleSheet()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rung": Rung.REPEAT}, Word.LOOPING),
        ({"held": Held.MUTE}, Word.SILENT),
        ({"state": EngineState.COASTING}, Word.SILENT),
        ({}, Word.PLAYING),
    ],
)
@pytest.mark.parametrize("problem", ["", "Scarlett is gone"])
def test_a_missing_device_does_not_hide_what_the_music_does(
    window: MainWindow, playing: DemoTransport, change: dict[str, object], word: Word, problem: str
) -> None:
    state = playing.state
    held = change.get("held", Held.NOTHING)
    playing.set_status(
        rung=change.get("rung"),
        audio=replace(state.audio, nowhere=True, problem=problem, held=held),
        engine=replace(state.engine, state=change.get("state", EngineState.RUNNING)),
    )
    said = stage_word(playing.status())
    assert (said.word, said.device, said.alarm) == (word, NO_DEVICE, bool(problem))
    window.look()
    assert window.bar.view.accessibleName() == f"State: {word.value}, {NO_DEVICE}"
    if problem:
        assert problem in said.why


def test_the_window_is_ready_before_the_start_and_says_so(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    window.prepare()
    window.look()
    assert window.bar.view.word.text == "READY" and window.bar.start.text == "START"
    demo.set_status(engine=EngineStatus(EngineState.WARMING, "trial block 2", asked=False))
    window.look()
    assert window.bar.view.word.text == "GETTING READY 2 of 3" and window.bar.start.text == "START"
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert ("start",) in demo.asked and ("stop",) not in demo.asked
