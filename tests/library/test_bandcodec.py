"""The pocket codec: pitch is a place in the latents, whole tokens in and the same length out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import (
    CHANNELS,
    LOWEST_DECIBELS,
    SEMITONES,
    BandAnalysis,
    band_places,
    hertz,
    transposed,
)
from jbdiff.config import BandCodecConfig

TOY = BandCodecConfig(decoder_channels=16, decoder_blocks=2, local_channels=4)
A4 = 45  # semitones above C1


@pytest.fixture
def codec() -> BandCodec:
    torch.manual_seed(0)
    return BandCodec(TOY).eval().requires_grad_(False)


def tone(frequency: float, tokens: int = 40, amplitude: float = 0.5) -> Tensor:
    time = torch.arange(tokens * 512, dtype=torch.float64) / 44_100
    return (amplitude * (2 * math.pi * frequency * time + 0.3).sin()).float()[None]


def test_bands_lie_on_the_keys_and_reach_the_treble() -> None:
    assert float(hertz(band_places()[A4])) == pytest.approx(440.0)
    assert float(hertz(band_places()[0])) == pytest.approx(32.70, abs=0.01)
    assert 15_000 < float(hertz(band_places()[-1])) < 17_000


@pytest.mark.parametrize("key", [3, 24, 27, 36, 39, 50, 52, 60, 71, 74, 83])
def test_a_tone_is_loudest_in_its_own_band(key: int) -> None:
    levels = BandAnalysis(TOY).decibels(tone(float(hertz(torch.tensor(float(key))))))[0, 20, :SEMITONES]
    assert int(levels.argmax()) == key
    assert float(levels[key]) == pytest.approx(20 * math.log10(0.5), abs=2.5)


def test_silence_is_the_floor() -> None:
    assert float(BandAnalysis(TOY).decibels(torch.zeros(1, 5120)).max()) == pytest.approx(LOWEST_DECIBELS)


def test_the_analysis_does_not_hear_polarity(codec: BandCodec) -> None:
    audio = torch.randn(1, 1, 20 * 512)
    torch.testing.assert_close(codec.encode(audio), codec.encode(-audio))


def test_transposed_levels_are_those_of_the_transposed_sound() -> None:
    analysis = BandAnalysis(TOY)
    low, high = (analysis.decibels(tone(frequency))[0, 20] for frequency in (440.0, 440 * 2 ** (3 / 12)))
    moved = transposed(low[None], 3)[0]
    near = slice(A4 + 2, A4 + 5)
    torch.testing.assert_close(moved[near], high[near], atol=1.5, rtol=0)
    torch.testing.assert_close(transposed(low[None], 0)[0], low)


def test_standardised_latents_have_a_deviation_of_a_half() -> None:
    analysis = BandAnalysis(TOY)
    levels = torch.randn(1000, CHANNELS) * torch.linspace(5, 15, CHANNELS) - 40
    analysis.standardise(levels.mean(0), levels.std(0))
    latents = (levels - analysis.mean) / analysis.spread
    torch.testing.assert_close(latents.mean(0), torch.zeros(CHANNELS), atol=2e-3, rtol=0)
    torch.testing.assert_close(latents.std(0), torch.full((CHANNELS,), 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(analysis.levels(latents.T[None])[0], levels, atol=1e-3, rtol=0)


@pytest.mark.parametrize("tokens", [1, 5, 40])
def test_every_token_is_one_hop_of_samples(codec: BandCodec, tokens: int) -> None:
    latents = codec.encode(torch.randn(2, 1, tokens * 512), 2)
    assert latents.shape == (2, CHANNELS, tokens)
    assert codec.decode(latents, 2).shape == (2, 1, tokens * 512)


def test_a_held_tone_keeps_its_phase_for_ever(codec: BandCodec) -> None:
    """Same latents in every token: the sound is a sum of steady sines, early and after hours alike."""
    latents = codec.encode(tone(440.0)[None])[..., 20:21].expand(-1, -1, 60)
    codec.synthesis.out.bias.split(codec.synthesis.sizes)[4].fill_(-100)
    for first in (0, 86 * 3600 * 9):
        audio = codec.decode(latents, 2, first)[0, 0, 10 * 512 : -10 * 512].double()
        spectrum = torch.fft.rfft(audio[:16_384] * torch.hann_window(16_384, dtype=torch.float64)).abs()
        peak = int(spectrum.argmax())
        assert peak * 44_100 / 16_384 == pytest.approx(440, abs=3)
        assert float(spectrum[peak]) > 1000 * float(spectrum[2 * peak])


def test_rows_may_lie_at_different_places(codec: BandCodec) -> None:
    latents = 0.5 * torch.randn(2, CHANNELS, 8)
    both = codec.decode(latents, 2, torch.tensor([5, 900]))
    for row, first in enumerate((5, 900)):
        torch.testing.assert_close(both[row : row + 1], codec.decode(latents[row : row + 1], 2, first))


def test_silence_and_loud_latents_stay_finite(codec: BandCodec) -> None:
    assert codec.encode(torch.zeros(1, 1, 5120), 2).isfinite().all()
    loud = codec.decode(torch.full((1, CHANNELS, 10), 1e3), 2)
    assert loud.isfinite().all()
    assert np.abs(loud.numpy()).max() < 1e4


def test_wrong_shapes_are_refused_with_words(codec: BandCodec) -> None:
    with pytest.raises(ValueError, match="mono"):
        codec.encode(torch.zeros(1, 2, 512), 2)
    with pytest.raises(ValueError, match="whole number of tokens"):
        codec.encode(torch.zeros(1, 1, 513), 2)
    with pytest.raises(ValueError, match="only level 2"):
        codec.decode(torch.zeros(1, CHANNELS, 4), 1)
    with pytest.raises(ValueError, match="expected latents"):
        codec.decode(torch.zeros(1, 5, 4), 2)
    with pytest.raises(ValueError, match="bands"):
        BandCodec(BandCodecConfig(latent_channels=32))
