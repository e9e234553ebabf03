"""Measures whether the borders of blocks are audible: compares jumps of the sound there with jumps everywhere else.

A jump is the root mean square of the sound's second difference over one token, around a place on the token grid. The
figure of a seam is its rank: the share of places inside blocks that jump less. If seams do not show, ranks are spread
evenly and their mean is 0.5. If every seam shows, the mean is near 1. Ranks need no assumption about the size of jumps.
All places lie on the token grid, so that all share the decoder's own pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def jumps(sound: Tensor, places: Tensor, hop: int) -> Tensor:
    """Return the size of the jump `[m]` of a sound `[n]` at each of `places` `[m]`. `places`, `hop`: samples."""
    curve = torch.nn.functional.pad(sound.double().diff(n=2).square(), (1, 1))
    total = torch.nn.functional.pad(curve.cumsum(0), (1, 0))
    half = max(1, hop // 2)
    return ((total[places + half] - total[places - half]) / (2 * half)).sqrt()


def ranks(sound: Tensor, seams: Tensor, hop: int, start: int) -> Tensor:
    """Return the rank `[m]`, 0..1, of the jump at each of `seams` `[m]` in a sound `[n]`.

    It is compared with the places `start + k * hop` that are not next to a seam. Ties count half. `seams`, `hop`,
    `start`: samples.
    """
    inside = torch.arange(start, len(sound) - 2 * hop, hop)
    inside = inside[inside >= 2 * hop]
    distance = (inside[:, None] - seams[None]).abs().amin(1)
    inside = inside[distance > 2 * hop]
    at, among = jumps(sound, seams, hop), jumps(sound, inside, hop)
    below = (among[None] < at[:, None]).double().mean(1)
    return below + 0.5 * (among[None] == at[:, None]).double().mean(1)


def places(first: int, every: int, end: int, hop: int) -> Tensor:
    """Return the places `[m]` in samples, `first`, `first + every`, ..., with two tokens of sound on both sides."""
    found = torch.arange(first, end - 2 * hop, every)
    return found[found >= 2 * hop]


def spread_of_difference(own: Sequence[Tensor], without: Sequence[Tensor]) -> float:
    """Return two standard errors of the difference between mean ranks at seams and those in music without seams.

    `own` and `without` hold the ranks `[m]` of one piece per entry. If bars are as long as blocks, all seams of a piece
    lie at the same place of the bar. Then a piece has one rank rather than many, and it need not be near 0.5: a place
    between two beats jumps less than most. So the error is computed from the spread of the differences between pieces.
    """
    spread = spread_of_mean(sum(len(rank) for rank in own))
    if len(own) < 2:
        return spread
    differences = torch.stack([one.mean() - other.mean() for one, other in zip(own, without, strict=True)])
    return max(spread, 2 * float(differences.std()) / math.sqrt(len(own)))


def spread_of_mean(count: int) -> float:
    """Return two standard errors of the mean of `count` ranks that are spread evenly over 0..1."""
    return 2 * math.sqrt(1 / 12 / max(1, count))
