"""The anchor of a long set: the style of the piece, and the place in the bar.

A denoiser that gets only two windows of its own music as context drifts. Every block has a small error, and after some
minutes the music has no drums, or is only hiss. An anchor does not drift. Its style holds how loud each part of the
spectrum is on average, how much that varies, and how fast it moves. Its beat and tempo are a clock that runs on by
itself. In training, style and clock came from real pieces and were dropped at random. So a network also plays without
an anchor, and guidance (Ho & Salimans 2022) can strengthen it.
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
HARMONICS = (1, 2, 4, 8, 16)  # of the bar; their sines and cosines encode the place in it
CLOCK_FEATURES = 2 * len(HARMONICS) + 2
USUAL_TEMPO = 0.0232  # beats per token: 120 a minute at 86 tokens a second
MEAN_BANDS, MOTION_BANDS = 5, 10  # bands that share one number
MEANS, MOTIONS = CHANNELS // MEAN_BANDS, CHANNELS // MOTION_BANDS
STYLE_FEATURES = MEANS + 2 * MOTIONS
BANK = 64  # real styles that a network keeps; a stream without a context begins from one of them
LOUDNESS_UNIT = 6.0  # decibels


@dataclass(frozen=True)
class Anchor:
    """A style and a clock for each row of a batch.

    style: `[b, STYLE_FEATURES]`, in units of the spread of real styles. known: `[b]`, whether the row has a style.
    beat: `[b]`, place of the window's first token in the bar, in beats. tempo: `[b]`, beats per token; 0: no clock.
    """

    style: Tensor
    known: Tensor
    beat: Tensor
    tempo: Tensor

    def at(self, tokens: int) -> Anchor:
        """The anchor of a window that begins `tokens` later, or earlier if `tokens` is negative."""
        return replace(self, beat=self.beat + tokens * self.tempo)

    def rows(self) -> dict[str, Tensor]:
        """Return the four tensors `[b, ...]` by name, to be stored with other rows; `from_rows` reads them back."""
        return {"style": self.style, "known": self.known, "beat": self.beat, "tempo": self.tempo}

    @classmethod
    def from_rows(cls, rows: Mapping[str, Tensor]) -> Anchor:
        """Return the anchor from tensors `[b, ...]` by name; the mapping may hold other names as well."""
        return cls(rows["style"], rows["known"], rows["beat"], rows["tempo"])

    def each(self, change: Callable[[Tensor], Tensor]) -> Anchor:
        """Return the anchor with `change` applied to each of its tensors `[b, ...]`."""
        return Anchor(**{name: change(part) for name, part in self.rows().items()})

    def doubled(self) -> Anchor:
        """Every row twice, one batch after the other, as guidance has them."""
        return self.each(lambda part: torch.cat([part, part]))


def no_anchor(rows: int, device: torch.device | str = "cpu") -> Anchor:
    """An anchor of `rows` rows without style and without clock."""
    nothing = torch.zeros(rows, device=device)
    style = torch.zeros(rows, STYLE_FEATURES, device=device)
    return Anchor(style, nothing.bool(), nothing, nothing)


def measured_style(bands: Tensor) -> Tensor:
    """Measure the style `[b, STYLE_FEATURES]` of latents of bands `[b, n, CHANNELS]`, not yet divided by its spread.

    A style holds the mean levels of groups of neighbouring bands, the spread of levels over time, and the mean change
    from token to token.
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
    """Mean power of groups of neighbouring bands, `[b, MEANS]`, in units of 6 dB.

    bands: latents `[b, n, CHANNELS]`. decibels: `[CHANNELS]`, dB in one unit of each. Rare loud strokes raise the mean
    power; they hardly change the mean levels of a style.
    """
    power = (math.log(10) / 10 * decibels * bands.float()).logsumexp(1) - math.log(bands.shape[1])
    return power.reshape(len(bands), MEANS, MEAN_BANDS).mean(2) * (10 / math.log(10) / LOUDNESS_UNIT)


def clock_features(beat: Tensor, tempo: Tensor, first: int, last: int) -> Tensor:
    """Place in the bar of tokens `first` to `last`, as features `[b, last - first, CLOCK_FEATURES]`.

    Token 0 is at `beat` `[b]`. Rows whose `tempo` `[b]` is 0 get zeros.
    """
    places = torch.arange(first, last, device=beat.device)
    # The place is reduced to one bar first. After hours, float32 has no digits left for the harmonics.
    bars = ((beat / BEATS) % 1.0)[:, None] + places * (tempo / BEATS)[:, None]
    # Stacked, because a tensor of the harmonics would be copied to the device. A recording (`stream/cuda_graphs.py`)
    # allows no such copy.
    angle = 2 * math.pi * torch.stack([number * bars for number in HARMONICS], -1)
    known = (tempo > 0).float()[:, None, None]
    pace = (tempo.clamp_min(1e-6) / USUAL_TEMPO).log2()[:, None, None].expand(-1, len(places), 1)
    features = torch.cat([angle.cos(), angle.sin(), pace, torch.ones_like(pace)], 2)
    return features * known


class AnchorCondition(nn.Module):
    """Layers that add an anchor to the noise level and the patches of a joint denoiser. Untrained, they add zero."""

    mean: Tensor
    spread: Tensor
    bank: Tensor

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        # Mean and spread of measured styles; `bank` holds some styles in those units, and the loudness of each.
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
        """Set the units and the bank of styles, before training.

        styles: measured styles of real music, `[n, STYLE_FEATURES]`. loudness: theirs, `[n, MEANS]`.
        """
        self.mean.copy_(styles.mean(0))
        self.spread.copy_(styles.std(0, correction=0).clamp_min(1e-3))
        chosen = torch.linspace(0, len(styles) - 1, BANK).round().long()
        self.bank.copy_(torch.cat([self.standard(styles), loudness], 1)[chosen])

    def standard(self, styles: Tensor) -> Tensor:
        """Return measured styles `[n, STYLE_FEATURES]` in units of their spread."""
        return (styles - self.mean) / self.spread

    def style(self, anchor: Anchor) -> Tensor:
        """The addition to the embedded noise level, `[b, width]`."""
        known = anchor.known[:, None].to(anchor.style.dtype)
        given = torch.cat([anchor.style * known, known], 1).to(self.hidden.weight.dtype)
        added: Tensor = self.out(F.silu(self.hidden(given)))
        return added

    def clock(self, anchor: Anchor, first: int, last: int) -> Tensor:
        """The addition to patches `first` to `last`, `[b, last - first, width]`; 0 is the window's first patch."""
        features = clock_features(anchor.beat, anchor.tempo, first * self.patch, last * self.patch)
        layer = self.window if first >= 0 else self.context
        added: Tensor = layer(features.reshape(len(features), last - first, -1).to(layer.weight.dtype))
        return added
