"""During the music the player chooses where the next take goes and what it has; and sees how full the ring is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_takes import RATE, SNAPSHOT, Stage, folder_of, ramp
from tone_generator import ToneGenerator
from typer.testing import CliRunner

from jbdiff_live.audio.limiter import CEILING
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.block import Block
from jbdiff_live.kept.content import Ports
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.take import open_take
from jbdiff_live.ring import RingBuffer
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.start.command import app
from jbdiff_live.start.port_options import port_options
from jbdiff_live.system.takes_folder import AlwaysOptions


def test_the_next_take_has_the_sound_that_was_chosen(tmp_path: Path) -> None:
    stage = Stage()
    recorder = Recorder(RATE, 2, tap=stage.tap)
    try:
        recorder.start(tmp_path, 0, {}, [Block(ramp(0, 2000), 0, 0, SNAPSHOT, "tone", 0.1)])
        recorder.choose_sound("engine")
        stage.play(2000)
        recorder.stop(1500)
        assert open_take(folder_of(recorder)).info.sound == "heard", "the take that runs stays as it is"
        recorder.start(tmp_path, 0, {}, [Block(ramp(0, 2000), 0, 0, SNAPSHOT, "tone", 0.1)])
        recorder.stop(2000)
        take = open_take(folder_of(recorder))
        assert take.info.sound == "engine" and np.array_equal(take.read(), ramp(0, 2000))
        assert recorder.status().sound == "engine"
        with pytest.raises(ValueError, match="choose one of heard, engine, both"):
            recorder.choose_sound("tape")
    finally:
        recorder.close()


def test_a_session_keeps_the_folder_and_the_sound_that_were_chosen(tmp_path: Path) -> None:
    session = Session(SessionOptions(device="null", midi=(), takes=tmp_path / "old"), ToneGenerator())
    try:
        session.choose_takes_folder(tmp_path)
        session.choose_take_sound("both")
        recorder = session.status().recorder
        assert (recorder.takes, recorder.sound) == (tmp_path, "both")
        assert session.session_desk.folder("takes") == tmp_path and session.ports.take == "both"
        assert session.take_desk._parent == tmp_path, "the browser lists its takes"
        with pytest.raises(ValueError, match="choose another one"):
            session.choose_takes_folder(tmp_path / "gone")
        assert session.status().recorder.takes == tmp_path
    finally:
        session.close()
    assert port_options(Ports(take="both"), ())["take_sound"] == "both"


def test_the_newest_take_is_found_under_its_new_name(tmp_path: Path) -> None:
    """Ctrl+T answered "the folder is not there yet", and the settings showed the old name."""
    session = Session(SessionOptions(device="null", midi=(), takes=tmp_path), ToneGenerator())
    try:
        session.tape.start(0)
        session.tape.stop(0)
        folder = session.status().recorder.folder
        assert folder is not None and folder.is_dir()
        new = session.take_desk.rename(folder, "evening")
        assert session.status().recorder.folder == new == tmp_path / "evening"
        new = session.take_desk.rename(new, "late evening")
        assert session.status().recorder.folder == new
        session.take_desk.gone(tmp_path / "another take")
        assert session.status().recorder.folder == new
        session.take_desk.gone(new)
        assert session.status().recorder.folder is None, "it is in the trash"
    finally:
        session.close()


def test_a_session_changes_and_keeps_the_length_of_the_ring(tmp_path: Path) -> None:
    options = SessionOptions(
        device="null", midi=(), takes=tmp_path / "takes", always=AlwaysOptions(tmp_path / "ring")
    )
    session = Session(options, ToneGenerator())
    try:
        session.choose_always(60.0, 1000.0, 10.0)
        now = session.status().recorder.always
        assert now is not None and (now.minutes, now.megabytes, now.keep_minutes) == (60.0, 1000.0, 10.0)
        assert (session.ports.always_minutes, session.ports.keep_minutes) == (60.0, 10.0)
        room = "the last 30.1 min are always recorded, as 1000 MB hold no more; J keeps 10 min"
        assert session.answers.newest == room
        for wrong in (
            (-1.0, 1000.0, 5.0),
            (30.0, 9.0, 5.0),
            (30.0, 1000.0, 0.0),
            (float("nan"), 1000.0, 5.0),
        ):
            with pytest.raises(ValueError, match="give a number from"):
                session.choose_always(*wrong)
        assert session.status().recorder.always == now
        session.choose_always(0.0, 1000.0, 5.0)
        assert session.status().recorder.always is None and session.ports.always_minutes == 0
        assert session.answers.newest == "the last minutes are not recorded any more"
    finally:
        session.close()


def test_the_next_start_has_the_ring_that_was_chosen() -> None:
    always = port_options(Ports(always_minutes=12.0, always_mb=300.0, keep_minutes=2.0), ())["always"]
    assert (always.minutes, always.megabytes, always.keep_minutes) == (12.0, 300.0, 2.0)
    assert port_options(Ports(always_minutes=0.0), ())["always"] is None


@pytest.mark.parametrize(
    "option", [("--always-minutes", "inf"), ("--always-mb", "nan"), ("--keep-minutes", "1e9")]
)
def test_a_number_without_sense_is_refused_on_the_command_line(option: tuple[str, str]) -> None:
    done = CliRunner().invoke(app, ["--list", *option])
    assert done.exit_code == 2 and option[0] in done.output


def test_the_true_peak_of_the_output_is_kept() -> None:
    stage = Stage()
    quiet = 0.5 * np.ones((8000, 2), np.float32)
    stage.ring.write(quiet)
    out = np.zeros((500, 2), np.float32)
    for _ in range(10):  # the meter reads ten times a second
        stage.stage.render(out)
    highest = stage.stage.loudness.now.true_peak
    assert highest == pytest.approx(20 * np.log10(0.5), abs=0.2)
    loud = RingBuffer(8000, 2)
    loud.write(np.ones((8000, 2), np.float32))
    limited = OutputStage(loud, lambda: SNAPSHOT, RATE)
    for _ in range(10):  # the meter reads ten times a second
        limited.render(out)
    assert limited.loudness.now.true_peak == pytest.approx(20 * np.log10(CEILING), abs=0.01)
