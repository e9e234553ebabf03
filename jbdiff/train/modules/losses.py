"""Spectral losses and the discriminator that teaches the decoder crisp attacks."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = (128, 256, 512, 1024, 2048, 4096, 8192)


def magnitude(audio: Tensor, size: int) -> Tensor:
    """`[b, samples]` to the magnitude spectrogram `[b, bins, frames]`, Hann window, hop a quarter of it."""
    window = torch.hann_window(size, device=audio.device)
    spectrum = torch.stft(audio, size, size // 4, window=window, return_complex=True)
    # The root's slope is infinite at zero; the small number keeps silent bins from sending NaN back.
    return (spectrum.real**2 + spectrum.imag**2 + 1e-9).sqrt()


def spectral_loss(output: Tensor, target: Tensor, scales: tuple[int, ...] = SCALES) -> Tensor:
    """Spectral convergence and log-magnitude L1, averaged over scales (Yamamoto et al. 2020).

    Both `[b, 1, samples]`. The long windows respond to tones beside their pitch, the short ones to smeared attacks. The
    convergence counts half: it asks noise, which can never be the same noise, to be quieter than it should.
    """
    total = output.new_zeros(())
    for size in scales:
        a, b = magnitude(target[:, 0], size), magnitude(output[:, 0], size)
        floor = 1e-3 * (size / 1024) ** 0.5
        convergence = (b - a).norm(dim=(1, 2)) / a.norm(dim=(1, 2)).clamp_min(1e-2)
        total = total + 0.5 * convergence.mean() + F.l1_loss((b + floor).log(), (a + floor).log())
    return total / len(scales)


class SpectrogramDiscriminator(nn.Module):
    """Judges magnitude spectrograms at three resolutions, as UnivNet's does (Jang et al. 2021), but smaller.

    Two channels go in, magnitude and its logarithm; strides along frequency keep it cheap on one core.
    """

    def __init__(self, sizes: tuple[int, ...] = (512, 1024, 2048), width: int = 16) -> None:
        super().__init__()
        self.sizes = sizes

        def tower() -> nn.ModuleList:
            def conv(into: int, out: int, stride: tuple[int, int]) -> nn.Module:
                layer = nn.Conv2d(into, out, (5, 3), stride, padding=(2, 1))
                return cast(nn.Module, nn.utils.parametrizations.weight_norm(layer))

            return nn.ModuleList(
                [
                    conv(2, width, (4, 1)),
                    conv(width, width * 2, (2, 2)),
                    conv(width * 2, width * 2, (2, 2)),
                    conv(width * 2, width * 2, (2, 1)),
                    conv(width * 2, 1, (1, 1)),
                ]
            )

        self.towers = nn.ModuleList(tower() for _ in sizes)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """`[b, 1, samples]` to, for each resolution, the features of every layer; the last are the verdicts."""
        results = []
        for size, tower in zip(self.sizes, self.towers, strict=True):
            level = magnitude(audio[:, 0], size) * (2 / size) ** 0.5
            x = torch.stack([level**0.5, (level + 1e-4).log() / 5 + 1], 1)
            features = []
            for layer in cast(nn.ModuleList, tower)[:-1]:
                x = F.leaky_relu(layer(x), 0.1)
                features.append(x)
            features.append(cast(nn.ModuleList, tower)[-1](x))
            results.append(features)
        return results


def discriminator_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Hinge loss: real above 1, fake below -1."""
    losses = [F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def adversarial_loss(fake: list[list[Tensor]]) -> Tensor:
    """The decoder's loss: how well the discriminator knows its output from real sound."""
    return torch.stack([-f[-1].mean() for f in fake]).mean()


def feature_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Distance between the discriminator's features of real and decoded audio, scaled by their own size."""
    losses = []
    for r, f in zip(real, fake, strict=True):
        for a, b in zip(r[:-1], f[:-1], strict=True):
            losses.append(F.l1_loss(b, a.detach()) / a.detach().abs().mean().clamp_min(1e-3))
    return torch.stack(losses).mean()
