"""How far a set of sounds is from another one: the Fréchet distance of two Gaussians over features.

    d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))        Dowson & Landau 1982; Heusel et al. 2017 use its square

An estimate from few windows is too large, by an amount that depends on their number and on how many tracks they come
from: here that is most of the floor. So only estimates made alike are compared. Tracks are divided into thirds. The
space of features is fitted to the third one, and seen by neither of the others; the floor is the distance of the first
to the second; and what is judged is the distance to the same second third of what was made from the contexts of the
first, window for window. All orders of many random thirds are averaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MOST_AXES = 6
WINDOWS_PER_AXIS = 5  # so many windows, at least, for each axis of a covariance
LEAST_SHARE = 0.05  # an axis of less than this share of the largest variance is not blown up to the same size
LEAST_DEVIATION = 0.02  # of a feature, as a share of the median deviation
LEAST_TRACKS = 6
LEAST_OUTSIDE = (
    0.25  # deviation of the log of how far outside the axes windows lie; few windows agree by chance
)


@dataclass(frozen=True)
class Space:
    """Principal axes of scaled features, whitened, and last how far a window lies outside of them.

    The last coordinate is what sees sounds unlike any that the axes were made from.
    """

    mean: Tensor  # [features]
    deviation: Tensor  # [features]
    axes: Tensor  # [features, axes]
    spread: Tensor  # [axes]
    outside: tuple[float, float]  # mean and deviation of the log of the distance

    def __call__(self, features: Tensor) -> Tensor:
        """`[w, features]` to `[w, axes + 1]`."""
        scaled = (features.double() - self.mean) / self.deviation
        inside = scaled @ self.axes
        rest = (scaled - inside @ self.axes.T).square().mean(1).sqrt().clamp_min(1e-6).log()
        mean, deviation = self.outside
        return torch.cat([inside / self.spread, ((rest - mean) / deviation)[:, None]], 1)


def fit_space(features: Tensor, kinds: Sequence[int]) -> Space:
    """The space of features `[w, features]`, of which so many of each kind follow one another; kinds weigh the same.

    Raises ValueError with fewer windows than two axes need.
    """
    axes = min(MOST_AXES, len(features) // WINDOWS_PER_AXIS)
    if axes < 2:
        needed = 2 * WINDOWS_PER_AXIS
        raise ValueError(
            f"{len(features)} windows are too few for a distance; {needed} are needed at least, from a third of the "
            "tracks: give more tracks, or longer continuations"
        )
    values = features.double()
    mean, deviation = values.mean(0), values.std(0)
    deviation = deviation.clamp_min(max(1e-9, LEAST_DEVIATION * float(deviation.median())))
    deviation = deviation * torch.tensor([size for size in kinds for _ in range(size)]).double().sqrt()
    scaled = (values - mean) / deviation
    variances, directions = torch.linalg.eigh(scaled.T @ scaled / (len(scaled) - 1))
    order = variances.argsort(descending=True)[:axes]
    directions, variances = directions[:, order], variances[order]
    spread = variances.clamp_min(max(1e-9, LEAST_SHARE * float(variances[0]))).sqrt()
    rest = (scaled - scaled @ directions @ directions.T).square().mean(1).sqrt().clamp_min(1e-6).log()
    return Space(
        mean, deviation, directions, spread, (float(rest.mean()), max(LEAST_OUTSIDE, float(rest.std())))
    )


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """The square of the distance between the Gaussians of two sets of points `[n, d]`; 0 for the same set."""
    (m1, s1), (m2, s2) = ((x.mean(0), torch.cov(x.T)) for x in (one.double(), other.double()))
    variances, directions = torch.linalg.eigh(s1)
    root = directions * variances.clamp_min(0).sqrt() @ directions.T
    shared = torch.linalg.eigvalsh(root @ s2 @ root).clamp_min(0).sqrt().sum()
    return max(0.0, float((m1 - m2).square().sum() + s1.trace() + s2.trace() - 2 * shared))


@dataclass(frozen=True)
class Distances:
    """Means over random thirds, and how far they spread."""

    floor: float
    floor_spread: float
    of: dict[str, float]
    spread: dict[str, float]

    def ratio(self, name: str) -> float:
        return self.of[name] / max(self.floor, 1e-12)


def distances(
    original: Sequence[Tensor],
    made: Mapping[str, Sequence[Tensor]],
    kinds: Sequence[int],
    splits: int,
    seed: int = 0,
) -> Distances:
    """Distances of `made` sounds to the originals, beside the originals' own.

    Each sequence has the features `[windows, features]` of one track an entry, and entry n of what was made belongs
    to track n: as many windows, made without hearing any other track. Raises ValueError with fewer than six tracks.
    """
    if len(original) < LEAST_TRACKS:
        raise ValueError(f"{len(original)} tracks are too few to divide; give {LEAST_TRACKS} or more")
    for name, parts in made.items():
        if [len(part) for part in parts] != [len(part) for part in original]:
            raise ValueError(f"{name!r} has other numbers of windows than the originals")
    rng, third = np.random.default_rng(seed), len(original) // 3
    found: dict[str, list[float]] = {name: [] for name in ("", *made)}
    for _ in range(splits):
        order = rng.permutation(len(original)).tolist()
        thirds = [order[i * third : (i + 1) * third] for i in range(3)]
        for first, second, last in itertools.permutations(thirds):
            space = fit_space(torch.cat([original[i] for i in last]), kinds)
            points = space(torch.cat([original[i] for i in second]))
            for name, parts in {"": original, **made}.items():
                found[name].append(frechet_distance(space(torch.cat([parts[i] for i in first])), points))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    spreads = {name: float(np.std(values)) for name, values in found.items()}
    return Distances(means.pop(""), spreads.pop(""), means, spreads)
