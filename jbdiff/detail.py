"""Denoises the detail of tokens: how loud wide bands are in each quarter, beside what the bands are taken for.

What attacks and grain are like follows from what is being played, so the detail needs no context of its own: at every
noise level the joint denoiser does the bands, and then tells this network what it takes them for. A linear
regression on the bands of three tokens, and a Gaussian of the covariance that it leaves, are computed rather than
learned (as in `jointdenoiser.py`); the network predicts the rest, in its own units.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.bands import CHANNELS
from jbdiff.config import DetailConfig
from jbdiff.schedules import SIGMA_FEATURES, alpha_beta, sigma_features

KERNEL = 7
NEIGHBOURS = 3  # tokens that the regression sees


class DetailBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022) over tokens, modulated by the noise level (Peebles & Xie 2023)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(width, 3 * width)
        self.widen = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x `[b, t, width]`, level `[b, 1, width]`."""
        shift, scale, gate = self.modulation(level).chunk(3, -1)
        y = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2)) * (1 + scale) + shift
        return cast(Tensor, x + (1 + gate) * self.narrow(F.gelu(self.widen(y), approximate="tanh")))


class DetailNet(nn.Module):
    """Predicts v of noisy detail; see `forward`."""

    regression: Tensor
    offset: Tensor
    axes: Tensor
    powers: Tensor

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        channels, width = config.channels, config.width
        self.register_buffer("regression", torch.zeros(NEIGHBOURS * CHANNELS, channels))
        self.register_buffer("offset", torch.zeros(channels))
        self.register_buffer("axes", torch.eye(channels))
        self.register_buffer("powers", torch.ones(channels))
        self.into = nn.Linear(channels, width)
        self.into_bands = nn.Conv1d(CHANNELS, width, 5, padding=2)
        self.level = nn.Sequential(
            nn.Linear(SIGMA_FEATURES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.blocks = nn.ModuleList(DetailBlock(width) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def expected(self, bands: Tensor) -> Tensor:
        """What the regression makes of bands `[b, CHANNELS, t]`: detail `[b, t, channels]`."""
        return neighbours(bands.float()) @ self.regression.float() + self.offset.float()

    def forward(self, x: Tensor, bands: Tensor, sigma: Tensor) -> Tensor:
        """Noisy detail x `[b, channels, t]`, bands `[b, CHANNELS, t]` as they are thought to be, sigma `[b]` in 0..1
        -> v `[b, channels, t]`.
        """
        alpha, beta = (a[:, None, None] for a in alpha_beta(sigma.float()))
        powers, axes = self.powers.float(), self.axes.float()
        expected = self.expected(bands)
        along = (x.transpose(1, 2).float() - alpha * expected) @ axes
        power = alpha**2 * powers + beta**2
        level = self.level(sigma_features(sigma).to(x.dtype))[:, None]
        h = self.into((along / power.sqrt()).to(x.dtype)) + self.into_bands(2 * bands.to(x.dtype)).transpose(
            1, 2
        )
        for block in self.blocks:
            h = block(h, level)
        rest = self.out(self.norm(h)).float() * (powers / power).sqrt()
        v = (along * (alpha * beta * (1 - powers) / power) + rest) @ axes.T - beta * expected
        return v.transpose(1, 2).to(x.dtype)

    @torch.no_grad()
    def set_statistics(self, bands: Tensor, detail: Tensor) -> None:
        """Before training: clean bands `[n, CHANNELS, t]` and the detail `[n, channels, t]` that goes with them."""
        given = neighbours(bands.float()).flatten(0, 1).double()
        wanted = detail.transpose(1, 2).flatten(0, 1).double()
        given = torch.cat([given, given.new_ones(len(given), 1)], 1)
        # A little of the identity: neighbouring bands say nearly the same.
        square = given.T @ given + 1e-3 * len(given) * torch.eye(given.shape[1], dtype=given.dtype)
        solved = torch.linalg.solve(square, given.T @ wanted)
        left = wanted - given @ solved
        powers, axes = torch.linalg.eigh(left.T @ left / len(left))
        self.regression.copy_(solved[:-1])
        self.offset.copy_(solved[-1])
        self.powers.copy_(powers.clamp_min(1e-4))
        self.axes.copy_(axes)


def neighbours(bands: Tensor) -> Tensor:
    """`[b, c, t]` to each token's own bands and those before and after it, `[b, t, NEIGHBOURS * c]`."""
    padded = F.pad(bands, (1, 1), "replicate")
    return torch.cat([padded[..., :-2], padded[..., 1:-1], padded[..., 2:]], 1).transpose(1, 2)
