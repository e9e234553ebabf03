"""MIDI through a real JACK server, sent by another process. Skipped words are for machines without jackd."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from controllers import Sender

from jbdiff_live.control.bindings import Binding, ControlMap
from jbdiff_live.control.midi import MidiInput, _stable, list_midi_inputs
from jbdiff_live.parameters import ParameterStore

needs_jack = pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is not installed")


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
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

    def plug(self, name: str) -> Sender:
        self.senders.append(Sender(name))
        return self.senders[-1]


@pytest.fixture
def jack(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    name = f"jbdiff-midi-{os.getpid()}"
    server = subprocess.Popen(
        ["jackd", "-r", "-n", name, "-d", "dummy", "-r", "44100", "-p", "256"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    monkeypatch.setenv("JACK_DEFAULT_SERVER", name)
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    try:
        subprocess.run(["jack_wait", "-w", "-t", "10"], check=True, stdout=subprocess.DEVNULL)
        yield server
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture
def rig() -> Iterator[Rig]:
    store = ParameterStore()
    bound = [
        Binding.parse(n, t)
        for n, t in (("noise_step", "CC 74"), ("seed", "CC 16/48 14-bit"), ("reroll", "note C1"))
    ]
    made = Rig(store, ControlMap(store, bound), [])
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
        sender.send("control_change channel=0 control=74 value=127")
        until(lambda: rig.store.snapshot["noise_step"] == 1)
        assert midi.status().last_message == "CC 74 = 127 (ch 1)"
        sender.send(
            "control_change control=16 value=100",
            "control_change control=48 value=3",
            "note_on note=36 velocity=90",
            "note_off note=36",
        )
        until(lambda: rig.store.snapshot.counts["reroll"] == 1 and midi.status().messages == 5)
        assert rig.store.snapshot["seed"] == 100 * 128 + 3
        sender.pull()
        until(lambda: midi.status().connected == ())
        assert midi.status().missing == ("Box:knobs",)
        sender = rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        assert midi.status().missing == ()
        sender.send("control_change control=74 value=0")
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
def test_a_server_that_ends_is_a_problem_in_words(jack: subprocess.Popen[bytes], rig: Rig) -> None:
    midi = MidiInput(rig.controls.handle, api="UNIX_JACK", virtual="in", poll_seconds=0.05)
    midi.start()
    try:
        rig.plug("Box")
        until(lambda: midi.status().connected == ("Box:knobs",))
        jack.terminate()
        jack.wait(timeout=10)
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


def test_a_name_survives_unplugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert _stable("nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0") == "nanoKONTROL2:nanoKONTROL2 MIDI 1"
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert _stable("nanoKONTROL2 3") == "nanoKONTROL2"
