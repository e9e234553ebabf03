"""The mean detail of tokens: levels of wide bands in each quarter of a token, predicted from the semitone bands.

The bands determine most of the attacks and the grain. So the detail needs no context and no noise of its own. It is
computed once, after the bands are finished. A linear regression on the bands of three tokens gives a first estimate;
a small convolutional network adds what the regression misses.

The mean is used, not a sample. A sampled detail puts a random amplitude modulation of quarter tokens on every tone, and
the matching (`codecs/level_matching.py`) obeys it: with true bands, half of the notes are lost (docs/model.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import DetailConfig
from jbdiff.diffusion.schedules import sigma_features

KERNEL = 7
NEIGHBOURS = 3  # tokens that the regression sees


class DetailBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022) over tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x `[b, t, width]` -> the same shape."""
        y = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        return cast(Tensor, x + self.narrow(F.gelu(self.widen(y), approximate="tanh")))


class DetailNet(nn.Module):
    """Predicts the mean detail of clean bands; see `forward`. Untrained, it is the regression alone."""

    regression: Tensor
    offset: Tensor

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config = config
        channels, width = config.channels, config.width
        self.register_buffer("regression", torch.zeros(NEIGHBOURS * CHANNELS, channels))
        self.register_buffer("offset", torch.zeros(channels))
        self.into = nn.Conv1d(CHANNELS, width, 5, padding=2)
        self.blocks = nn.ModuleList(DetailBlock(width) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def reach(self) -> int:
        """Tokens on each side of a token that its detail depends on."""
        return self.into.kernel_size[0] // 2 + self.config.depth * (KERNEL // 2)

    def forward(self, bands: Tensor) -> Tensor:
        """Clean bands `[b, CHANNELS, t]` -> mean detail `[b, channels, t]`, in units of latents."""
        h = self.into(bands).transpose(1, 2)
        for block in self.blocks:
            h = block(h)
        rest = self.out(self.norm(h)).float()
        expected = neighbours(bands.float()) @ self.regression.float() + self.offset.float()
        out: Tensor = (expected + rest).transpose(1, 2).to(bands.dtype)
        return out

    @torch.no_grad()
    def set_statistics(self, bands: Tensor, detail: Tensor) -> None:
        """Fit the regression to clean bands `[n, CHANNELS, t]` and their detail `[n, channels, t]`, before training."""
        given = neighbours(bands.float()).flatten(0, 1).double()
        wanted = detail.transpose(1, 2).flatten(0, 1).double()
        given = torch.cat([given, given.new_ones(len(given), 1)], 1)
        # A little of the identity, because neighbouring bands are nearly equal.
        square = given.T @ given + 1e-3 * len(given) * torch.eye(given.shape[1], dtype=given.dtype)
        solved = torch.linalg.solve(square, given.T @ wanted)
        self.regression.copy_(solved[:-1])
        self.offset.copy_(solved[-1])


def neighbours(bands: Tensor) -> Tensor:
    """`[b, c, t]` to each token's own bands and those before and after it, `[b, t, NEIGHBOURS * c]`."""
    padded = F.pad(bands, (1, 1), "replicate")
    return torch.cat([padded[..., :-2], padded[..., 1:-1], padded[..., 2:]], 1).transpose(1, 2)


def mean_of_sampling(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert weights made before version 0.2, whose network sampled the detail, to weights of a `DetailNet`.

    `tensors` `[...]` are named as in a denoiser's file, with the prefix `detail.`. At noise level 1 and with x = 0, the
    v of that network is minus the mean. Its conditions are constant there, so they are folded into the neighbouring
    layers. Tensors of the new kind are returned unchanged.
    """
    prefix = "detail."
    if f"{prefix}axes" not in tensors:
        return dict(tensors)
    old = {name[len(prefix) :]: t.double() for name, t in tensors.items() if name.startswith(prefix)}
    new = {"regression": old["regression"], "offset": old["offset"]}
    new["into.weight"] = 2 * old["into_bands.weight"]
    new["into.bias"] = old["into_bands.bias"] + old["into.bias"]
    level = sigma_features(torch.ones(1)).double()
    for layer in ("level.0", "level.2"):
        level = F.silu(F.linear(level, old[f"{layer}.weight"], old[f"{layer}.bias"]))
    depth = len({name.split(".")[1] for name in old if name.startswith("blocks.")})
    for block in (f"blocks.{n}." for n in range(depth)):
        modulation = F.linear(level, old[f"{block}modulation.weight"], old[f"{block}modulation.bias"])[0]
        shift, scale, gate = modulation.chunk(3)
        for name in ("depthwise.weight", "depthwise.bias", "widen.weight", "widen.bias"):
            new[block + name] = old[block + name]
        new[f"{block}norm.weight"], new[f"{block}norm.bias"] = 1 + scale, shift
        new[f"{block}narrow.weight"] = (1 + gate)[:, None] * old[f"{block}narrow.weight"]
        new[f"{block}narrow.bias"] = (1 + gate) * old[f"{block}narrow.bias"]
    new |= {name: old[name] for name in ("norm.weight", "norm.bias")}
    turn = -old["axes"] * old["powers"].sqrt()
    new["out.weight"], new["out.bias"] = turn @ old["out.weight"], turn @ old["out.bias"]
    kept = {name: t for name, t in tensors.items() if not name.startswith(prefix)}
    dtype = tensors[f"{prefix}axes"].dtype
    return kept | {prefix + name: t.to(dtype) for name, t in new.items()}
