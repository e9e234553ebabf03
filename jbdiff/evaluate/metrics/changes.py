"""Whether music freezes into a loop or wanders off, and how clear its lines are, read from levels of semitone bands.

The bands are those of the pocket codec (`jbdiff/codecs/bands.py`), but measured on the sound, so that any stack
can be judged.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.codecs.bands import SEMITONES, TREBLE_BANDS, BandAnalysis
from jbdiff.codecs.tempo import estimated_tempo
from jbdiff.config import BandCodecConfig

HOP = 512
CELLS = 16  # in a bar: levels are averaged over sixteenths, so that a note a little late is no other note
BEATS = 4  # in a bar
FLOOR = -70.0  # dB of full scale; what is quieter is silence here
REACH = 3  # semitones on each side that a band is compared with


@cache
def _analysis(sample_rate: int) -> BandAnalysis:
    return BandAnalysis(BandCodecConfig(sample_rate=sample_rate, hop_length=HOP))


@torch.no_grad()
def band_levels(audio: Tensor, sample_rate: int) -> Tensor:
    """Levels in dB of 84 semitones and 12 whole tones of mono audio `[n]`, every 512 samples: `[t, 96]`."""
    padded = F.pad(audio, (0, -len(audio) % HOP))
    levels = _analysis(sample_rate).decibels(padded[None])[0]
    return levels[:, : SEMITONES + TREBLE_BANDS].clamp_min(FLOOR)


@torch.no_grad()
def bar_seconds(audio: Tensor, sample_rate: int) -> float:
    """Length of a bar of four beats in mono audio `[n]`, at the tempo that the instrument's clock finds in it.

    Raises ValueError if nothing in it has a beat.
    """
    padded = F.pad(audio, (0, -len(audio) % HOP))
    latents = _analysis(sample_rate)(padded[None])[0].T
    tempo = estimated_tempo(latents, 60 * sample_rate / HOP)
    if tempo <= 0:
        raise ValueError("no beat was found; give music with a beat, or a longer piece")
    return 60 * BEATS / tempo


def cells(levels: Tensor, bar: float) -> Tensor:
    """Means `[k, bands]` of levels `[t, bands]` over sixteenths of a bar of so many tokens, from the first one on."""
    size = bar / CELLS
    count = int(len(levels) / size + 1e-6)
    total = F.pad(levels.double().cumsum(0), (0, 0, 1, 0))
    edges = (size * torch.arange(count + 1, dtype=torch.float64)).clamp_max(len(levels))
    low = edges.floor().long()
    share = (edges - low)[:, None]
    at = total[low] * (1 - share) + total[(low + 1).clamp_max(len(levels))] * share
    return (at[1:] - at[:-1]) / size


def change(sixteenths: Tensor, bars: int) -> float | None:
    """Mean square in dB of how far cells `[k, bands]` are from those so many bars before. None if there are too few."""
    apart = bars * CELLS
    if len(sixteenths) <= apart:
        return None
    return float((sixteenths[apart:] - sixteenths[:-apart]).square().mean())


def contrast(levels: Tensor) -> float:
    """How far in dB semitones `[t, 96]` stand out from, or sink between, the three on each side: the deviation.

    Clear lines have much of it, haze has little.
    """
    keys = levels[:, :SEMITONES]
    around = keys.unfold(1, 2 * REACH + 1, 1).mean(2)
    return float((keys[:, REACH:-REACH] - around).square().mean().sqrt())
