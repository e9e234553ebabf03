"""Whether a stack plays what it was trained on: how near what it plays comes to the nearest training music.

A window of two seconds becomes a picture of semitone bands over time. It is laid over every place of every training
track, in every key that training may have moved it to, and correlated; 1 less the highest correlation is its distance.
Louder or softer makes no difference. Held-out music has such a distance too, and is what to compare with: it shares
scales, sounds and styles with the training music and cannot have been copied from it.

A plain sound (a drum alone, a held chord) is near to many tracks, a copy to the one that it was copied from. So a
distance is also put into relation to those of the next tracks (Carlini et al. 2023, "Extracting Training Data from
Diffusion Models", section 4.2).
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

SIZE, HOP = 8192, 2048  # a copy is at most half a hop (23 ms) out of step with the grid
LOWEST_NOTE, NOTES = 45, 60  # MIDI: A2, five octaves up
FARTHEST_SEMITONES = 4  # that training transposes by (`train/latents.py`)
FLOOR = 1e-3
SECONDS = 2.0
NEIGHBOURS = 10  # tracks that the nearest one is compared with, or as many as there are
QUIETEST = 1.0  # dB: the least deviation that a picture is scaled by; silence is like nothing


def note_levels(audio: Tensor, sample_rate: int) -> Tensor:
    """Mono `[n]` to levels in dB of semitone bands `[notes, frames]`, those that keys may move in among them."""
    notes = torch.arange(LOWEST_NOTE - FARTHEST_SEMITONES, LOWEST_NOTE + NOTES + FARTHEST_SEMITONES)
    hertz = 440 * 2 ** ((notes - 69) / 12)
    bins = torch.arange(SIZE // 2 + 1) * sample_rate / SIZE
    wide = torch.maximum(hertz * (2 ** (1 / 24) - 2 ** (-1 / 24)), torch.tensor(sample_rate / SIZE))
    weights = (1 - (bins[:, None] - hertz).abs() / wide).clamp_min(0)
    power = (spectrogram(audio, SIZE, HOP).square().T @ weights).T
    return decibels(power.sqrt(), FLOOR)


@dataclass(frozen=True)
class Pictures:
    """Scaled windows `[w, notes * frames]`, each of mean 0 and length 1."""

    rows: Tensor
    frames: int


def window_frames(sample_rate: int) -> int:
    return max(4, int(SECONDS * sample_rate / HOP))


def pictures(sounds: Iterable[Tensor], mean: Tensor, sample_rate: int) -> Pictures:
    """Windows end to end of mono sounds `[n]`; `mean` `[notes]` is the usual level of each band.

    Raises ValueError if no sound is as long as one.
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
    """Distance of each window to the nearest place in each of `training` (`note_levels` of the tracks), nearest tracks
    first: `[w, tracks]`, 0..2. Tracks that are shorter than a window are left out.
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
            # The windows have mean 0, so the places' own means fall out of the product.
            alike = (windows.rows @ flat.T) / size.clamp_min(QUIETEST * math.sqrt(width))
            best = torch.maximum(best, alike.amax(1))
        found.append((1 - best).clamp_min(0))
    if not found:
        raise ValueError(f"no training track is as long as a window of {SECONDS} s; give longer ones")
    return torch.stack(found, 1).sort(1).values.double().numpy()


@dataclass(frozen=True)
class Nearness:
    """Distances to the nearest training music `[sounds, windows]` of what was played and of held-out music.

    `relative`: divided by the mean of those to the next nearest tracks. It is 1 where no track is nearer than others.
    """

    played: NDArray[np.float64]
    held: NDArray[np.float64]
    relative_played: NDArray[np.float64]
    relative_held: NDArray[np.float64]

    def distance(self, percentile: float) -> tuple[float, float, float]:
        """That percentile of the played, of the held-out, and the standard error of the difference."""
        return _compared(self.played, self.held, percentile)

    def relative(self, percentile: float) -> tuple[float, float, float]:
        """The same of the relative distances."""
        return _compared(self.relative_played, self.relative_held, percentile)


def _compared(
    played: NDArray[np.float64], held: NDArray[np.float64], percentile: float
) -> tuple[float, float, float]:
    """The error is a bootstrap's over sounds: windows of one sound are near or far together."""
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
    """Of mono sounds `[n]`, all as long; `training` are `note_levels`. Raises ValueError without training music."""
    if not training:
        raise ValueError("no training music to compare with; give a folder that holds some")
    mean = torch.cat(list(training), 1).mean(1)
    plain, shares = [], []
    for sounds in (played, held):
        found = nearest(pictures(sounds, mean, sample_rate), training, mean)
        others = found[:, 1 : 1 + NEIGHBOURS]
        relative = np.ones(len(found))  # of one track: nothing is nearer than others
        if others.shape[1]:
            relative = found[:, 0] / np.maximum(others.mean(1), 1e-6)
        shares.append(relative.reshape(len(sounds), -1))
        plain.append(found[:, 0].reshape(len(sounds), -1))
    return Nearness(*plain, *shares)
