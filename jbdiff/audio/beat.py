"""Tempo and first beat of a sound file, so that places in it can be counted in bars. No torch.

`jbdiff/codecs/tempo.py` does the same for a few seconds of latents. This one reads samples and works with every stack.
The score of a tempo is the same in both: the strength of the onsets' Fourier components at its beat, half beat and
quarter beat, weighted by how usual the tempo is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLOWEST, FASTEST, USUAL = 88.0, 180.0, 118.0  # beats a minute; slower music counts at twice its tempo
SPREAD = 0.35  # of usual tempi, in octaves
PARTS = ((1.0, 1.0), (2.0, 0.6), (4.0, 0.4))  # components per beat, and their weights

BEATS = 4  # in a bar
SIZE, HOP = 1024, 512  # frames of one spectrum, and between two
LONGEST_SECONDS = 120.0  # of the sound that is looked at
AROUND_SECONDS = 0.5  # a rise counts as far as it exceeds the mean around it
LOW_HERTZ = 200.0  # kick drums lie below
TURNS = 1 << 20  # frequencies of the Fourier transform of the rises: a tempo is exact to 0.01 beats a minute
PLACES = 192  # number of places in a beat that are tried
# How clear a beat has to be: the share of the components in all rises, times the score of the best tempo over the
# median of all. Of twelve factory sounds, the ten with a beat have 4.3 to 14, the pads of `glass` 1.3, the drone 0.4.
CLEAR = 2.5


@dataclass(frozen=True)
class Beat:
    """A steady beat. tempo: beats a minute. first: frame of the first beat, less than a beat from the beginning."""

    tempo: float
    first: float


def found_beat(mono: NDArray[np.float32], sample_rate: int) -> Beat | None:
    """Return the beat of a sound `[frames]`; None if it has none, or is shorter than four beats.

    Which beat begins a bar is not known: onsets hardly show that.
    """
    mono = mono[: int(LONGEST_SECONDS * sample_rate)]
    if len(mono) < BEATS * 60.0 / FASTEST * sample_rate:
        return None
    rises, low = _onsets(mono, sample_rate)
    strength = float(np.abs(rises).sum())
    if strength < 1e-3 * len(rises):
        return None
    per_minute = 60.0 * sample_rate / HOP  # steps
    spectrum = np.fft.rfft(rises, TURNS)
    turns = np.arange(round(SLOWEST / per_minute * TURNS), round(FASTEST / per_minute * TURNS) + 1)
    tempi = turns * per_minute / TURNS
    scores = np.zeros(len(turns))
    for part, weight in PARTS:
        scores += weight * np.abs(spectrum[(part * turns).astype(np.int64)])
    best = int(np.argmax(scores * np.exp(-0.5 * (np.log2(tempi / USUAL) / SPREAD) ** 2)))
    if scores[best] ** 2 / (strength * np.median(scores)) < CLEAR:
        return None
    low_spectrum = np.fft.rfft(low, TURNS)
    # Low rises count more: kick drums lie on the beat.
    both = low_spectrum / max(1e-6, float(low.std())) + 0.5 * spectrum / max(1e-6, float(rises.std()))
    return Beat(float(tempi[best]), _first_beat(both, int(turns[best])) * HOP)


def _onsets(mono: NDArray[np.float32], sample_rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rises of all levels and of the low ones, `[n]` each. Number k lies around frame k * HOP."""
    padded = np.pad(mono, (SIZE // 2, SIZE))
    count = len(mono) // HOP + 1
    window = np.hanning(SIZE).astype(np.float32)
    levels = np.empty((count, SIZE // 2 + 1), np.float32)
    for start in range(0, count, SIZE):  # some megabytes at a time
        places = (np.arange(start, min(count, start + SIZE)) * HOP)[:, None] + np.arange(SIZE)
        levels[start : start + len(places)] = np.log1p(10 * np.abs(np.fft.rfft(padded[places] * window)))
    flux = np.diff(levels, axis=0, prepend=levels[:1]).clip(0)
    lows = max(1, round(LOW_HERTZ * SIZE / sample_rate))
    return _standing_out(flux.mean(1), sample_rate), _standing_out(flux[:, :lows].mean(1), sample_rate)


def _standing_out(rises: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Return how far each rise exceeds the mean around it, without the mean of all."""
    around = 2 * round(AROUND_SECONDS * sample_rate / HOP / 2) + 1
    sums = np.cumsum(np.pad(rises.astype(np.float64), (around // 2 + 1, around // 2)))
    over = (rises - (sums[around:] - sums[:-around]) / around).clip(0)
    result: NDArray[np.float64] = over - over.mean()
    return result


def _first_beat(spectrum: NDArray[np.complex128], turns: int) -> float:
    """Return the step of the first beat, from the spectrum of the rises; `turns` is the place of the tempo in it."""
    places = np.arange(PLACES) / PLACES
    score = np.zeros(PLACES)
    for part, weight in PARTS:
        score += weight * (spectrum[int(part * turns)] * np.exp(2j * np.pi * part * places)).real
    return float(places[int(np.argmax(score))] * TURNS / turns)
