"""The loudness of a stream comes back to that of its beginning, slowly, and pauses do not move it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jbdiff.evaluate.metrics.loudness import loudness
from jbdiff.stream.loudness import MOST_DECIBELS, RAMP_DECIBELS, StreamLoudness, quiet_frames, weighted_power
from jbdiff.stream.state import LoudnessState

RATE, FRAMES = 44_100, 22_050  # blocks of half a second


def noise(decibels: float, seed: int = 0, channels: int = 2, frames: int = FRAMES) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 10 ** (decibels / 20) * torch.randn(1, channels, frames, generator=generator)


def played(state: LoudnessState, blocks: int, decibels: float) -> tuple[list[float], LoudnessState]:
    """Powers of so many blocks of that level, held, in dB of what the state asks for."""
    hold, powers = StreamLoudness(RATE, FRAMES), []
    for number in range(blocks):
        audio, state = hold.held(state, noise(decibels, number), 1.0)
        assert state.target is not None
        powers.append(10 * torch.log10(torch.tensor(weighted_power(audio, RATE) / state.target)).item())
    return powers, state


def begun(decibels: float) -> LoudnessState:
    return LoudnessState(weighted_power(noise(decibels), RATE), None, 0.0)


@pytest.mark.parametrize("hertz", [60.0, 997.0, 5000.0])
def test_the_weighting_is_that_of_loudness(hertz: float) -> None:
    """Differences between tones are within half a dB of those that BS.1770 measures."""
    t = torch.arange(4 * RATE) / RATE
    tone, reference = (0.3 * torch.sin(2 * torch.pi * f * t)[None].repeat(2, 1) for f in (hertz, 500.0))
    powers = [10 * torch.log10(torch.tensor(weighted_power(a[None], RATE))).item() for a in (tone, reference)]
    wanted = float(loudness(tone, RATE)) - float(loudness(reference, RATE))
    assert powers[0] - powers[1] == pytest.approx(wanted, abs=0.5)


def test_mono_counts_as_the_two_channels_that_it_is_played_on() -> None:
    mono = noise(-20, channels=1)
    assert weighted_power(mono, RATE) == pytest.approx(weighted_power(mono.repeat(1, 2, 1), RATE))
    assert weighted_power(mono[..., :0], RATE) == 0.0


def test_softer_music_comes_back_to_the_loudness_of_the_beginning() -> None:
    powers, _ = played(begun(-20), 60, -23)
    assert powers[0] == pytest.approx(-3, abs=0.7) and powers[-1] == pytest.approx(0, abs=0.3)
    powers, _ = played(begun(-20), 60, -18)
    assert powers[-1] == pytest.approx(0, abs=0.3)


def test_the_gain_moves_slowly_and_not_without_end() -> None:
    state, last = begun(-20), 0.0
    for number in range(60):
        _, state = StreamLoudness(RATE, FRAMES).held(state, noise(-50, number), 1.0)
        assert abs(state.decibels - last) <= RAMP_DECIBELS * 0.5 + 1e-6
        last = state.decibels
    assert last == pytest.approx(MOST_DECIBELS)


def test_neighbouring_blocks_meet_at_the_same_gain() -> None:
    hold, state = StreamLoudness(RATE, FRAMES), begun(-10)
    steady = torch.full((1, 2, FRAMES), 0.1)
    ends: list[float] = []
    for _ in range(8):
        audio, state = hold.held(state, steady, 1.0)
        ends += [float(audio[0, 0, 0]), float(audio[0, 0, -1])]
    assert ends[2] > ends[0]
    for last, first in zip(ends[1::2], ends[2::2], strict=False):
        assert first == pytest.approx(last, rel=1e-4)


def test_a_pause_is_not_made_louder() -> None:
    _, state = played(begun(-20), 60, -20)
    hold, before = StreamLoudness(RATE, FRAMES), state.decibels
    for number in range(20):
        _, state = hold.held(state, noise(-60, number), 1.0)
    assert state.decibels == pytest.approx(before, abs=0.3)


def test_without_a_beginning_or_strength_nothing_is_changed() -> None:
    audio = noise(-30)
    free, _ = StreamLoudness(RATE, FRAMES).held(LoudnessState(None, None, 0.0), audio, 1.0)
    loose, _ = StreamLoudness(RATE, FRAMES).held(begun(-20), audio, 0.0)
    assert torch.equal(free, audio) and torch.equal(loose, audio)


def test_quiet_lasts_until_the_music_begins_and_pauses_in_it_are_music() -> None:
    quarter = RATE // 4
    loud, soft = noise(-20, channels=1, frames=4 * quarter), noise(-40, channels=1, frames=4 * quarter)
    silence = torch.zeros(1, 1, 4 * quarter)
    assert quiet_frames(torch.cat([loud, silence, loud], 2), RATE) == 0
    assert quiet_frames(torch.cat([silence, soft, loud, soft], 2), RATE) == 8 * quarter
    assert quiet_frames(torch.cat([silence[..., :100], loud], 2), RATE) == 0, "a quarter that is nearly full"
    for nothing in (silence, silence[..., :100], silence[..., :0]):
        assert quiet_frames(nothing, RATE) == 0
