"""The denoiser of the v1 stack: a 1-D U-Net over latent tokens that predicts v.

Shape and sizes follow the published Jukebox Diffusion configuration (UNetV0 of audio-diffusion-pytorch,
Schneider et al. 2023, "Moûsai"): residual blocks modulated by a time embedding, self-attention in the
deep half, cross-attention to the context. `stacks/v1_layout.py` maps these names to the checkpoint's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import UNetConfig
from jbdiff.networks.attention import attend

KeyValue = tuple[Tensor, Tensor]  # each [b, heads, n, features]


@dataclass(frozen=True)
class PreparedContext:
    """Context projected to the keys and values of every cross-attention, in order of use.

    It depends on neither x nor sigma, so one block's steps share it.
    """

    key_values: tuple[KeyValue, ...]

    def first(self, rows: int) -> PreparedContext:
        """The first rows of the batch alone."""
        return PreparedContext(tuple((key[:rows], value[:rows]) for key, value in self.key_values))


class TimeEmbedding(nn.Module):
    """sigma `[b]` to features `[b, f]`: learned Fourier features, then one layer applied twice.

    The published network ties the weights of its two layers (one module listed under two keys).
    """

    def __init__(self, features: int, frequencies: int = 128) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(frequencies))
        self.to_out = nn.Linear(2 * frequencies + 1, features)
        self.layer = nn.Linear(features, features)

    def forward(self, sigma: Tensor) -> Tensor:
        """Sigma `[b]`, 0..1, to features `[b, f]`."""
        sigma = sigma[:, None]
        angle = sigma * self.weights[None, :] * 2 * math.pi
        x = F.gelu(self.to_out(torch.cat([sigma, angle.sin(), angle.cos()], dim=-1)))
        return F.gelu(self.layer(F.gelu(self.layer(x))))


class ResidualBlock(nn.Module):
    """x + conv1x1(silu(norm(dilated conv3(silu(norm(x)))))) over `[b, c, t]`."""

    def __init__(self, channels: int, groups: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.conv2 = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t]` to the same shape."""
        h = self.conv1(self.dropout(F.silu(self.norm1(x))))
        out: Tensor = x + self.conv2(self.dropout(F.silu(self.norm2(h))))
        return out


class Modulation(nn.Module):
    """Feature modulation: layer norm over channels, then scale and shift from the time features."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.channels = channels
        self.to_scale_shift = nn.Linear(features, 2 * channels)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """Scale and shift x `[b, c, t]` by values computed from features `[b, f]` of sigma."""
        scale, shift = self.to_scale_shift(F.silu(features))[:, None, :].chunk(2, dim=-1)
        x = F.layer_norm(x.transpose(1, 2), (self.channels,), eps=1e-6)
        out: Tensor = (x * (1 + scale) + shift).transpose(1, 2)
        return out


class Attention(nn.Module):
    """Residual multi-head attention over `[b, c, t]`; to itself, or to a context `[b, n, context_channels]`.

    In self-attention keys and values see x through their own norm.
    """

    def __init__(self, channels: int, heads: int, features: int, context_channels: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        context_channels = context_channels or channels
        self.norm = nn.LayerNorm(channels)
        self.norm_context = nn.LayerNorm(context_channels)
        self.to_q = nn.Linear(channels, heads * features, bias=False)
        self.to_kv = nn.Linear(context_channels, 2 * heads * features, bias=False)
        self.to_out = nn.Linear(heads * features, channels, bias=False)

    def _split(self, x: Tensor) -> Tensor:
        out: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return out

    def key_value(self, context: Tensor) -> KeyValue:
        """Context `[b, n, c]` to keys and values `[b, heads, n, features]`."""
        keys, values = self.to_kv(self.norm_context(context)).chunk(2, dim=-1)
        # Contiguous heads, because every step of a block reads these tensors.
        return self._split(keys).contiguous(), self._split(values).contiguous()

    def forward(self, x: Tensor, key_value: KeyValue | None = None) -> Tensor:
        """x `[b, c, t]` to the same shape; key_value is the context's, None attends to x itself."""
        tokens = x.transpose(1, 2)
        keys, values = key_value if key_value is not None else self.key_value(tokens)
        queries = self._split(self.to_q(self.norm(tokens)))
        attended = attend(queries, keys, values)
        out: Tensor = x + self.to_out(attended.transpose(1, 2).flatten(2)).transpose(1, 2)
        return out


class Item(nn.Module):
    """One residual block with its modulation, and with attentions if the depth has them."""

    def __init__(self, config: UNetConfig, depth: int, dilation: int) -> None:
        super().__init__()
        channels = config.channels[depth]
        heads, features = config.attention_heads, config.attention_features
        self.residual = ResidualBlock(channels, config.resnet_groups, dilation, config.resnet_dropout_rate)
        self.modulation = Modulation(channels, config.modulation_features)
        self.attention = Attention(channels, heads, features) if config.attentions[depth] else None
        self.cross_attention = (
            Attention(channels, heads, features, config.embedding_features)
            if config.cross_attentions[depth]
            else None
        )

    def forward(self, x: Tensor, features: Tensor, key_values: list[KeyValue]) -> Tensor:
        """x `[b, c, t]` to the same shape, with features `[b, f]` of sigma.

        Each cross-attention removes the first of key_values.
        """
        x = self.modulation(self.residual(x), features)
        if self.attention is not None:
            x = self.attention(x)
        if self.cross_attention is not None:
            x = self.cross_attention(x, key_values.pop(0))
        return x


class Depth(nn.Module):
    """One depth of the U: strided convolution and items down, items and nearest upsampling up."""

    def __init__(self, config: UNetConfig, depth: int) -> None:
        super().__init__()
        outer = config.channels[depth - 1] if depth else config.in_channels
        channels, factor = config.channels[depth], config.factors[depth]
        dilations = [config.resnet_dilation_factor**k for k in range(config.items[depth])]
        self.factor = factor
        self.down = nn.Conv1d(outer, channels, factor, stride=factor)
        self.items_down = nn.ModuleList(Item(config, depth, dilation) for dilation in dilations)
        self.items_up = nn.ModuleList(Item(config, depth, dilation) for dilation in dilations)
        self.up = nn.Conv1d(channels, outer, 3, padding=1)
        self.skip_scale = nn.Linear(config.modulation_features, outer)

    def descend(self, x: Tensor, features: Tensor, key_values: list[KeyValue]) -> Tensor:
        """Down into this depth: x `[b, c, t]`, features `[b, f]` of sigma. key_values are used up in order."""
        x = self.down(x)
        for item in self.items_down:
            x = item(x, features, key_values)
        return x

    def ascend(self, x: Tensor, skip: Tensor, features: Tensor, key_values: list[KeyValue]) -> Tensor:
        """Up out of this depth: x is added to `skip` `[b, c, t]`. key_values are used up in order."""
        for item in self.items_up:
            x = item(x, features, key_values)
        if self.factor > 1:
            x = F.interpolate(x, scale_factor=self.factor, mode="nearest")
        out: Tensor = skip + self.skip_scale(F.silu(features))[:, :, None] * self.up(x)
        return out


class ProjectsContext(Protocol):
    """A cross-attention that projects a context to keys and values."""

    def key_value(self, context: Tensor) -> KeyValue:
        """Keys and values of a context `[b, n, c]`."""
        ...


class _HasItems(Protocol):
    items_down: nn.ModuleList
    items_up: nn.ModuleList


class _HasCrossAttention(Protocol):
    cross_attention: ProjectsContext | None


class UNetContexts(nn.Module):
    """Prepares contexts for the cross-attentions of a U-Net, in both forms of its items."""

    depths: nn.ModuleList
    null_context: nn.Embedding

    def cross_attentions(self) -> list[ProjectsContext]:
        """Every cross-attention in the order a forward pass meets them."""
        depths = [cast(_HasItems, depth) for depth in self.depths]
        items = [item for depth in depths for item in depth.items_down]
        items += [item for depth in reversed(depths) for item in depth.items_up]
        found = [cast(_HasCrossAttention, item).cross_attention for item in items]
        return [attention for attention in found if attention is not None]

    def prepare_context(self, context: Tensor | None, drop: Tensor | None, batch: int) -> PreparedContext:
        """Project context `[batch, n, c]` and dropped rows `[batch]` once, to be passed as `context` to many steps.

        Raises ValueError if the context is longer than the learned null embedding.
        """
        resolved = self._resolved(context, drop, batch)
        return PreparedContext(tuple(attention.key_value(resolved) for attention in self.cross_attentions()))

    def _resolved(self, context: Tensor | None, drop: Tensor | None, batch: int) -> Tensor:
        """The context `[batch, n, c]`, with the null embedding in dropped rows. Without a context, in all rows."""
        null = self.null_context.weight[None]
        if context is None:
            return null.expand(batch, -1, -1)
        length, limit = context.shape[1], self.null_context.num_embeddings
        if length > limit:
            raise ValueError(f"a context of {length} tokens is over this denoiser's {limit}; cut it")
        if drop is None:
            return context
        return torch.where(drop[:, None, None], null[:, :length].to(context.dtype), context)


class UNet(UNetContexts):
    """net(x `[b, c, t]`, sigma `[b]`, context `[b, n, c]`, drop `[b]`) -> v `[b, c, t]`.

    t is a multiple of the product of the factors (16 at full size); n is at most
    `embedding_max_length`. `drop[i]` True puts the learned null embedding, cut to n positions, in the
    place of context i; context None is the whole null embedding for everybody.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.time_embedding = TimeEmbedding(config.modulation_features)
        self.null_context = nn.Embedding(config.embedding_max_length, config.embedding_features)
        self.depths = nn.ModuleList(Depth(config, depth) for depth in range(len(config.channels)))

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        context: Tensor | PreparedContext | None = None,
        drop: Tensor | None = None,
    ) -> Tensor:
        """Predict v `[b, c, t]`; see `denoiser.Denoiser`. context may be a `PreparedContext`, without `drop`."""
        multiple = math.prod(self.config.factors)
        if x.shape[-1] % multiple:
            raise ValueError(f"{x.shape[-1]} tokens: this U-Net takes multiples of {multiple}")
        if not isinstance(context, PreparedContext):
            context = self.prepare_context(context, drop, x.shape[0])
        key_values = list(context.key_values)
        features = self.time_embedding(sigma)
        skips: list[Tensor] = []
        for depth in self.depths:
            assert isinstance(depth, Depth)
            skips.append(x)
            x = depth.descend(x, features, key_values)
        for depth in reversed(self.depths):
            assert isinstance(depth, Depth)
            x = depth.ascend(x, skips.pop(), features, key_values)
        return x
