"""Change from bar to bar, and contrast of semitone bands.

The change shows whether music freezes into a loop or wanders off. The contrast shows how clear its lines are. The
bands are those of the pocket codec (`jbdiff/codecs/bands.py`), but measured on the sound, so that any stack can be
judged.
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
# In a bar: averages over sixteenths, so that a note that comes a little late counts as the same note.
CELLS = 16
BEATS = 4  # in a bar
FLOOR = -70.0  # dB of full scale; lower levels count as silence
REACH = 3  # a band is compared with so many semitones on each side


@cache
def _analysis(sample_rate: int) -> BandAnalysis:
    return BandAnalysis(BandCodecConfig(sample_rate=sample_rate, hop_length=HOP))


@torch.no_grad()
def band_levels(audio: Tensor, sample_rate: int) -> Tensor:
    """Return levels in dB `[t, 96]` of mono audio `[n]`, every 512 samples: 84 semitones, then 12 whole tones."""
    padded = F.pad(audio, (0, -len(audio) % HOP))
    levels = _analysis(sample_rate).decibels(padded[None])[0]
    return levels[:, : SEMITONES + TREBLE_BANDS].clamp_min(FLOOR)


@torch.no_grad()
def bar_seconds(audio: Tensor, sample_rate: int) -> float:
    """Return the length in seconds of a bar of four beats in mono audio `[n]`.

    The tempo is estimated with the estimator of the instrument's clock. Raises ValueError if no beat is found.
    """
    padded = F.pad(audio, (0, -len(audio) % HOP))
    latents = _analysis(sample_rate)(padded[None])[0].T
    tempo = estimated_tempo(latents, 60 * sample_rate / HOP)
    if tempo <= 0:
        raise ValueError("no beat was found; give music with a beat, or a longer piece")
    return 60 * BEATS / tempo


def cells(levels: Tensor, bar: float) -> Tensor:
    """Return the means `[k, bands]` of levels `[t, bands]` over sixteenths of a bar.

    `bar`: length of a bar in tokens.
    """
    size = bar / CELLS
    count = int(len(levels) / size + 1e-6)
    total = F.pad(levels.double().cumsum(0), (0, 0, 1, 0))
    edges = (size * torch.arange(count + 1, dtype=torch.float64)).clamp_max(len(levels))
    low = edges.floor().long()
    share = (edges - low)[:, None]
    at = total[low] * (1 - share) + total[(low + 1).clamp_max(len(levels))] * share
    return (at[1:] - at[:-1]) / size


def change(sixteenths: Tensor, bars: int) -> float | None:
    """Return the mean square difference, in dB squared, between cells `[k, bands]` and the cells `bars` bars earlier.

    Returns None if there are too few cells.
    """
    apart = bars * CELLS
    if len(sixteenths) <= apart:
        return None
    return float((sixteenths[apart:] - sixteenths[:-apart]).square().mean())


def contrast(levels: Tensor) -> float:
    """Return the root mean square, in dB, of the differences between semitones `[t, 96]` and the three on each side.

    Clear lines have a high contrast, haze has a low one.
    """
    keys = levels[:, :SEMITONES]
    around = keys.unfold(1, 2 * REACH + 1, 1).mean(2)
    return float((keys[:, REACH:-REACH] - around).square().mean().sqrt())
