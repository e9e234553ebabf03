"""The DC filter: it takes an offset away without a click, and leaves all other sound alone, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from jbdiff_live.audio.master.dc import CUTOFF_HZ, FADE_SECONDS, OFFSET, DcFilter
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.block import Audio
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.ring import RingBuffer

RATE = 44_100
SETTLED = 4.0  # seconds within which an offset is found and gone


def music(seconds: float, seed: int = 3) -> Audio:
    """Noise over a full bass and a beat, without an offset."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).uniform(-0.2, 0.2, (len(time), 2))
    bass = 0.5 * np.sin(2 * np.pi * 32 * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * time))
    return (noise - noise.mean(axis=0) + bass[:, None]).astype(np.float32)


def filtered(sound: Audio, dc: DcFilter | None = None) -> Audio:
    dc = dc or DcFilter(RATE, 2, 512)
    out = sound.copy()
    for start in range(0, len(out), 500):
        dc.apply(out[start : start + 500])
    return out


def test_sound_without_an_offset_passes_bit_for_bit() -> None:
    sound = music(8.0)
    dc = DcFilter(RATE, 2, 512)
    assert np.array_equal(filtered(sound, dc), sound) and dc.idle and dc.offset < OFFSET


@pytest.mark.parametrize("offset", [(0.1, 0.1), (-0.3, 0.0), (0.0, 0.004)])
def test_an_offset_is_taken_away_without_a_step(offset: tuple[float, float]) -> None:
    sound = music(8.0) + np.float32(offset)
    out = filtered(sound)
    rest = out[round(SETTLED * RATE) :]
    assert np.abs(rest.mean(axis=0)).max() < OFFSET
    step = np.abs(np.diff(out - sound, axis=0)).max()
    assert step < 0.002, "slower than anything that is heard as a click"
    kept = music(8.0)[round(SETTLED * RATE) :]
    assert np.std(rest) == pytest.approx(np.std(kept), rel=0.02), "a bass of 32 Hz loses 0.1 dB"


def test_the_filter_rests_again_when_the_offset_is_gone() -> None:
    dc = DcFilter(RATE, 2, 512)
    filtered(music(3.0) + np.float32(0.05), dc)
    assert not dc.idle
    filtered(music(12.0), dc)
    assert dc.idle
    sound = music(2.0)
    assert np.array_equal(filtered(sound, dc), sound)


def test_the_cutoff_is_three_decibels_down_and_slow() -> None:
    time = np.arange(round(12 * RATE)) / RATE
    slow = 0.2 * np.sin(2 * np.pi * CUTOFF_HZ * time)[:, None].repeat(2, axis=1)
    out = filtered((slow + 0.1).astype(np.float32))[-4 * RATE :]
    assert 20 * np.log10(np.abs(out).max() / 0.2) == pytest.approx(-3.0, abs=0.1)


def test_the_output_stage_filters_before_the_gain_and_ends_in_silence_without_a_thump() -> None:
    store, ring = ParameterStore(), RingBuffer(20 * RATE, 2)
    stage = OutputStage(ring, lambda: store.snapshot, RATE, headroom_db=6.0, dc_filter=True)
    ring.write(np.full((round(SETTLED * RATE) + RATE, 2), 0.25, np.float32))
    out = np.zeros((round(SETTLED * RATE) + 2 * RATE, 2), np.float32)
    for start in range(0, len(out), 256):
        stage.render(out[start : start + 256])
    at_end = round(SETTLED * RATE) + stage.look_ahead
    assert np.abs(out[at_end : at_end + RATE // 2]).max() < OFFSET, "an offset alone becomes silence"
    assert np.abs(np.diff(out[2 * RATE :], axis=0)).max() < 1e-4, "no step where the sound ends"
    assert not out[-RATE // 2 :].any()


def test_without_the_option_the_stage_leaves_an_offset_alone() -> None:
    store, ring = ParameterStore(), RingBuffer(20 * RATE, 2)
    stage = OutputStage(ring, lambda: store.snapshot, RATE)
    ring.write(np.full((round((FADE_SECONDS + SETTLED) * RATE), 2), 0.25, np.float32))
    out = np.zeros((2 * RATE, 2), np.float32)
    stage.render(out)
    assert np.all(out[-RATE:] == 0.25)
