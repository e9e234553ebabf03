"""The whole instrument with a test tone in the model's place, on the clocked null device."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tone_generator import ToneGenerator

from jbdiff_live.audio.switch import HEADROOM_DB, NULL_DEVICE
from jbdiff_live.block import Generated, KeepGoing, Rung
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.record.take import BlockEvent, ChangeEvent, open_take
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.status import EngineState

PATIENCE = 120.0
RATE = 44_100


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until a condition holds; fails when it does not within PATIENCE."""
    pause = threading.Event()
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"never came: {what}"
        pause.wait(0.01)


def take_folder(session: Session) -> Path:
    """Where the take that is being recorded lies; the recorder's thread makes the folder in its own time."""
    eventually(lambda: session.status().recorder.folder is not None, "the take's folder")
    folder = session.status().recorder.folder
    assert folder is not None
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    options = SessionOptions(device="null", midi=(), takes=tmp_path / "takes")
    session = Session(options, ToneGenerator(block_frames=8192))
    session.open()
    yield session
    session.close()


def test_start_plays_and_stop_stops(session: Session) -> None:
    session.start()
    eventually(lambda: session.status().frame > 20_000, "sound")
    status = session.status()
    assert status.engine.state is EngineState.RUNNING
    assert status.audio.running and status.seconds_queued > 0
    session.stop()
    assert session.status().engine.state is EngineState.OFFLINE
    assert not session.status().audio.running


def test_stop_and_start_again_goes_on(session: Session) -> None:
    for _ in range(3):
        before = session.status().frame
        session.start()
        eventually(lambda before=before: session.status().frame > before + 8192, "sound after a restart")
        session.stop()


def test_a_take_at_0_db_is_what_the_engine_made_below_the_headroom_but_for_its_fade_in(
    session: Session,
) -> None:
    session.record_from_first_block()
    session.start()
    eventually(lambda: session.status().frame > 40_000, "enough sound")
    assert session.status().recorder.recording
    folder = take_folder(session)
    session.stop_recording(end_frame=30_001)
    session.stop()
    take = open_take(folder)
    expected = np.concatenate([block.samples for block in session.recent_blocks()])[:30_001]
    assert take.info.sample_rate == RATE and take.info.closed_cleanly
    assert take.info.sound == "heard"
    below = expected[441:] * 10 ** (-HEADROOM_DB / 20)
    np.testing.assert_allclose(take.read()[441:], below, atol=1e-6, err_msg="the first 10 ms fade in")


def test_recording_begins_with_what_is_heard_now(session: Session) -> None:
    session.start()
    eventually(lambda: session.status().frame > 10_000, "sound")
    session.start_recording()
    began = session.status().frame
    eventually(lambda: session.status().frame > began + 20_000, "more sound")
    folder = take_folder(session)
    end = session.status().frame
    session.stop_recording(end)  # on a busy disk the music goes on meanwhile
    take = open_take(folder)
    assert abs(take.info.start_frame - began) < 4096
    assert abs(take.frames - (end - began)) < 4096
    assert take.frames > 15_000


def test_knob_turned_is_in_the_log_and_is_heard(session: Session) -> None:
    session.record_from_first_block()
    session.start()
    eventually(lambda: session.status().frame > 1000, "sound")
    session.set_parameter("seed", 12)
    eventually(lambda: (heard := session.status().heard) is not None and heard["seed"] == 12, "the new seed")
    folder = take_folder(session)
    session.stop_recording()
    changes = [event for event in open_take(folder).events() if isinstance(event, ChangeEvent)]
    assert any(event.name == "seed" and event.value == 12 for event in changes)


class TurnedTone(ToneGenerator):
    """Guidance goes up in the middle of every block, though the tone does not hear it."""

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        made = super().next_block(snapshot, keep_going, rung)
        return None if made is None else replace(made, turned={"guidance": (snapshot["guidance"], 5.5)})


def test_what_was_read_last_in_a_block_is_what_is_heard_and_all_of_it_is_in_the_log(tmp_path: Path) -> None:
    options = SessionOptions(device="null", midi=(), takes=tmp_path / "takes")
    session = Session(options, TurnedTone(block_frames=8192))
    try:
        session.open()
        session.record_from_first_block()
        session.start()
        eventually(lambda: session.status().heard is not None, "sound")
        eventually(lambda: session.engine.status.made is not None, "word of the block")
        heard, made = session.status().heard, session.engine.status.made
        assert heard is not None and made is not None and heard["guidance"] == made["guidance"] == 5.5
        folder = take_folder(session)
        session.stop_recording()
    finally:
        session.close()
    event = next(event for event in open_take(folder).events() if isinstance(event, BlockEvent))
    assert event.turned == {"guidance": [1.5, 5.5]}
    assert (event.values["guidance"], event.guidance(0), event.guidance(1)) == (1.5, 1.5, 5.5)
    assert event.finisher_strength() == event.snapshot["finisher_strength"] == 0.23


def test_gain_is_heard_before_the_next_block(session: Session) -> None:
    session.start()
    eventually(lambda: session.status().heard is not None, "sound")
    session.set_parameter("gain", -20)
    heard = session.status().heard
    assert heard is not None and heard["gain"] == -20


def test_panic_starts_a_fresh_block(session: Session) -> None:
    session.start()
    eventually(lambda: session.status().frame > 9000, "sound")
    session.trigger("panic")
    eventually(
        lambda: (heard := session.status().heard) is not None and heard.counts["panic"] == 1, "sound again"
    )


def test_device_that_is_not_there_leaves_the_old_one_playing(session: Session) -> None:
    session.start()
    eventually(lambda: session.status().frame > 1000, "sound")
    with pytest.raises((RuntimeError, ValueError, OSError), match=r"no .*device"):
        session.choose_audio_device("no such device anywhere")
    before = session.status().frame
    eventually(lambda: session.status().frame > before + 4096, "sound goes on")
    assert NULL_DEVICE in session.audio_devices()


def test_patches_load_save_and_come_back(session: Session, tmp_path: Path) -> None:
    known = session.patches()
    assert len(known) >= 3
    session.load_patch(known["wild"])
    assert session.status().patch == "wild"
    assert session.snapshot().choice("noise_style") == "random"
    session.set_parameter("guidance", 3.25)
    mine = tmp_path / "mine.toml"
    session.save_patch(mine, "mine")
    session.load_patch(known["drift"])
    session.load_patch(mine)
    assert session.snapshot()["guidance"] == pytest.approx(3.25)
    assert session.bindings()["noise_step"]


def test_context_for_a_generator_without_one_is_refused(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(44_100) / 20), RATE)
    with pytest.raises(ValueError, match="takes no context file"):
        session.load_context_file(path)
