"""Measures whether a stack copies its training music: the distance of its sound to the nearest training music.

A window of two seconds becomes a picture of semitone bands over time. It is correlated with every place of every
training track, in every key to which training may have transposed the track. The distance is 1 less the highest
correlation, and does not depend on loudness. Held-out music has such a distance too, and serves for comparison: it
shares scales, sounds and styles with the training music, but cannot be a copy of it.

A plain sound (a drum alone, a held chord) is near to many tracks. A copy is near to one track only. So each distance is
also divided by the mean distance to the next tracks (Carlini et al. 2023, "Extracting Training Data from Diffusion
Models", section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.evaluate.metrics.measures import decibels, spectrogram

SIZE, HOP = 8192, 2048  # samples; a copy lies at most half a hop (23 ms) beside the grid
LOWEST_NOTE, NOTES = 45, 60  # MIDI: A2, five octaves up
FARTHEST_SEMITONES = 4  # most by which training transposes (`train/latents/latents.py`)
FLOOR = 1e-3
SECONDS = 2.0
NEIGHBOURS = 10  # most tracks with which the nearest one is compared
QUIETEST = 1.0  # dB; least deviation for the scale of a picture, so that silence resembles nothing


def note_levels(audio: Tensor, sample_rate: int) -> Tensor:
    """Return levels in dB `[notes, frames]` of semitone bands of mono `[n]`.

    Beside the `NOTES` bands there are `FARTHEST_SEMITONES` more on each side, for the transposed keys.
    """
    notes = torch.arange(LOWEST_NOTE - FARTHEST_SEMITONES, LOWEST_NOTE + NOTES + FARTHEST_SEMITONES)
    hertz = 440 * 2 ** ((notes - 69) / 12)
    bins = torch.arange(SIZE // 2 + 1) * sample_rate / SIZE
    wide = torch.maximum(hertz * (2 ** (1 / 24) - 2 ** (-1 / 24)), torch.tensor(sample_rate / SIZE))
    weights = (1 - (bins[:, None] - hertz).abs() / wide).clamp_min(0)
    power = (spectrogram(audio, SIZE, HOP).square().T @ weights).T
    return decibels(power.sqrt(), FLOOR)


@dataclass(frozen=True)
class Pictures:
    """Windows as scaled pictures: `rows` `[w, notes * frames]`, each with mean 0 and length 1."""

    rows: Tensor
    frames: int


def window_frames(sample_rate: int) -> int:
    """Return the number of frames in a window of two seconds, at least 4."""
    return max(4, int(SECONDS * sample_rate / HOP))


def pictures(sounds: Iterable[Tensor], mean: Tensor, sample_rate: int) -> Pictures:
    """Cut mono sounds `[n]` into windows without gaps and return their pictures.

    `mean` `[notes]`: the usual level of each band in dB. Raises ValueError if no sound is as long as a window.
    """
    frames, rows = window_frames(sample_rate), []
    for sound in sounds:
        levels = (note_levels(sound, sample_rate) - mean[:, None])[FARTHEST_SEMITONES:-FARTHEST_SEMITONES]
        count = levels.shape[1] // frames
        rows.append(levels[:, : count * frames].unflatten(1, (count, frames)).permute(1, 0, 2).flatten(1))
    windows = torch.cat(rows)
    if not len(windows):
        raise ValueError(f"no sound is as long as a window of {SECONDS} s; give longer ones")
    windows = windows - windows.mean(1, keepdim=True)
    size = windows.norm(dim=1, keepdim=True)
    return Pictures(windows / size.clamp_min(QUIETEST * math.sqrt(windows.shape[1])), frames)


def nearest(windows: Pictures, training: Sequence[Tensor], mean: Tensor) -> NDArray[np.float64]:
    """Return the distance of each window to the nearest place in each training track, nearest track first.

    `training`: `note_levels` `[notes, frames]` of each track; tracks shorter than a window are left out. `mean`
    `[notes]`: the usual level of each band. Returns `[w, tracks]`, 0..2. Raises ValueError if no track is long enough.
    """
    found = []
    for levels in training:
        if levels.shape[1] < windows.frames:
            continue
        best = torch.full((len(windows.rows),), -1.0)
        centred = levels - mean[:, None]
        for key in range(2 * FARTHEST_SEMITONES + 1):
            part = centred[key : key + NOTES]
            places = part.unfold(1, windows.frames, 1)  # [notes, places, frames]
            flat = places.permute(1, 0, 2).flatten(1)
            width = flat.shape[1]
            size = (flat.square().sum(1) - flat.sum(1).square() / width).clamp_min(0).sqrt()
            # The windows have mean 0, so the means of the places do not change the product.
            alike = (windows.rows @ flat.T) / size.clamp_min(QUIETEST * math.sqrt(width))
            best = torch.maximum(best, alike.amax(1))
        found.append((1 - best).clamp_min(0))
    if not found:
        raise ValueError(f"no training track is as long as a window of {SECONDS} s; give longer ones")
    return torch.stack(found, 1).sort(1).values.double().numpy()


@dataclass(frozen=True)
class Nearness:
    """Distances of the played and of held-out music to the nearest training music, `[sounds, windows]` each.

    `relative` distances are divided by the mean distance to the next nearest tracks. They are 1 if no track is nearer
    than the others.
    """

    played: NDArray[np.float64]
    held: NDArray[np.float64]
    relative_played: NDArray[np.float64]
    relative_held: NDArray[np.float64]

    def distance(self, percentile: float) -> tuple[float, float, float]:
        """Return a percentile (0..100) of the played and of the held-out distances, and a standard error.

        The error is that of the difference.
        """
        return _compared(self.played, self.held, percentile)

    def relative(self, percentile: float) -> tuple[float, float, float]:
        """Return the same three values of the relative distances."""
        return _compared(self.relative_played, self.relative_held, percentile)


def _compared(
    played: NDArray[np.float64], held: NDArray[np.float64], percentile: float
) -> tuple[float, float, float]:
    """Return both percentiles and the standard error of their difference.

    The error is a bootstrap over sounds, because the windows of one sound are near or far together.
    """
    rng = np.random.default_rng(0)

    def resampled(values: NDArray[np.float64]) -> NDArray[np.float64]:
        picks = rng.integers(len(values), size=(500, len(values)))
        found: NDArray[np.float64] = np.percentile(values[picks].reshape(500, -1), percentile, axis=1)
        return found

    error = float(np.std(resampled(played) - resampled(held)))
    own, other = (float(np.percentile(values, percentile)) for values in (played, held))
    return own, other, error


def nearness(
    played: Sequence[Tensor], held: Sequence[Tensor], training: Sequence[Tensor], sample_rate: int
) -> Nearness:
    """Return the distances of mono sounds `[n]`, all of one length, to the training music.

    `training`: `note_levels` `[notes, frames]` of the tracks. Raises ValueError without training music.
    """
    if not training:
        raise ValueError("no training music to compare with; give a folder that holds some")
    mean = torch.cat(list(training), 1).mean(1)
    plain, shares = [], []
    for sounds in (played, held):
        found = nearest(pictures(sounds, mean, sample_rate), training, mean)
        others = found[:, 1 : 1 + NEIGHBOURS]
        relative = np.ones(len(found))  # with one track there is no other to compare with
        if others.shape[1]:
            relative = found[:, 0] / np.maximum(others.mean(1), 1e-6)
        shares.append(relative.reshape(len(sounds), -1))
        plain.append(found[:, 0].reshape(len(sounds), -1))
    return Nearness(*plain, *shares)
