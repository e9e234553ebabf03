"""The v1 stack's U-Net and waveform finisher for GPUs: the same weights, with channels innermost, `[b, t, c]`.

    quick = token_major(stack.denoisers[2], torch.float16)     # called as the network itself
    compiler = compiler_for(device)                            # None where it would not pay

A 1-D convolution over `[b, c, t]` needs copies to reach a GPU's matrix units. A norm there runs on as many
multiprocessors as it has groups, which is one in the finisher. With channels innermost every convolution is a matrix
product, and `torch.compile` fuses the work between two products. Uncompiled, these networks are slower than the
originals (`unet.py`, `dance_finisher.py`). The originals are still the ones that are trained, loaded and saved.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Sequence
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.networks.dance_finisher import CUBIC, ConvPair, Double, Finisher, Halve, SelfAttention, Skip
from jbdiff.networks.unet import (
    Attention,
    Depth,
    Item,
    KeyValue,
    PreparedContext,
    ResidualBlock,
    UNet,
    UNetContexts,
)

Compiler = Callable[[nn.Module], None]


def compiler_for(device: torch.device) -> Compiler | None:
    """Return the function that compiles a network in place for constant shapes. None without CUDA or without Triton."""
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return None
    return lambda net: net.compile(dynamic=False)


def has_token_form(net: object) -> TypeGuard[UNet | Finisher]:
    """Whether `token_major` accepts this network."""
    return isinstance(net, UNet | Finisher)


def token_major(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The network with channels innermost and its weights in `dtype`; embeddings of the noise level stay in float32.

    Inputs and outputs are those of the network, in float32. Raises ValueError unless the network is a U-Net or a
    waveform finisher.
    """
    if isinstance(net, UNet):
        return TokenUNet(net, dtype)
    if isinstance(net, Finisher):
        return TokenFinisher(net, dtype)
    raise ValueError(f"no form with channels innermost of a {type(net).__name__}")


def _constant(module: nn.Module, name: str, value: Tensor, dtype: torch.dtype) -> None:
    module.register_buffer(name, value.detach().to(dtype).contiguous(), persistent=False)


class Product(nn.Module):
    """`[b, t, c_in]` to `[b, t, c_out]`: a linear layer, or a convolution whose taps lie side by side as channels."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        """weight: `[c_out, c_in]`, or `[c_out, c_in, taps]` of a convolution."""
        super().__init__()
        if weight.ndim == 3:
            weight = weight.permute(0, 2, 1).flatten(1)
        _constant(self, "weight", weight, dtype)
        if bias is None:
            self.bias = None
        else:
            _constant(self, "bias", bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, in]` to `[b, t, out]`."""
        return F.linear(x, self.weight, self.bias)


class Convolution(nn.Module):
    """An odd `nn.Conv1d` of stride 1 that keeps the length, over `[b, t, c]`."""

    def __init__(self, conv: nn.Conv1d, dtype: torch.dtype) -> None:
        super().__init__()
        self.taps, self.dilation = conv.kernel_size[0], conv.dilation[0]
        self.product = Product(conv.weight, conv.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, in]` to `[b, t, out]`; the length stays."""
        if self.taps > 1:
            length, reach = x.shape[1], self.dilation * (self.taps // 2)
            padded = F.pad(x, (0, 0, reach, reach))
            starts = range(0, self.dilation * self.taps, self.dilation)
            x = torch.cat([padded[:, start : start + length] for start in starts], dim=-1)
        out: Tensor = self.product(x)
        return out


class Norm(nn.Module):
    """`nn.GroupNorm` over `[b, t, c]`, its sums in float32."""

    weight: Tensor
    bias: Tensor

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        _constant(self, "weight", norm.weight, torch.float32)
        _constant(self, "bias", norm.bias, torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, c]` to the same shape in float32; the next layer rounds it to its own type."""
        parts = x.float().unflatten(-1, (self.groups, -1))
        variance, mean = torch.var_mean(parts, dim=(1, 3), correction=0, keepdim=True)
        out: Tensor = ((parts - mean) * torch.rsqrt(variance + self.eps)).flatten(2) * self.weight + self.bias
        return out


def _normed(x: Tensor, eps: float) -> Tensor:
    """Each token to mean 0 and variance 1 over its channels, in float32."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=eps)


def _behind(norm: nn.LayerNorm, layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of `layer` after `norm`, as a layer behind a norm without gain and offset."""
    return layer.weight * norm.weight, layer.weight @ norm.bias


class TokenResidual(nn.Module):
    """`ResidualBlock` over `[b, t, c]`; dropout is left out."""

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(block.norm1), Norm(block.norm2)
        self.conv1, self.conv2 = Convolution(block.conv1, dtype), Convolution(block.conv2, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, c]` to the same shape."""
        h: Tensor = self.conv1(F.silu(self.norm1(x)).to(x.dtype))
        out: Tensor = x + self.conv2(F.silu(self.norm2(h)).to(x.dtype))
        return out


class TokenAttention(nn.Module):
    """`Attention` over `[b, t, c]`.

    The gains of its norms are part of the weights. So one norm and one matrix product give the queries, keys and values
    of self-attention.
    """

    def __init__(self, attention: Attention, to_itself: bool, dtype: torch.dtype) -> None:
        super().__init__()
        self.heads, self.eps = attention.heads, attention.norm.eps
        query = _behind(attention.norm, attention.to_q)
        other = _behind(attention.norm_context, attention.to_kv)
        self.to_itself = to_itself
        if to_itself:
            weight, bias = (torch.cat(pair) for pair in zip(query, other, strict=True))
            self.project = Product(weight, bias, dtype)
        else:
            self.project, self.project_context = Product(*query, dtype), Product(*other, dtype)
        self.to_out = Product(attention.to_out.weight, None, dtype)

    def _split(self, x: Tensor) -> Tensor:
        out: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return out

    def key_value(self, context: Tensor) -> KeyValue:
        """Context `[b, n, c]` to keys and values `[b, heads, n, features]`, in the type of the weights."""
        normed = _normed(context, self.eps).to(self.to_out.weight.dtype)
        keys, values = self.project_context(normed).chunk(2, dim=-1)
        return self._split(keys).contiguous(), self._split(values).contiguous()

    def forward(self, x: Tensor, key_value: KeyValue | None) -> Tensor:
        """`[b, t, c]` to the same shape; key_value is the context's, None attends to x itself."""
        projected = self.project(_normed(x, self.eps).to(x.dtype))
        if key_value is None:
            queries, keys, values = map(self._split, projected.chunk(3, dim=-1))
        else:
            queries, (keys, values) = self._split(projected), key_value
        attended = F.scaled_dot_product_attention(queries, keys, values)
        out: Tensor = x + self.to_out(attended.transpose(1, 2).flatten(2))
        return out


class TokenItem(nn.Module):
    """`Item` over `[b, t, c]`; scale and shift `[b, 2 c]` of its modulation come in."""

    def __init__(self, item: Item, dtype: torch.dtype) -> None:
        super().__init__()
        self.residual = TokenResidual(item.residual, dtype)
        own, cross = item.attention, item.cross_attention
        self.attention = None if own is None else TokenAttention(own, True, dtype)
        self.cross_attention = None if cross is None else TokenAttention(cross, False, dtype)

    def forward(self, x: Tensor, scale_shift: Tensor, key_values: list[KeyValue]) -> Tensor:
        """`[b, t, c]` to the same shape. scale_shift `[b, 2 * c]` comes from sigma; key_values are used up in order."""
        scale, shift = scale_shift[:, None].chunk(2, dim=-1)
        x = (_normed(self.residual(x), 1e-6) * (1 + scale) + shift).to(x.dtype)
        if self.attention is not None:
            x = self.attention(x, None)
        if self.cross_attention is not None:
            x = self.cross_attention(x, key_values.pop(0))
        return x


class TokenDepth(nn.Module):
    """`Depth` over `[b, t, c]`; the modulations by the noise level, of each item and of the way up, are inputs."""

    def __init__(self, depth: Depth, dtype: torch.dtype) -> None:
        super().__init__()
        self.factor = depth.factor
        self.down = Product(depth.down.weight, depth.down.bias, dtype)
        self.items_down = nn.ModuleList(TokenItem(item, dtype) for item in items_of(depth.items_down))
        self.items_up = nn.ModuleList(TokenItem(item, dtype) for item in items_of(depth.items_up))
        self.up = Convolution(depth.up, dtype)

    def descend(self, x: Tensor, modulations: list[Tensor], key_values: list[KeyValue]) -> Tensor:
        """Down into this depth: x `[b, t, c]`. It removes its own from both lists, in order."""
        x = self.down(x.unflatten(1, (-1, self.factor)).flatten(2))
        for item in self.items_down:
            x = item(x, modulations.pop(0), key_values)
        return x

    def ascend(
        self, x: Tensor, skip: Tensor, modulations: list[Tensor], key_values: list[KeyValue]
    ) -> Tensor:
        """Up out of this depth: x `[b, t, c]` is added to `skip`. It removes its own from both lists, in order."""
        for item in self.items_up:
            x = item(x, modulations.pop(0), key_values)
        if self.factor > 1:
            x = x.repeat_interleave(self.factor, dim=1)
        out: Tensor = (skip + modulations.pop(0)[:, None] * self.up(x)).to(skip.dtype)
        return out


def items_of(modules: nn.ModuleList) -> list[Item]:
    """The items of one way through one depth."""
    return [module for module in modules if isinstance(module, Item)]


class TokenUNet(UNetContexts):
    """`UNet` with channels innermost. It takes no context that another network prepared."""

    modulation_weight: Tensor
    modulation_bias: Tensor

    def __init__(self, net: UNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.config = net.config
        self.dtype = dtype
        self.time_embedding = copy.deepcopy(net.time_embedding).float()
        self.null_context = copy.deepcopy(net.null_context)
        depths = [depth for depth in net.depths if isinstance(depth, Depth)]
        self.depths = nn.ModuleList(TokenDepth(depth, dtype) for depth in depths)
        # All modulations by sigma, in the order in which a pass uses them, are one product.
        layers = [item.modulation.to_scale_shift for depth in depths for item in items_of(depth.items_down)]
        for depth in reversed(depths):
            layers += [item.modulation.to_scale_shift for item in items_of(depth.items_up)]
            layers.append(depth.skip_scale)
        self.modulation_sizes = [layer.out_features for layer in layers]
        _constant(self, "modulation_weight", torch.cat([layer.weight for layer in layers]), torch.float32)
        _constant(self, "modulation_bias", torch.cat([layer.bias for layer in layers]), torch.float32)

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        context: Tensor | PreparedContext | None = None,
        drop: Tensor | None = None,
    ) -> Tensor:
        """Predict v `[b, c, t]` in float32; parameters as in `UNet.forward`."""
        if not isinstance(context, PreparedContext):
            context = self.prepare_context(context, drop, x.shape[0])
        key_values = list(context.key_values)
        features = F.silu(self.time_embedding(sigma.float()))
        modulations = list(
            F.linear(features, self.modulation_weight, self.modulation_bias).split(
                self.modulation_sizes, dim=-1
            )
        )
        x = x.transpose(1, 2).to(self.dtype)
        skips: list[Tensor] = []
        for depth in self.depths:
            assert isinstance(depth, TokenDepth)
            skips.append(x)
            x = depth.descend(x, modulations, key_values)
        for depth in reversed(self.depths):
            assert isinstance(depth, TokenDepth)
            x = depth.ascend(x, skips.pop(), modulations, key_values)
        return x.transpose(1, 2).float()


class TokenHalve(nn.Module):
    """`Halve` over `[b, t, c]`."""

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, c]` to `[b, t / 2, c]`."""
        length = x.shape[1]
        padded = _mirrored(x, 3)
        taps = [weight * padded[:, k : k + length : 2] for k, weight in enumerate(CUBIC)]
        return _sum(taps).to(x.dtype)


class TokenDouble(nn.Module):
    """`Double` over `[b, t, c]`: of the eight taps every other one falls on a sample between two."""

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, c]` to `[b, 2 * t, c]`."""
        length = x.shape[1]
        padded = _mirrored(x, 2)
        sides = [
            _sum([2 * CUBIC[2 * r + 1 - odd] * padded[:, 3 + odd - r :][:, :length] for r in range(4)])
            for odd in (0, 1)
        ]
        return torch.stack(sides, dim=2).flatten(1, 2).to(x.dtype)


def _mirrored(x: Tensor, count: int) -> Tensor:
    """`[b, t, c]` with `count` tokens mirrored at each end, the end itself not repeated; float32."""
    x = x.float()
    return torch.cat([x[:, 1 : count + 1].flip(1), x, x[:, -count - 1 : -1].flip(1)], dim=1)


def _sum(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class TokenConvPair(nn.Module):
    """`ConvPair` over `[b, t, c]`."""

    def __init__(self, pair: ConvPair, dtype: torch.dtype) -> None:
        super().__init__()
        first, norm1, _, second, *rest = pair.main
        assert isinstance(first, nn.Conv1d) and isinstance(second, nn.Conv1d)
        assert isinstance(norm1, nn.GroupNorm)
        self.first, self.second = Convolution(first, dtype), Convolution(second, dtype)
        self.norm1 = Norm(norm1)
        last = rest[0] if rest else None
        self.norm2: Norm | None = Norm(last) if isinstance(last, nn.GroupNorm) else None
        self.skip: Convolution | None = (
            Convolution(pair.skip, dtype) if isinstance(pair.skip, nn.Conv1d) else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, in]` to `[b, t, out]`."""
        h: Tensor = self.second(F.gelu(self.norm1(self.first(x))).to(x.dtype))
        if self.norm2 is not None:
            h = F.gelu(self.norm2(h))
        return (h + (x if self.skip is None else self.skip(x))).to(x.dtype)


class TokenSelfAttention(nn.Module):
    """`SelfAttention` over `[b, t, c]`."""

    def __init__(self, attention: SelfAttention, dtype: torch.dtype) -> None:
        super().__init__()
        self.heads = attention.heads
        self.norm = Norm(attention.norm)
        self.project = Convolution(attention.qkv_proj, dtype)
        self.to_out = Convolution(attention.out_proj, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, c]` to the same shape."""
        projected = self.project(self.norm(x).to(x.dtype)).unflatten(-1, (3 * self.heads, -1))
        attended = F.scaled_dot_product_attention(*projected.transpose(1, 2).chunk(3, dim=1))
        out: Tensor = x + self.to_out(attended.transpose(1, 2).flatten(2))
        return out


class TokenSkip(nn.Module):
    """`Skip` over `[b, t, c]`."""

    def __init__(self, main: Sequence[nn.Module]) -> None:
        super().__init__()
        self.main = nn.Sequential(*main)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, t, c]` to `[b, t, c + inner]`: the inner part's result beside x."""
        return torch.cat([self.main(x), x], dim=-1)


def _finisher_parts(modules: nn.Module, dtype: torch.dtype) -> list[nn.Module]:
    """The parts of a finisher's sequence, each with channels innermost. Raises ValueError on one that is not known."""
    parts: list[nn.Module] = []
    for module in modules.children():
        if isinstance(module, ConvPair):
            parts.append(TokenConvPair(module, dtype))
        elif isinstance(module, SelfAttention):
            parts.append(TokenSelfAttention(module, dtype))
        elif isinstance(module, Skip):
            parts.append(TokenSkip(_finisher_parts(module.main, dtype)))
        elif isinstance(module, Halve):
            parts.append(TokenHalve())
        elif isinstance(module, Double):
            parts.append(TokenDouble())
        elif not isinstance(module, nn.Identity):
            raise ValueError(f"a finisher has no {type(module).__name__}")
    return parts


class TokenFinisher(nn.Module):
    """`Finisher` with channels innermost."""

    def __init__(self, net: Finisher, dtype: torch.dtype) -> None:
        super().__init__()
        self.config = net.config
        self.dtype = dtype
        self.timestep_embed = copy.deepcopy(net.timestep_embed).float()
        self.net = nn.Sequential(*_finisher_parts(net.net, dtype))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Predict v `[b, 2, samples]` in float32; parameters as in `Finisher.forward`."""
        time = self.timestep_embed(sigma.float())[:, None].expand(-1, x.shape[2], -1)
        both = torch.cat([x.transpose(1, 2), time.to(x.dtype)], dim=-1)
        out: Tensor = self.net(both.to(self.dtype))
        return out.transpose(1, 2).float()
