"""Controllers and the whole session: what is learned is kept, and a controller starts, records and changes patches."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from controllers import Sender
from hands import cc, event
from servers import jack_server
from tone_generator import ToneGenerator
from typer.testing import CliRunner

from jbdiff_live.binding import TakeoverMode
from jbdiff_live.control.receiver import QUIET_SECONDS
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.patch import factory_patches, load_patch
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.start.command import app
from jbdiff_live.status import EngineState

PATIENCE = 180.0


def eventually(condition: Callable[[], bool], what: str) -> None:
    pause, until = threading.Event(), time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"never came: {what}"
        pause.wait(0.01)


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    return tmp_path / "configuration" / "jbdiff-live" / "controllers"


@pytest.fixture
def session(tmp_path: Path, configuration: Path) -> Iterator[Session]:
    session = opened(tmp_path)
    yield session
    session.close()


def opened(tmp_path: Path, **options: object) -> Session:
    made = Session(
        SessionOptions(device="null", midi=(), takes=tmp_path / "takes", **options),  # type: ignore[arg-type]
        ToneGenerator(block_frames=8192),
    )
    made.open()
    return made


def sent(session: Session, *events: ControlEvent) -> None:
    for one in events:
        session._controlled(one)


def test_what_is_learned_is_kept_across_a_program_change_and_a_restart(
    session: Session, tmp_path: Path, configuration: Path
) -> None:
    """Fails where a map lives in the patch: a program change or the end of the program loses it."""
    session.learn("noise_step")
    sent(session, cc(21, 100), cc(21, 90))
    assert session.bindings()["noise_step"] == "ch 1 CC 21"
    sent(session, event(EventKind.PROGRAM, 6, 0))
    eventually(lambda: session.status().patch == "wild", "the patch")
    assert session.bindings()["noise_step"] == "ch 1 CC 21"
    eventually(lambda: len(list(configuration.glob("*.toml"))) == 1, "the file")
    session.close()
    again = opened(tmp_path)
    try:
        again.load_patch(factory_patches()["drift"])
        again.controls.port("box", True)
        assert again.bindings()["noise_step"] == "ch 1 CC 21"
        sent(again, *(cc(21, value) for value in (0, 127)))
        assert again.snapshot()["noise_step"] == 1
    finally:
        again.close()


def test_a_patch_is_saved_with_its_own_suggestions_and_not_with_what_was_learned(
    session: Session, tmp_path: Path
) -> None:
    session.load_patch(factory_patches()["drift"])
    session.learn("noise_step")
    sent(session, cc(21, 100), cc(21, 90))
    session.save_patch(tmp_path / "mine.toml", "mine")
    assert load_patch(tmp_path / "mine.toml").bindings == load_patch(factory_patches()["drift"]).bindings


def test_a_controller_starts_records_and_stops(session: Session, tmp_path: Path) -> None:
    """Fails where only the window can start and record."""
    for n, (function, number) in enumerate((("play", 41), ("record", 45))):
        session.learn(function)
        sent(session, cc(number, 127, time=n), cc(number, 0, time=n))
    assert session.bindings() == {"play": "ch 1 CC 41", "record": "ch 1 CC 45"}
    sent(session, cc(41, 127), cc(41, 0))
    eventually(lambda: session.status().frame > 0, "sound")
    sent(session, cc(45, 127), cc(45, 0))
    eventually(lambda: session.status().recorder.recording, "the recording")
    sent(session, cc(45, 127), cc(45, 0))
    eventually(lambda: not session.status().recorder.recording, "the end of the recording")
    sent(session, cc(41, 127), cc(41, 0))
    eventually(lambda: session.status().engine.state is EngineState.OFFLINE, "the stop")
    assert session.programs.problem == ""


def test_midi_start_and_stop_do_so_once_they_are_learned(session: Session) -> None:
    sent(session, event(EventKind.CLOCK, 0))
    assert session.status().engine.state is EngineState.OFFLINE
    for function, number in (("start", 0), ("stop", 2)):
        session.learn(function)
        sent(session, event(EventKind.CLOCK, number))
    sent(session, event(EventKind.CLOCK, 0))
    eventually(lambda: session.status().frame > 0, "sound")
    sent(session, event(EventKind.CLOCK, 2))
    eventually(lambda: session.status().engine.state is EngineState.OFFLINE, "the stop")


def test_a_controller_goes_through_the_patches(session: Session) -> None:
    for n, (function, number) in enumerate((("next_patch", 59), ("previous_patch", 58))):
        session.learn(function)
        sent(session, cc(number, 127, time=n), cc(number, 0, time=n))
    names = list(session.patches())
    for number, name in ((59, names[0]), (59, names[1]), (58, names[0]), (58, names[-1]), (59, names[0])):
        sent(session, cc(number, 127), cc(number, 0))
        eventually(lambda name=name: session.status().patch == name, name)


def test_a_program_of_the_controllers_own_list_loads_that_patch(
    session: Session, configuration: Path
) -> None:
    configuration.mkdir(parents=True)
    (configuration / "box.toml").write_text(
        'format = 1\nname = "box"\ninputs = ["box"]\n[programs]\n1 = "wild"\n9 = "nothing"\n'
    )
    session.controls.load_maps()
    sent(session, event(EventKind.PROGRAM, 1, 0))
    eventually(lambda: session.status().patch == "wild", "the patch of the list, and not drift")
    sent(session, event(EventKind.PROGRAM, 9, 0))
    eventually(
        lambda: "names patch 'nothing', but there is no such patch" in session.status().message, "the words"
    )


def test_the_status_tells_of_a_corrupt_map_and_of_the_ghost(session: Session, configuration: Path) -> None:
    configuration.mkdir(parents=True)
    (configuration / "bad.toml").write_text("not toml")
    session.controls.load_maps()
    session.load_patch(factory_patches()["drift"])
    sent(session, cc(74, 100), cc(74, 110))
    control = session.status().control
    assert "bad.toml" in control.problem and not control.hardware["noise_step"].taken


def test_jump_is_chosen_on_the_command_line_and_nonsense_is_refused(
    tmp_path: Path, configuration: Path
) -> None:
    made = opened(tmp_path, takeover=TakeoverMode.JUMP)
    try:
        made.load_patch(factory_patches()["drift"])
        sent(made, cc(74, 100), cc(74, 110))
        assert made.snapshot()["noise_step"] == pytest.approx(BY_NAME["noise_step"].from_normal(110 / 127))
    finally:
        made.close()
    refused = CliRunner().invoke(app, ["--takeover", "leap"])
    assert refused.exit_code == 2 and "pickup" in refused.output


@pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is not installed")
def test_from_the_plug_to_a_learned_knob_and_the_list_of_bindings(
    tmp_path: Path, configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything on a real JACK server, by the bytes of a nanoKONTROL2."""
    with jack_server(rate=44_100, period=1024, synchronous=False) as server:
        for name, value in server.env.items():
            if os.environ.get(name) != value:
                monkeypatch.setenv(name, value)
        session = Session(
            SessionOptions(device="null", midi_api="UNIX_JACK", takes=tmp_path / "takes"),
            ToneGenerator(block_frames=8192),
        )
        sender = Sender("nanoKONTROL2", server.env)
        try:
            session.load_patch(factory_patches()["drift"])
            session.open()
            eventually(
                lambda: session.status().control.connected == ("nanoKONTROL2:knobs",), "the controller"
            )
            before = session.snapshot()
            sender.send(*(f"hex B0 {number:02X} 00" for number in (*range(8), *range(16, 24))))
            eventually(lambda: session.status().control.messages == 16, "its positions")
            assert session.snapshot() is before, "a dump at plug-in moves nothing"
            sender.send("hex B0 00 20", "hex B0 00 50", "hex B0 06 7F")
            eventually(
                lambda: (
                    session.snapshot()["noise_step"]
                    == pytest.approx(BY_NAME["noise_step"].from_normal(0x50 / 127))
                ),
                "fader 1",
            )
            eventually(lambda: session.snapshot()["tempo"] == 180, "fader 7, which is CC 6 and no data entry")
            session.learn("finisher_on")
            sender.send("hex B0 40 7F", "hex B0 40 00")  # R 1, which is Home
            eventually(lambda: session.status().control.question is not None, "the question")
            session.answer_learning("replace")
            assert session.bindings()["finisher_on"] == "ch 1 CC 64"
            assert session.bindings()["home"] == "ch 10 note C#1", (
                "as the patch suggests, now that it is free"
            )
            threading.Event().wait(QUIET_SECONDS)  # so long no CC presses a button after the plug
            sender.send("hex B0 29 7F", "hex B0 29 00")
            eventually(lambda: session.status().frame > 0, "play")
            eventually(lambda: len(list(configuration.glob("*.toml"))) == 1, "the map")
            listed = CliRunner().invoke(app, ["--bindings", "--midi-api", "UNIX_JACK"])
            assert listed.exit_code == 0
            lines = [line.split() for line in listed.output.splitlines()]
            assert ["nanoKONTROL2:knobs:"] in lines
            assert ["ch", "1", "CC", "64", "Finisher", "finisher_on", "map"] in lines
            assert ["CC", "7", "Gain", "gain", "map"] in lines
        finally:
            sender.pull()
            session.close()
