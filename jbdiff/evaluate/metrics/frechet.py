"""The distance between two sets of sounds: the Fréchet distance of two Gaussians over features.

    d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))        Dowson & Landau 1982; Heusel et al. 2017 use its square

An estimate from few windows is too large. The error depends on the number of windows and of tracks, and is most of the
floor here. So only estimates that are made in the same way are compared. Tracks are divided into thirds:

- The space of features is fitted to the last third alone.
- The floor is the distance of the first third to the second.
- The judged figure is the distance to the same second third of the sounds that were made from the contexts of the
  first, window for window.

All orders of many random thirds are averaged.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MOST_AXES = 6
WINDOWS_PER_AXIS = 5  # least number of windows for each axis of a covariance
# Least variance for the scale of an axis, as a share of the largest; noise is not blown up.
LEAST_SHARE = 0.05
LEAST_DEVIATION = 0.02  # least deviation of a feature, as a share of the median deviation
LEAST_TRACKS = 6
# Deviation of the log of how far outside the axes windows lie; few windows agree by chance.
LEAST_OUTSIDE = 0.25


@dataclass(frozen=True)
class Space:
    """Whitened principal axes of scaled features, and one coordinate for the distance outside of the axes.

    The last coordinate grows for sounds that are unlike all the sounds to which the axes were fitted.
    """

    mean: Tensor  # [features]
    deviation: Tensor  # [features]
    axes: Tensor  # [features, axes]
    spread: Tensor  # [axes]
    outside: tuple[float, float]  # mean and deviation of the log of the distance

    def __call__(self, features: Tensor) -> Tensor:
        """Map features `[w, features]` to points of the space, `[w, axes + 1]`."""
        scaled = (features.double() - self.mean) / self.deviation
        inside = scaled @ self.axes
        rest = (scaled - inside @ self.axes.T).square().mean(1).sqrt().clamp_min(1e-6).log()
        mean, deviation = self.outside
        return torch.cat([inside / self.spread, ((rest - mean) / deviation)[:, None]], 1)


def fit_space(features: Tensor, kinds: Sequence[int]) -> Space:
    """Fit a space to features `[w, features]`.

    `kinds` holds the number of features of each kind, in their order; all kinds have the same weight. Raises ValueError
    if there are fewer windows than two axes need.
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
    """Return the squared distance between the Gaussians of two sets of points `[n, d]`; 0 for the same set."""
    (m1, s1), (m2, s2) = ((x.mean(0), torch.cov(x.T)) for x in (one.double(), other.double()))
    variances, directions = torch.linalg.eigh(s1)
    root = directions * variances.clamp_min(0).sqrt() @ directions.T
    shared = torch.linalg.eigvalsh(root @ s2 @ root).clamp_min(0).sqrt().sum()
    return max(0.0, float((m1 - m2).square().sum() + s1.trace() + s2.trace() - 2 * shared))


@dataclass(frozen=True)
class Distances:
    """Means over random thirds and their standard deviations: of the floor, and of each set of sounds by name."""

    floor: float
    floor_spread: float
    of: dict[str, float]
    spread: dict[str, float]

    def ratio(self, name: str) -> float:
        """Return the distance of one set of sounds in floors: 1 is the floor itself."""
        return self.of[name] / max(self.floor, 1e-12)


def distances(
    original: Sequence[Tensor],
    made: Mapping[str, Sequence[Tensor]],
    kinds: Sequence[int],
    splits: int,
    seed: int = 0,
) -> Distances:
    """Return the distances of `made` sounds to the originals, and the floor: the distance between originals.

    Each sequence has one entry per track, with its features `[windows, features]`. Entry n of `made` was generated
    after the context of track n and has as many windows as the original. Raises ValueError if there are fewer than six
    tracks, or if numbers of windows differ.
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
