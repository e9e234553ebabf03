"""Describe two seconds of sound by 158 features made by hand: nothing is trained, nothing is random.

They take the place of a network's embedding in a Fréchet distance (`frechet.py`). They measure timbre and its
movement, pulse, harmony, and how tonal the sound is. They do not depend on the key or on the position in the track.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.evaluate.metrics.measures import decibels, mel_matrix

SIZE, HOP = 2048, 512  # spectra for timbre and rhythm
LONG_SIZE, LONG_HOP = 8192, 2048  # spectra for harmony
BANDS, GROUPS = 32, 8
FLOOR = 1e-4  # -80 dB of a full-scale sine
MODULATION_HZ = (0.4, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
LAGS, SHORTEST_LAG, LONGEST_LAG = 12, 0.1, 1.0  # of the onsets' autocorrelation, in seconds
OCTAVES_HZ = (125, 250, 500, 1000, 2000, 4000)
# Number of features of each kind: timbre, modulation, pulse, tone. All kinds have the same weight in the distance.
KINDS = (2 * BANDS + GROUPS, GROUPS * (len(MODULATION_HZ) - 1), LAGS + 3, 3 + 12 + 3 + len(OCTAVES_HZ) - 1)


def windows(audio: Tensor, length: int) -> Tensor:
    """Cut a sound `[n]` into whole windows `[count, length]`. A rest that does not fill a window is left out."""
    return audio[: len(audio) // length * length].reshape(-1, length)


def describe_windows(audio: Tensor, sample_rate: int) -> Tensor:
    """Return the features `[w, 158]`, unscaled, of mono windows `[w, n]`. A window must last a second or more."""
    levels = decibels(
        _spectra(audio, SIZE, HOP).transpose(1, 2) @ mel_matrix(SIZE, BANDS, sample_rate), FLOOR
    )
    levels = levels.transpose(1, 2)  # [w, bands, t]
    rate = sample_rate / HOP
    parts = [*_timbre(levels), _modulation(levels, rate), *_pulse(levels, rate), _steadiness(levels)]
    return torch.cat([*parts, *_harmony(_spectra(audio, LONG_SIZE, LONG_HOP), sample_rate)], 1)


def _spectra(audio: Tensor, size: int, hop: int) -> Tensor:
    """Return amplitudes `[w, bins, t]` of `[w, n]`; a sine of amplitude 1 reads 1."""
    window = torch.hann_window(size)
    return torch.stft(audio, size, hop, window=window, return_complex=True).abs() * (2 / window.sum())


def _grouped(levels: Tensor) -> Tensor:
    """Average neighbouring bands: `[w, bands, t]` to `[w, groups, t]`."""
    out: Tensor = levels.unflatten(1, (GROUPS, -1)).mean(2)
    return out


def _timbre(levels: Tensor) -> list[Tensor]:
    """Return mean and deviation of each band in dB, and the skew of each group of bands."""
    groups = _grouped(levels)
    centred = groups - groups.mean(2, keepdim=True)
    skew = centred.pow(3).mean(2) / centred.square().mean(2).sqrt().clamp_min(1.0).pow(3)
    return [levels.mean(2), levels.std(2), skew]


def _modulation(levels: Tensor, rate: float) -> Tensor:
    """Return how strongly each group of bands moves at each speed, in tens of dB: `[w, groups * speeds]`."""
    groups = _grouped(levels)
    moving = (groups - groups.mean(2, keepdim=True)) * torch.hann_window(groups.shape[2])
    power = torch.fft.rfft(moving).abs().square() / groups.shape[2]
    hertz = torch.arange(power.shape[2]) * rate / groups.shape[2]
    found = []
    for low, high in itertools.pairwise(MODULATION_HZ):
        inside = (hertz >= low) & (hertz < high)
        # A short window has no bin in the slowest ranges; the nearest bin is used.
        inside[int((hertz - math.sqrt(low * high)).abs().argmin())] = True
        found.append((power[..., inside].mean(2) + 0.1).log10())
    return torch.cat(found, 1)


def _pulse(levels: Tensor, rate: float) -> list[Tensor]:
    """Return the autocorrelation of onsets in ranges of lags, and how strong and how sudden onsets are."""
    onset = levels.diff(dim=2).clamp_min(0).mean(1)
    centred = onset - onset.mean(1, keepdim=True)
    length = centred.shape[1]
    correlation = torch.fft.irfft(torch.fft.rfft(centred, 2 * length).abs().square())[:, :length]
    correlation = correlation / correlation[:, :1].clamp_min(1e-6)
    edges = torch.logspace(math.log10(SHORTEST_LAG), math.log10(LONGEST_LAG), LAGS + 1) * rate
    peaks = []
    for low, high in itertools.pairwise(edges.tolist()):
        first = min(int(low), length - 1)
        peaks.append(correlation[:, first : max(first + 1, int(high))].amax(1))
    flux = [onset.mean(1), onset.std(1), onset.quantile(0.95, dim=1)]
    return [torch.stack(peaks, 1), torch.stack(flux, 1)]


def _steadiness(levels: Tensor) -> Tensor:
    """Return the correlation of spectra 1, 4 and 16 frames apart (12 to 186 ms at 44.1 kHz); it is low for haze."""
    shape = F.normalize(levels - levels.mean((1, 2), keepdim=True), dim=1)
    return torch.stack([(shape[..., lag:] * shape[..., :-lag]).sum(1).mean(1) for lag in (1, 4, 16)], 1)


def _harmony(spectra: Tensor, sample_rate: int) -> list[Tensor]:
    """Return the shares of the twelve pitch classes by size, how few and how steady they are, and tones above haze."""
    hertz = torch.arange(spectra.shape[1]) * sample_rate / LONG_SIZE
    tonal = (hertz >= 100) & (hertz < 2000)
    classes = (12 * (hertz[tonal] / 440).log2()).round().long() % 12
    chroma = torch.zeros(spectra.shape[0], 12, spectra.shape[2])
    chroma = chroma.index_add(1, classes, spectra[:, tonal].square())
    chroma = chroma / chroma.sum(1, keepdim=True).clamp_min(1e-12)
    mean = chroma.mean(2).sort(1, descending=True).values
    entropy = -(mean * mean.clamp_min(1e-6).log()).sum(1)
    steady = F.cosine_similarity(chroma[..., 1:], chroma[..., :-1], dim=1).mean(1)
    about = torch.stack([chroma.amax(1).mean(1), entropy, steady], 1)
    levels = decibels(spectra, FLOOR / 10)
    heights = []
    for low, high in itertools.pairwise(OCTAVES_HZ):
        part = levels[:, (hertz >= low) & (hertz < high)]
        heights.append((part.amax(1) - part.median(1).values).mean(1))
    return [mean, about, torch.stack(heights, 1)]
