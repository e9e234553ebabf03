"""The way between two sets of values: knobs turn, switches change half-way, seeds go by slerp. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from jbdiff_live.parameters import BY_NAME, MORPH_CURVES
from jbdiff_live.scenes.seeds import SEED_NAMES, Seeds, SeedWay

HALF = 0.5
SMOOTH = MORPH_CURVES.index("smooth")
# Numbers that name something: a number between two of them lies nowhere between what they name.
NAMES_SOMETHING = frozenset({"finisher_seed"})


def shaped(share: float, curve: int) -> float:
    """Return the share of the way at `share` of the time. curve: the place in `MORPH_CURVES`."""
    share = min(1.0, max(0.0, share))
    return share * share * (3.0 - 2.0 * share) if curve == SMOOTH else share


def changes_half_way(name: str) -> bool:
    """Return True for a switch, a list, or a number that names something."""
    parameter = BY_NAME[name]
    return parameter.toggle or bool(parameter.choices) or name in NAMES_SOMETHING


class Blend:
    """The way from `start` to `target`, for the parameters that both have."""

    def __init__(self, start: Mapping[str, float], target: Mapping[str, float]) -> None:
        self.names = frozenset(start) & frozenset(target)
        self._start, self._target = start, target
        self._seeds: SeedWay | None = None
        if self.names.issuperset(SEED_NAMES):
            self._seeds = SeedWay(*(Seeds(*(side[name] for name in SEED_NAMES)) for side in (start, target)))

    def at(self, share: float) -> dict[str, float]:
        """Return the values at `share` of the way, 0 to 1."""
        values = {name: self._one(name, share) for name in self.names if not self._is_seed(name)}
        if self._seeds is not None:
            seeds = self._seeds.at(share)
            values |= dict(zip(SEED_NAMES, (seeds.a, seeds.b, seeds.morph), strict=True))
        return values

    def _is_seed(self, name: str) -> bool:
        return self._seeds is not None and name in SEED_NAMES

    def _one(self, name: str, share: float) -> float:
        start, target = self._start[name], self._target[name]
        if share <= 0.0 or start == target:
            return start
        if share >= 1.0:
            return target
        if changes_half_way(name) or name in ("seed", "seed_b"):
            return target if share >= HALF else start
        parameter = BY_NAME[name]
        here, there = parameter.to_normal(start), parameter.to_normal(target)
        return parameter.from_normal(here + share * (there - here))
