"""Sound to latents: levels of bands that lie on the keys of a piano, coarser above, so that pitch is a place.

Blind to phase, which is noise to a denoiser: it cannot be predicted from what came before (docs/model.md).
Nothing is learned but the mean and the spread of each band. Mono; torch only.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import BandCodecConfig

FLOOR = 1e-4  # what is quieter carries no music and only makes the logarithm noisy
LOWEST_DECIBELS = -80.0  # the same
ROOT_HERTZ = 440 * 2 ** (-45 / 12)  # C1; bands lie on the keys of a piano tuned to 440 Hz
SEMITONES = 84  # C1 to B7, one band a key
TREBLE_BANDS, TREBLE_STEP = 12, 2  # up to 16 kHz in whole tones
# Bands short in time: what a window of 186 ms cannot say of a kick drum's beginning. Edges in hertz.
STROKES = ((30, 100), (100, 250), (250, 600), (600, 1500))
CHANNELS = SEMITONES + TREBLE_BANDS + len(STROKES)
# A band's window: long where keys lie close, short where attacks are heard. Semitone from which each holds.
POINTS = ((0, 8192), (26, 4096))
POOLS = ((38, 4096), (51, 2048), (72, 1024))
STROKE_WINDOW = 1024
DEVIATIONS = 2  # of a band are one unit of a latent; see `BandCodec`


def band_places() -> Tensor:
    """Place of every pitched band in semitones above C1 `[SEMITONES + TREBLE_BANDS]`."""
    treble = SEMITONES - 1 + TREBLE_STEP * torch.arange(1, TREBLE_BANDS + 1)
    return torch.cat([torch.arange(SEMITONES), treble]).double()


def hertz(place: Tensor) -> Tensor:
    """Frequency of a place in semitones above C1."""
    return ROOT_HERTZ * 2 ** (place / 12)


def transposed(levels: Tensor, semitones: int) -> Tensor:
    """Levels in dB `[n, CHANNELS]` as if played higher by a whole number of semitones.

    Each band takes the level of the place it came from; beyond the ends the outermost band stands for it. The
    strokes stay.
    """
    bands = band_places()
    source = (bands - semitones).clamp(0, float(bands[-1]))
    below = torch.searchsorted(bands, source, right=True).sub(1).clamp(0, len(bands) - 2)
    share = ((source - bands[below]) / (bands[below + 1] - bands[below])).float()
    pitched = levels[:, : len(bands)]
    moved = pitched[:, below] * (1 - share) + pitched[:, below + 1] * share
    return torch.cat([moved, levels[:, len(bands) :]], 1)


class BandAnalysis(nn.Module):
    """Audio to latents: one window a band and token, centred on the token, the outside being silence.

    Low bands are one point of a windowed Fourier transform each, as a band is no wider than the window's lobe
    there; the others pool a spectrum's power in a triangle that reaches to both neighbours.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: BandCodecConfig) -> None:
        super().__init__()
        self.hop, rate = config.hop_length, config.sample_rate
        self.register_buffer("mean", torch.full((CHANNELS,), -50.0))
        self.register_buffer("spread", torch.full((CHANNELS,), 15.0))
        places = band_places()
        ends = [first for first, _ in POINTS[1:]] + [POOLS[0][0]]
        self.points: list[tuple[int, str]] = []
        for (first, size), last in zip(POINTS, ends, strict=True):
            window = torch.hann_window(size, dtype=torch.float64)
            angle = torch.outer(torch.arange(size) - size / 2, 2 * math.pi * hertz(places[first:last]) / rate)
            kernel = window[:, None] * torch.cat([angle.cos(), angle.sin()], 1) * (2 / window.sum())
            self.register_buffer(f"point{size}", kernel.float(), persistent=False)
            self.points.append((size, f"point{size}"))
        ends = [first for first, _ in POOLS[1:]] + [len(places)]
        self.pools: list[tuple[int, str]] = []
        for (first, size), last in zip(POOLS, ends, strict=True):
            weight = self._triangles(places, first, last, size, rate)
            if size == STROKE_WINDOW:
                weight = torch.cat([weight, self._strokes(size, rate)], 1)
            self.register_buffer(f"pool{size}", weight.float(), persistent=False)
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)
            self.pools.append((size, f"pool{size}"))

    @staticmethod
    def _scale(size: int) -> float:
        """Power of a bin to squared amplitude of a sine; its Hann lobe holds 1.5 times the peak's power."""
        return (2 / (size / 2)) ** 2 / 1.5

    def _triangles(self, places: Tensor, first: int, last: int, size: int, rate: int) -> Tensor:
        bins = torch.arange(1, size // 2 + 1, dtype=torch.float64) * rate / size
        place = 12 * (bins / ROOT_HERTZ).log2()
        step = torch.full((len(places),), 1.0, dtype=torch.float64)
        step[SEMITONES:] = TREBLE_STEP
        weight = (1 - (place[:, None] - places[None, first:last]).abs() / step[first:last]).clamp_min(0)
        return F.pad(weight, (0, 0, 1, 0)) * self._scale(size)

    def _strokes(self, size: int, rate: int) -> Tensor:
        bins = torch.arange(size // 2 + 1) * rate / size
        return torch.stack(
            [((bins >= low) & (bins < high)).double() for low, high in STROKES], 1
        ) * self._scale(size)

    def decibels(self, audio: Tensor) -> Tensor:
        """`[b, samples]` to amplitudes in dB of full scale `[b, samples / hop, CHANNELS]`, not below the floor."""
        audio = audio.float()
        found = []
        for size, name in self.points:
            padded = F.pad(audio, ((size - self.hop) // 2, (size - self.hop) // 2))
            parts = padded.unfold(1, size, self.hop) @ getattr(self, name)
            cosine, sine = parts.chunk(2, -1)
            found.append(cosine**2 + sine**2)
        for size, name in self.pools:
            padded = F.pad(audio, ((size - self.hop) // 2, (size - self.hop) // 2))
            window = getattr(self, f"window{size}")
            spectrum = torch.stft(padded, size, self.hop, window=window, center=False, return_complex=True)
            power = spectrum.real**2 + spectrum.imag**2
            found.append(power.transpose(1, 2) @ getattr(self, name))
        return 10 * torch.cat(found, -1).clamp_min(FLOOR**2).log10()

    def forward(self, audio: Tensor) -> Tensor:
        """`[b, samples]` to latents `[b, CHANNELS, samples / hop]`, about standard per channel."""
        return ((self.decibels(audio) - self.mean) / self.spread).transpose(1, 2)

    def levels(self, latents: Tensor) -> Tensor:
        """Latents `[b, CHANNELS, t]` back to dB `[b, t, CHANNELS]`."""
        return latents.float().transpose(1, 2) * self.spread + self.mean

    @torch.no_grad()
    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Before training: mean and deviation of each band in dB `[CHANNELS]`. Rounded as half precision keeps them."""
        self.mean.copy_(mean.half())
        self.spread.copy_((DEVIATIONS * deviation).clamp_min(1.0).half())
