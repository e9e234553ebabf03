"""The window shows one word for what the audience hears; red is kept for silence and clipping."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from demo_states import play
from demo_transport import DemoTransport
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QWidget

from jbdiff_live.block import Rung
from jbdiff_live.stage_word import Word, stage_word
from jbdiff_live.status import ControlStatus, EngineState, EngineStatus, Held, Status
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.window import MainWindow

# What an engine, a device and a knob can be in together, and the word for it; True when it is an alarm.
CASES: dict[str, tuple[dict[str, object], dict[str, object], Word, bool]] = {
    "plays": ({}, {}, Word.PLAYING, False),
    "failed": ({"state": EngineState.FAILED, "detail": "no weights"}, {}, Word.FAILED, True),
    "loading": ({"state": EngineState.LOADING}, {}, Word.GETTING_READY, False),
    "warming up": ({"state": EngineState.WARMING}, {}, Word.GETTING_READY, False),
    "no block yet": ({"blocks_made": 0}, {"running": False}, Word.GETTING_READY, False),
    "no device, no block yet": (
        {"blocks_made": 0},
        {"running": False, "nowhere": True, "problem": "no device"},
        Word.GETTING_READY,
        False,
    ),
    "offline": ({"state": EngineState.OFFLINE}, {"running": False}, Word.STOPPED, False),
    "still busy": ({"state": EngineState.STOPPING, "detail": "still busy"}, {}, Word.STOPPED, False),
    "gone": ({}, {"nowhere": True, "problem": "X is gone"}, Word.PLAYING, True),
    "null was chosen": ({}, {"nowhere": True}, Word.PLAYING, False),
    "feeder broke": ({}, {"running": False, "problem": "the sound stopped"}, Word.SILENT, True),
    "hangs": ({}, {"stalled_seconds": 1.6}, Word.SILENT, True),
    "panicked": ({}, {"held": Held.PANIC}, Word.SILENT, True),
    "begins again": ({"beginning": True}, {}, Word.SILENT, True),
    "muted": ({}, {"held": Held.MUTE}, Word.SILENT, True),
    "turned down": ({}, {"held": Held.GAIN}, Word.SILENT, True),
    "late": ({"state": EngineState.COASTING}, {}, Word.SILENT, True),
    "makes silence": ({}, {"quiet_seconds": 2.1}, Word.SILENT, True),
}


@pytest.fixture
def playing(demo: DemoTransport) -> DemoTransport:
    demo.start()
    play(demo, 3.0)
    return demo


@pytest.fixture
def shown(window: MainWindow, playing: DemoTransport) -> Iterator[MainWindow]:
    window.look()
    yield window


@pytest.mark.parametrize("case", CASES)
def test_the_word_is_what_the_audience_hears(shown: MainWindow, playing: DemoTransport, case: str) -> None:
    engine, audio, word, alarm = CASES[case]
    state = playing.state
    playing.set_status(engine=replace(state.engine, **engine), audio=replace(state.audio, **audio))
    shown.look()
    said = shown.bar.view.word
    assert (said.word, said.alarm) == (word, alarm), said
    assert said.text in shown.bar.view.accessibleName()
    assert said.why or word is Word.PLAYING or engine, "the reason"


@pytest.mark.parametrize("rung", [Rung.LOOP, Rung.REPEAT])
def test_a_loop_is_no_alarm_and_not_called_playing(playing: DemoTransport, rung: Rung) -> None:
    said = stage_word(replace(playing.status(), rung=rung))
    assert said.word is Word.LOOPING and not said.alarm


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"rung": Rung.FEWER_STEPS}, "simpler for now"),
        ({"holes": 3}, "3 holes"),
        ({"problem": "pitch"}, "pitch"),
    ],
)
def test_what_is_wrong_with_the_sound_is_said_beside_playing(
    playing: DemoTransport, status: dict[str, object], why: str
) -> None:
    now = playing.status()
    audio = replace(now.audio, holes_lately=status.get("holes", 0), problem=status.get("problem", ""))
    said = stage_word(replace(now, audio=audio, rung=status.get("rung")))
    assert said.word is Word.PLAYING and why in said.why and not said.alarm


def has_red(widget: QWidget) -> bool:
    image = widget.grab().toImage()
    red = theme.WARN.rgb()
    return any(image.pixel(x, y) == red for x in range(image.width()) for y in range(image.height()))


def test_red_is_for_silence_and_everything_else_is_amber(shown: MainWindow, playing: DemoTransport) -> None:
    assert not has_red(shown.bar.view)
    state = playing.state
    playing.set_status(
        engine=replace(state.engine, late_blocks=3, block_seconds=1.2, rung=Rung.FEWER_STEPS),
        audio=replace(state.audio, underruns=4),
        control=ControlStatus(missing=("Keystep",)),
    )
    shown.notices.refuse("record", "the disk is full")
    shown.look()
    calm = (shown.bar.view, shown.notices, shown.health.underruns, shown.health.late, shown.health.midi,
            shown.health.block, shown.devices.midi)  # fmt: skip
    assert shown.health.late.alarm and shown.health.block.alarm and "Keystep" in shown.notices.toPlainText()
    assert not [widget for widget in calm if has_red(widget)]
    assert theme.CAUTION.name() in shown.notices.styleSheet()
    playing.set_status(audio=replace(playing.state.audio, nowhere=True, problem="X is gone"))
    shown.look()
    assert has_red(shown.bar.view) and not has_red(shown.notices), "a message has a colour of its own"
    assert QColor(theme.WARN) != QColor(theme.CAUTION)


def test_the_answer_to_an_action_is_read_in_the_window(shown: MainWindow, playing: DemoTransport) -> None:
    """Also the answer to a pad or a program change of a controller."""
    playing.set_status(note="program 77 (ch 1): no patch has it; write program = 77 into one")
    shown.look()
    assert "no patch has it" in shown.notices.toPlainText()
    playing.set_status(audio=replace(playing.state.audio, problem="X is gone"))
    shown.look()
    assert "no patch has it" in shown.notices.toPlainText(), "beside what is wrong"
    assert "X is gone" in shown.bar.view.word.why and "X is gone" not in shown.notices.toPlainText(), (
        "said once"
    )


def test_a_longer_delay_of_gain_and_mute_is_said_and_goes_away(
    shown: MainWindow, playing: DemoTransport
) -> None:
    audio = replace(playing.state.audio, latency_seconds=0.405, usual_latency_seconds=0.126)
    playing.set_status(audio=audio)
    shown.look()
    assert "after 405 ms instead of 126" in shown.notices.toPlainText()
    assert shown.devices.output.note == "405 ms, usually 126"
    playing.set_status(audio=replace(audio, latency_seconds=0.126))
    shown.look()
    assert "instead of" not in shown.notices.toPlainText() and shown.devices.output.note == "126 ms"


def test_the_health_strip_shows_which_priority_was_got(shown: MainWindow, playing: DemoTransport) -> None:
    playing.set_status(
        audio=replace(playing.state.audio, priority="real time"),
        priority="before other programs (nice -11, session group -11)",
    )
    shown.look()
    assert shown.health.underruns.note == "real time"
    assert "session group -11" in shown.health.underruns.toolTip()


def test_a_status_of_nothing_is_stopped() -> None:
    assert stage_word(Status()).word is Word.STOPPED
    assert stage_word(Status(engine=EngineStatus(EngineState.FAILED))).why, (
        "a failure has a reason in any case"
    )
