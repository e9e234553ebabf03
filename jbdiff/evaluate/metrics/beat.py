"""The strength of the beat in a sound: the figure *pulse* of the section *tones*."""

from __future__ import annotations

import torch
from torch import Tensor

from jbdiff.evaluate.metrics.measures import mel_matrix, spectrogram

SIZE, HOP, BANDS = 2048, 512, 128
RANGE_DECIBELS = 80.0  # levels further than this below the loudest point count as silence
SHORTEST, LONGEST = 0.3, 0.8  # seconds between beats: 200 to 75 beats a minute


def beat_pulse(audio: Tensor, sample_rate: int) -> float:
    """Return how much the onset strength of mono audio `[n]` resembles itself one beat later, 0..1.

    Onset strength is the mean rise of 128 mel bands in dB. The figure is the highest value of its autocorrelation
    from 0.3 to 0.8 s, relative to lag 0. Longer lags have fewer products, so a sound should last ten seconds or more.
    Returns 0 for a sound without onsets, and for one of less than two seconds.
    """
    rate = sample_rate / HOP
    if len(audio) < 2 * sample_rate:
        return 0.0
    power = spectrogram(audio, SIZE, HOP).square().T @ mel_matrix(SIZE, BANDS, sample_rate)
    levels = 10 * power.clamp_min(1e-10).log10()
    onset = levels.clamp_min(float(levels.max()) - RANGE_DECIBELS).diff(dim=0).clamp_min(0).mean(1)
    onset = onset - onset.mean()
    correlation = torch.fft.irfft(torch.fft.rfft(onset, 2 * len(onset)).abs().square())
    if float(correlation[0]) < 1e-6:
        return 0.0
    return max(0.0, float(correlation[int(SHORTEST * rate) : int(LONGEST * rate)].max() / correlation[0]))
