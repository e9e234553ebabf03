"""The picture of the sound: what is played is drawn where and as bright as it should be, block by block."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from demo_transport import RATE, DemoTransport

from jbdiff_live.block import Block
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.picture import HIGH_HZ, LOW_HZ, RANGE_DB, TOP_DB, LogSpectrum, Picture
from jbdiff_live.ui.drawing.scope import Playhead

SNAPSHOT = ParameterStore().snapshot
BACKGROUND = theme.argb(theme.BACKGROUND)


def block(samples: np.ndarray, start: int, index: int = 0) -> Block:
    return Block(np.ascontiguousarray(samples, np.float32), index, start, SNAPSHOT, "test", 0.0)


def sine(hz: float, frames: int, level: float = 1.0) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * hz * np.arange(frames) / RATE)
    return np.stack([wave, wave], axis=1).astype(np.float32)


def picture(capacity: int = 400) -> Picture:
    return Picture(RATE, 441, capacity, 40, 200)


@pytest.mark.parametrize("hz", [55.0, 110.0, 440.0, 700.0, 2000.0, 9000.0])
def test_a_full_scale_sine_is_brightest_at_its_own_row_and_reads_zero_decibels(hz: float) -> None:
    spectrum = LogSpectrum(RATE, 200)
    levels = spectrum.levels(sine(hz, 8192)[:, 0], np.array([0, 1000]))
    expected = np.log(hz / LOW_HZ) / np.log(HIGH_HZ / LOW_HZ) * 200
    assert abs(int(levels[0].argmax()) - expected) <= 3
    assert levels[0].max() == pytest.approx(0, abs=3)


def test_sound_below_the_range_is_black_and_louder_is_never_darker() -> None:
    def shade(level_db: float) -> int:
        made = picture()
        made.feed([block(sine(1000, RATE, 10 ** (level_db / 20)), 0)])
        made.work(1000)
        return int(np.flatnonzero(theme.colour_map() == made.pixels[40:, 50].max())[0])

    assert shade(TOP_DB - RANGE_DB - 10) <= 1
    shades = [shade(level) for level in (-80, -60, -40, -20, -10)]
    assert shades == sorted(shades) and shades[-1] > 220


def test_block_by_block_draws_the_same_as_all_at_once() -> None:
    demo = DemoTransport()
    sound = demo._sound(0, 3 * RATE)
    whole = picture()
    whole.feed([block(sound, 0)])
    whole.work(10_000)
    parts = picture()
    cuts = [0, 30_000, 61_234, 100_000, len(sound)]
    blocks: list[Block] = []
    for index, (start, end) in enumerate(itertools.pairwise(cuts)):
        blocks.append(block(sound[start:end], start, index))
        parts.feed(blocks)
        while parts.work(7):
            assert parts.pending >= 0
    assert np.array_equal(whole.pixels, parts.pixels)


def test_the_ring_keeps_the_newest_columns() -> None:
    sound = np.concatenate([sine(500, 5 * RATE), np.zeros((5 * RATE, 2), np.float32)])
    small = picture(capacity=100)  # one second
    blocks = [block(sound[i * RATE : (i + 1) * RATE], i * RATE, i) for i in range(10)]
    for end in range(1, 11):
        small.feed(blocks[:end])
        small.work(1000)
    spectrum = small.pixels[40:]
    assert (spectrum == BACKGROUND).all()  # the silence at the end has written over everything


def test_a_gap_between_blocks_is_silence() -> None:
    made = picture()
    made.feed([block(sine(500, RATE), 0), block(sine(500, RATE), 2 * RATE, 1)])
    made.work(1000)
    assert (made.pixels[40:, 130:170] == BACKGROUND).all()
    assert not (made.pixels[40:, 230:270] == BACKGROUND).all()


def test_what_was_queued_and_thrown_away_is_drawn_over() -> None:
    made, plain = picture(), picture()
    first, wrong, right = sine(500, RATE), sine(3000, 2 * RATE), sine(150, RATE)
    a, b, c = block(first, 0), block(wrong, RATE, 1), block(right, RATE, 1)
    made.feed([a, b])
    made.work(1000)
    made.feed([a, b, c])
    made.work(1000)
    plain.feed([a, c])
    plain.work(1000)
    assert made.end_frame == plain.end_frame == 2 * RATE
    assert np.array_equal(made.pixels[:, :199], plain.pixels[:, :199])


def test_a_session_that_begins_anew_starts_over() -> None:
    made = picture()
    made.feed([block(sine(500, RATE), 50 * RATE)])
    made.work(1000)
    made.feed([block(sine(500, RATE), 0)])
    assert (made.first_frame, made.end_frame) == (0, RATE)
    assert made.work(1000) == 100


def test_the_playhead_runs_smoothly_through_jumps_of_a_device_block() -> None:
    head, steps, last = Playhead(), [], 0
    for i in range(300):
        told = i * 1470 // 2048 * 2048  # the device counts in blocks of 2048
        at = head.look(told, RATE, i / 30)
        steps.append(at - last)
        last = at
    settled = np.array(steps[60:])
    assert settled.min() > 0 and settled.max() < 2048
    assert abs(last - 299 * 1470) < 2048


def test_the_playhead_stops_with_the_sound_and_jumps_with_it() -> None:
    head = Playhead()
    for i in range(60):
        head.look(i * 1470, RATE, i / 30)
    for i in range(60, 150):
        stopped = head.look(59 * 1470, RATE, i / 30)
    assert abs(stopped - 59 * 1470) < 100
    assert head.look(100 * RATE, RATE, 5.0) == 100 * RATE


def test_the_playhead_leans_as_fast_at_fifteen_looks_a_second_as_at_thirty() -> None:
    away = []
    for looks in (15, 30):
        head = Playhead()
        for i in range(3 * looks):
            told = i / looks + (0.1 if i >= 2 * looks else 0.0)  # from the third second on a little ahead
            at = head.look(round(told * RATE), RATE, i / looks)
            if i == 2 * looks + looks // 3:
                away.append(told - at / RATE)
    assert 0.005 < away[0] < 0.06
    assert away[0] == pytest.approx(away[1], abs=0.01)
