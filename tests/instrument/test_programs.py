"""MIDI program changes load patches: values and bindings at once, another stack beside the music."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from controllers import Sender
from servers import jack_server
from small_stacks import write_small_stack
from tone_generator import ToneGenerator

import jbdiff_live.session as session_module
from jbdiff_live.control.programs import ProgramChanges
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.patch import PatchError, factory_patches, load_patch, patch_programs
from jbdiff_live.session import Session, SessionOptions

PATIENCE = 180.0
MINE = 'format = 1\nname = "mine"\nprogram = 2\n[values]\nnoise_step = 0.625\n'
BROKEN = 'format = 1\nname = "broken"\nprogram = 9\n[values]\nnoise_stp = 0.5\n'


def program(number: int, channel: int = 1) -> ControlEvent:
    return ControlEvent("box", EventKind.PROGRAM, channel, number, 0, True, time.monotonic())


def eventually(condition: Callable[[], bool], what: str) -> None:
    pause, until = threading.Event(), time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"never came: {what}"
        pause.wait(0.01)


# The thread


def test_of_several_programs_that_wait_the_newest_is_loaded() -> None:
    began, go_on, loaded = threading.Event(), threading.Event(), list[int]()

    def load(event: ControlEvent) -> None:
        began.set()
        assert go_on.wait(PATIENCE)
        loaded.append(event.number)

    changes = ProgramChanges(load)
    changes.start()
    changes.handle(program(1))
    assert began.wait(PATIENCE)
    for number in (2, 3, 4):
        changes.handle(program(number))
    go_on.set()
    eventually(lambda: len(loaded) == 2, "the newest")
    changes.stop()
    assert loaded == [1, 4]


def test_what_goes_wrong_is_shown_and_the_next_program_is_loaded() -> None:
    loaded = list[int]()

    def load(event: ControlEvent) -> None:
        if event.number == 1:
            raise RuntimeError("no such luck")
        loaded.append(event.number)

    changes = ProgramChanges(load)
    changes.start()
    changes.handle(program(1))
    eventually(lambda: bool(changes.problem), "the problem")
    assert changes.problem == "program 1 (ch 1) could not be loaded: no such luck"
    changes.handle(program(2))
    eventually(lambda: loaded == [2] and not changes.problem, "the next one")
    changes.stop()


def test_what_is_refused_is_one_line_in_the_log_and_a_bug_keeps_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refused() -> None:
        raise RuntimeError("nothing to keep: play first")

    def broken() -> None:
        raise TypeError("no such thing")

    caplog.set_level("INFO")
    changes = ProgramChanges(lambda event: None)
    changes.start()
    changes.ask("keep", refused)
    eventually(lambda: bool(changes.problem), "the problem")
    changes.ask("play", broken)
    eventually(lambda: changes.problem == "play did not work: no such thing", "the second problem")
    changes.stop()
    keep, play = caplog.records
    assert keep.getMessage() == "keep did not work: nothing to keep: play first" and keep.exc_info is None
    assert play.exc_info


@pytest.mark.parametrize(("channel", "heard"), [(None, [1, 2]), (2, [2]), (0, [])])
def test_programs_are_those_of_the_chosen_channel(channel: int | None, heard: list[int]) -> None:
    loaded = list[int]()
    changes = ProgramChanges(lambda event: loaded.append(event.channel), channel)
    changes.start()
    for number in (1, 2):
        changes.handle(program(7, number))
        eventually(lambda: changes._waiting is None, "nothing waits")
    changes.stop()
    assert loaded == heard


# Patches


def test_every_factory_patch_has_a_program_of_its_own() -> None:
    programs = patch_programs(factory_patches())
    assert set(programs) == set(factory_patches())
    assert len(set(programs.values())) == len(programs)
    assert all(load_patch(path).program == programs[name] for name, path in factory_patches().items())


@pytest.mark.parametrize("value", ["0", "129", "-1", "true", '"1"', "1.5"])
def test_a_program_that_midi_does_not_have_is_refused_by_line(tmp_path: Path, value: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(f'format = 1\nname = "p"\nprogram = {value}\n')
    with pytest.raises(PatchError, match="line 3: program"):
        load_patch(path)
    assert patch_programs({"p": path, "none": tmp_path / "none.toml"}) == {}


# The session


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A player's own patches."""
    folder = tmp_path / "patches"
    folder.mkdir()
    (folder / "mine.toml").write_text(MINE)
    (folder / "broken.toml").write_text(BROKEN)
    monkeypatch.setattr(session_module, "user_patches_folder", lambda: folder)
    return folder


@pytest.fixture
def session(tmp_path: Path, mine: Path) -> Iterator[Session]:
    options = SessionOptions(device="null", midi=(), takes=tmp_path / "takes")
    session = Session(options, ToneGenerator(block_frames=8192))
    session.open()
    yield session
    session.close()


def test_a_program_loads_its_patch_and_the_players_own_goes_before_the_factorys(session: Session) -> None:
    session._controlled(program(6))
    eventually(lambda: session.status().patch == "wild", "the patch")
    assert session.status().program == 6
    assert session.snapshot().choice("noise_style") == "random" and session.bindings()["seed"]
    session._controlled(program(2))
    eventually(lambda: session.status().patch == "mine", "the own patch")
    assert session.snapshot()["noise_step"] == 0.625
    assert session.patch_programs()["lock"] == session.patch_programs()["mine"] == 2


def test_a_program_without_a_patch_and_a_broken_patch_are_told_and_change_nothing(session: Session) -> None:
    session._controlled(program(6))
    eventually(lambda: session.status().patch == "wild", "the patch")
    before = session.snapshot()
    session._controlled(program(77))
    eventually(lambda: "write program = 77" in session.status().note, "the note")
    session._controlled(program(9))
    eventually(lambda: "did you mean 'noise_step'" in session.status().message, "the reason")
    assert session.status().patch == "wild" and session.snapshot() is before
    session._controlled(program(2))
    eventually(lambda: session.status().patch == "mine", "the own patch")
    assert session.status().message == ""


def test_a_copy_under_another_name_leaves_the_program_to_its_original(session: Session, mine: Path) -> None:
    session.load_patch(mine / "mine.toml")
    session.save_patch(mine / "mine.toml", "mine")
    assert load_patch(mine / "mine.toml").program == 2
    session.save_patch(mine / "copy.toml", "copy")
    assert load_patch(mine / "copy.toml").program is None and session.status().program is None
    (mine / "other.toml").write_text(MINE.replace("program = 2", "program = 3"))
    session.save_patch(mine / "other.toml", "other")  # written over: the file's program is the file's
    assert load_patch(mine / "other.toml").program == 3


@pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is not installed")
def test_a_program_from_a_real_controller_brings_another_stack_and_its_time_is_told(
    tmp_path: Path, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    write_small_stack(tmp_path / "small")
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path))
    (mine / "small.toml").write_text(
        'format = 1\nname = "small"\nprogram = 12\nstack = "small"\nlevels = [2]\n'
    )
    with jack_server(rate=44_100, period=1024, synchronous=False) as server:
        for name, value in server.env.items():
            if os.environ.get(name) != value:
                monkeypatch.setenv(name, value)
        session = Session(
            SessionOptions(
                device="null", midi_api="UNIX_JACK", takes=tmp_path / "takes", threads=1, finisher=False
            )
        )
        sender = Sender("Box", server.env)
        try:
            session.open()
            eventually(lambda: session.status().control.connected == ("Box:knobs",), "the controller")
            session.start()
            eventually(lambda: session.status().frame > 0, "sound")
            assert session.status().reload_seconds == 0
            sent = time.monotonic()
            sender.send("program_change channel=0 program=11")
            eventually(lambda: session.status().stack.name == "small", "the stack")
            eventually(lambda: session.status().reload_seconds > 0, "the time")
            waited = time.monotonic() - sent
            assert session.status().control.last_message == "program 12 (ch 1)"
            assert session.status().patch == "small" and session.status().stack.levels == (2,)
            # Its first sound is queued behind what is still to be heard.
            assert session.status().reload_seconds < waited + session_module.RING_SECONDS
        finally:
            sender.pull()
            session.close()
