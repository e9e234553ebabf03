"""The way from one pair of seeds to another, without a jump of the noise.

The noise has two registers: *Seed* and *Seed B*. *Morph* mixes them by slerp (docs/noise.md). A register that is given
another seed begins again at that seed's home noise, which is inaudible only while Morph is at its other end. So the way
is a row of legs, and between two legs the silent register gets its next seed.
"""

from __future__ import annotations

from dataclasses import dataclass

SEED_NAMES = ("seed", "seed_b", "seed_morph")


@dataclass(frozen=True)
class Seeds:
    """The values of Seed, Seed B and Morph."""

    a: float
    b: float
    morph: float

    @property
    def end(self) -> int | None:
        """0 if Seed sounds alone, 1 if Seed B does, None between."""
        return int(self.morph) if self.morph in (0.0, 1.0) else None

    def at(self, end: int) -> float:
        """Return the seed at this end of Morph."""
        return self.b if end else self.a

    def with_seed(self, end: int, seed: float) -> Seeds:
        """Return the values with another seed at this end of Morph."""
        return Seeds(self.a, seed, self.morph) if end else Seeds(seed, self.b, self.morph)

    def moved(self, morph: float) -> Seeds:
        """Return the values with Morph at another place."""
        return Seeds(self.a, self.b, morph)

    @property
    def mirrored(self) -> Seeds:
        """The same noise, with the seeds exchanged."""
        return Seeds(self.b, self.a, 1.0 - self.morph)


@dataclass(frozen=True)
class Leg:
    """A stretch on which only Morph moves, from `start` to the place `to`."""

    start: Seeds
    to: float

    @property
    def length(self) -> float:
        return abs(self.to - self.start.morph)


def legs(start: Seeds, target: Seeds) -> tuple[Leg, ...]:
    """Return the way from `start` to noise equal to that of `target`. Empty if it sounds already."""
    found: list[Leg] = []
    here = start

    def go(place: float) -> None:
        nonlocal here
        if place != here.morph:
            found.append(Leg(here, place))
        here = here.moved(place)

    if (here.a, here.b) == (target.a, target.b):
        go(target.morph)
        return tuple(found)
    if (here.b, here.a) == (target.a, target.b):
        go(target.mirrored.morph)
        return tuple(found)
    wanted = target.at(target.end) if target.end is not None else None
    pair = {target.a, target.b} if wanted is None else {wanted}
    if here.end is None or (
        wanted is not None and here.at(here.end) != wanted and wanted in (here.a, here.b)
    ):
        nearest = int(here.morph >= 0.5)
        go(float(next((end for end in (nearest, 1 - nearest) if here.at(end) in pair), nearest)))
    end = int(here.morph)
    if here.at(end) not in pair:
        goal = target.at(int(target.morph >= 0.5))
        here = here.with_seed(1 - end, goal)
        end = 1 - end
        go(float(end))
    if wanted is None:  # the target lies between two seeds, and one of them sounds now
        first = here.at(end) == target.a
        here = here.with_seed(1 - end, target.b if first else target.a)
        share = target.morph if first else 1.0 - target.morph
        go(1.0 - share if end else share)
    return tuple(found)


class SeedWay:
    """The way as values of the three knobs. Each leg takes a share of the time that is as large as its length."""

    def __init__(self, start: Seeds, target: Seeds) -> None:
        self._start = start
        self._legs = legs(start, target)
        last = self._legs[-1].start.moved(self._legs[-1].to) if self._legs else start
        # The silent register may take the target's seed at the end, if the sounding one stands at the same place.
        end = last.end
        same = end is not None and end == target.end and last.at(end) == target.at(end)
        self._last = target if same else last

    def at(self, share: float) -> Seeds:
        """Return the values at `share` of the way, 0 to 1."""
        if share <= 0.0:
            return self._start
        if share >= 1.0:
            return self._last
        left = share * sum(leg.length for leg in self._legs)
        for leg in self._legs:
            if left < leg.length:
                way = 1.0 if leg.to > leg.start.morph else -1.0
                return leg.start.moved(leg.start.morph + way * left)
            left -= leg.length
        return self._last
