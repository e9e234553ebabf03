"""Tempo and beat of clicks and of simple grooves whose tempo is known, as latents."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jbdiff.codecs.bands import CHANNELS, STROKES
from jbdiff.codecs.tempo import SLOWEST, estimated_place, estimated_tempo

RATE = 60 * 44_100 / 512  # tokens a minute
TEMPI = (96.0, 110.0, 118.0, 127.3, 140.0, 150.0, 168.0)
STROKE = CHANNELS - len(STROKES)


def hits(bpm: float, seconds: float, place: float, every: float = 1.0) -> Tensor:
    """`[n]`: 1 at each hit, one each `every` beats, and dying away; the token right after is at `place` in a beat."""
    tokens = torch.arange(-round(seconds * RATE / 60), 0)
    beats = tokens * bpm / RATE + place
    return torch.exp(-(beats % every) * RATE / bpm / 4)


def clicks(bpm: float, seconds: float = 12.0, place: float = 0.0) -> Tensor:
    return 3 * hits(bpm, seconds, place)[:, None].expand(-1, CHANNELS).contiguous()


def groove(bpm: float, place: float = 0.0, seconds: float = 9.0, detail: int = 0) -> Tensor:
    """Kicks on the beat, hats twice a beat, noise; and detail that says nothing."""
    generator = torch.Generator().manual_seed(round(bpm))
    made = 0.1 * torch.randn(round(seconds * RATE / 60), CHANNELS + detail, generator=generator)
    made[:, STROKE : STROKE + 2] += 3 * hits(bpm, seconds, place)[:, None]
    made[:, :40] += hits(bpm, seconds, place)[:, None]
    made[:, 60:STROKE] += hits(bpm, seconds, place, 0.5)[:, None]
    return made


def off(found: float, place: float) -> float:
    """Distance of places in a beat, 0 to 0.5."""
    return abs((found - place + 0.5) % 1 - 0.5)


@pytest.mark.parametrize("bpm", TEMPI)
@pytest.mark.parametrize("kind", [clicks, groove])
def test_a_known_tempo_is_found(kind, bpm: float) -> None:  # type: ignore[no-untyped-def]
    assert estimated_tempo(kind(bpm, place=0.3), RATE) == pytest.approx(bpm, rel=0.02)


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.77])
@pytest.mark.parametrize("bpm", TEMPI)
@pytest.mark.parametrize("kind", [clicks, groove])
def test_a_known_beat_is_found(kind, bpm: float, place: float) -> None:  # type: ignore[no-untyped-def]
    found = estimated_place(kind(bpm, place=place), bpm / RATE)
    assert 0 <= found < 1 and off(found, place) < 0.1


def test_the_beat_is_found_with_the_tempo_that_was_found() -> None:
    for bpm in TEMPI:
        sound = groove(bpm, 0.4)
        assert off(estimated_place(sound, estimated_tempo(sound, RATE) / RATE), 0.4) < 0.15, bpm


def test_the_kick_is_the_beat_and_not_the_hat() -> None:
    """Hats between the kicks are as loud as they like."""
    bpm = 125.0
    sound = groove(bpm, 0.0)
    sound[:, 60:STROKE] += 2 * hits(bpm, 9.0, 0.5)[:, None]
    assert off(estimated_place(sound, bpm / RATE), 0.0) < 0.1


def test_detail_is_not_listened_to() -> None:
    with_detail = groove(120.0, 0.3, detail=20)
    with_detail[:, CHANNELS:] *= 100
    bands = with_detail[:, :CHANNELS]
    assert estimated_tempo(with_detail, RATE) == estimated_tempo(bands, RATE) > 0
    assert estimated_place(with_detail, 120 / RATE) == estimated_place(bands, 120 / RATE)


@pytest.mark.parametrize("level", [0.0, -2.0])
def test_silence_has_no_tempo(level: float) -> None:
    silence = torch.full((1000, CHANNELS), level)
    assert estimated_tempo(silence, RATE) == 0
    assert 0 <= estimated_place(silence, 120 / RATE) < 1


def test_what_is_shorter_than_two_beats_has_no_tempo() -> None:
    two_beats = 2 * 60 / SLOWEST
    assert estimated_tempo(clicks(120.0, two_beats - 0.05), RATE) == 0
    assert estimated_tempo(clicks(120.0, two_beats + 0.05), RATE) > 0
    assert estimated_tempo(torch.zeros(0, CHANNELS), RATE) == 0


def test_louder_music_has_the_same_beat() -> None:
    sound = groove(132.0, 0.6)
    assert estimated_tempo(sound * 3 + 1, RATE) == pytest.approx(132.0, rel=0.02)
    assert off(estimated_place(sound * 3 + 1, 132 / RATE), 0.6) < 0.1
