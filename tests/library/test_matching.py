"""Decodes brought to the levels that they should have: frames fit together, levels get closer."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS, BandAnalysis, detail_places, hertz, transposed
from jbdiff.codecs.level_matching import BandMatching, Frames, LevelMatch, Spectra
from jbdiff.config import BandCodecConfig

PLAIN = BandCodecConfig(decoder_channels=16, decoder_blocks=1, local_channels=4)
DETAILED = replace(PLAIN, detail_bands=75, latent_channels=400, match_rounds=4)
FIRST = torch.tensor([[0]])


def music(tokens: int, seed: int = 0) -> Tensor:
    """Noise in strokes and a few tones `[1, tokens * 512]`."""
    generator = torch.Generator().manual_seed(seed)
    count = tokens * 512
    time = torch.arange(count) / 44_100
    strokes = torch.exp(-((time * 6) % 1) * 8)
    tones = sum((2 * torch.pi * f * time).sin() for f in (220.0, 554.4, 1318.5))
    return (0.05 * torch.randn(count, generator=generator) * strokes + 0.03 * tones)[None].float()


@pytest.mark.parametrize(("size", "hop", "centre"), [(512, 128, 64), (2048, 512, 256), (4096, 1024, 256)])
def test_spectra_join_to_the_sound_they_came_from(size: int, hop: int, centre: int) -> None:
    audio = music(20)
    spectra = Spectra(Frames(size, hop, centre))
    joined = spectra.join(spectra(audio), audio.shape[1])
    assert joined.shape == audio.shape
    inside = slice(size, -size)
    torch.testing.assert_close(joined[:, inside], audio[:, inside], atol=1e-5, rtol=0)


def test_a_round_brings_the_levels_nearer() -> None:
    analysis = BandAnalysis(DETAILED)
    match = LevelMatch(Frames(512, 128, 64), analysis.detail_weights(DETAILED))
    wanted, audio = match.levels(music(40)), music(40, seed=1)
    errors = [float((match.levels(audio) - wanted).abs().mean())]
    for _ in range(4):
        audio = match(audio, wanted)
        errors.append(float((match.levels(audio) - wanted).abs().mean()))
    assert all(after < before for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.5 * errors[0]


def test_matching_measures_what_the_analysis_measures() -> None:
    """A sound that already has its levels is left as it is."""
    analysis = BandAnalysis(DETAILED)
    audio = music(40)
    matched = BandMatching(DETAILED, analysis)(audio, analysis.decibels(audio), FIRST)
    inside = slice(8 * 512, -8 * 512)
    torch.testing.assert_close(matched[:, inside], audio[:, inside], atol=2e-4, rtol=0)


def test_silence_stays_silent_and_finite() -> None:
    analysis = BandAnalysis(DETAILED)
    nothing = torch.zeros(1, 20 * 512)
    assert (
        float(BandMatching(DETAILED, analysis)(nothing, analysis.decibels(nothing), FIRST).abs().max()) == 0
    )
    loud = BandMatching(DETAILED, analysis)(nothing, torch.zeros(1, 20, 400), FIRST)
    assert loud.isfinite().all()


def test_detail_says_in_which_quarter_a_click_is() -> None:
    audio = torch.zeros(1, 20 * 512)
    audio[0, 10 * 512 + 300] = 1.0  # the third quarter
    detail = BandAnalysis(DETAILED).decibels(audio)[0, :, CHANNELS:].unflatten(1, (4, 75)).mean(2)
    assert divmod(int(detail.flatten().argmax()), 4) == (10, 2)
    assert detail_places(75).shape == (75,)


def test_detail_is_transposed_with_the_rest() -> None:
    analysis = BandAnalysis(DETAILED)
    time = torch.arange(40 * 512) / 44_100
    low, high = (
        analysis.decibels((0.5 * (2 * torch.pi * f * time).sin())[None])[0, 20] for f in (2000.0, 2519.8)
    )
    moved = transposed(low[None], 4)[0, CHANNELS : CHANNELS + 75]
    assert abs(int(moved.argmax()) - int(high[CHANNELS : CHANNELS + 75].argmax())) <= 1
    assert float(hertz(detail_places(75)[int(moved.argmax())])) == pytest.approx(2520, rel=0.06)


def test_a_detailed_codec_takes_and_gives_whole_tokens() -> None:
    torch.manual_seed(0)
    codec = BandCodec(DETAILED).eval().requires_grad_(False)
    latents = codec.encode(music(12)[None])
    assert latents.shape == (1, 400, 12)
    assert codec.decode(latents, 2, 100).shape == (1, 1, 12 * 512)
    with pytest.raises(ValueError, match="400 bands, not 100"):
        BandCodec(replace(DETAILED, latent_channels=100))


def test_a_codec_with_detail_is_nearer_to_the_sound_than_one_without() -> None:
    torch.manual_seed(0)
    codec = BandCodec(DETAILED).eval().requires_grad_(False)
    audio = music(60)
    latents = codec.encode(audio[None])
    matched = codec.decode(latents)[:, 0]
    codec.matching = None
    plain = codec.decode(latents)[:, 0]
    analysis = codec.analysis
    wanted = analysis.decibels(audio)[:, 8:-8]

    def error(sound: Tensor) -> float:
        return float((analysis.decibels(sound)[:, 8:-8, CHANNELS:] - wanted[..., CHANNELS:]).abs().mean())

    assert error(matched) < 0.6 * error(plain)


def test_rows_at_odd_and_even_places_are_matched_each_in_its_own() -> None:
    torch.manual_seed(0)
    codec = BandCodec(DETAILED).eval().requires_grad_(False)
    latents = codec.encode(music(20)[None]).expand(2, -1, -1)
    both = codec.decode(latents, 2, torch.tensor([6, 7]))
    for row, first in enumerate((6, 7)):
        torch.testing.assert_close(
            both[row : row + 1], codec.decode(latents[:1], 2, first), atol=1e-4, rtol=0
        )


def bass(tokens: int) -> Tensor:
    """A bass line of two tones below D3, each a quarter of a second long, `[1, tokens * 512]`."""
    time = torch.arange(tokens * 512) / 44_100
    low, high = ((2 * torch.pi * f * time).sin() for f in (55.0, 98.0))
    return torch.where((time * 4).floor() % 2 == 0, 0.2 * low, 0.2 * high)[None].float()


def test_bass_notes_are_brought_to_their_levels() -> None:
    """Below D3 only windows of 186 ms separate the keys, so measured sound is matched with these too."""
    analysis = BandAnalysis(DETAILED)
    matching = BandMatching(DETAILED, analysis)
    wanted, other = analysis.decibels(bass(80)), bass(80).roll(11_025, 1)
    keys, middle = slice(0, 26), slice(20, 60)

    def error(sound: Tensor) -> float:
        levels = analysis.decibels(sound)
        return float((levels - wanted)[:, middle, keys].abs().mean())

    assert error(matching(other, wanted, FIRST)) < 0.5 * error(other)


def test_the_last_rounds_of_measured_detail_leave_it_out() -> None:
    analysis = BandAnalysis(DETAILED)
    matching = BandMatching(replace(DETAILED, match_rounds=8), analysis)
    order: list[str] = []
    for name in ("detail", "short"):
        part = matching.get_submodule(name)
        part.register_forward_hook(lambda *_, name=name: order.append(name))
    audio = music(16)
    matching(audio, analysis.decibels(audio), FIRST)
    assert order == ["detail", "short"] * 28 + ["short"] * 4
    order.clear()
    matching(audio, analysis.decibels(audio), FIRST, mean_detail=True)
    assert order == ["detail", "short"] * 8
