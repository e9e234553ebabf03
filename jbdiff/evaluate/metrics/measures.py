"""Measures of sound: the distance between two sounds, and how tonal and how loud one sound is.

All functions take mono audio `[n]`, float32, and its sample rate in Hz if they need frequencies. Levels are in dB.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

MEL_SCALES = ((256, 20), (512, 40), (1024, 80), (2048, 128), (4096, 160))  # window in samples, bands
MEL_FLOOR = 1e-4  # -80 dB of a full-scale sine


def spectrogram(audio: Tensor, size: int, hop: int) -> Tensor:
    """Return amplitudes `[bins, frames]` of `[n]`; a sine of amplitude 1 reads 1. `size`, `hop`: samples."""
    window = torch.hann_window(size)
    spectrum = torch.stft(audio, size, hop, window=window, return_complex=True)
    return spectrum.abs() * (2 / window.sum())


def decibels(amplitude: Tensor, floor: float = 1e-5) -> Tensor:
    """Return amplitudes in dB, in their shape `[...]`; amplitudes below `floor` count as `floor`."""
    return 20 * amplitude.clamp_min(floor).log10()


def mel_matrix(size: int, bands: int, sample_rate: int) -> Tensor:
    """Return weights `[size / 2 + 1, bands]` that average bins in triangles.

    The bands are even in mel (O'Shaughnessy), from 30 Hz to 16 kHz.
    """

    def mel(hertz: Tensor) -> Tensor:
        return 2595 * (1 + hertz / 700).log10()

    bins = mel(torch.linspace(0, sample_rate / 2, size // 2 + 1))
    low, high = mel(torch.tensor([30.0, 16_000.0])).tolist()
    centres = torch.linspace(low, high, bands + 2)
    rise = (bins[:, None] - centres[:-2]) / (centres[1:-1] - centres[:-2])
    fall = (centres[2:] - bins[:, None]) / (centres[2:] - centres[1:-1])
    weight = torch.minimum(rise, fall).clamp_min(0)
    for band in (
        (weight.sum(0) == 0).nonzero()[:, 0].tolist()
    ):  # a band narrower than a bin gets the nearest bin
        weight[(bins - centres[band + 1]).abs().argmin(), band] = 1
    return weight / weight.sum(0)


def mel_distance(one: Tensor, other: Tensor, sample_rate: int) -> float:
    """Return the mean absolute difference in dB of mel spectrograms, for mono `[n]` and `[n]`.

    It is averaged over five window lengths.
    """
    found = []
    for size, bands in MEL_SCALES:
        matrix = mel_matrix(size, bands, sample_rate)
        a, b = (decibels(spectrogram(x, size, size // 4).T @ matrix, MEL_FLOOR) for x in (one, other))
        found.append(float((a - b).abs().mean()))
    return float(np.mean(found))


def fine_distance(one: Tensor, other: Tensor, sample_rate: int) -> float:
    """Return the mean absolute difference in dB of the spectra of `[n]` and `[n]` below 4 kHz, in frames of 186 ms.

    It grows with tones of the wrong pitch, and with haze around tones.
    """
    bins = 4000 * 8192 // sample_rate
    a, b = (decibels(spectrogram(x, 8192, 2048)[:bins], MEL_FLOOR) for x in (one, other))
    return float((a - b).abs().mean())


def tonality(audio: Tensor, sample_rate: int) -> float:
    """Return how tonal a sound `[n]` is, in dB.

    In each third of an octave from 100 Hz to 4 kHz, it is the height of the highest partial above the median. White
    noise reads 7. Only frames within 30 dB of the loudest count.
    """
    levels = decibels(spectrogram(audio, 8192, 4096))
    hertz = torch.arange(len(levels)) * sample_rate / 8192
    edges = [100 * 2 ** (third / 3) for third in range(17)]
    heights = []
    for low, high in itertools.pairwise(edges):
        part = levels[(hertz >= low) & (hertz < high)]
        heights.append(part.amax(0) - part.median(0).values)
    peak = levels.amax(0)
    return float(torch.stack(heights)[:, peak > peak.max() - 30].mean())


def onset_strength(audio: Tensor, size: int = 512, hop: int = 128) -> Tensor:
    """Return the mean rise of the log spectrum from frame to frame `[frames]`. `size`, `hop`: samples."""
    return (spectrogram(audio, size, hop) + 1e-3).log().diff(dim=1).clamp_min(0).mean(0)


def onset_match(one: Tensor, other: Tensor) -> float:
    """Return the correlation of the onset strengths of `[n]` and `[n]`, -1..1.

    It is 1 if all attacks are at the same places.
    """
    return float(torch.corrcoef(torch.stack([onset_strength(one), onset_strength(other)]))[0, 1])


def attack(audio: Tensor) -> float:
    """Return the mean onset strength of `[n]` over the hundredth of its frames with the strongest onsets."""
    strength = onset_strength(audio)
    return float(strength.topk(max(1, len(strength) // 100)).values.mean())


def level(audio: Tensor) -> float:
    """Return the root mean square of `[n]` in dB of full scale."""
    return 10 * math.log10(float(audio.square().mean()) + 1e-12)


def compare(original: Tensor, decoded: Tensor, sample_rate: int) -> dict[str, float]:
    """Return all measures of a codec's round trip by name, for mono `[n]` before and after it."""
    return {
        "mel_distance_db": mel_distance(original, decoded, sample_rate),
        "fine_distance_db": fine_distance(original, decoded, sample_rate),
        "tonality_original_db": tonality(original, sample_rate),
        "tonality_db": tonality(decoded, sample_rate),
        "onset_match": onset_match(original, decoded),
        "attack_ratio": attack(decoded) / max(attack(original), 1e-9),
    }


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each named value over the rows, which all have the same names."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
