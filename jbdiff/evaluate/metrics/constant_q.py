"""Constant-Q spectrograms: every third of a semitone has its own row in each octave, so a steady tone is a line."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST_HZ = 440 * 2 ** (-45 / 12)  # C1
OCTAVES, ROWS_PER_OCTAVE = 8, 36
# Samples of a window; windows as long as low tones need would blur short sounds.
LONGEST, SHORTEST = 16_384, 1024
HOP = 1024
FLOOR = 1e-5


def row_hertz() -> Tensor:
    """Frequency of each row of the spectrogram `[288]`, from C1 upwards in thirds of a semitone."""
    return LOWEST_HZ * 2 ** (torch.arange(OCTAVES * ROWS_PER_OCTAVE, dtype=torch.float64) / ROWS_PER_OCTAVE)


@torch.no_grad()
def constant_q(audio: Tensor, sample_rate: int) -> Tensor:
    """Levels in dB `[288, t]` of mono audio `[n]`, every 1024 samples; a sine of amplitude 1 reads 0 dB.

    Rows above half the sample rate read the floor of -100 dB.
    """
    columns = -(-len(audio) // HOP)
    found = torch.zeros(OCTAVES * ROWS_PER_OCTAVE, columns)
    for rows, kernel in _kernels(sample_rate):
        size = len(kernel)
        padded = F.pad(audio.float(), (size // 2, size // 2 + HOP))
        cosine, sine = (padded.unfold(0, size, HOP)[:columns] @ kernel).chunk(2, 1)
        found[rows] = (cosine.square() + sine.square()).sqrt().T
    return 20 * found.clamp_min(FLOOR).log10()


@cache
def _kernels(sample_rate: int) -> list[tuple[Tensor, Tensor]]:
    """Return, for each length of frames, row numbers `[k]` and windowed cosines, then sines, `[samples, 2 * k]`.

    Rows with windows of about the same length share their frames.
    """
    hertz = row_hertz()
    quality = 1 / (2 ** (1 / ROWS_PER_OCTAVE) - 1)
    lengths = (quality * sample_rate / hertz).clamp(SHORTEST, LONGEST)
    found, size = [], SHORTEST
    while size <= LONGEST:
        rows = ((lengths > size / 2) & (lengths <= size) & (hertz < sample_rate / 2)).nonzero()[:, 0]
        if len(rows):
            time = (torch.arange(size, dtype=torch.float64) - size / 2)[:, None]
            window = (0.5 + 0.5 * torch.cos(2 * math.pi * time / lengths[rows])) * (
                time.abs() < lengths[rows] / 2
            )
            window = 2 * window / window.sum(0)
            angle = 2 * math.pi * hertz[rows] * time / sample_rate
            found.append((rows, torch.cat([window * angle.cos(), window * angle.sin()], 1).float()))
        size *= 2
    return found
