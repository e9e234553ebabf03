"""The output's master: loudness by the signals of EBU Tech 3341, true peaks, and the limiter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jbdiff_live.audio.limiter import CEILING
from jbdiff_live.audio.master.filters import PIECE, BlockFilter, high_pass
from jbdiff_live.audio.master.loudness import LoudnessMeter, k_weighting
from jbdiff_live.audio.master.true_peak import BEHIND, TruePeaks
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.ring import RingBuffer

RATE = 48_000
CHUNK = 512


def tone(
    seconds: float, decibels: float, hertz: float = 1000.0, phase: float = 0.0, rate: int = RATE
) -> np.ndarray:
    """A stereo sine, float32 `[frames, 2]`, its peak in dBFS."""
    turn = 2 * np.pi * hertz / rate * np.arange(round(seconds * rate)) + phase
    return np.repeat((10 ** (decibels / 20) * np.sin(turn))[:, None], 2, axis=1).astype(np.float32)


def measured(sound: np.ndarray, rate: int = RATE) -> LoudnessMeter:
    meter = LoudnessMeter(rate, 2, CHUNK)
    for start in range(0, len(sound), CHUNK):
        meter.see(sound[start : start + CHUNK])
    return meter


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_tech_3341_cases_1_and_2_a_steady_tone(level: float, rate: int) -> None:
    now = measured(tone(4.0, level, rate=rate), rate).now
    for value in (now.momentary, now.short_term, now.integrated):
        assert value == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize(
    "parts",
    [
        [(3, -36), (20, -23), (3, -36)],  # case 3: the relative gate
        [(3, -72), (3, -36), (20, -23), (3, -36), (3, -72)],  # case 4: both gates
        [(5, -26), (5.025, -20), (5, -26)],  # case 5: nothing is gated
    ],
)
def test_tech_3341_cases_3_to_5_the_gates(parts: list[tuple[float, float]]) -> None:
    """The levels are the standard's; the parts are shorter, in about the standard's proportion."""
    sound = np.concatenate([tone(seconds, level) for seconds, level in parts])
    assert measured(sound).now.integrated == pytest.approx(-23.0, abs=0.1)


def test_tech_3341_case_9_short_term_stays_in_a_pulsing_tone() -> None:
    pulse = np.concatenate([tone(1.34, -20), tone(1.66, -30)])
    meter, seen = LoudnessMeter(RATE, 2, CHUNK), []
    sound = np.concatenate([pulse] * 4)
    for start in range(0, len(sound), CHUNK):
        meter.see(sound[start : start + CHUNK])
        if start > 3.2 * RATE:
            seen.append(meter.now.short_term)
    assert min(seen) == pytest.approx(-23.0, abs=0.1) and max(seen) == pytest.approx(-23.0, abs=0.1)


def test_silence_has_no_loudness_and_restart_forgets() -> None:
    assert measured(np.zeros((RATE, 2), np.float32)).now.integrated is None
    meter = measured(tone(2.0, -10))
    assert meter.now.integrated is not None
    meter.restart()
    meter.see(np.zeros((CHUNK, 2), np.float32))
    assert meter.now.integrated is None


@pytest.mark.parametrize(
    ("hertz", "phase"), [(RATE / 4, math.pi / 4), (RATE / 6, math.pi / 3), (RATE / 8, 0.2), (997.0, 0.0)]
)
def test_true_peaks_lie_between_the_samples(hertz: float, phase: float) -> None:
    """Tech 3341 cases 15 to 18: a peak of -6 dBTP that no sample has; tolerance +0.2, -0.4 dB."""
    sound, finder = tone(0.1, -6.0, hertz, phase), TruePeaks(2, CHUNK)
    peaks = np.zeros(len(sound), np.float32)
    for start in range(0, len(sound), CHUNK):
        finder.find(sound[start : start + CHUNK], peaks[start : start + CHUNK])
    found = 20 * math.log10(peaks[2 * BEHIND : -2 * BEHIND].max())
    assert -6.4 < found < -5.8


def test_a_true_peak_is_found_at_its_frame_in_any_chunks() -> None:
    sound = np.zeros((300, 2), np.float32)
    sound[100, 1] = -0.5
    finder, peaks = TruePeaks(2, CHUNK), np.zeros(300, np.float32)
    for start, end in ((0, 7), (7, 101), (101, 300)):
        finder.find(sound[start:end], peaks[start:end])
    assert int(np.argmax(peaks)) == 100 + BEHIND and peaks.max() == pytest.approx(0.5, abs=1e-6)


def stage_output(sound: np.ndarray) -> tuple[np.ndarray, OutputStage]:
    store, ring = ParameterStore(), RingBuffer(len(sound) + 1, 2)
    ring.write(sound)
    stage = OutputStage(ring, lambda: store.snapshot, RATE)
    out = np.zeros_like(sound)
    for start in range(0, len(out), 256):
        stage.render(out[start : start + 256])
    return out, stage


def test_the_limiter_is_a_pure_delay_below_its_threshold() -> None:
    sound = tone(0.5, 20 * math.log10(CEILING) - 0.1, 997.0)
    out, stage = stage_output(sound)
    ahead = stage.look_ahead
    assert not stage.limited
    assert np.array_equal(out[2 * ahead :], sound[ahead : len(sound) - ahead])


def test_the_limiter_holds_peaks_that_no_sample_has() -> None:
    sound = tone(0.5, 3.0, RATE / 4, math.pi / 4)  # samples at 0 dBFS, the curve at +3 dB
    out, stage = stage_output(sound)
    assert stage.limited
    curve = tone(0.5, 0.0, RATE / 4, math.pi / 4)[:, 0]
    steady = slice(stage.look_ahead + 4096, stage.look_ahead + 8192)
    peak = np.abs(out[steady, 0]).max() / np.abs(curve).max()
    assert peak == pytest.approx(CEILING, rel=0.01)


def test_a_filter_in_pieces_is_the_filter_of_the_whole() -> None:
    sound = np.random.default_rng(1).standard_normal((3 * PIECE + 5, 2)).astype(np.float32)
    whole, pieces = np.zeros(sound.shape), np.zeros(sound.shape)
    BlockFilter(k_weighting(RATE), 2).apply(sound, whole)
    filter_ = BlockFilter(k_weighting(RATE), 2)
    for start, end in ((0, 1), (1, PIECE + 7), (PIECE + 7, len(sound))):
        filter_.apply(sound[start:end], pieces[start:end])
    assert np.abs(whole - pieces).max() < 1e-9
    plain = np.zeros(sound.shape)
    one = high_pass(80.0, RATE)
    for n in range(len(sound)):
        x = [sound[n - k].astype(float) if n >= k else 0.0 for k in range(3)]
        y = [plain[n - k] if n >= k else 0.0 for k in range(1, 3)]
        plain[n] = one.b0 * x[0] + one.b1 * x[1] + one.b2 * x[2] - one.a1 * y[0] - one.a2 * y[1]
    made = np.zeros(sound.shape)
    BlockFilter([one], 2).apply(sound, made)
    assert np.abs(made - plain).max() < 1e-9
