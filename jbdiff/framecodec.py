"""The codec of the pocket stack: a frame-rate autoencoder that hears magnitudes and invents phase.

The encoder sees log-magnitude spectra only. Phase in the latent is noise to a denoiser, which cannot predict
it; without it the held-out denoising loss halves (docs/model.md). ConvNeXt blocks run at token rate, and the
decoder ends in an inverse STFT, as in Vocos (Siuzdak 2023), whose upsampling costs nothing and leaves no comb.
Latents are continuous and pass through a batch normalisation without scale: standardised per channel, the
statistics being part of the weights. Mono; torch only.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import FrameCodecConfig

KERNEL = 7
FLOOR = 1e-4  # -80 dB: what is quieter carries no music and only makes the logarithm noisy


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a two-layer perceptron per frame (Liu et al. 2022)."""

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


class FrameEncoder(nn.Module):
    """Audio to raw latents: one long spectrum a token for pitch, four short ones for when things happen."""

    long_window: Tensor
    short_window: Tensor

    def __init__(self, config: FrameCodecConfig) -> None:
        super().__init__()
        self.hop, self.short_hop = config.hop_length, config.hop_length // 4
        width = config.encoder_channels
        self.register_buffer("long_window", torch.hann_window(config.window_length), persistent=False)
        self.register_buffer("short_window", torch.hann_window(config.short_window_length), persistent=False)
        self.from_long = nn.Linear(config.window_length // 2 + 1, width)
        self.from_short = nn.Linear(4 * (config.short_window_length // 2 + 1), width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width) for _ in range(config.encoder_blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.latent_channels)

    def _log_magnitude(self, audio: Tensor, window: Tensor, hop: int) -> Tensor:
        """`[b, samples]` to `[b, samples / hop, bins]`; frames are centred on their hop, the outside is silence."""
        size = window.shape[0]
        padded = F.pad(audio, ((size - hop) // 2, (size - hop) // 2))
        spectrum = torch.stft(padded, size, hop, window=window, center=False, return_complex=True)
        magnitude = spectrum.abs().transpose(1, 2) * (2 / window.sum())
        return magnitude.clamp_min(FLOOR).log() / 3 + 2

    def forward(self, audio: Tensor) -> Tensor:
        """`[b, samples]` to raw latents `[b, channels, samples / hop]`."""
        long = self._log_magnitude(audio, self.long_window, self.hop)
        short = self._log_magnitude(audio, self.short_window, self.short_hop)
        x = self.from_long(long) + self.from_short(short.reshape(*long.shape[:2], -1))
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.out(self.norm(x)).transpose(1, 2))


class FrameDecoder(nn.Module):
    """Latents to audio: magnitude and phase of every bin of a few short frames a token, then overlap-add.

    A held tone has the same latent in every token, but its phase moves on. Convolutions alone would repeat
    one frame and buzz at the token rate (86 Hz). A clock, sines and cosines of the token's number, lets the
    network turn phases by multiples of 1 / clock_period a token: tones on a grid of 5.4 Hz. So a chunked decode
    must begin at a multiple of the clock's period, counted from where the whole one begins.
    """

    window: Tensor
    clock: Tensor

    def __init__(self, config: FrameCodecConfig) -> None:
        super().__init__()
        self.hop, self.frames = config.hop_length, config.frames_per_token
        self.size, self.frame_hop = (
            config.synthesis_window_length,
            config.hop_length // config.frames_per_token,
        )
        if self.size % self.frame_hop or (self.size - self.frame_hop) % 2:
            raise ValueError(
                f"a window of {self.size} samples does not overlap evenly every {self.frame_hop}"
            )
        width = config.decoder_channels
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.into = nn.Conv1d(config.latent_channels, width, KERNEL, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width) for _ in range(config.decoder_blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, self.frames * (self.size + 2))
        self.period = config.clock_period
        turns = torch.outer(torch.arange(self.period), torch.arange(1, self.period // 2 + 1)) / self.period
        clock = torch.cat([(2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()], 1)
        self.register_buffer("clock", clock, persistent=False)
        self.from_clock = nn.Linear(clock.shape[1], width, bias=False)

    @property
    def margin(self) -> int:
        """Tokens on one side that still change a decoded sample (convolutions, then the last overlap), rounded
        up to whole turns of the clock."""
        overlap = math.ceil((self.size - self.frame_hop) / 2 / self.hop)
        heard = (len(self.blocks) + 1) * (KERNEL // 2) + overlap
        return math.ceil(heard / self.period) * self.period

    def forward(self, latents: Tensor) -> Tensor:
        """`[b, channels, t]` to `[b, t * hop]`."""
        x = self.into(latents).transpose(1, 2)
        x = x + self.from_clock(self.clock[torch.arange(x.shape[1], device=x.device) % self.period])
        for block in self.blocks:
            x = block(x)
        batch, tokens, _ = x.shape
        bins = self.out(self.norm(x)).float().reshape(batch, tokens * self.frames, 2, self.size // 2 + 1)
        magnitude, phase = bins.unbind(2)
        # Above e^5 a single bin would clip by far; the bound keeps a bad latent from becoming a burst.
        magnitude = magnitude.clamp(max=5.0).exp()
        spectrum = torch.complex(magnitude * phase.cos(), magnitude * phase.sin())
        return self._overlap_add(torch.fft.irfft(spectrum, self.size) * self.window, tokens)

    def _overlap_add(self, frames: Tensor, tokens: int) -> Tensor:
        """Windowed frames `[b, n, size]` to `[b, tokens * hop]`, divided by the windows' summed squares."""
        parts = self.size // self.frame_hop
        batch, count, _ = frames.shape
        pieces = frames.reshape(batch, count, parts, self.frame_hop)
        power = (self.window**2).reshape(1, 1, parts, self.frame_hop).expand(1, count, -1, -1)
        total = frames.new_zeros(batch, count + parts - 1, self.frame_hop)
        weight = frames.new_zeros(1, count + parts - 1, self.frame_hop)
        for part in range(parts):
            total[:, part : part + count] += pieces[:, :, part]
            weight[:, part : part + count] += power[:, :, part]
        audio = total.flatten(1) / weight.flatten(1).clamp_min(1e-2)
        start = (self.size - self.frame_hop) // 2
        return audio[:, start : start + tokens * self.hop]


class FrameCodec(nn.Module):
    """Encoder, standardisation and decoder; implements `jbdiff.codec.Codec` with the one level 2."""

    def __init__(self, config: FrameCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = config.sample_rate
        self.latent_channels = config.latent_channels
        self.levels = (2,)
        self.encoder = FrameEncoder(config)
        self.standardise = nn.BatchNorm1d(config.latent_channels, affine=False, momentum=0.02)
        self.decoder = FrameDecoder(config)

    def hop(self, level: int) -> int:
        """Samples per token."""
        self._check_level(level)
        return self.config.hop_length

    def encode(self, audio: Tensor, level: int = 2) -> Tensor:
        """Mono audio `[b, 1, samples]` to standardised latents `[b, channels, samples / hop]`.

        Raises ValueError when the audio is not mono or not a whole number of tokens.
        """
        hop = self.hop(level)
        if audio.ndim != 3 or audio.shape[1] != 1:
            raise ValueError(f"the codec takes mono audio [batch, 1, samples], got {list(audio.shape)}")
        if audio.shape[2] == 0 or audio.shape[2] % hop:
            raise ValueError(f"{audio.shape[2]} samples are not a whole number of tokens of {hop}; pad first")
        return cast(Tensor, self.standardise(self.encoder(audio[:, 0])))

    def decode(self, latents: Tensor, level: int = 2) -> Tensor:
        """Standardised latents `[b, channels, t]` to mono audio `[b, 1, t * hop]`."""
        self._check_level(level)
        if latents.ndim != 3 or latents.shape[1] != self.latent_channels:
            raise ValueError(
                f"expected latents [batch, {self.latent_channels}, t], got {list(latents.shape)}"
            )
        return cast(Tensor, self.decoder(latents)[:, None])

    def decoder_margin(self, level: int) -> int:
        """Tokens on one side that a chunked decode must overlap, derived from the layers."""
        self._check_level(level)
        return self.decoder.margin

    def _check_level(self, level: int) -> None:
        if level not in self.levels:
            raise ValueError(f"this codec has only level 2, not {level}")
