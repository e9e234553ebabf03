"""The output stage by itself: what is heard `now`, fades, limiter, and bit-transparency when it has nothing to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import ramp, ramp_breaks

from jbdiff_live.audio.limiter import CEILING
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.parameters import Origin, ParameterSnapshot, ParameterStore
from jbdiff_live.ring import RingBuffer

RATE = 44_100
LOUD = 0.5


class Rig:
    def __init__(self, channels: int = 2) -> None:
        self.store = ParameterStore()
        self.ring = RingBuffer(20 * RATE, channels)
        self.stage = OutputStage(self.ring, lambda: self.store.snapshot, RATE)
        self.heard = np.zeros((0, channels), np.float32)

    def level(self, frames: int, value: float = LOUD, joins: bool = False) -> None:
        """The engine writes a constant: any click of the stage shows as a step."""
        self.ring.write(np.full((frames, self.ring.channels), value, np.float32), joins)

    def hear(self, frames: int, chunk: int = 256) -> np.ndarray:
        out = np.full((frames, self.ring.channels), 7.0, np.float32)
        for start in range(0, frames, chunk):
            self.stage.render(out[start : start + chunk])
        self.heard = np.concatenate([self.heard, out])
        return out

    def set(self, name: str, value: float) -> None:
        self.store.set(name, value, Origin.UI)


def largest_step(sound: np.ndarray) -> float:
    return float(np.abs(np.diff(sound, axis=0)).max())


# A raised cosine over 441 frames is steepest in its middle: pi/2 / 441 of the level, and gains may add to it.
SMOOTH = LOUD * 0.004


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=30))
@settings(deadline=None, max_examples=30)
def test_samples_are_the_engines_bit_for_bit_in_any_chunks(chunks: list[int]) -> None:
    rig = Rig()
    made = np.random.default_rng(5).uniform(-0.4, 0.4, (sum(chunks), 2)).astype(np.float32)
    rig.ring.write(made)
    for chunk in chunks:
        rig.hear(chunk, chunk)
    ahead = rig.stage.look_ahead
    assert np.array_equal(
        rig.heard[2 * ahead :], made[ahead : len(made) - ahead][: max(0, len(made) - 2 * ahead)]
    )
    assert not rig.stage.limited and rig.stage.short_frames == 0


def test_a_short_read_fades_out_and_the_next_sound_fades_in() -> None:
    rig = Rig()
    rig.level(5000)
    rig.hear(8000)
    rig.level(5000)
    rig.hear(8000)
    assert largest_step(rig.heard) < SMOOTH
    assert not rig.heard[6000:8000].any(), "silence between"
    assert rig.heard[3000, 0] == LOUD and rig.heard[11000, 0] == LOUD
    assert rig.stage.short_frames == 6000


def test_silence_before_the_first_block_is_not_counted_as_late() -> None:
    rig = Rig()
    rig.hear(4000)
    assert rig.stage.short_frames == 0 and not rig.heard.any()


@pytest.mark.parametrize(("name", "value"), [("mute", 1), ("gain", -60), ("gain", -12), ("gain", 5)])
def test_gain_and_mute_ramp_without_zipper(name: str, value: float) -> None:
    rig = Rig()
    rig.level(40_000)
    rig.hear(3000)
    rig.set(name, value)
    rig.hear(6000)
    wanted = 0.0 if name == "mute" or value == -60 else LOUD * 10 ** (value / 20)
    assert rig.heard[-1, 0] == pytest.approx(wanted, rel=1e-6), "the lowest position is true silence"
    rig.set(name, 0)
    rig.hear(6000)
    assert np.all(rig.heard[-2000:] == np.float32(LOUD)), "back at 0 dB the samples are untouched"
    assert largest_step(rig.heard) < SMOOTH


def test_a_knob_turned_all_the_time_makes_no_step() -> None:
    rig = Rig()
    rig.level(200_000)
    rig.hear(2000)
    moves = np.random.default_rng(3)
    for _ in range(300):
        rig.set("gain", float(moves.uniform(-60, 5)))
        rig.hear(int(moves.integers(10, 600)))
    assert largest_step(rig.heard) < 2 * SMOOTH


def test_panic_is_silence_within_15_ms_until_the_engine_has_drained() -> None:
    rig = Rig()
    rig.level(60_000)
    rig.hear(5000)
    rig.store.trigger("panic", Origin.UI)
    assert not rig.stage.waits_for_engine(10**6), "a panic does not wait for a block"
    after = rig.hear(20_000)
    assert not after[int(0.015 * RATE) :].any()
    read = rig.ring.frames_read
    rig.ring.answer_panics(1)
    rig.level(10_000, -LOUD)
    rig.hear(5000)
    assert rig.ring.frames_read > read + 10_000, "old sound was skipped"
    assert rig.heard[-1, 0] == -LOUD, "the new sound is heard"
    assert largest_step(rig.heard) < SMOOTH
    assert rig.stage.short_frames == 0, "silence that was asked for is not a late block"


def test_a_drain_that_comes_before_the_panic_was_seen_makes_no_click_and_no_hang() -> None:
    rig = Rig()
    rig.level(60_000)
    rig.hear(5000)
    rig.store.trigger("panic", Origin.UI)
    rig.ring.answer_panics(1)
    rig.level(60_000, -LOUD)
    rig.hear(5000)
    assert rig.heard[-1, 0] == -LOUD
    assert largest_step(rig.heard) < SMOOTH


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_never_reaches_the_device(bad: float) -> None:
    rig = Rig()
    broken = np.full((6000, 2), LOUD, np.float32)
    broken[3100, 1] = bad
    rig.ring.write(broken)
    rig.hear(5500)
    assert np.isfinite(rig.heard).all()
    assert largest_step(rig.heard) < SMOOTH
    assert rig.heard[-1, 0] == LOUD and 0 < rig.stage.bad_frames <= 512


def test_the_limiter_holds_the_ceiling_and_touches_nothing_else() -> None:
    rig = Rig()
    time = np.arange(2 * RATE) / RATE
    made = (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    swell = np.interp(np.arange(2 * RATE), [20_000, 20_200, 29_800, 30_000], [1, 6, 6, 1])
    made = (made * swell).astype(np.float32)
    rig.ring.write(np.stack([made, made], axis=1))
    heard = rig.hear(2 * RATE - 1000)[:, 0]
    assert np.abs(heard).max() <= CEILING * (1 + 1e-6)
    assert rig.stage.limited or np.abs(heard[-RATE // 2 :]).max() < 0.31
    ahead = rig.stage.look_ahead
    quiet = slice(2 * ahead, 20_000 - ahead)
    assert np.array_equal(heard[quiet], made[quiet.start - ahead : quiet.stop - ahead])
    assert np.array_equal(heard[60_000:80_000], made[60_000 - ahead : 80_000 - ahead]), "back to bit-exact"
    gain = heard[20_000 + ahead + 500 : 30_000] / made[20_500 : 30_000 - ahead]
    assert gain.max() < 0.9
    assert largest_step(heard[:, None]) < 6 * 0.3 * 2 * np.pi * 220 / RATE, "turned down, not cut off"


def test_headroom_turns_a_gain_of_0_db_down_and_the_limiter_rests() -> None:
    rig = Rig()
    rig.stage = OutputStage(rig.ring, lambda: rig.store.snapshot, RATE, headroom_db=3.0)
    rig.level(3 * RATE, 1.2)  # 1.6 dB over full scale, as the loudest factory patch
    sound = rig.hear(RATE)
    assert sound[-1, 0] == pytest.approx(1.2 * 10 ** (-3 / 20)) and not rig.stage.limited
    rig.set("gain", 3.0)
    rig.hear(RATE)
    assert rig.stage.limited, "a player who turns Gain up hears the limiter"


@given(st.integers(1, 700), st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_the_limiter_does_not_depend_on_chunks(chunk: int, seed: int) -> None:
    made = np.random.default_rng(seed).normal(0, 0.5, (6000, 2)).astype(np.float32)
    heard = []
    for size in (chunk, 512):
        rig = Rig()
        rig.ring.write(made)
        heard.append(rig.hear(5000, size))
        assert np.abs(rig.heard).max() <= CEILING * (1 + 1e-6)
    assert np.abs(heard[0] - heard[1]).max() < 1e-5


def test_pause_fades_and_leaves_the_ring_alone() -> None:
    rig = Rig()
    rig.level(50_000)
    rig.hear(5000)
    rig.stage.pause()
    read = rig.ring.frames_read
    rig.hear(2000)
    assert rig.ring.frames_read == read and not rig.heard[-1000:].any()
    rig.stage.resume()
    rig.hear(2000)
    assert rig.heard[-1, 0] == LOUD and largest_step(rig.heard) < SMOOTH


def test_frames_passed_follow_the_sound_through_the_look_ahead() -> None:
    rig = Rig()
    rig.ring.write(ramp(1, 5000))
    rig.hear(3000)
    assert rig.stage.frames_passed == 3000 - rig.stage.look_ahead
    rig.hear(5000)
    assert rig.stage.frames_passed == 5000 == rig.ring.frames_read, "after the fade everything was heard"
    frames, breaks = ramp_breaks(rig.heard, settle=500)
    assert frames > 3500 and len(breaks) == 0


def test_meters_show_left_and_right_and_fall() -> None:
    rig = Rig()
    rig.ring.write(np.tile(np.float32([0.5, 0.25]), (10_000, 1)))
    rig.hear(9000)
    assert rig.stage.peak == pytest.approx((0.5, 0.25))
    rig.hear(RATE)
    assert 0 < rig.stage.peak[0] < 0.1
    rig.hear(8 * RATE)
    assert rig.stage.peak == (0.0, 0.0)


def test_a_mono_ring_works() -> None:
    rig = Rig(channels=1)
    rig.level(3000)
    rig.hear(2000)
    assert rig.heard[-1, 0] == LOUD and rig.stage.peak == (LOUD, LOUD)


class Scheduled:
    """One change of the gain, to silence, at a second of its own."""

    def __init__(self, store: ParameterStore, due: float) -> None:
        self.before = store.snapshot
        self.after = replace(self.before, values={**self.before.values, "mute": 1.0})
        self.due = due

    def at(self, when: float, end: float) -> ParameterSnapshot:
        return self.after if when >= self.due else self.before

    def next_instant(self, after: float) -> float | None:
        return self.due if self.due > after else None


@pytest.mark.parametrize("frame", [1000, 1024, 1999])
def test_a_change_with_a_time_of_its_own_begins_at_its_frame(frame: int) -> None:
    store, ring = ParameterStore(), RingBuffer(8192, 2)
    ring.write(np.full((8192, 2), 0.25, np.float32))
    stage = OutputStage(ring, lambda: store.snapshot, RATE, Scheduled(store, 50 + frame / RATE - 1e-9))
    out = np.zeros((4096, 2), np.float32)
    for start in range(0, 4096, 256):
        stage.render(out[start : start + 256], 50 + start / RATE)
    steady = out[stage.look_ahead * 2 :, 0]  # behind the fade in
    changed = np.flatnonzero(steady != 0.25)[0] + stage.look_ahead * 2
    assert changed == frame
    assert out[changed + round(0.010 * RATE) :].max() == 0


def crossed(old: float, new: float, left: int = 20_000) -> np.ndarray:
    """The sound around a jump from one constant to another, with `left` frames queued before it."""
    rig = Rig()
    rig.level(10_000 + left, old)
    rig.hear(10_000)
    rig.level(20_000, new, joins=True)
    rig.hear(10_000)
    return rig.heard[5000:, 0]


def test_a_jump_crossfades_from_the_sound_that_it_drops() -> None:
    sound = crossed(LOUD, -LOUD)
    assert largest_step(sound[:, None]) < SMOOTH
    away = np.flatnonzero(sound != LOUD)[0]
    arrived = np.flatnonzero(sound == -LOUD)[0]
    assert 0 < arrived - away < 0.05 * RATE and np.all(sound[arrived:] == -LOUD), "bit for bit after it"
    same = crossed(0.4, 0.4)
    assert same.min() >= 0.4 - 1e-6 and same.max() <= 0.4 * 2**0.5 + 1e-3, "equal power: no dip between"


@pytest.mark.parametrize("left", [0, 20, 100])
def test_a_jump_with_hardly_any_queue_does_not_click_either(left: int) -> None:
    assert largest_step(crossed(LOUD, -LOUD, left)[:, None]) < (SMOOTH if left < 64 else 0.05)


def test_a_panic_in_the_middle_of_a_crossfade_silences_it() -> None:
    rig = Rig()
    rig.level(20_000)
    rig.hear(5000)
    rig.level(20_000, -LOUD, joins=True)
    rig.hear(512, 256)
    rig.store.trigger("panic", Origin.UI)
    rig.hear(5000)
    rig.ring.answer_panics(1)
    rig.level(5000)
    rig.hear(4000)
    assert largest_step(rig.heard) < SMOOTH and not rig.heard[8000:9000].any()
