"""Sound to latents: levels of bands that lie on the keys of a piano, and wider bands above them.

So each pitch has a place among the bands. The latents do not contain phase. A denoiser cannot predict phase from the
sound before (docs/model.md). Only the mean and the spread of each band are learned. Mono; torch only.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import BandCodecConfig

FLOOR = 1e-4  # smallest amplitude: quieter bands carry no music and only make the logarithm noisy
LOWEST_DECIBELS = -80.0  # the same
ROOT_HERTZ = 440 * 2 ** (-45 / 12)  # C1; bands lie on the keys of a piano tuned to 440 Hz
SEMITONES = 84  # C1 to B7, one band a key
TREBLE_BANDS, TREBLE_STEP = 12, 2  # up to 16 kHz in whole tones
# Bands with short windows: a window of 186 ms cannot show when a kick drum begins. Edges in hertz.
STROKES = ((30, 100), (100, 250), (250, 600), (600, 1500))
CHANNELS = SEMITONES + TREBLE_BANDS + len(STROKES)
# A band's window: long where keys lie close, short where attacks matter. Semitone from which each holds.
POINTS = ((0, 8192), (26, 4096))
POOLS = ((38, 4096), (51, 2048), (72, 1024))
STROKE_WINDOW = 1024
# Detail: levels of every quarter of a token, in bands that are evenly spaced in mel.
QUARTERS = 4
DETAIL_WINDOW = 512
DETAIL_HERTZ = (30.0, 16_000.0)
DEVIATIONS = 2  # standard deviations of a band in one unit of a latent; see `BandCodec`


def band_places() -> Tensor:
    """Place of every pitched band in semitones above C1 `[SEMITONES + TREBLE_BANDS]`."""
    treble = SEMITONES - 1 + TREBLE_STEP * torch.arange(1, TREBLE_BANDS + 1)
    return torch.cat([torch.arange(SEMITONES), treble]).double()


def hertz(place: Tensor) -> Tensor:
    """Return frequencies `[...]` in Hz of places `[...]` in semitones above C1."""
    return ROOT_HERTZ * 2 ** (place / 12)


def detail_places(count: int) -> Tensor:
    """Centres of the detail bands in semitones above C1 `[count]`, without the two ends of the range."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in DETAIL_HERTZ)  # mel, O'Shaughnessy 1987
    mel = torch.linspace(low, high, count + 2, dtype=torch.float64)[1:-1]
    return 12 * (700 * (10 ** (mel / 2595) - 1) / ROOT_HERTZ).log2()


def transposed(levels: Tensor, semitones: int) -> Tensor:
    """Levels in dB `[n, CHANNELS]`, transposed up by a whole number of semitones; detail channels may follow.

    Each band takes the level of the place that many semitones lower. Places beyond the ends take the outermost band.
    The stroke bands do not change.
    """
    bands = band_places()
    parts = [_moved(levels[:, : len(bands)], bands, semitones), levels[:, len(bands) : CHANNELS]]
    if levels.shape[1] > CHANNELS:
        detail = levels[:, CHANNELS:].unflatten(1, (QUARTERS, -1))
        parts.append(_moved(detail, detail_places(detail.shape[2]), semitones).flatten(1))
    return torch.cat(parts, 1)


def _moved(levels: Tensor, places: Tensor, semitones: int) -> Tensor:
    """Levels `[..., bands]` of the bands at `places`, moved up by `semitones`."""
    places = places.to(levels.device)
    source = (places - semitones).clamp(float(places[0]), float(places[-1]))
    below = torch.searchsorted(places, source, right=True).sub(1).clamp(0, len(places) - 2)
    share = ((source - places[below]) / (places[below + 1] - places[below])).float()
    return levels[..., below] * (1 - share) + levels[..., below + 1] * share


class BandAnalysis(nn.Module):
    """Audio to latents: one window for each band and token, centred on the token. Outside of the audio is silence.

    Each low band is one point of a windowed Fourier transform, because such a band is no wider than the window's lobe.
    The other bands sum the power of a spectrum, weighted by a triangle that ends at both neighbours.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: BandCodecConfig) -> None:
        super().__init__()
        self.hop, self.rate = config.hop_length, config.sample_rate
        rate = self.rate
        self.channels = CHANNELS + QUARTERS * config.detail_bands
        self.register_buffer("mean", torch.full((self.channels,), -50.0))
        self.register_buffer("spread", torch.full((self.channels,), 15.0))
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
        self.detail_bands = config.detail_bands
        if self.detail_bands:
            self.register_buffer("detail", self.detail_weights(config).float(), persistent=False)
            self.register_buffer("detail_window", torch.hann_window(DETAIL_WINDOW), persistent=False)

    @classmethod
    def detail_weights(cls, config: BandCodecConfig) -> Tensor:
        """Triangles in mel that average the power of the bins of a detail window `[bins, bands]`; double precision."""
        low, high = (12 * math.log2(edge / ROOT_HERTZ) for edge in DETAIL_HERTZ)
        inner = detail_places(config.detail_bands)
        edges = torch.cat([inner.new_tensor([low]), inner, inner.new_tensor([high])])
        heights = 2595 * (1 + hertz(edges) / 700).log10()
        bins = torch.arange(DETAIL_WINDOW // 2 + 1, dtype=torch.float64) * config.sample_rate / DETAIL_WINDOW
        mel = 2595 * (1 + bins / 700).log10()[:, None]
        rise = (mel - heights[:-2]) / (heights[1:-1] - heights[:-2])
        fall = (heights[2:] - mel) / (heights[2:] - heights[1:-1])
        weight = torch.minimum(rise, fall).clamp_min(0)
        for band in (weight.sum(0) == 0).nonzero()[:, 0].tolist():  # narrower than a bin: take the nearest
            weight[(mel[:, 0] - heights[band + 1]).abs().argmin(), band] = 1
        return weight / weight.sum(0) * cls._scale(DETAIL_WINDOW)

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
        """Amplitudes of audio `[b, samples]` in dB of full scale, `[b, samples / hop, channels]`, floored."""
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
        if self.detail_bands:
            quarter = self.hop // QUARTERS
            edge = (DETAIL_WINDOW - quarter) // 2
            padded = F.pad(audio, (edge, edge))
            spectrum = torch.fft.rfft(
                padded.unfold(1, DETAIL_WINDOW, quarter) * cast(Tensor, self.detail_window)
            )
            power = (spectrum.real**2 + spectrum.imag**2) @ cast(Tensor, self.detail)
            found.append(power.unflatten(1, (-1, QUARTERS)).flatten(2))
        return 10 * torch.cat(found, -1).clamp_min(FLOOR**2).log10()

    def forward(self, audio: Tensor) -> Tensor:
        """Audio `[b, samples]` to latents `[b, channels, samples / hop]`, each channel scaled as in `BandCodec`."""
        return ((self.decibels(audio) - self.mean) / self.spread).transpose(1, 2)

    def levels(self, latents: Tensor) -> Tensor:
        """Latents `[b, channels, t]` back to dB `[b, t, channels]`."""
        return latents.float().transpose(1, 2) * self.spread + self.mean

    @torch.no_grad()
    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Set mean and deviation of each band in dB `[channels]`, before training. Both round to half precision."""
        self.mean.copy_(mean.half())
        self.spread.copy_((DEVIATIONS * deviation).clamp_min(1.0).half())
