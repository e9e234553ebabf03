"""What a long set is held to: how the piece sounds on the whole, and where in the bar it is.

A denoiser that hears two windows of its own music and nothing else forgets what it was playing: every block is a
little off, and after some minutes there are no drums, or only hiss. An anchor does not change from block to block. Its
style is how loud each part of the spectrum is on average, how much that varies and how fast it moves; its beat and
tempo are a clock that goes on by itself. In training both came from real pieces and were dropped at random, so that a
network also plays without, and guidance (Ho & Salimans 2022) makes more of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.codecs.bands import CHANNELS

BEATS = 4  # in a bar
HARMONICS = (1, 2, 4, 8, 16)  # of the bar that tell the place in it
CLOCK_FEATURES = 2 * len(HARMONICS) + 2
USUAL_TEMPO = 0.0232  # beats per token: 120 a minute at 86 tokens a second
MEAN_BANDS, MOTION_BANDS = 5, 10  # bands that share one number
MEANS, MOTIONS = CHANNELS // MEAN_BANDS, CHANNELS // MOTION_BANDS
STYLE_FEATURES = MEANS + 2 * MOTIONS
BANK = 64  # real styles that a network keeps, to begin from where there is no context
LOUDNESS_UNIT = 6.0  # decibels


@dataclass(frozen=True)
class Anchor:
    """Of each row: a style in units of its own spread, and a clock.

    `style` is `[b, STYLE_FEATURES]`, `known` `[b]` says whether it is one. `beat` `[b]` is the place of the window's
    first token, in beats, `tempo` `[b]` in beats per token; 0 means that there is none.
    """

    style: Tensor
    known: Tensor
    beat: Tensor
    tempo: Tensor

    def at(self, tokens: int) -> Anchor:
        """For a window that begins `tokens` later; earlier where they are negative."""
        return replace(self, beat=self.beat + tokens * self.tempo)

    def rows(self) -> dict[str, Tensor]:
        """The parts by name, as what is kept beside them; `from_rows` reads them back."""
        return {"style": self.style, "known": self.known, "beat": self.beat, "tempo": self.tempo}

    @classmethod
    def from_rows(cls, rows: Mapping[str, Tensor]) -> Anchor:
        """Of parts by name, among which there may be others."""
        return cls(rows["style"], rows["known"], rows["beat"], rows["tempo"])

    def each(self, change: Callable[[Tensor], Tensor]) -> Anchor:
        """The same change to every part."""
        return Anchor(**{name: change(part) for name, part in self.rows().items()})

    def doubled(self) -> Anchor:
        """Every row twice, one batch after the other, as guidance has them."""
        return self.each(lambda part: torch.cat([part, part]))


def no_anchor(rows: int, device: torch.device | str = "cpu") -> Anchor:
    """Anchors of `rows` rows that say nothing: no style, no clock."""
    nothing = torch.zeros(rows, device=device)
    style = torch.zeros(rows, STYLE_FEATURES, device=device)
    return Anchor(style, nothing.bool(), nothing, nothing)


def measured_style(bands: Tensor) -> Tensor:
    """How latents of bands `[b, n, CHANNELS]` sound on the whole, `[b, STYLE_FEATURES]`, in no units yet: mean levels
    of groups of neighbouring bands, the spread of levels over time, and the mean change from token to token.
    """
    if bands.shape[1] < 2:
        raise ValueError(f"{bands.shape[1]} tokens have no style; give two or more")
    bands = bands.float()

    def grouped(values: Tensor, count: int) -> Tensor:
        return values.reshape(len(values), -1, count).mean(2)

    means = grouped(bands.mean(1), MEAN_BANDS)
    spreads = grouped(bands.std(1), MOTION_BANDS)
    changes = grouped(bands.diff(dim=1).abs().mean(1), MOTION_BANDS)
    return torch.cat([means, spreads, changes], 1)


def measured_loudness(bands: Tensor, decibels: Tensor) -> Tensor:
    """Mean power of groups of neighbouring bands, of latents `[b, n, CHANNELS]` whose unit is so many dB `[CHANNELS]`,
    `[b, MEANS]`, in units of 6 dB. Rare loud strokes count, which a style's mean levels hardly show.
    """
    power = (math.log(10) / 10 * decibels * bands.float()).logsumexp(1) - math.log(bands.shape[1])
    return power.reshape(len(bands), MEANS, MEAN_BANDS).mean(2) * (10 / math.log(10) / LOUDNESS_UNIT)


def clock_features(beat: Tensor, tempo: Tensor, first: int, last: int) -> Tensor:
    """Place in the bar of tokens `first` to `last`, 0 being the one at `beat` `[b]`, as
    `[b, last - first, CLOCK_FEATURES]`; zeros where the tempo `[b]` is 0.
    """
    places = torch.arange(first, last, device=beat.device)
    # Within a bar first: float32 has no digits left for the harmonics of a place that is hours away.
    bars = ((beat / BEATS) % 1.0)[:, None] + places * (tempo / BEATS)[:, None]
    # Stacked, not multiplied by a tensor made here: a recording (`stream/cuda_graphs.py`) may copy nothing there.
    angle = 2 * math.pi * torch.stack([number * bars for number in HARMONICS], -1)
    known = (tempo > 0).float()[:, None, None]
    pace = (tempo.clamp_min(1e-6) / USUAL_TEMPO).log2()[:, None, None].expand(-1, len(places), 1)
    features = torch.cat([angle.cos(), angle.sin(), pace, torch.ones_like(pace)], 2)
    return features * known


class AnchorCondition(nn.Module):
    """An anchor as what a joint denoiser adds to its noise level and its patches; begins as no change at all."""

    mean: Tensor
    spread: Tensor
    bank: Tensor

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        # Of styles as they are measured; `bank` holds some in their units, and the loudness of each.
        self.register_buffer("mean", torch.zeros(STYLE_FEATURES))
        self.register_buffer("spread", torch.ones(STYLE_FEATURES))
        self.register_buffer("bank", torch.zeros(BANK, STYLE_FEATURES + MEANS))
        self.hidden = nn.Linear(STYLE_FEATURES + 1, width)
        self.out = nn.Linear(width, width)
        self.window = nn.Linear(patch * CLOCK_FEATURES, width, bias=False)
        self.context = nn.Linear(patch * CLOCK_FEATURES, width, bias=False)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        nn.init.zeros_(self.window.weight)
        nn.init.zeros_(self.context.weight)

    @torch.no_grad()
    def set_statistics(self, styles: Tensor, loudness: Tensor) -> None:
        """Before training: styles of real music as they are measured `[n, STYLE_FEATURES]`, and their loudness
        `[n, MEANS]`.
        """
        self.mean.copy_(styles.mean(0))
        self.spread.copy_(styles.std(0, correction=0).clamp_min(1e-3))
        chosen = torch.linspace(0, len(styles) - 1, BANK).round().long()
        self.bank.copy_(torch.cat([self.standard(styles), loudness], 1)[chosen])

    def standard(self, styles: Tensor) -> Tensor:
        """Measured styles in units of their spread."""
        return (styles - self.mean) / self.spread

    def style(self, anchor: Anchor) -> Tensor:
        """What is added to the embedded noise level, `[b, width]`."""
        known = anchor.known[:, None].to(anchor.style.dtype)
        given = torch.cat([anchor.style * known, known], 1).to(self.hidden.weight.dtype)
        added: Tensor = self.out(F.silu(self.hidden(given)))
        return added

    def clock(self, anchor: Anchor, first: int, last: int) -> Tensor:
        """What is added to patches `first` to `last`, 0 being the window's first, `[b, last - first, width]`."""
        features = clock_features(anchor.beat, anchor.tempo, first * self.patch, last * self.patch)
        layer = self.window if first >= 0 else self.context
        added: Tensor = layer(features.reshape(len(features), last - first, -1).to(layer.weight.dtype))
        return added
