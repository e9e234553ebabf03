"""A plan: the mean level of every band in each sixteenth of a bar, as an extra input of the joint denoiser.

A sixteenth is called a cell. The plan says which tones sound when, and leaves to the denoiser how they begin, end and
move. At every step the means of the clean estimate over each cell are moved towards the plan (`moved`). That needs no
training, because a denoiser of bands copes with moved means. `PlanInputs` adds weights that may be trained for plans.

Each token of a plan has a confidence: 1 if the plan is the music itself, less if it is a guess, 0 if there is no plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from jbdiff.diffusion.schedules import SIGMA_FEATURES

CELLS = 16  # in a bar
FORM = 8  # bars: a plan of earlier music is a whole number of times so far away
SHORT_FORM = 4  # bars: how far away if less was played


@dataclass(frozen=True)
class Plan:
    """Plans of windows: `values` `[b, c, t]`, the same in all tokens of a cell, with their confidence `known` `[b, t]`.

    `pool`: `[b, t, t]`, takes means over cells if it is multiplied from the right.
    """

    values: Tensor
    pool: Tensor
    known: Tensor

    def first(self, rows: int) -> Plan:
        """The first rows of the batch alone."""
        return Plan(self.values[:rows], self.pool[:rows], self.known[:rows])

    def repeat(self, times: int) -> Plan:
        """Every row `times` times over."""
        return Plan(*(part.repeat_interleave(times, 0) for part in (self.values, self.pool, self.known)))

    def doubled(self) -> Plan:
        """Every row twice, one batch after the other, as guidance has them."""
        return Plan(*(torch.cat([part, part]) for part in (self.values, self.pool, self.known)))


PlanSource = Callable[[int, int], Plan]
"""(number of the first token in the stream, how many tokens) -> the plan of a window there."""


def cell_pool(cells: Tensor) -> Tensor:
    """The matrix `[b, t, t]` that takes means over cells, from the number of the cell of each token, `[b, t]`."""
    same = (cells[:, :, None] == cells[:, None, :]).float()
    return same / same.sum(1, keepdim=True)


def plan_of(sound: Tensor, there: Tensor, cells: Tensor) -> Plan:
    """The plan that has the means of a sound `[b, c, t]` over the cells `[b, t]`.

    there: `[b, t]`, 0..1, the confidence in each token of the sound. A cell gets the mean confidence of its tokens, and
    the mean of those with a confidence above 0.
    """
    pool = cell_pool(cells).to(sound)
    heard = (there > 0).to(sound)
    share = torch.bmm(heard[:, None], pool)
    values = torch.bmm(sound * heard[:, None], pool) / share.clamp_min(1e-6)
    return Plan(values * (share > 0), pool, torch.bmm(there[:, None].to(sound), pool)[:, 0])


def bars_back(bar: float, known: int, form: float = 0.0) -> float:
    """Number of bars between a window and the earlier music that is its plan.

    known: tokens before the window that may be used. bar: tokens a bar; 0 if it is not known. form: tokens after which
    the music comes again; 0 is `FORM` bars. The oldest music is taken, because it has the least of the errors that
    build up as the model continues itself.
    """
    if bar <= 0:
        return SHORT_FORM
    form = form or FORM * bar
    return int(known / form) * form / bar or SHORT_FORM


def cells_of(place: Tensor, bar: Tensor, tokens: int) -> Tensor:
    """Number of the cell `[b, tokens]` in which the middle of each token lies, counted from the beginning of a bar.

    place: `[b]`, tokens from that beginning to the first token; bar: `[b]` tokens a bar, above 0.
    """
    middle = place[:, None].double() + torch.arange(tokens, device=place.device) + 0.5
    return (middle / (bar[:, None].double() / CELLS)).floor().long()


def cell_means(bands: Tensor, bar: float, place: float) -> Tensor:
    """Means of bands `[n, c]` over the whole cells in them, `[cells, c]`; the first cell begins at or after token 0.

    bar: tokens a bar; place: tokens from the beginning of a bar to token 0. Cells need not begin where a token does.
    """
    size = bar / CELLS
    start = -place % size
    if start > size - 1e-6:
        start = 0.0
    count = max(0, int((len(bands) - start) // size + 1e-9))
    total = torch.cat([bands.new_zeros(1, bands.shape[1]), bands.cumsum(0)])
    edges = start + size * torch.arange(count + 1, dtype=torch.float64, device=bands.device)
    below = edges.floor().long().clamp(0, len(bands))
    share = (edges - below).to(bands.dtype)[:, None]
    at = total[below] * (1 - share) + total[(below + 1).clamp(max=len(bands))] * share
    return at.diff(dim=0) / size


def moved(v: Tensor, clean: Tensor, plan: Plan, gain: Tensor | float = 1.0) -> Tensor:
    """Return v `[b, c, t]` with the cell means of the clean estimate moved towards the plan, scaled by its confidence.

    clean: `alpha x - beta v`. Its means move by beta times their distance to the plan: pure noise takes the plan's
    means, and a clean window stays as it is. gain: `[b, c, 1]`. With beta squared instead, the last steps left the plan
    again: 12 held-out pieces had .845 of their truth's polyphony, not .877.
    """
    wrong = plan.values.float() - torch.bmm(clean.float(), plan.pool.float())
    return v - gain * plan.known.float()[:, None] * wrong


class PlanInputs(nn.Module):
    """Layers of a joint denoiser that take a plan, in addition to `moved`. Untrained, they change nothing.

    Only these weights are trained for plans. So the network without a plan plays as before.
    """

    def __init__(self, width: int, patch: int, bands: int, images: int) -> None:
        """width: of the transformer; images: channels of `EchoLines`."""
        super().__init__()
        self.patch = patch
        self.into = nn.Linear(patch * (bands + 1), width, bias=False)
        self.gain = nn.Linear(SIGMA_FEATURES, bands)
        self.lines = nn.Conv2d(2, images, (3, 9), padding=(1, 4), bias=False)
        nn.init.zeros_(self.into.weight)
        nn.init.zeros_(self.lines.weight)
        nn.init.zeros_(self.gain.weight)
        nn.init.ones_(cast(Tensor, self.gain.bias))

    def patches(self, plan: Plan) -> Tensor:
        """The addition to the patches of the window, `[b, window patches, width]`."""
        known = plan.known[:, None]
        both = torch.cat([2 * plan.values * known, known], 1).transpose(1, 2)
        b, t, c = both.shape
        rows = both.reshape(b, t // self.patch, self.patch * c)
        return cast(Tensor, self.into(rows.to(self.into.weight.dtype)))

    def gains(self, features: Tensor) -> Tensor:
        """The gain of `moved`, `[b, c, 1]`, from the features of sigma."""
        return cast(Tensor, self.gain(features).float()[:, :, None])

    def image(self, clean: Tensor, plan: Plan) -> Tensor:
        """The addition to the images of `EchoLines`, `[b, images, c, t]`."""
        known = plan.known[:, None].to(clean)
        differs = (plan.values.to(clean) - clean) * known
        return cast(Tensor, self.lines(2 * torch.stack([differs, known.expand_as(clean)], 1)))
