"""The whole instrument with its links, on a turned clock: voltages in and out, OSC, keys, and the ports of a rack."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from servers import wait_for
from stage_rig import STAGE, StageRig, stage
from test_midi_out import MemoryPorts
from test_osc import message
from tone_generator import ToneGenerator
from typer.testing import CliRunner

from jbdiff_live.control.cv import CvChannel
from jbdiff_live.control.osc.link import OscSettings, parse_address
from jbdiff_live.control.osc.packets import read_packet
from jbdiff_live.links import LinkOptions
from jbdiff_live.modular.sends import parse_send
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.start.command import app
from jbdiff_live.wishes import KEYBOARD

BACK_PIECES = 20  # of 10 ms, after a hole in the sound, until the envelope counts again


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))


def voltage(rig: StageRig, channel: int, sample: float) -> None:
    """That voltage comes in for 20 ms, and was read when this returns."""
    reader = rig.session.links.cv
    assert reader is not None
    frames = np.zeros((882, rig.device.channels), np.float32)
    frames[:, channel - 1] = sample
    rig.device.incoming.append(frames)
    wait_for(lambda: reader.level(channel) == pytest.approx(sample), "the voltage")


def test_a_voltage_on_a_channel_of_a_sound_input_moves_a_value(tmp_path: Path) -> None:
    links = LinkOptions(
        OscSettings(port=0), cv_in=STAGE, cv_spans=((3, CvChannel(-0.5, 0.5, 0)), (4, CvChannel(0, 1, 0)))
    )
    with stage(tmp_path, channels=4, links=links) as rig:
        session = rig.session
        session.correct_binding(f"CV in {STAGE}", "memory", "CV 3")
        session.correct_binding(f"CV in {STAGE}", "reroll", "gate 4")
        voltage(rig, 3, 0.0)
        voltage(rig, 3, 0.25)
        wait_for(lambda: session.snapshot()["memory"] == pytest.approx(0.75, abs=1e-3), "the value")
        voltage(rig, 4, 0.9)
        voltage(rig, 4, 0.0)
        wait_for(lambda: session.snapshot().counts["reroll"] == 1, "the gate")
        rows = {row.target: row.control for row in session.binding_rows()}
        assert rows["memory"] == "CV 3" and rows["reroll"] == "gate 4"
        assert "CV 3: Memory" in session.status().control.moved
        voltage(rig, 3, 0.4)
        assert session.status().control.voltages[2] == pytest.approx(0.4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as surface:
            osc = session.status().control.osc
            assert osc is not None
            surface.sendto(message("/jbdiff/cv/3", "high"), parse_address(osc.listening))
            device = f"CV in {STAGE}"
            wait_for(lambda: session.controls.cv_channel(device, 3).high == pytest.approx(0.4), "the end")


def test_a_cv_input_that_is_not_there_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    with stage(tmp_path, links=LinkOptions(cv_in="rack")) as rig:
        assert "no CV in: no sound input 'rack'" in rig.session.status().control.problem
        rig.play()


def test_an_envelope_leaves_on_the_third_channel_beside_untouched_sound(tmp_path: Path) -> None:
    """The same piece with and without: the sound is equal, and the voltage follows it and has no step."""
    sends = (parse_send("envelope=CV 3"), parse_send("gate=CV 4 0:0.5"))
    with stage(tmp_path, channels=4, links=LinkOptions(sends=sends)) as rig:
        rig.device.captured = []
        rig.play()
        rig.clock.run(2.0)
        played = np.concatenate(rig.device.captured)
        rig.device.captured = []
        rig.session.stop()
        ended = np.concatenate(rig.device.captured)[-1]
    assert played.shape[1] == 4
    sound, envelope, gate = np.abs(played[:, :2]).max(axis=1), played[:, 2], played[:, 3]
    assert sound.max() > 0.1
    pieces = len(sound) // 441  # of 10 ms
    loud = sound[: pieces * 441].reshape(pieces, 441).max(axis=1) > 0.1
    # A block may be late on a busy machine, and leave a hole; the envelope takes its time to come back.
    steady = np.convolve(~loud, np.ones(BACK_PIECES))[:pieces] == 0
    steady[:BACK_PIECES] = False
    assert steady.sum() > 10
    assert envelope[: pieces * 441].reshape(pieces, 441).min(axis=1)[steady].min() > 0.07, (
        "it follows the tone"
    )
    assert np.abs(np.diff(envelope)).max() < 0.02 and np.abs(np.diff(gate)).max() < 0.02, "slopes, no steps"
    assert gate.max() == pytest.approx(0.5, abs=0.01) and gate.min() == 0
    opened = np.flatnonzero((gate[1:] > 0.25) & (gate[:-1] <= 0.25))
    assert len(opened) >= 2, "a gate for each block"
    assert (ended == 0).all(), "no voltage stays behind"


def test_an_output_without_the_channel_says_so_and_plays(tmp_path: Path) -> None:
    with stage(tmp_path, links=LinkOptions(sends=(parse_send("envelope=CV 3"),))) as rig:
        rig.play()
        problem = rig.session.status().audio.problem
        assert "no place for envelope (CV 3); choose another output" in problem


@pytest.fixture
def surface() -> Iterator[socket.socket]:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(60)
    yield made
    made.close()


@pytest.fixture
def session(tmp_path: Path, surface: socket.socket) -> Iterator[Session]:
    links = LinkOptions(OscSettings(port=0, out=surface.getsockname()))
    made = Session(
        SessionOptions(device="null", midi=(), takes=tmp_path / "takes", links=links),
        ToneGenerator(block_frames=8192),
    )
    made.open()
    yield made
    made.close()


def test_osc_plays_the_session_and_is_told_how_it_goes(session: Session, surface: socket.socket) -> None:
    received: dict[str, object] = {}

    def news(address: str) -> object:
        for call in read_packet(surface.recv(65535)):
            received[call.address] = call.arguments[0]
        return received.get(address)

    osc = session.status().control.osc
    assert osc is not None
    for packet in (message("/jbdiff/play", 1.0), message("/jbdiff/noise_step", 0.75)):
        surface.sendto(packet, parse_address(osc.listening))
    wait_for(lambda: news("/jbdiff/state/play") == 1, "it plays")
    assert session.snapshot()["noise_step"] == 0.75
    wait_for(lambda: news("/jbdiff/out/envelope"), "the envelope of the tone")
    session.set_parameter("gain", -6.0)
    wait_for(lambda: news("/jbdiff/gain") == -6.0, "the new value")
    surface.sendto(message("/jbdiff/no_such_knob", 1.0), parse_address(osc.listening))

    def unusable() -> int:
        osc = session.status().control.osc
        return 0 if osc is None else osc.unusable

    wait_for(lambda: unusable() == 1, "the message that cannot be used")
    surface.sendto(message("/jbdiff/play", 1.0), parse_address(osc.listening))
    wait_for(lambda: news("/jbdiff/state/play") == 0, "it stops")


def test_a_key_is_bound_like_every_other_control(session: Session) -> None:
    assert not session.press_key("F5")
    session.learn("reroll")
    assert session.press_key("F5")
    assert session.bindings()["reroll"] == "key F5"
    assert session.press_key("F5")
    assert session.snapshot().counts["reroll"] == 1
    assert KEYBOARD in {row.device for row in session.binding_rows()}


def test_without_options_nothing_is_opened_and_no_thread_is_added(tmp_path: Path) -> None:
    made = Session(SessionOptions(device="null", midi=(), takes=tmp_path), ToneGenerator(block_frames=8192))
    try:
        made.open()
        assert made.status().control.osc is None
        assert not [t for t in threading.enumerate() if t.name in ("osc", "cv input")]
    finally:
        made.close()


def test_the_music_is_sent_to_the_midi_output_of_that_name(tmp_path: Path) -> None:
    ports = MemoryPorts([("Other", 0), ("Rack MIDI 1", 0)])
    links = LinkOptions(
        sends=(parse_send("envelope=ch 2 CC 20"), parse_send("gate=note C3")), midi_out="rack"
    )
    made = Session(
        SessionOptions(device="null", midi=(), takes=tmp_path, links=links),
        ToneGenerator(block_frames=22_050),
    )
    made.links.sender.ports = ports
    try:
        made.open()
        made.start()
        wait_for(lambda: ("Rack MIDI 1", 0) in ports.opened, "the output")
        sent = ports.opened[("Rack MIDI 1", 0)].sent
        wait_for(lambda: sent.count(b"\x90\x3c\x64") >= 2 and sent.count(b"\x90\x3c\x00") >= 1, "two gates")
        assert any(data[:2] == b"\xb1\x14" and data[2] > 10 for data in sent)
        assert list(ports.opened) == [("Rack MIDI 1", 0)]
    finally:
        made.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--osc-out", "nowhere"), "HOST:PORT"),
        (("--osc", "70000"), "65535"),
        (("--cv", "3=0:1"), "--cv-in"),
        (("--cv-in", "rack", "--cv", "3"), "3=-0.5:0.5"),
        (("--send", "loudness=CV 3"), "envelope"),
        (("--send", "gate=note C3"), "--midi-out"),
    ],
)
def test_an_option_that_makes_no_sense_says_how_to_write_it(
    options: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = CliRunner().invoke(app, ["--headless", "--seconds", "1", *options])
    assert done.exit_code == 2 and words in done.output
