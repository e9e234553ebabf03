"""Whether one hears where blocks meet: jumps of the sound there, among the jumps everywhere else.

A jump is the root mean square of the sound's second difference over one token, around a place on the token grid. The
figure of a seam is its rank: the share of places inside blocks that jump less. Where seams do not show, ranks are
spread evenly and their mean is 0.5; where every seam shows, it is near 1. Ranks need no assumption about how large
jumps are, and places on the token grid share the decoder's own pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def jumps(sound: Tensor, places: Tensor, hop: int) -> Tensor:
    """Sound `[n]` to the size of the jump at each of `places` `[m]` (samples): `[m]`."""
    curve = torch.nn.functional.pad(sound.double().diff(n=2).square(), (1, 1))
    total = torch.nn.functional.pad(curve.cumsum(0), (1, 0))
    half = max(1, hop // 2)
    return ((total[places + half] - total[places - half]) / (2 * half)).sqrt()


def ranks(sound: Tensor, seams: Tensor, hop: int, start: int) -> Tensor:
    """The rank `[m]`, 0..1, of the jump at each seam among places `start + k * hop` that are no seam's neighbours.

    Ties count half.
    """
    inside = torch.arange(start, len(sound) - 2 * hop, hop)
    inside = inside[inside >= 2 * hop]
    distance = (inside[:, None] - seams[None]).abs().amin(1)
    inside = inside[distance > 2 * hop]
    at, among = jumps(sound, seams, hop), jumps(sound, inside, hop)
    below = (among[None] < at[:, None]).double().mean(1)
    return below + 0.5 * (among[None] == at[:, None]).double().mean(1)


def places(first: int, every: int, end: int, hop: int) -> Tensor:
    """`first`, `first + every`, ... that have sound on both sides."""
    found = torch.arange(first, end - 2 * hop, every)
    return found[found >= 2 * hop]


def spread_of_difference(own: Sequence[Tensor], without: Sequence[Tensor]) -> float:
    """Two standard errors of how far the mean of ranks lies from that of the same places in music without seams; a
    tensor a piece in both.

    Where bars are as long as blocks, all seams of a piece lie at the same place of the bar, and have one rank rather
    than many, which need not be near 0.5: a place between two beats jumps less than most. So the error comes from
    how far the pieces' differences differ.
    """
    spread = spread_of_mean(sum(len(rank) for rank in own))
    if len(own) < 2:
        return spread
    differences = torch.stack([one.mean() - other.mean() for one, other in zip(own, without, strict=True)])
    return max(spread, 2 * float(differences.std()) / math.sqrt(len(own)))


def spread_of_mean(count: int) -> float:
    """Two standard errors of the mean of so many ranks that are spread evenly over 0..1."""
    return 2 * math.sqrt(1 / 12 / max(1, count))
