"""Statistics that change when music drifts: level, dynamics, width, colour, noisiness, onsets and pulse.

Each is computed from a stretch of about ten seconds (`statistics_of`) and followed over time (`over_time`).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.evaluate.metrics.measures import level, onset_strength, spectrogram

SIZE, HOP = 2048, 512  # of spectra
ONSET_SIZE, ONSET_HOP = 1024, 256
LOUD_DECIBELS = 40.0  # colour counts only frames within so many dB of the loudest
FLATNESS_HZ = (100.0, 16_000.0)
ONSET_RISE = 0.05  # least mean rise of the log spectrum at an onset; a fifth of a kick drum's
ONSET_SECONDS = 0.05  # least time between two onsets
SHORTEST_BEAT, LONGEST_BEAT = 0.2, 1.0  # seconds

Table = dict[str, NDArray[np.float64]]
"""Statistic -> its values over time."""


class Scale(enum.Enum):
    """How a change of a statistic becomes a share."""

    DECIBELS = "decibels"  # a difference in dB counts as the ratio of amplitudes
    PLAIN = "plain"


@dataclass(frozen=True)
class Statistic:
    """Name, unit and scale of a statistic. Its values are in a `Table` under the name."""

    name: str
    unit: str
    scale: Scale = Scale.PLAIN


STATISTICS = (
    Statistic("level", "dB", Scale.DECIBELS),
    Statistic("crest factor", "dB", Scale.DECIBELS),
    Statistic("stereo correlation", ""),
    Statistic("spectral centroid", "Hz"),
    Statistic("spectral flatness", ""),
    Statistic("onsets", "/s"),
    Statistic("pulse", ""),
)


def crest_factor(audio: Tensor) -> float:
    """Return the peak over the root mean square of `[channels, n]`, in dB; a sine has 3."""
    peak, power = float(audio.abs().max()), float(audio.square().mean())
    return 20 * math.log10(max(peak, 1e-6)) - 10 * math.log10(power + 1e-12)


def stereo_correlation(audio: Tensor) -> float:
    """Return the correlation of the two channels of `[2, n]`, -1..1: 1 for mono, 0 for unrelated channels.

    Returns 1 for one channel.
    """
    if audio.shape[0] == 1:
        return 1.0
    left, right = (channel - channel.mean() for channel in audio[:2])
    size = float(left.norm() * right.norm())
    return float(left @ right) / size if size > 1e-9 else 1.0


def colour(audio: Tensor, sample_rate: int) -> tuple[float, float]:
    """Return the spectral centroid in Hz and the flatness, 0..1, of mono `[n]`.

    Flatness is the geometric over the arithmetic mean of the power from 100 Hz to 16 kHz.
    """
    power = spectrogram(audio, SIZE, HOP).square()
    total = power.sum(0)
    power = power[:, total >= total.max() * 10 ** (-LOUD_DECIBELS / 10)] + 1e-14
    hertz = torch.arange(len(power)) * sample_rate / SIZE
    centroid = float(((hertz[:, None] * power).sum(0) / power.sum(0)).mean())
    inside = power[(hertz >= FLATNESS_HZ[0]) & (hertz < FLATNESS_HZ[1])]
    return centroid, float((inside.log().mean(0).exp() / inside.mean(0)).mean())


def onset_times(audio: Tensor, sample_rate: int) -> Tensor:
    """Return the times `[k]` in seconds at which sounds begin in mono `[n]`.

    An onset is a peak of the onset strength that stands out from the fifth of a second around it.
    """
    strength = onset_strength(audio, ONSET_SIZE, ONSET_HOP)[None, None]
    rate = sample_rate / ONSET_HOP
    near, wide = max(1, int(ONSET_SECONDS * rate)), max(1, int(0.1 * rate))
    highest = F.max_pool1d(strength, 2 * near + 1, 1, near)
    around = F.avg_pool1d(strength, 2 * wide + 1, 1, wide, count_include_pad=False)
    found = (strength == highest) & (strength > around + ONSET_RISE)
    return (found[0, 0].nonzero()[:, 0] + 1) / rate


def pulse(audio: Tensor, sample_rate: int) -> tuple[float, float]:
    """Return the highest peak of the onsets' autocorrelation between 0.2 and 1 s, 0..1, and its lag in seconds.

    Takes mono `[n]`. A parabola through the peak and its neighbours gives the lag to a fraction of a frame. Returns
    (0, 0) if the sound is too short for a lag of a second.
    """
    rate = sample_rate / ONSET_HOP
    onset = onset_strength(audio, ONSET_SIZE, ONSET_HOP)
    first, last = int(SHORTEST_BEAT * rate), int(LONGEST_BEAT * rate)
    if len(onset) < last + 2:
        return 0.0, 0.0
    onset = onset - onset.mean()
    correlation = torch.fft.irfft(torch.fft.rfft(onset, 2 * len(onset)).abs().square())[: last + 2]
    # Each sum is divided by its number of products. Otherwise the end of the window would make long lags seem weaker.
    correlation = correlation / torch.arange(len(onset), len(onset) - last - 2, -1) * len(onset)
    best = first + int(correlation[first : last + 1].argmax())
    before, at, after = correlation[best - 1 : best + 2].tolist()
    bend = before - 2 * at + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    height = at / max(float(correlation[0]), 1e-9)
    return min(1.0, max(0.0, height)), (best + min(0.5, max(-0.5, shift))) / rate


def statistics_of(audio: Tensor, sample_rate: int) -> dict[str, float]:
    """Return all `STATISTICS` of a sound `[channels, n]` by name, and "beat": the lag of the pulse in seconds."""
    mono = audio.mean(0)
    centroid, flatness = colour(mono, sample_rate)
    strength, beat = pulse(mono, sample_rate)
    return {
        "level": level(audio),
        "crest factor": crest_factor(audio),
        "stereo correlation": stereo_correlation(audio),
        "spectral centroid": centroid,
        "spectral flatness": flatness,
        "onsets": len(onset_times(mono, sample_rate)) * sample_rate / len(mono),
        "pulse": strength,
        "beat": beat,
    }


def over_time(audio: Tensor, sample_rate: int, seconds: float) -> Table:
    """Return the statistics of each stretch of `seconds` of a sound `[channels, n]`; a shorter sound is one stretch."""
    length = min(audio.shape[1], int(seconds * sample_rate))
    count = audio.shape[1] // length
    rows = [statistics_of(audio[:, i * length : (i + 1) * length], sample_rate) for i in range(count)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def tempo_wander(beats: NDArray[np.float64]) -> float:
    """Return how far the beat wanders: the deviation of its lag over stretches, as a share of the lag.

    `beats`: lags `[t]` in seconds. Half a beat and two beats count as the same tempo: each lag is first halved or
    doubled to lie next to the median.
    """
    known = np.log2(beats[beats > 0])
    if len(known) < 2:
        return 0.0
    known = known - np.median(known)
    return float(np.std((known + 0.5) % 1 - 0.5, ddof=1) * math.log(2))


def relative_drift(statistic: Statistic, first: float, last: float, held: NDArray[np.float64]) -> float:
    """Return the change from `first` to `last` as a share: 0.2 is a drift of 20 %.

    A change in decibels counts as a ratio of amplitudes: 1.58 dB are 20 %, up or down. Other quantities are divided by
    `first`. If `first` is smaller than the spread of held-out music's values `held` `[t]`, it is no useful scale, and
    the mean size of those values is the divisor.
    """
    if statistic.scale is Scale.DECIBELS:
        return 10 ** (abs(last - first) / 20) - 1
    size = abs(first)
    if size < float(held.std()):
        size = float(np.abs(held).mean())
    return abs(last - first) / max(size, 1e-9)
