"""MIDI through a real JACK server, sent by another process. Skipped words are for machines without jackd."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from controllers import Sender

from jbdiff_live.binding import Binding, TakeoverMode
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.midi.inputs import MidiInput, list_midi_inputs
from jbdiff_live.control.names import free_name, index_of, lasting, model, numbered
from jbdiff_live.parameters import BY_NAME, ParameterStore

needs_jack = pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is not installed")


def until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in time")


@dataclass
class Rig:
    """The instrument's side. `senders` are pulled out at the end."""

    store: ParameterStore
    controls: ControlMap
    senders: list[Sender]

    def plug(self, name: str, port: str = "knobs") -> Sender:
        self.senders.append(Sender(name, port=port))
        return self.senders[-1]

    def listen(self, **options: object) -> MidiInput:
        """An input for this rig; the caller starts and stops it."""
        return MidiInput(
            self.controls.handle, api="UNIX_JACK", poll_seconds=0.05, on_port=self.controls.port, **options
        )


@contextlib.contextmanager
def jack_for_midi(name: str) -> Iterator[subprocess.Popen[bytes]]:
    # Synchronous: otherwise a client that is late on a busy machine loses a period's messages.
    server = subprocess.Popen(
        ["jackd", "-r", "-S", "-n", name, "-d", "dummy", "-r", "44100", "-p", "512"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
        monkeypatch.setenv("JACK_NO_START_SERVER", "1")
        try:
            subprocess.run(["jack_wait", "-w", "-t", "90"], check=True, stdout=subprocess.DEVNULL)
            yield server
        finally:
            server.terminate()
            server.wait(timeout=90)


@pytest.fixture(scope="module")
def jack() -> Iterator[subprocess.Popen[bytes]]:
    """One server for all tests: it takes six seconds to end when a client was killed."""
    with jack_for_midi(f"jbdiff-midi-{os.getpid()}") as server:
        yield server


@pytest.fixture
def mortal_jack() -> Iterator[subprocess.Popen[bytes]]:
    with jack_for_midi(f"jbdiff-mortal-{os.getpid()}") as server:
        yield server


@pytest.fixture
def rig() -> Iterator[Rig]:
    store = ParameterStore()
    bound = [
        Binding.parse(n, t)
        for n, t in (("noise_step", "CC 74"), ("seed", "CC 16/48 14-bit"), ("reroll", "ch 1 note C1"),
                     ("brightness", "pitch bend"), ("resample", "pressure"), ("guidance", "NRPN 300"))
    ]  # fmt: skip
    # The first message of a controller only tells where it stands; these tests want to see each of the others.
    made = Rig(store, ControlMap(store, bound, takeover=TakeoverMode.JUMP), [])
    yield made
    for sender in made.senders:
        sender.pull()


@needs_jack
def test_a_knob_in_another_process_moves_a_parameter_and_comes_back_after_being_pulled(
    jack: subprocess.Popen[bytes], rig: Rig
) -> None:
    midi = MidiInput(rig.controls.handle, names=["box"], api="UNIX_JACK", poll_seconds=0.05)
    midi.start()
    try:
        until(lambda: midi.status().missing == ("box",))
        sender = rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        assert midi.status().missing == ()
        sender.send("control_change control=74 value=9", "control_change channel=0 control=74 value=127")
        until(lambda: rig.store.snapshot["noise_step"] == 1)
        assert midi.status().last_message == "CC 74 = 127 (ch 1)"
        sender.send("control_change control=16 value=1", "control_change control=48 value=3")
        sender.send(
            "control_change control=16 value=100",
            "control_change control=48 value=3",
            "note_on note=36 velocity=90",
            "note_off note=36",
        )
        until(lambda: rig.store.snapshot.counts["reroll"] == 1 and midi.status().messages == 8)
        assert rig.store.snapshot["seed"] == 100 * 128 + 3
        sender.pull()
        until(lambda: midi.status().connected == ())
        assert midi.status().missing == ("Box:knobs",)
        sender = rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        assert midi.status().missing == ()
        sender.send("control_change control=74 value=9", "control_change control=74 value=0")
        until(lambda: rig.store.snapshot["noise_step"] == 0)
    finally:
        midi.stop()


@needs_jack
def test_several_controllers_are_heard_at_once_and_can_be_chosen(
    jack: subprocess.Popen[bytes], rig: Rig
) -> None:
    midi = MidiInput(rig.controls.handle, poll_seconds=0.05)  # no ALSA here: JACK by itself
    midi.start()
    try:
        one, two = rig.plug("One"), rig.plug("Two")
        until(lambda: set(midi.status().connected) == {"One:knobs", "Two:knobs"})
        assert set(list_midi_inputs("UNIX_JACK")) == {"One:knobs", "Two:knobs"}
        for sender in (one, two):
            sender.send("control_change control=74 value=9")
        until(lambda: midi.status().messages == 2)
        one.send("control_change control=74 value=127")
        until(lambda: rig.store.snapshot["noise_step"] == 1)
        two.send("control_change control=74 value=0")
        until(lambda: rig.store.snapshot["noise_step"] == 0)
        midi.choose(["Two:knobs"])
        until(lambda: midi.status().connected == ("Two:knobs",))
        two.send("control_change control=74 value=127")
        until(lambda: rig.store.snapshot["noise_step"] == 1)
    finally:
        midi.stop()


@needs_jack
def test_a_server_that_ends_is_a_problem_in_words(mortal_jack: subprocess.Popen[bytes], rig: Rig) -> None:
    midi = MidiInput(rig.controls.handle, api="UNIX_JACK", virtual="in", poll_seconds=0.05)
    midi.start()
    try:
        rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        mortal_jack.terminate()
        mortal_jack.wait(timeout=90)
        until(lambda: "no JACK server" in midi.status().problem)
        until(lambda: midi.status().missing == ("Box:knobs",))
    finally:
        midi.stop()
    assert "midi watcher" not in [thread.name for thread in threading.enumerate()]


def test_no_midi_at_all_is_a_problem_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "jbdiff-none")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    midi = MidiInput(lambda event: None, api="UNIX_JACK", poll_seconds=0.05)
    midi.start()
    try:
        until(lambda: midi.status().problem != "")
        assert "no JACK server is running; start one" in midi.status().problem
        assert list_midi_inputs("UNIX_JACK") == []
    finally:
        midi.stop()


def test_an_unknown_api_names_the_known_ones() -> None:
    midi = MidiInput(lambda event: None, api="TELEGRAPH", poll_seconds=0.05)
    midi.start()
    try:
        until(lambda: "no MIDI API 'TELEGRAPH'" in midi.status().problem)
    finally:
        midi.stop()
        midi.stop()


@pytest.mark.parametrize(
    ("system", "names"),
    [
        ("Linux", ["nano:nano MIDI 1 20:0", "nano:nano MIDI 1 28:0"]),
        ("Linux", ["a2j:nano [20] (capture): nano MIDI 1", "a2j:nano [24] (capture): nano MIDI 1"]),
        (
            "Linux",
            ["Midi-Bridge:nano 3:(capture_0) nano MIDI 1", "Midi-Bridge:nano 5:(capture_0) nano MIDI 1"],
        ),
        ("Linux", ["Box:knobs", "Box-01:knobs"]),
        ("Windows", ["nano 3", "nano 1", "2- nano 4"]),
        ("Darwin", ["nano", "nano"]),
    ],
)
def test_a_name_survives_other_numbers_and_equal_controllers_have_their_own(
    system: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails where a number inside the name makes a stranger of a controller that returns."""
    monkeypatch.setattr("platform.system", lambda: system)
    assert len({lasting(name) for name in names}) == 1
    given: list[str] = []
    for name in names:
        given.append(free_name(name, given))
    assert given[1] == f"{given[0]} #2" and len(set(given)) == len(names)
    assert {model(name) for name in given} == {given[0]}
    assert [index_of(port, names) for port in numbered(names)] == list(range(len(names)))


def test_ports_of_one_controller_are_not_confused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert lasting("nano:nano MIDI 1 20:0") != lasting("nano:nano MIDI 2 20:1")
    assert lasting("Launch Control XL 2:Launch Control XL 2 MIDI 1 24:0").startswith("Launch Control XL 2:")


@needs_jack
@pytest.mark.parametrize(("first", "later"), [
    ("Box [20] (capture): Box MIDI 1", "Box [24] (capture): Box MIDI 1"), ("knobs", "knobs"),
])  # fmt: skip
def test_two_equal_controllers_are_both_heard_and_found_again(
    jack: subprocess.Popen[bytes], rig: Rig, first: str, later: str
) -> None:
    """Fails where one of two equal controllers is deaf and not shown, and where another number is another name."""
    midi = rig.listen()
    midi.start()
    try:
        one, two = rig.plug("a2j", first), rig.plug("a2j", later)
        until(lambda: len(midi.status().connected) == 2)
        name = min(midi.status().connected)
        assert set(midi.status().connected) == {name, f"{name} #2"} == set(list_midi_inputs("UNIX_JACK"))
        for sender, value in ((one, 1.0), (two, 0.0)):
            before = midi.status().messages
            sender.send(
                "control_change control=74 value=60", f"control_change control=74 value={127 * value:.0f}"
            )
            until(lambda before=before: midi.status().messages == before + 2)
            assert rig.store.snapshot["noise_step"] == value
        midi.choose([f"{name} #2"])
        until(lambda: midi.status().connected == (f"{name} #2",))
        midi.choose([name, f"{name} #2"])
        until(lambda: len(midi.status().connected) == 2)
        one.pull()
        until(lambda: len(midi.status().connected) == 1 and len(midi.status().missing) == 1)
        rig.plug("a2j", "Box [77] (capture): Box MIDI 1" if "Box" in first else "knobs")
        until(lambda: set(midi.status().connected) == {name, f"{name} #2"} and midi.status().missing == ())
    finally:
        midi.stop()


@needs_jack
def test_a_controller_that_is_back_before_anybody_looked_is_heard(
    jack: subprocess.Popen[bytes], rig: Rig
) -> None:
    """Its name was in the list both times, but the connection is gone."""
    midi = rig.listen()
    midi.start()
    try:
        sender = rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        until(lambda: midi._open["Box:knobs"].connected)
        look = midi._look
        seen = threading.Event()
        midi._look = lambda: seen.set()  # type: ignore[method-assign]
        until(seen.is_set)
        sender.pull()
        until(lambda: list_midi_inputs("UNIX_JACK") == [])
        sender = rig.plug("Box")
        midi._look = look  # type: ignore[method-assign]
        heard = midi.status().messages

        def turned() -> bool:
            sender.send("control_change control=74 value=1")
            return midi.status().messages > heard

        until(turned)
    finally:
        midi.stop()


@needs_jack
def test_a_broken_off_system_exclusive_message_leaves_the_controller_heard(
    jack: subprocess.Popen[bytes], rig: Rig
) -> None:
    """Fails where F0 without F7 makes a controller deaf for good."""
    midi = rig.listen()
    midi.start()
    try:
        sender = rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        sender.send("control_change control=74 value=1")
        until(lambda: midi.status().messages == 1)
        for n in range(3):
            sender.send(
                "hex F0 42 40 00 01 13", f"control_change control=74 value={10 + n}", "note_on note=36"
            )
            sender.send("hex 00 12 F7", "hex F0 7E 7F 06 01 F7", f"control_change control=74 value={100 + n}")
            until(lambda n=n: midi.status().messages == 4 + 3 * n)
            assert rig.store.snapshot["noise_step"] == BY_NAME["noise_step"].from_normal((100 + n) / 127)
            assert rig.store.snapshot.counts["reroll"] == n + 1
    finally:
        midi.stop()


@needs_jack
def test_every_kind_of_control_is_played_by_its_bytes(jack: subprocess.Popen[bytes], rig: Rig) -> None:
    midi = rig.listen()
    midi.start()
    try:
        sender = rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        sender.send("hex E0 00 00", "hex E0 7F 7F", "hex D0 00", "hex D0 7F")
        address = ("hex B0 63 02", "hex B0 62 2C")
        sender.send(*address, "hex B0 06 00", "hex B0 26 00", *address, "hex B0 06 7F", "hex B0 26 7F")
        sender.send("hex B0 30 05", "hex B0 10 00", "hex B0 30 7F", "hex B0 10 7F")
        until(lambda: midi.status().messages == 16)
        now = rig.store.snapshot
        assert (now["brightness"], now["resample"], now["guidance"], now["seed"]) == (1, 1, 6, 16383)
        sender.send("hex B0 78 00")
        until(lambda: rig.store.snapshot.counts["panic"] == 1)
    finally:
        midi.stop()


@needs_jack
def test_a_dump_of_all_positions_at_plug_in_moves_nothing(jack: subprocess.Popen[bytes], rig: Rig) -> None:
    midi = rig.listen()
    midi.start()
    try:
        sender = rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        before = rig.store.snapshot
        for part in (range(60), range(60, 120)):  # fewer than a hundred in a period
            sender.send(*(f"control_change control={number} value=0" for number in part))
            until(lambda part=part: midi.status().messages == part.stop)
        assert rig.store.snapshot is before
    finally:
        midi.stop()
