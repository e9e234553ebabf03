"""Echoes: what was played one, four and eight bars ago, as extra inputs of the joint denoiser.

Two windows of context are 4.5 s. A chord progression lasts longer, so two windows cannot hold a key or a form. An echo
lays earlier music beside the noisy window, token by token, a whole number of bars back. It enters the network twice: as
patches, through a linear layer that begins at zero, and as images in a convolution over bands and tokens (`EchoLines`),
whose weights are the same at every pitch.

Each token of an echo has a confidence: 0 if there is no such echo, 1 if it is clean, and less the more noise it holds.
Training adds noise to echoes at random levels and gives the network the level (as Pasini et al. 2024, CAM, do with the
context), so that small errors do not build up when the model continues its own music.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.diffusion.schedules import SIGMA_FEATURES
from jbdiff.networks.plan import Plan

BARS = (1, 4, 8)  # how many bars each echo lies back
HINTS = 2  # images that the transformer gives to `EchoLines`


@dataclass(frozen=True)
class Echo:
    """Echoes of a window: `sound` `[b, echoes, c, t]` with its confidence `known` `[b, echoes, t]`, 0..1.

    `plan`: the plan of the same window, for networks that take one.
    """

    sound: Tensor
    known: Tensor
    plan: Plan | None = None

    def first(self, rows: int) -> Echo:
        """The first rows of the batch alone."""
        return Echo(self.sound[:rows], self.known[:rows], self.plan and self.plan.first(rows))

    def repeat(self, times: int) -> Echo:
        """Every row `times` times over."""
        sound, known = (part.repeat_interleave(times, 0) for part in (self.sound, self.known))
        return Echo(sound, known, self.plan and self.plan.repeat(times))

    def and_none(self) -> Echo:
        """Two batches of the same rows, one after the other; the second has no echoes. Both have the plan."""
        sound, known = (torch.cat([part, torch.zeros_like(part)]) for part in (self.sound, self.known))
        return Echo(sound, known, self.plan and self.plan.doubled())

    def kept(self, keep: Tensor) -> Echo:
        """Only the echoes whose `keep` `[b, echoes]` is True."""
        keep = keep.to(self.known)
        return Echo(self.sound * keep[:, :, None, None], self.known * keep[:, :, None], self.plan)

    def noised(self, level: Tensor, noise: Tensor) -> Echo:
        """With `noise` like `sound` added at levels `[b, echoes]`, 0..1; the confidence falls by as much."""
        level = level.to(self.sound)
        sound = self.sound + level[:, :, None, None] * noise.to(self.sound) * (self.known > 0)[:, :, None]
        return Echo(sound, self.known * (1 - level)[:, :, None], self.plan)


def no_echo(rows: int, channels: int, tokens: int, device: torch.device | str = "cpu") -> Echo:
    """No echo at all, for so many rows."""
    echoes = len(BARS)
    return Echo(
        torch.zeros(rows, echoes, channels, tokens, device=device),
        torch.zeros(rows, echoes, tokens, device=device),
    )


def echo_of(
    history: Tensor,
    bars: Tensor,
    tokens: int,
    held: int = 0,
    known: Tensor | None = None,
    multiples: Sequence[float] = BARS,
) -> Echo:
    """Echoes of a window of `tokens` whose first `held` are the end of `history` `[b, n, c]`.

    bars: `[b]` tokens a bar, fractional; 0 if the bar is not known. The sign does not count: training uses negative
    numbers if the place of the beats is unknown. A token that lies more bars ahead than an echo reaches takes the
    nearest multiple that was played. known: `[b]`, how many tokens at the end of the history may be
    used; None: all of them. multiples: how many bars each echo lies back.
    """
    batch, length, channels = history.shape
    place = torch.arange(-held, tokens - held, device=history.device)[None]  # 0 is the first new token
    bars = bars.to(history.device, torch.float32).abs()
    usable = (
        torch.full((batch,), length, device=history.device) if known is None else known.to(history.device)
    )
    sounds, knowns = [], []
    for multiple in multiples:
        back = (bars * multiple).clamp_min(1.0)[:, None]
        times = torch.div(place, back, rounding_mode="floor").clamp_min(0) + 1
        # Rounding may give the token right after the history, which does not exist: then one multiple more.
        times = times + (place >= (times * back).round())
        source = place - (times * back).round().long()
        there = (source >= -usable[:, None]) & (source < 0) & (bars > 0)[:, None]
        index = (length + source).clamp(0, max(length - 1, 0))
        if length:
            sound = history.gather(1, index[:, :, None].expand(-1, -1, channels)).transpose(1, 2)
        else:
            sound = history.new_zeros(batch, channels, tokens)
        sounds.append(sound * there[:, None])
        knowns.append(there.to(history.dtype))
    return Echo(torch.stack(sounds, 1), torch.stack(knowns, 1))


class EchoPatches(nn.Module):
    """A layer that adds echoes to the patches of a window. Untrained, it adds zero."""

    def __init__(self, width: int, patch: int, channels: int) -> None:
        super().__init__()
        self.patch = patch
        self.into = nn.ModuleList(nn.Linear(patch * (channels + 1), width, bias=False) for _ in BARS)
        for layer in self.into:
            nn.init.zeros_(cast(nn.Linear, layer).weight)

    def forward(self, echo: Echo) -> Tensor:
        """`[b, window patches, width]`."""
        both = torch.cat([2 * echo.sound, echo.known[:, :, None]], 2)  # [b, e, c + 1, t]
        b, e, c, t = both.shape
        rows = both.transpose(2, 3).reshape(b, e, t // self.patch, self.patch * c)
        return cast(Tensor, sum(layer(rows[:, i]) for i, layer in enumerate(self.into)))


class EchoLines(nn.Module):
    """Correction of v from images over bands and tokens: window, clean estimate, echoes, hints, mean of the context.

    It also gives a gain for the estimate of the noise, for each band and token. Noise that this gain removes need not
    pass through the transformer, which is narrower than a patch. Untrained, it corrects nothing.
    """

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        echoes = len(BARS)
        self.band = nn.Parameter(torch.zeros(channels, bands, 1))
        self.level = nn.Sequential(nn.Linear(SIGMA_FEATURES, 32), nn.SiLU(), nn.Linear(32, 6 * channels))
        self.into = nn.Conv2d(2 + echoes + HINTS + 1, channels, (3, 9), padding=(1, 4))
        self.flags = nn.Conv1d(echoes, channels, 1)  # confidence of each echo
        self.octave = nn.Conv2d(channels, channels, (3, 1), padding=(12, 0), dilation=(12, 1))
        self.along = nn.Conv2d(channels, channels, (1, 9), padding=(0, 32), dilation=(1, 8))
        self.out = nn.Conv2d(channels, 2, (3, 5), padding=(1, 2))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))
        last = cast(nn.Linear, self.level[2])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(
        self,
        noisy: Tensor,
        clean: Tensor,
        noise: Tensor,
        echo: Echo,
        hints: Tensor,
        mean: Tensor,
        level: Tensor,
        more: Tensor | None = None,
    ) -> Tensor:
        """noisy, clean and noise `[b, c, t]`, hints `[b, HINTS, c, t]`, mean of the context `[b, c, 1]`, features of
        sigma `[b, SIGMA_FEATURES]`, `more` images of the first layer (`PlanInputs.image`) -> what is added to v
        `[b, c, t]`.
        """
        differs = (echo.sound - clean[:, None]) * echo.known[:, :, None]
        images = [noisy[:, None], clean[:, None], differs, hints, mean.expand_as(noisy)[:, None]]
        h = self.into(2 * torch.cat([image.to(noisy.dtype) for image in images], 1))
        if more is not None:
            h = h + more.to(h.dtype)
        # In the images' own precision: a float32 parameter would make all of them float32 again.
        conditions = self.level(level)[:, :, None, None].to(h.dtype)
        first, gate, second, third, gate2, last = conditions.chunk(6, 1)
        flags = self.flags(echo.known.to(noisy.dtype))[:, :, None].to(h.dtype)
        h = F.gelu(h * (1 + gate) + (flags + first) + self.band.to(h.dtype), approximate="tanh")
        h = h + F.gelu(self.octave(h) + second, approximate="tanh")
        h = h + F.gelu(self.along(h) * (1 + gate2) + third, approximate="tanh")
        correction, gain = self.out(h * (1 + last)).unbind(1)
        return cast(Tensor, correction + gain * noise)
