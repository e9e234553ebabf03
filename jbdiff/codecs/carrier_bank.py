"""Latents to sound: a bank of sine carriers and a coloured noise, both set by a small network at token rate.

A held tone has the same latents in every token, but its phase moves on. A network that generates waveforms or
phases has to guess how far the phase moves. Here the phase of a carrier depends on its frequency and the time alone.
So a tone stays a tone as long as its amplitude lasts, and a piece decodes as it would inside the whole sound.

Carriers lie on the keys of the analysis, three to a key above `SPLIT`, where hearing is finer. Their amplitudes are
read directly from the latents, and a network corrects them. The network has ConvNeXt blocks over time, and a small
convolution over keys that finds peaks the same way at every pitch. The rest of the sound is one fixed white noise,
coloured in frames of 12 ms.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.codecs.bands import CHANNELS, band_places, hertz
from jbdiff.config import BandCodecConfig

KERNEL = 7
LOWEST, SPLIT, PLACES = -1, 36, 91  # keys above C1: one carrier a key below SPLIT, THIRDS above it
THIRDS = 3
LOW_FRAMES, FRAMES = (
    2,
    4,
)  # amplitudes a token, of the low carriers and of the rest; a frame is 4 of them long
NOISE_TOKENS = 256  # the noise repeats after 3 s
LOUDEST = 1.5  # limit in nepers above full scale, so that a bad latent makes no burst
WIDEST_TURN = 3.0  # radians by which the network may turn a carrier, for sweeps


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a two-layer perceptron per token (Liu et al. 2022)."""

    def __init__(self, channels: int, expansion: int = 3) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, channels * expansion)
        self.narrow = nn.Linear(channels * expansion, channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, channels]` to the same."""
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return cast(Tensor, x + self.narrow(F.gelu(self.widen(self.norm(y)), approximate="tanh")))


def reading(places: Tensor) -> Tensor:
    """Matrix `[CHANNELS, places]` that interpolates levels linearly between neighbouring bands."""
    bands = band_places()
    places = places.clamp(0, float(bands[-1]))
    below = torch.searchsorted(bands, places, right=True).sub(1).clamp(0, len(bands) - 2)
    share = (places - bands[below]) / (bands[below + 1] - bands[below])
    matrix, column = torch.zeros(CHANNELS, len(places), dtype=torch.float64), torch.arange(len(places))
    matrix[below, column] += 1 - share
    matrix[below + 1, column] += share
    return matrix.float()


def overlap_add(frames: Tensor, hop: int, length: int) -> Tensor:
    """Add up windowed frames `[b, n, size]`, the k-th centred on sample k * hop, to audio `[b, length]`."""
    batch, count, size = frames.shape
    parts = size // hop
    pieces = frames.reshape(batch, count, parts, hop)
    total = frames.new_zeros(batch, count + parts - 1, hop)
    for part in range(parts):
        total[:, part : part + count] += pieces[:, :, part]
    return total.flatten(1)[:, size // 2 : size // 2 + length]


class Carriers(nn.Module):
    """Sines of fixed frequency whose amplitude and turn change from frame to frame. Nothing is learned here."""

    hertz: Tensor
    basis: Tensor

    def __init__(self, places: Tensor, hop: int, sample_rate: int) -> None:
        super().__init__()
        self.hop, self.sample_rate, size = hop, sample_rate, 4 * hop
        frequencies = hertz(places)
        angle = torch.outer(frequencies, torch.arange(size) - size / 2) * (2 * math.pi / sample_rate)
        window = torch.hann_window(size, dtype=torch.float64) / 2  # four in overlap add up to 1
        basis = torch.cat([angle.cos(), -angle.sin()]) * window
        self.register_buffer("hertz", frequencies, persistent=False)
        self.register_buffer("basis", basis.float(), persistent=False)

    def forward(self, amplitude: Tensor, turn: Tensor, first: Tensor, length: int) -> Tensor:
        """Amplitude, and turn in radians, `[b, n, carriers]`; first frame `[b or 1, 1]` -> `[b, length]`."""
        count, carriers = amplitude.shape[1:]
        place = torch.arange(carriers, device=amplitude.device)
        samples = (first + torch.arange(count, device=first.device)) * self.hop
        # Double precision, because after a night of playing the number of a sample has nine digits. The golden ratio
        # gives each carrier another first phase, so that they do not all begin at their peak.
        turns = samples.double()[..., None] * (self.hertz.double() / self.sample_rate) + place * 0.6180339887
        angle = (2 * math.pi * (turns - turns.floor())).float() + turn
        return overlap_add(
            torch.cat([amplitude * angle.cos(), amplitude * angle.sin()], -1) @ self.basis, self.hop, length
        )


class ColouredNoise(nn.Module):
    """One white noise, fixed and periodic, whose spectrum is shaped frame by frame. Nothing is learned here."""

    spectra: Tensor
    window: Tensor

    def __init__(self, hop: int, frames: int) -> None:
        super().__init__()
        self.hop, self.size = hop, 4 * hop
        generator = torch.Generator().manual_seed(7)
        white = torch.randn(frames * hop, generator=generator)
        white = torch.cat([white[-self.size // 2 :], white, white[: self.size // 2]])
        window = torch.hann_window(self.size).sqrt()
        spectra = torch.fft.rfft(white.unfold(0, self.size, hop)[:frames] * window)
        self.register_buffer("spectra", spectra, persistent=False)
        self.register_buffer("window", window / 2, persistent=False)

    def forward(self, magnitude: Tensor, first: Tensor, length: int) -> Tensor:
        """Magnitude of every bin `[b, n, size / 2 + 1]`, number of the first frame `[b or 1, 1]` -> `[b, length]`."""
        number = (first + torch.arange(magnitude.shape[1], device=first.device)) % len(self.spectra)
        frames = torch.fft.irfft(self.spectra[number] * magnitude, self.size) * self.window
        return overlap_add(frames, self.hop, length)


class BankSynthesis(nn.Module):
    """Levels of the bands to audio; see the module."""

    to_carriers: Tensor
    to_places: Tensor
    to_bins: Tensor

    def __init__(self, config: BandCodecConfig) -> None:
        super().__init__()
        self.hop, width = config.hop_length, config.decoder_channels
        low = LOWEST + torch.arange(SPLIT - LOWEST).double()
        high = SPLIT + torch.arange((LOWEST + PLACES - SPLIT) * THIRDS).double() / THIRDS
        self.low, self.high = len(low), len(high)
        self.low_carriers = Carriers(low, self.hop // LOW_FRAMES, config.sample_rate)
        self.high_carriers = Carriers(high, self.hop // FRAMES, config.sample_rate)
        self.noise = ColouredNoise(self.hop // FRAMES, NOISE_TOKENS * FRAMES)
        bins = torch.arange(self.noise.size // 2 + 1).double() * config.sample_rate / self.noise.size
        bin_places = 12 * (bins.clamp_min(20) / float(hertz(torch.zeros(())))).log2()
        self.register_buffer("to_carriers", reading(torch.cat([low, high])), persistent=False)
        self.register_buffer("to_places", reading(LOWEST + torch.arange(PLACES).double()), persistent=False)
        self.register_buffer("to_bins", reading(bin_places), persistent=False)
        self.into = nn.Conv1d(CHANNELS, width, KERNEL, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(width)
        self.sizes = [LOW_FRAMES * self.low] * 2 + [FRAMES * self.high] * 2 + [FRAMES * len(bins)]
        self.out = nn.Linear(width, sum(self.sizes))
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():  # untrained: neighbours share a tone's level, and noise is far below it
            low_level, _, high_level, _, noise_level = self.out.bias.split(self.sizes)
            for level, nepers in ((low_level, -1.0), (high_level, -1.5), (noise_level, -6.0)):
                level.fill_(nepers)
        local = config.local_channels
        self.peaks = nn.Sequential(
            nn.Conv2d(1, local, (5, 3), padding=(2, 1)),
            nn.GELU(approximate="tanh"),
            nn.Conv2d(local, local, (5, 3), padding=(2, 1)),
            nn.GELU(approximate="tanh"),
            nn.Conv2d(local, THIRDS * FRAMES, (3, 1), padding=(1, 0)),
        )

    @property
    def margin(self) -> int:
        """Number of tokens on one side that change a decoded sample, through convolutions and the longest frame."""
        reach = 2 * self.hop // LOW_FRAMES
        return (len(self.blocks) + 1) * (KERNEL // 2) + math.ceil(reach / self.hop)

    def forward(self, latents: Tensor, decibels: Tensor, first: Tensor) -> Tensor:
        """Synthesise audio `[b, t * hop]` from latents `[b, CHANNELS, t]`.

        decibels: the same latents as levels in dB `[b, t, CHANNELS]`. first: number of the first token, `[b or 1, 1]`.
        """
        batch, _, tokens = latents.shape
        length = tokens * self.hop
        x = self.into(2 * latents).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        low, low_turn, high, high_turn, noise = self.out(self.norm(x)).float().split(self.sizes, -1)
        found = self.peaks(((decibels @ self.to_places) / 15 + 3).transpose(1, 2)[:, None]).float()
        found = found.reshape(batch, THIRDS, FRAMES, PLACES, tokens)
        found_low = found[:, 0, :, : self.low].unflatten(1, (LOW_FRAMES, -1)).mean(2).permute(0, 3, 1, 2)
        found_high = found[:, :, :, self.low :].permute(0, 4, 2, 3, 1).flatten(3)
        nepers = decibels * (math.log(10) / 20)
        read_low, read_high = (nepers @ self.to_carriers)[:, :, None].split([self.low, self.high], -1)

        def amplitude(read: Tensor, *corrections: Tensor) -> Tensor:
            """Frames of all tokens in one row `[b, t * frames, n]`."""
            return (read + sum(corrections)).clamp(max=LOUDEST).exp().flatten(1, 2)

        def turn(raw: Tensor, carriers: int) -> Tensor:
            return WIDEST_TURN * (raw / WIDEST_TURN).tanh().reshape(batch, -1, carriers)

        low_amplitude = amplitude(read_low, low.unflatten(2, (LOW_FRAMES, -1)), found_low)
        high_amplitude = amplitude(read_high, high.unflatten(2, (FRAMES, -1)), found_high)
        audio = self.low_carriers(low_amplitude, turn(low_turn, self.low), first * LOW_FRAMES, length)
        audio = audio + self.high_carriers(high_amplitude, turn(high_turn, self.high), first * FRAMES, length)
        colour = amplitude((nepers @ self.to_bins)[:, :, None], noise.unflatten(2, (FRAMES, -1)))
        return cast(Tensor, audio + self.noise(colour, first * FRAMES, length))
