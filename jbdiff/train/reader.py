"""A helper that reads fine spectra off the latents, so that the encoder learns to keep pitch.

Judged by decoded audio alone, an encoder forgets pitch: a decoder that invents phase cannot hold a tone at
first, so there is nothing to gain from knowing which. (Measured: latents of such a codec predict a spectrum of
11 Hz resolution to 6.8 dB, all of it beat and timbre.) Magnitudes can be predicted without phase, so this
head rewards pitch from the first step. It is thrown away after training.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import FrameCodecConfig
from jbdiff.framecodec import FLOOR, KERNEL, ConvNeXtBlock

HIGHEST_HERTZ = 4000


class SpectrumReader(nn.Module):
    """Noisy latents to the log-magnitude of long frames, up to HIGHEST_HERTZ."""

    window: Tensor

    def __init__(self, config: FrameCodecConfig, width: int = 192, blocks: int = 2) -> None:
        super().__init__()
        self.hop = config.hop_length
        self.size = 2 * config.window_length
        self.bins = max(1, HIGHEST_HERTZ * self.size // config.sample_rate)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.into = nn.Conv1d(config.latent_channels, width, KERNEL, padding=KERNEL // 2)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, self.bins)

    def loss(self, latents: Tensor, audio: Tensor) -> Tensor:
        """Mean distance of log-magnitudes: latents `[b, c, t]`, audio `[b, 1, t * hop]`."""
        x = self.into(latents).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        said = self.out(self.norm(x)).transpose(1, 2).float() - 4
        return cast(Tensor, (said - self.truth(audio)).abs().mean())

    def truth(self, audio: Tensor) -> Tensor:
        """Natural log-magnitudes `[b, bins, t]`, frames centred on their token."""
        padded = F.pad(audio[:, 0], ((self.size - self.hop) // 2,) * 2)
        spectrum = torch.stft(
            padded, self.size, self.hop, window=self.window, center=False, return_complex=True
        )
        return (spectrum.abs()[:, : self.bins] * (4 / self.size)).clamp_min(FLOOR).log()
