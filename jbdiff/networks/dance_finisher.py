"""The finisher of the v1 stack: Dance Diffusion, a stereo waveform U-Net. Module names give its keys.

Mono becomes stereo, deeper and clearer, by noising the sound partly and denoising it again. The network
is Harmonai's DiffusionAttnUnet1D: fixed cubic filters halve and double the rate, residual convolutions
between them, self-attention in the deepest levels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import FinisherConfig
from jbdiff.diffusion.samplers import Callback, sample_vddim
from jbdiff.diffusion.schedules import crash_sigmas, noised
from jbdiff.networks.attention import attend

TIME_CHANNELS = 16
HEAD_CHANNELS = 32
# Cubic low-pass of the published network; symmetric, sums to 1. The file holds it as buffers.
CUBIC = (-0.01171875, -0.03515625, 0.11328125, 0.43359375, 0.43359375, 0.11328125, -0.03515625, -0.01171875)


class Halve(nn.Module):
    """`[b, c, t]` to `[b, c, t / 2]` through the fixed filter, edges mirrored.

    Filters each channel by itself; the first implementation did the same with a dense matrix of zeros,
    a ninth of its arithmetic.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.tensor(CUBIC))

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t]` to `[b, c, t / 2]`."""
        channels = x.shape[1]
        weight = self.kernel.to(x).expand(channels, 1, -1)
        return F.conv1d(F.pad(x, (3, 3), "reflect"), weight, stride=2, groups=channels)


class Double(nn.Module):
    """`[b, c, t]` to `[b, c, 2 t]`: the transpose of `Halve`, with twice its gain."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", 2 * torch.tensor(CUBIC))

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t]` to `[b, c, 2 * t]`."""
        channels = x.shape[1]
        weight = self.kernel.to(x).expand(channels, 1, -1)
        x = F.pad(x, (2, 2), "reflect")
        return F.conv_transpose1d(x, weight, stride=2, padding=7, groups=channels)


class ConvPair(nn.Module):
    """Two width-5 convolutions with a residual; the last one of the network ends without norm and GELU."""

    def __init__(self, c_in: int, c_mid: int, c_out: int, last: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv1d(c_in, c_mid, 5, padding=2),
            nn.GroupNorm(1, c_mid),
            nn.GELU(),
            nn.Conv1d(c_mid, c_out, 5, padding=2),
        ]
        if not last:
            layers += [nn.GroupNorm(1, c_out), nn.GELU()]
        self.main = nn.Sequential(*layers)
        self.skip = nn.Identity() if c_in == c_out else nn.Conv1d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, in, t]` to `[b, out, t]`."""
        out: Tensor = self.main(x) + self.skip(x)
        return out


class SelfAttention(nn.Module):
    """Residual attention over time with heads of 32 channels `[b, c, t]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_CHANNELS
        self.norm = nn.GroupNorm(1, channels)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.out_proj = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t]` to the same shape."""
        # Fused attention kernels need the channels of a head side by side in memory.
        qkv = self.qkv_proj(self.norm(x)).unflatten(1, (3 * self.heads, -1)).transpose(2, 3).contiguous()
        attended = attend(*qkv.chunk(3, dim=1))
        out: Tensor = x + self.out_proj(attended.transpose(2, 3).flatten(1, 2))
        return out


class Skip(nn.Module):
    """The output of `main` and x itself, side by side as channels."""

    def __init__(self, *main: nn.Module) -> None:
        super().__init__()
        self.main = nn.Sequential(*main)

    def forward(self, x: Tensor) -> Tensor:
        """`[b, c, t]` to `[b, c + inner, t]`: the inner part's result beside x."""
        return torch.cat([self.main(x), x], dim=1)


class TimeFeatures(nn.Module):
    """sigma `[b]` to learned Fourier features `[b, 16]`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(TIME_CHANNELS // 2, 1))

    def forward(self, sigma: Tensor) -> Tensor:
        """Sigma `[b]` to features `[b, f]`."""
        # No matrix product: autocast would round the angles, of up to some turns, to eight bits.
        angle = 2 * math.pi * sigma[:, None] * self.weight[:, 0]
        return torch.cat([angle.cos(), angle.sin()], dim=-1)


class Finisher(nn.Module):
    """net(x `[b, 2, n]`, sigma `[b]`) -> v `[b, 2, n]`; n is a multiple of `multiple`."""

    def __init__(self, config: FinisherConfig) -> None:
        super().__init__()
        self.config = config
        self.timestep_embed = TimeFeatures()
        channels, io = config.channels, config.io_channels
        block: nn.Module = nn.Identity()
        for depth in range(len(channels), 1, -1):
            block = self._deeper(depth, block)
        c = channels[0]
        self.net = nn.Sequential(
            ConvPair(io + TIME_CHANNELS, c, c),
            ConvPair(c, c, c),
            ConvPair(c, c, c),
            block,
            ConvPair(2 * c, c, c),
            ConvPair(c, c, c),
            ConvPair(c, c, io, last=True),
        )

    def _deeper(self, depth: int, inner: nn.Module) -> Skip:
        """Level `depth` (counted from 1, the full rate) around the levels below it."""
        channels = self.config.channels
        c, outer = channels[depth - 1], channels[depth - 2]
        # In the published rule, n "attention layers" mean that n + 2 levels attend.
        attends = depth >= len(channels) - self.config.attention_layers - 1

        def attention(width: int) -> nn.Module:
            return SelfAttention(width) if attends else nn.Identity()

        innermost = depth == len(channels)
        return Skip(
            Halve(),
            ConvPair(outer, c, c),
            attention(c),
            ConvPair(c, c, c),
            attention(c),
            ConvPair(c, c, c),
            attention(c),
            inner,
            ConvPair(c if innermost else 2 * c, c, c),
            attention(c),
            ConvPair(c, c, c),
            attention(c),
            ConvPair(c, c, outer),
            attention(outer),
            Double(),
        )

    @property
    def multiple(self) -> int:
        """Samples come in multiples of this: every level but the first halves the rate."""
        return int(2 ** (len(self.config.channels) - 1))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Predict v `[b, 2, samples]` for noised sound x of that shape at sigma `[b]`, 0..1."""
        if x.shape[2] % self.multiple:
            raise ValueError(f"{x.shape[2]} samples: this finisher takes multiples of {self.multiple}")
        time = self.timestep_embed(sigma)[:, :, None].expand(-1, -1, x.shape[2])
        out: Tensor = self.net(torch.cat([x, time], dim=1))
        return out


@torch.inference_mode()
def finish_window(
    net: Finisher,
    audio: Tensor,
    noise: Tensor,
    *,
    steps: int,
    noise_level: float,
    callback: Callback | None = None,
) -> Tensor:
    """Stereo audio `[1, 2, n]` noised to just below `noise_level` and denoised: `[1, 2, n]`, not clamped.

    noise has the shape of audio. Of the `steps + 1` points of the crash schedule those at or above
    `noise_level` are left out, so a lower level also takes fewer steps.
    """
    if not 0.0 < noise_level <= 1.0:
        raise ValueError(f"noise level {noise_level} is outside 0..1")
    sigmas = crash_sigmas(steps, below=noise_level).to(audio.device)
    return sample_vddim(net, noised(audio, noise, sigmas[0]), sigmas, callback)
