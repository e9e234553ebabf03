"""The ring between two threads: whatever the order of reads and writes, the stream stays whole."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.ring import RingBuffer


def counting(start: int, frames: int, channels: int = 2) -> np.ndarray:
    return np.repeat((start + np.arange(frames, dtype=np.float32))[:, None], channels, axis=1)


@given(
    capacity=st.integers(1, 40),
    steps=st.lists(st.tuples(st.sampled_from("rwds"), st.integers(0, 50)), max_size=60),
)
def test_any_order_of_reads_writes_and_drains_keeps_the_stream(
    capacity: int, steps: list[tuple[str, int]]
) -> None:
    ring = RingBuffer(capacity, 2)
    written, waiting = 0, []
    panics = 0
    for step, frames in steps:
        if step == "w":
            count = ring.write(counting(written, frames))
            assert count <= frames
            waiting += range(written, written + count)
            written += count
        elif step == "d":
            panics += 1
            ring.answer_panics(panics)
            waiting = []
        elif step == "s":
            ring.skip_drained()
            assert ring.room == capacity - len(waiting), "what was drained is room again"
        else:
            out = np.full((frames, 2), -1, np.float32)
            missing = ring.read(out)
            heard, waiting = waiting[:frames], waiting[frames:]
            assert missing == frames - len(heard)
            assert out[: len(heard), 0].tolist() == heard
            assert not out[len(heard) :].any(), "what is missing is silence"
            assert ring.room == capacity - len(waiting), (
                "drained frames are room once a read has skipped them"
            )
        assert ring.available == len(waiting)
        assert ring.frames_written == written and ring.panics_answered == panics
    assert ring.frames_read <= ring.frames_written


def test_two_threads_pass_many_frames_whole() -> None:
    ring, total = RingBuffer(1009, 1), 200_000
    failed = threading.Event()

    def write() -> None:
        sizes = np.random.default_rng(1)
        written = 0
        while written < total and not failed.is_set():
            frames = min(int(sizes.integers(1, 700)), total - written)
            written += ring.write(counting(written, frames, 1))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        sizes, read = np.random.default_rng(2), 0
        while read < total:
            out = np.empty((min(int(sizes.integers(1, 700)), total - read), 1), np.float32)
            got = len(out) - ring.read(out)
            assert np.array_equal(out[:got], counting(read, got, 1))
            read += got
    finally:
        failed.set()
        writer.join(10)
    assert ring.frames_read == total


def test_a_reader_never_sees_frames_from_before_a_drain() -> None:
    ring = RingBuffer(100, 1)
    ring.write(counting(0, 80, 1))
    out = np.empty((10, 1), np.float32)
    ring.read(out)
    ring.request_drain()
    assert ring.available == 0 and ring.room == 30
    ring.write(counting(80, 30, 1))
    assert ring.read(out) == 0
    assert out[0, 0] == 80 and ring.frames_read == 90


@pytest.mark.parametrize(
    "wrong", [np.zeros(4, np.float32), np.zeros((4, 3), np.float32)], ids=["flat", "three channels"]
)
def test_a_wrong_shape_is_named(wrong: np.ndarray) -> None:
    ring = RingBuffer(8, 2)
    with pytest.raises(ValueError, match="2 channels"):
        ring.write(wrong)
    with pytest.raises(ValueError, match="2 channels"):
        ring.read(wrong)
    with pytest.raises(ValueError, match="room"):
        RingBuffer(0, 2)
