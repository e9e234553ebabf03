"""What is sent by MIDI, through ports in memory and through a real JACK server."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import mido
import pytest
import rtmidi
from controllers import Sender
from hands import Hands
from servers import JackServer, wait_for
from test_feedback import MAP
from turned_clock import TurnedClock

from jbdiff_live.control.midi.clients import open_client
from jbdiff_live.control.midi.inputs import MidiInput
from jbdiff_live.control.midi.midi_out import LOOK_SECONDS, MidiSender
from jbdiff_live.control.midi.out_ports import OutPort, RtOutPorts
from jbdiff_live.control.names import Port
from jbdiff_live.control.outgoing.feedback import Views
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.parameters import BY_NAME, Origin


@dataclass
class MemoryPort:
    sent: list[bytes] = field(default_factory=list)
    broken: bool = False

    def send(self, data: bytes) -> None:
        if self.broken:
            raise rtmidi.SystemError("gone")
        self.sent.append(data)


@dataclass
class MemoryPorts:
    """Outputs that are plugged in and out by hand."""

    there: list[Port] = field(default_factory=list)
    opened: dict[Port, MemoryPort] = field(default_factory=dict)
    closed: list[OutPort] = field(default_factory=list)
    looks: int = 0
    alive: bool = True
    forgotten: int = 0

    def list(self) -> list[Port]:
        self.looks += 1
        self.alive = True
        return list(self.there)

    def open(self, port: Port) -> OutPort:
        self.opened[port] = MemoryPort()
        return self.opened[port]

    def close(self, port: OutPort) -> None:
        self.closed.append(port)

    def lives(self) -> bool:
        return self.alive

    def forget(self) -> None:
        self.forgotten += 1


@contextlib.contextmanager
def sending(ports: MemoryPorts) -> Iterator[tuple[MidiSender, TurnedClock]]:
    clock = TurnedClock()
    sender = MidiSender(ports, clock)
    sender.start()
    try:
        yield sender, clock
    finally:
        sender.stop()


def test_what_is_due_goes_to_the_output_of_that_name_and_no_other() -> None:
    ports = MemoryPorts([("Synth", 0), ("Box MIDI 1", 0)])
    due = [[b"\xb0\x01\x02"]]
    with sending(ports) as (sender, _):
        sender.want("box", ("Box",), lambda now: due.pop() if due else [])
        wait_for(lambda: sender.status().sent == 1, "the message")
        assert ports.opened[("Box MIDI 1", 0)].sent == [b"\xb0\x01\x02"]
        assert ("Synth", 0) not in ports.opened
        sender.let_go("box")
        wait_for(lambda: len(ports.closed) == 1, "the output is closed")
    assert ports.forgotten == 1


def test_two_equal_controllers_have_an_output_each() -> None:
    ports = MemoryPorts([("Box", 0), ("Box", 1)])
    with sending(ports) as (sender, _):
        sender.want("first", ("Box",), lambda now: [])
        sender.want("second", ("Box",), lambda now: [], nth=1)
        wait_for(lambda: sender.status().connected == ("first", "second"), "both")
    assert set(ports.opened) == {("Box", 0), ("Box", 1)}


def test_an_output_that_comes_later_is_found_and_one_that_goes_is_found_again() -> None:
    ports = MemoryPorts()
    with sending(ports) as (sender, clock):
        sender.want("box", ("Box",), lambda now: [])
        wait_for(lambda: ports.looks == 1, "the first look")
        assert sender.status().missing == ("box",)
        ports.there = [("Box", 0)]
        clock.turn(LOOK_SECONDS)
        wait_for(lambda: sender.status().connected == ("box",), "the output")
        ports.there = []
        clock.turn(LOOK_SECONDS)
        wait_for(lambda: sender.status().missing == ("box",), "it went")
        ports.there = [("Box", 0)]
        clock.turn(LOOK_SECONDS)
        wait_for(lambda: sender.status().connected == ("box",), "it came back")


def test_an_output_that_refuses_is_named_and_tried_again() -> None:
    ports = MemoryPorts([("Box", 0)])
    with sending(ports) as (sender, clock):
        sender.want("box", ("Box",), lambda now: [b"\xb0\x01\x02"])
        wait_for(lambda: sender.status().sent > 0, "a message")
        ports.opened[("Box", 0)].broken = True
        wait_for(lambda: "tried again" in sender.status().problem, "the problem")
        clock.turn(LOOK_SECONDS)
        wait_for(lambda: sender.status().connected == ("box",) and not sender.status().problem, "once more")


def test_a_server_that_ended_is_let_go_without_closing_its_ports() -> None:
    """Closing a client of a dead JACK server ends the process."""
    ports = MemoryPorts([("Box", 0)])
    with sending(ports) as (sender, clock):
        sender.want("box", ("Box",), lambda now: [])
        wait_for(lambda: sender.status().connected == ("box",), "the output")
        ports.alive = False
        clock.turn(LOOK_SECONDS)
        wait_for(lambda: ports.forgotten == 1 and sender.status().connected == ("box",), "opened again")
        assert ports.closed == []


@pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is not installed")
def test_a_turned_knob_of_a_real_port_comes_back_as_the_light_of_another_value(
    jack: JackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end: bytes in, value, bytes out; the light that is sent is that of the value, and once."""
    for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER"):
        monkeypatch.setenv(name, jack.env[name])
    (tmp_path / "box.toml").write_text(MAP.replace("SHOWS", ""))
    hands = Hands(shelf=MapShelf(tmp_path))
    hands.controls.load_maps()
    sender = MidiSender(RtOutPorts("UNIX_JACK"))

    def on_port(name: str, there: bool) -> None:
        hands.controls.port(name, there)
        names = hands.controls.outputs_of(name)
        if there and names:
            sender.want(name, names, lambda now: hands.controls.feedback(name, views(), now))
        else:
            sender.let_go(name)

    def views() -> Views:
        return Views(hands.store.snapshot, hands.store.snapshot)

    received: list[mido.Message] = []
    lights = open_client("UNIX_JACK", "box")
    lights.open_virtual_port("lights")
    midi = MidiInput(hands.controls.handle, api="UNIX_JACK", poll_seconds=0.05, on_port=on_port)
    box = Sender("box")

    def come() -> list[mido.Message]:
        while (packet := lights.get_message()) is not None:
            received.append(mido.Message.from_bytes(packet[0]))
        return received

    def shows(number: int, value: int) -> bool:
        return any(m.type == "control_change" and (m.control, m.value) == (number, value) for m in come())

    sender.start()
    midi.start()
    try:
        wait_for(lambda: shows(23, round(1.5 / 6 * 127)), "the lights of a controller that came")
        hands.store.set("guidance", 6, Origin.UI)
        wait_for(lambda: shows(23, 127), "the new light")
        received.clear()
        before = hands["noise_step"]
        box.send("control_change control=21 value=90")
        wait_for(
            lambda: hands["noise_step"] == pytest.approx(BY_NAME["noise_step"].from_normal(90 / 127)),
            "the value",
        )
        assert before != hands["noise_step"]
        hands.store.set("guidance", 0, Origin.UI)
        wait_for(lambda: shows(23, 0), "another light, sent after the turn")
        assert not [m for m in received if m.type == "control_change" and m.control == 21], "no echo"
    finally:
        midi.stop()
        sender.stop()
        box.pull()
        lights.close_port()
        lights.delete()


@pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is not installed")
def test_a_jack_server_that_dies_with_an_open_output_ends_nothing(
    jack: JackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let go while the server is dead, and found again when it is back. A wrong close ends the process."""
    for name in ("JACK_DEFAULT_SERVER", "JACK_NO_START_SERVER"):
        monkeypatch.setenv(name, jack.env[name])
    clock = TurnedClock()
    sender = MidiSender(RtOutPorts("UNIX_JACK"), clock)
    listener = Listener(jack)
    sender.want("box", ("lights",), lambda now: [b"\xb0\x01\x02"])
    sender.want("other", ("lights",), lambda now: [])
    sender.start()
    try:
        wait_for(lambda: sender.status().connected == ("box", "other"), "the output")
        jack.kill()
        sender.let_go("other")
        listener.pull()

        def no_output() -> bool:
            clock.turn(LOOK_SECONDS)
            return "no MIDI output" in sender.status().problem

        wait_for(no_output, "the server is missed")
        jack.start()
        listener = Listener(jack)

        def found() -> bool:
            clock.turn(LOOK_SECONDS)
            return sender.status().connected == ("box",)

        wait_for(found, "the output of the new server")
        sent = sender.status().sent
        wait_for(lambda: sender.status().sent > sent, "messages")
    finally:
        sender.stop()
        listener.pull()


class Listener:
    """A MIDI input "box:lights" in a process of its own, which dies with its server and takes nobody with it."""

    def __init__(self, server: JackServer) -> None:
        code = (
            "import rtmidi, sys; lights = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, 'box');"
            "lights.open_virtual_port('lights'); print('up', flush=True); sys.stdin.read()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=server.env,
        )  # fmt: skip
        assert self._process.stdout is not None and self._process.stdout.readline() == b"up\n"

    def pull(self) -> None:
        self._process.kill()
        self._process.communicate()
