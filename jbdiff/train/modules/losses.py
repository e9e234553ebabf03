"""Spectral losses, and the discriminator, with which the decoder learns crisp attacks."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALES = (128, 256, 512, 1024, 2048, 4096, 8192)


def magnitude(audio: Tensor, size: int) -> Tensor:
    """Return the magnitude spectrogram `[b, bins, frames]` of `[b, samples]`; Hann window, hop a quarter of `size`."""
    window = torch.hann_window(size, device=audio.device)
    spectrum = torch.stft(audio, size, size // 4, window=window, return_complex=True)
    # The slope of the root is infinite at zero. The small number keeps NaN out of the gradients of silent bins.
    return (spectrum.real**2 + spectrum.imag**2 + 1e-9).sqrt()


def spectral_loss(output: Tensor, target: Tensor, scales: tuple[int, ...] = SCALES) -> Tensor:
    """Return spectral convergence plus log-magnitude L1, averaged over scales (Yamamoto et al. 2020), a scalar.

    output, target: `[b, 1, samples]`. Long windows respond to tones of the wrong pitch, short ones to smeared attacks.
    Convergence counts half: noise can never match the target's noise, so convergence makes it too quiet.
    """
    total = output.new_zeros(())
    for size in scales:
        a, b = magnitude(target[:, 0], size), magnitude(output[:, 0], size)
        floor = 1e-3 * (size / 1024) ** 0.5
        convergence = (b - a).norm(dim=(1, 2)) / a.norm(dim=(1, 2)).clamp_min(1e-2)
        total = total + 0.5 * convergence.mean() + F.l1_loss((b + floor).log(), (a + floor).log())
    return total / len(scales)


class SpectrogramDiscriminator(nn.Module):
    """Discriminator of magnitude spectrograms at three resolutions, like UnivNet's (Jang et al. 2021), but smaller.

    Its two input channels are the magnitude and its logarithm. Strides along frequency keep it cheap on one core.
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
        """Return the features of every layer for each resolution, from audio `[b, 1, samples]`.

        The last features of each resolution are the scores.
        """
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
    """Return the discriminator's hinge loss, a scalar: scores of real sound should be above 1, of fake below -1.

    real, fake: features `[b, c, bins, frames]` by resolution and layer, as the discriminator returns them.
    """
    losses = [F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def adversarial_loss(fake: list[list[Tensor]]) -> Tensor:
    """Return the decoder's loss, a scalar: the lower the discriminator's scores `[b, 1, bins, frames]`, the higher."""
    return torch.stack([-f[-1].mean() for f in fake]).mean()


def feature_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Return the distance between features `[b, c, bins, frames]` of real and decoded audio.

    It is relative to their size.
    """
    losses = []
    for r, f in zip(real, fake, strict=True):
        for a, b in zip(r[:-1], f[:-1], strict=True):
            losses.append(F.l1_loss(b, a.detach()) / a.detach().abs().mean().clamp_min(1e-3))
    return torch.stack(losses).mean()
