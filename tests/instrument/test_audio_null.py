"""The sink without hardware, its clock turned by hand, and the small parts that sinks share."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from servers import ramp, ramp_breaks, wait_for

from jbdiff_live.audio.device import DeviceSink
from jbdiff_live.audio.marks import FrameMarks
from jbdiff_live.audio.null import CHUNK_FRAMES, NullSink, Pacer
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.ring import RingBuffer

RATE = 44_100


class HandClock:
    """Stands still until turned; knows when somebody waits for it."""

    def __init__(self) -> None:
        self._now = 100.0
        self._turned = threading.Condition()
        self.waiting_for = 0.0

    def now(self) -> float:
        return self._now

    def wait_until(self, when: float, stop: threading.Event) -> None:
        with self._turned:
            self.waiting_for = when
            self._turned.notify_all()
            self._turned.wait_for(lambda: self._now >= when or stop.is_set(), 0.1)

    def turn(self, seconds: float) -> None:
        """Moves on, and waits until everything due by then was done."""
        with self._turned:
            self._now += seconds
            self._turned.notify_all()
            assert self._turned.wait_for(lambda: self.waiting_for > self._now, 10), (
                "nobody waits for the clock"
            )


@pytest.fixture
def store() -> ParameterStore:
    return ParameterStore()


def test_frames_follow_the_clock_exactly(store: ParameterStore) -> None:
    ring, clock = RingBuffer(4 * RATE, 2), HandClock()
    ring.write(ramp(1, 4 * RATE))
    heard: list[np.ndarray] = []
    sink = NullSink(ring, lambda: store.snapshot, clock=clock, on_frames=heard.append)
    sink.open(None)
    sink.start()
    try:
        clock.turn(0)
        for _ in range(30):  # one second each third: hours of this would drift by no frame
            clock.turn(1 / 30)
        assert sum(map(len, heard)) == RATE // CHUNK_FRAMES * CHUNK_FRAMES
        assert sink.frames_heard == ring.frames_read - 441
        assert sink.status().running and sink.status().device == "null"
    finally:
        sink.close()
    assert not sink.status().running
    frames, breaks = ramp_breaks(np.concatenate(heard), settle=600)
    assert frames > 40_000 and len(breaks) == 0
    assert np.abs(heard[-1][-1]).max() == 0, "the end is faded"


def test_a_long_sleep_is_not_caught_up(store: ParameterStore) -> None:
    clock = HandClock()
    pacer = Pacer(clock, RATE)
    stop = threading.Event()
    clock._now += 3600
    assert pacer.next_chunk(stop)
    stop.set()
    assert not pacer.next_chunk(stop), "an hour later it goes on from now"


def test_it_starts_again_after_a_stop_and_counts_late_blocks(store: ParameterStore) -> None:
    ring = RingBuffer(RATE, 2)
    ring.write(ramp(1, 3000))
    sink = NullSink(ring, lambda: store.snapshot)
    sink.start()
    wait_for(lambda: sink.status().short_frames > 0, "the ring runs out")
    wait_for(lambda: sink.frames_heard == 3000, "the look-ahead too")
    sink.stop()
    ring.write(ramp(3001, 3000))
    sink.start()
    sink.start()
    wait_for(lambda: sink.frames_heard == 6000, "all is heard")
    sink.close()


def test_a_tap_that_fails_is_a_visible_problem(
    store: ParameterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # it is raised on the thread on purpose

    def tap(frames: np.ndarray) -> None:
        raise OSError("disk full")

    sink = NullSink(RingBuffer(100, 2), lambda: store.snapshot, on_frames=tap)
    sink.start()
    wait_for(lambda: "disk full" in sink.status().problem, "the reason is told")
    sink.close()


def test_marks_turn_a_device_position_into_ours() -> None:
    marks = FrameMarks()
    assert marks.find(1000) == 0
    marks.restart(0, 500)
    for chunk in range(1, 600):  # a device at twice our rate
        marks.add(chunk * 200, 500 + chunk * 100)
    assert marks.find(600 * 200) == 500 + 599 * 100
    assert marks.find(590 * 200 + 50) == 500 + 590 * 100 + 25


def test_a_short_ring_must_be_a_power_of_two(store: ParameterStore) -> None:
    with pytest.raises(ValueError, match="power of two"):
        DeviceSink(RingBuffer(100, 2), lambda: store.snapshot, short_ring_frames=3000)


def test_nothing_imports_the_sound_library_before_it_is_asked_for() -> None:
    code = """
import sys
sys.modules["sounddevice"] = None  # as where PortAudio is missing: importing it raises
from jbdiff_live.audio import device, input, names, null
assert names.names_or_reason("output")[0] == names.names_or_reason("input")[0] == []
assert "apt-get install libportaudio2" in names.names_or_reason("output")[1]
assert "rtmixer" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
