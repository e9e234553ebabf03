"""MIDI clock in and out: bytes on a real JACK port, and when a message was received."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
from controllers import Sender
from test_control_midi import jack_for_midi, until

from jbdiff_live.beat.bar_clock import BarClock, ClockMessage
from jbdiff_live.beat.line import ClockSource
from jbdiff_live.control.midi.clients import open_client
from jbdiff_live.control.midi.clock_port import ClockPort
from jbdiff_live.control.midi.inputs import MidiInput
from jbdiff_live.control.midi.receipt import MOST_LATE_SECONDS, Receipt

needs_jack = pytest.mark.skipif(shutil.which("jackd") is None, reason="jackd is not installed")


@pytest.fixture(scope="module")
def jack() -> Iterator[subprocess.Popen[bytes]]:
    with jack_for_midi(f"jbdiff-clock-{os.getpid()}") as server:
        yield server


class Listener:
    """A rack's MIDI input, which keeps what it gets."""

    def __init__(self) -> None:
        self._client = open_client("UNIX_JACK", "Drums")
        self._client.ignore_types(timing=False)
        self._client.open_virtual_port("in")
        self._got: list[bytes] = []

    def has(self, messages: list[bytes]) -> bool:
        """Whether all of these have come."""
        while (packet := self._client.get_message()) is not None:
            self._got.append(bytes(packet[0]))
        return all(message in self._got for message in messages)

    def close(self) -> None:
        self._client.close_port()
        self._client.delete()


EVEN_SECONDS = 60 / 97 / 24  # from tick to tick at 97 beats a minute


@needs_jack
def test_a_rack_on_a_jack_port_sets_tempo_and_bar(jack: subprocess.Popen[bytes]) -> None:
    """From its bytes: start, ticks, song position, continue, stop. The knobs go on working between them."""
    clock, events, seen, arrived = BarClock(ClockSource.MIDI), [], [], []
    begun = time.monotonic()

    def on_clock(device: str, message: ClockMessage, now: float, position: int, resolution: float) -> None:
        arrived.append(time.monotonic())
        seen.append((device, message, now, position))
        # The clock gets even times: on a busy machine ticks come so late that it rightly takes some for missing.
        clock.midi(device, message, EVEN_SECONDS * len(seen), position)

    midi = MidiInput(events.append, api="UNIX_JACK", poll_seconds=0.05, on_clock=on_clock)
    midi.start()
    rack = Sender("Rack", port="clock")
    try:
        until(lambda: midi.status().connected == ("Rack:clock",))
        rack.send(
            "start", *["clock"] * 3, "hex FE", "hex F1 05", "control_change control=74 value=9", "clock"
        )
        until(lambda: len(seen) == 5)
        assert [message for _, message, _, _ in seen] == [ClockMessage.START, *[ClockMessage.TICK] * 4]
        assert {device for device, *_ in seen} == {"Rack:clock"}
        assert midi.status().messages == 2  # start and the knob: no player wants to count ticks
        rack.send("stop", "songpos pos=20", "continue")
        until(lambda: len(seen) == 8)
        for number in range(6):  # one a period: those of one period have one time
            rack.send("clock")
            until(lambda number=number: len(seen) == 9 + number)
        assert seen[6][1:2] + seen[6][3:] == (ClockMessage.POSITION, 20)
        # JACK now and then gives the times of two periods to one message, so a time may lie before the last one.
        period = 512 / 44_100
        for (_, _, now, _), later in zip(seen, arrived, strict=True):
            assert begun - MOST_LATE_SECONDS < now < later + period
        line = clock.line(EVEN_SECONDS * len(seen))
        assert line is not None and line.moves
        assert line.beat_at(line.at) == pytest.approx(5 + 5 / 24)  # the sixth tick from sixteenth 20 on
    finally:
        midi.stop()
        rack.pull()


@needs_jack
def test_clock_out_reaches_a_port_that_comes_later_and_comes_back(jack: subprocess.Popen[bytes]) -> None:
    port = ClockPort("drums", "UNIX_JACK")
    seconds = itertools.count(10.0, 2.0)  # it looks for its output every second, and this clock is turned
    messages = [b"\xfa", b"\xf8", b"\x9f\x24\x64"]

    def gone() -> bool:
        port.send([], next(seconds))
        return "gone" in port.problem or "no MIDI output" in port.problem

    try:
        port.send(messages, next(seconds))
        assert "no MIDI output 'drums'" in port.problem and "choose 'virtual'" in port.problem
        for _ in range(2):
            listener = Listener()
            until(lambda listener=listener: port.send(messages, next(seconds)) or listener.has(messages))
            assert port.problem == ""
            listener.close()
            until(gone)
    finally:
        port.close()
        port.close()


@needs_jack
def test_a_virtual_clock_port_is_there_for_others(jack: subprocess.Popen[bytes]) -> None:
    port = ClockPort("virtual", "UNIX_JACK")
    looker = open_client("UNIX_JACK", "Looker")
    try:
        port.send([], 0.0)
        until(lambda: any(name.startswith("jbdiff-live") and "clock" in name for name in looker.get_ports()))
    finally:
        port.close()
        looker.delete()


def test_a_message_is_taken_for_when_the_system_got_it_and_not_for_when_python_did() -> None:
    chance, receipt, late, last = random.Random(3), Receipt(), [], 0.0
    for number in range(400):
        real = 50 + number * 0.0258
        got = real + 0.0005 + chance.expovariate(1 / 0.002)  # Python comes later, now and then much later
        found = receipt.second(real - last if number else 0.0, got)
        last = real
        if number > 50:
            late.append(found - real)
    assert min(late) >= 0 and max(late) < 0.001


def test_a_thread_that_waits_for_a_processor_moves_no_time() -> None:
    receipt = Receipt()
    found = [
        receipt.second(0.025, 50 + number * 0.025 + (0.4 if number == 60 else 0)) for number in range(80)
    ]
    assert found == pytest.approx([50 + number * 0.025 for number in range(80)])


def test_a_sum_that_lost_a_message_is_put_right() -> None:
    receipt = Receipt()
    for number in range(10):
        receipt.second(0.1, 50 + number * 0.1)
    assert receipt.second(0.1, 62.0) == 62.0  # the system counted only a part of the pause
    assert receipt.second(0.1, 62.1) == pytest.approx(62.1)
