"""Tempo and beat of a few seconds of latents. The clock of an anchor starts from them.

Onsets are rises of the bands' levels. The score of a tempo is the strength of the onsets' Fourier components at its
beat, half beat and quarter beat. The score is weighted by how usual the tempo is (log-normal, as in Ellis 2007). The
phases of the components give the place of the beat. Onsets hardly show which beat of the bar it is.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.audio.beat import FASTEST, PARTS, SLOWEST, SPREAD, USUAL
from jbdiff.codecs.bands import CHANNELS, STROKES

TEMPI = 400  # number of tempi that are tried
LOW_STROKES = 2  # stroke bands below 250 Hz: kick drums
SMOOTHED = 43  # tokens, half a second: a rise counts as far as it exceeds their mean
PLACES = 48  # number of places in a beat that are tried


def onsets(bands: Tensor, low: bool = False) -> Tensor:
    """Onset strength `[n]`, around 0, of latents `[n, CHANNELS or more]`; `low`: of the low strokes only."""
    first = CHANNELS - len(STROKES)
    part = bands[:, first : first + LOW_STROKES] if low else bands[:, :CHANNELS]
    rises = part.float().diff(dim=0, prepend=part[:1].float()).clamp_min(0).mean(1)
    around = F.avg_pool1d(rises[None], SMOOTHED, 1, SMOOTHED // 2, count_include_pad=False)[0]
    rises = (rises - around).clamp_min(0)
    return rises - rises.mean()


def component(rises: Tensor, per_token: Tensor) -> Tensor:
    """Complex Fourier components `[k]` of rises `[n]` at `per_token` `[k]` turns a token; time 0 is after the last."""
    places = torch.arange(-len(rises), 0, device=rises.device)
    angle = 2 * math.pi * per_token.to(rises.device)[:, None] * places
    return (torch.polar(torch.ones_like(angle), -angle) * rises).sum(1)


def estimated_tempo(bands: Tensor, tokens_per_minute: float) -> float:
    """Tempo of latents `[n, CHANNELS or more]` in beats a minute; 0 without onsets, or if shorter than two beats."""
    if len(bands) < 2 * tokens_per_minute / SLOWEST:
        return 0.0
    rises = onsets(bands)
    if float(rises.abs().max()) < 1e-3:
        return 0.0
    tempi = SLOWEST * (FASTEST / SLOWEST) ** torch.linspace(0, 1, TEMPI, device=rises.device)
    strength = torch.zeros_like(tempi)
    for part, weight in PARTS:
        strength += weight * component(rises, part * tempi / tokens_per_minute).abs()
    usual = torch.exp(-0.5 * ((tempi / USUAL).log2() / SPREAD).square())
    return float(tempi[int((strength * usual).argmax())])


def estimated_place(bands: Tensor, per_token: float) -> float:
    """Place in the beat, 0..1, of the token right after latents `[n, CHANNELS or more]`, at `per_token` beats a token.

    Returns 0 for a single token or none.
    """
    if len(bands) < 2:
        return 0.0
    rises, low = onsets(bands), onsets(bands, low=True)
    both = low / low.std().clamp_min(1e-6) + 0.5 * rises / rises.std().clamp_min(1e-6)
    turns, weights = torch.tensor(PARTS, device=both.device).unbind(1)
    found = component(both, per_token * turns)
    places = torch.arange(PLACES, device=both.device) / PLACES
    angle = 2 * math.pi * turns[:, None] * places
    score = ((found * weights)[:, None] * torch.polar(torch.ones_like(angle), -angle)).real.sum(0)
    return float(places[int(score.argmax())])
