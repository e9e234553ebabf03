"""Messages: read once, dismissed by key and mouse, amber only if something is degraded; and the two state words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import HandClock
from demo_states import LONG_REASON, play
from demo_transport import DemoTransport
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.block import Rung
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.scenes.view import GO_ON, PastStatus
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.stage_word import NO_DEVICE, Word, stage_word
from jbdiff_live.status import ControlStatus, EngineState, EngineStatus, Held
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.look import Look, Size
from jbdiff_live.ui.rows.look_row import wear
from jbdiff_live.ui.rows.messages import Tone, tone_of
from jbdiff_live.ui.rows.notices import HINT_SECONDS, INSET, LETTERS
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.tiles.typed import typed_value
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import LEAST_HEIGHT, LEAST_WIDTH, MainWindow


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


LONG = "the disk is full, so the take ends here and what was recorded so far is kept in its folder; " * 3


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("opened", [False, True])
def test_messages_lie_on_no_control(
    window: MainWindow, playing: DemoTransport, view: View, opened: bool
) -> None:
    window.resize(960, 540)
    window.show_view(view)
    say(playing, LONG)
    window.notices.refuse("load patch", LONG)
    window.look()
    QApplication.processEvents()
    if opened and window.notices.more.isVisible():
        window.notices.more.click()
    place = window.notices.geometry()
    controls = [
        w
        for w in window.findChildren(QWidget)
        if w.isVisible() and w.focusPolicy() != Qt.FocusPolicy.NoFocus and w is not window
    ]
    assert len(controls) > 20
    for control in controls:
        where = QRect(control.mapTo(window, QPoint(0, 0)), control.size())
        assert not where.intersects(place), control.accessibleName()


def test_many_messages_take_one_line_of_the_picture_and_a_click_opens_them(
    window: MainWindow, playing: DemoTransport, qtbot: QtBot
) -> None:
    window.resize(960, 540)
    window.show_view(View.STAGE)
    say(playing, "the disk is full")
    window.notices.refuse("load patch", LONG)
    window.look()
    QApplication.processEvents()
    line = window.notices
    assert line.brief and line.height() < 0.2 * window.scope.height()
    assert line.more.text() == "1 of 2" and "the disk is full" in line.toPlainText()
    qtbot.mouseClick(line.viewport(), Qt.MouseButton.LeftButton)
    assert not line.brief and line.height() > 60 and line.isVisible()
    qtbot.mouseClick(line.cross, Qt.MouseButton.LeftButton)
    assert line.isHidden()


@pytest.mark.parametrize("view", [View.WORKSHOP, View.SETTINGS])
def test_no_line_of_a_long_message_is_cut_through(
    window: MainWindow, playing: DemoTransport, view: View
) -> None:
    """With the largest letters the third line was seen to its middle."""
    window.look_row.choose(Look(size=Size.LARGEST))
    window.resize(LEAST_WIDTH, LEAST_HEIGHT)
    window.show_view(view)
    playing.stop()
    say(playing, 5 * LONG)
    window.look()
    QApplication.processEvents()
    line, spacing = window.notices, theme.metrics(LETTERS).lineSpacing()
    seen = line.viewport().height() - INSET
    assert line._needed() > line.height() and seen > 0.9 * spacing
    assert abs(seen / spacing - round(seen / spacing)) < 0.1
    wear(Look())


def test_a_message_has_the_colour_of_what_it_says_and_not_of_the_state(
    window: MainWindow, playing: DemoTransport
) -> None:
    def colours() -> str:
        window.look()
        return window.notices.styleSheet()

    amber, red = theme.CAUTION.name(), theme.WARN.name()
    playing.set_status(note="marker set", audio=replace(playing.state.audio, held=Held.MUTE))
    assert window.notices is not None and red not in colours() and amber not in colours()
    assert stage_word(playing.status()).alarm and "marker set" in window.notices.toPlainText()
    playing.set_status(note="", audio=replace(playing.state.audio, held=Held.NOTHING))
    say(playing, "the disk is full")
    assert amber in colours() and red not in colours()
    say(playing, "")
    playing.set_status(engine=EngineStatus(EngineState.FAILED, LONG_REASON))
    assert red in colours()


def test_each_of_several_messages_keeps_its_own_colour(window: MainWindow, playing: DemoTransport) -> None:
    playing.set_status(note="marker set")
    say(playing, "the disk is full")
    window.look()
    blocks = [window.notices.document().findBlockByNumber(number) for number in (0, 1)]
    grounds = {one.text(): one.blockFormat().background().color() for one in blocks}
    assert grounds["Recorder: the disk is full"] == theme.CAUTION_DEEP
    assert grounds["marker set"] != theme.CAUTION_DEEP


@pytest.mark.parametrize(
    ("gone", "words"),
    [(("box",), "box is gone; plug it in"), (("box", "fader"), "box, fader are gone; plug them in")],
)
def test_a_controller_that_is_gone_has_a_remedy(
    window: MainWindow, playing: DemoTransport, gone: tuple[str, ...], words: str
) -> None:
    playing.set_status(control=replace(playing.state.control, missing=gone))
    window.look()
    assert f"MIDI: {words} again" in window.notices.toPlainText()


def test_the_answer_to_a_slip_goes_soon_and_is_calm(
    window: MainWindow, playing: DemoTransport, clock: HandClock
) -> None:
    window.tiles["noise_step"].set_typed("5")  # type: ignore[attr-defined]
    said = window.notices.toPlainText()
    assert said == "Noise goes from 0.00 to 1.00: 5 is outside."
    assert theme.CAUTION.name() not in window.notices.styleSheet()
    clock.now += HINT_SECONDS + 0.1
    window.look()
    assert window.notices.isHidden()


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("noise_step", "5", "Noise goes from 0.00 to 1.00: 5 is outside."),
        ("gain", "20", "Gain goes from -60.0 dB (silence) to 6.0 dB: 20 is outside."),
        ("tempo", "abc", "Tempo needs a number from 60.0 BPM to 180.0 BPM: abc is not one."),
        ("seed", "-1", "Seed goes from 0 to 16383: -1 is outside."),
        ("tempo", "nan", "Tempo needs a number from 60.0 BPM to 180.0 BPM: nan is not one."),
    ],
)
def test_a_refused_value_is_answered_in_the_players_words(name: str, typed: str, words: str) -> None:
    with pytest.raises(ValueError) as refused:
        typed_value(BY_NAME[name], typed)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("name", "typed", "value"), [("gain", "-12 dB", -12.0), ("tempo", " 97,5 BPM", 97.5)]
)
def test_a_value_may_be_typed_with_its_unit(name: str, typed: str, value: float) -> None:
    assert typed_value(BY_NAME[name], typed) == value


def test_advice_names_what_the_window_has_and_where_it_is(window: MainWindow, playing: DemoTransport) -> None:
    """And only what would help: a stack of one level has no fewer."""
    playing.set_status(rung=Rung.REPEAT)
    word = stage_word(playing.status())
    assert "choose fewer Steps in the settings (F4)" in word.why and "Levels" not in word.why
    playing.stack_is_ready(StackChoice("v1"))
    assert "fewer Steps or fewer Levels in the settings (F4)" in stage_word(playing.status()).why
    assert "--steps" in stage_word(playing.status(), terminal=True).why
    assert "F4" not in stage_word(playing.status(), terminal=True).why
    window.show_view(View.SETTINGS)
    window.look()
    shown = {picker.caption for picker in window.settings.findChildren(Picker) if picker.isVisible()}
    assert {"STEPS", "LEVELS", "BLOCK", "OUTPUT"} <= shown


def test_the_reason_below_the_word_is_read_also_in_a_small_window(
    window: MainWindow, playing: DemoTransport
) -> None:
    window.resize(960, 540)
    QApplication.processEvents()
    playing.set_status(rung=Rung.REPEAT)
    window.look()
    view = window.bar.view
    reason, _, remedy = view.word.why.partition("; ")
    assert view.said(view.word.why) == reason and not view.fits(view.word.why)
    assert remedy[1:] in window.notices.toPlainText() and reason not in window.notices.toPlainText()


def test_music_that_was_asked_back_is_no_fault_and_is_said_once(
    window: MainWindow, playing: DemoTransport
) -> None:
    """Back answers, and the word at the top says how old the music is."""
    advice = GO_ON
    playing.set_status(past=PastStatus(120.0, 30.0), note=f"Back: older music plays again; {advice}")
    window.resize(960, 540)
    window.look()
    assert window.notices.toPlainText().lower().count(advice.lower()) == 1
    playing.set_status(note="")
    window.look()
    assert window.notices.toPlainText().lower() == advice.lower(), "it stays to be read"
    status = playing.status()
    assert tone_of(stage_word(status)) is Tone.CALM
    simpler = replace(status, rung=Rung.FEWER_STEPS, past=PastStatus())
    assert tone_of(stage_word(simpler)) is Tone.FAULT


def test_the_list_of_keys_covers_a_message_that_comes(
    window: MainWindow, playing: DemoTransport, qtbot: QtBot
) -> None:
    qtbot.keyClick(window, Qt.Key.Key_F1)
    say(playing, "the disk is full")
    window.look()
    assert window.keys.isVisible() and window.notices.isVisible()
    assert window.childAt(window.notices.geometry().center()) is window.keys
