"""How far the noise is from home, block by block, by the noise's own rule. Pure: blocks come in, numbers go out.

A step moves noise to sqrt(1 - s^2) of itself plus s of new noise (`jbdiff.diffusion.noise.step_from`). So the part of
the home noise that is left, the likeness, is multiplied by sqrt(1 - s^2). Noises are long and their parts at right
angles, so the likeness gives the distance: sqrt(1 - likeness), which is 0 at home and 1 if nothing of home is left.
Tested against the noise itself (`tests/ui/test_noise_path.py`). What the rule does not tell is unknown: a slot of the
register may hold anything.

Home is where the epoch began: the seed's first noise, or the noise of the last re-roll. No thread, nothing blocks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from jbdiff_live.block import Block, NoiseDrawn

KEPT = 4096  # places that are remembered, for the time machine: ten minutes of the shortest blocks


@dataclass(frozen=True)
class NoisePlace:
    """Where a block's noise is. distance: 0 to 1; None if it is not known. epoch: 0 is the seed's own home."""

    start_frame: int
    distance: float | None
    epoch: int = 0
    jumped: bool = False
    slot: int | None = None


@dataclass(frozen=True)
class _Likeness:
    """The part of home that is left in the noises of both seeds, and the knobs by which a change is seen."""

    a: float | None
    b: float | None
    seed_b: float
    presses: tuple[int, int]  # re-rolls and homes, which move both seeds
    steps: int  # presses of Step


class NoiseWalk:
    """Follows the blocks. `feed` the newest; `places` are those of the last blocks, oldest first."""

    def __init__(self, length: int) -> None:
        self.places: deque[NoisePlace] = deque(maxlen=length)
        self._known: dict[tuple[str, int], _Likeness] = {}
        self._last: Block | None = None

    def feed(self, blocks: Sequence[Block]) -> bool:
        """Take in the blocks that are newer than the last one. Return True if there were any."""
        if not blocks or blocks[-1] is self._last:
            return False
        seen = next((i for i in range(len(blocks) - 1, -1, -1) if blocks[i] is self._last), None)
        if seen is None:  # the session began, or began again
            self.places.clear()
            self._known.clear()
        for block in blocks[0 if seen is None else seen + 1 :]:
            self._take(block)
        self._last = blocks[-1]
        return True

    def _take(self, block: Block) -> None:
        noise = block.noise
        if not isinstance(noise, NoiseDrawn):  # older sound once more: it has no noise
            self.places.append(NoisePlace(block.start_frame, None))
            return
        key = noise.stream, noise.index
        known = self._known.get(key) if block.again is not None else None
        likeness = self._known[key] = known or self._next(noise, block)
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        left = _mixed(likeness, noise)
        distance = None if left is None else math.sqrt(max(0.0, 1.0 - left))
        self.places.append(NoisePlace(block.start_frame, distance, noise.epoch, noise.jumped, noise.slot))

    def _next(self, noise: NoiseDrawn, block: Block) -> _Likeness:
        counts, seed_b = block.snapshot.counts, block.snapshot["seed_b"]
        presses = counts.get("reroll", 0), counts.get("home", 0)
        steps = counts.get("advance", 0)
        before = self._known.get((noise.stream, noise.index - 1))
        stepped = before is not None and steps != before.steps
        a = 1.0 if noise.jumped else _moved(noise, None if before is None else before.a, stepped)
        first = noise.index == 0 and noise.jumped
        jumps_b = first or (before is not None and (seed_b, presses) != (before.seed_b, before.presses))
        b = 1.0 if jumps_b else _moved(noise, None if before is None else before.b, stepped)
        return _Likeness(a, b, seed_b, presses, steps)


def _moved(noise: NoiseDrawn, before: float | None, stepped: bool) -> float | None:
    """Return the likeness to home after a block's move. before: that of the block before."""
    if noise.held:
        return before
    kept = math.sqrt(1.0 - noise.step**2)
    if noise.style == "random":
        return 0.0
    if noise.style == "region":
        return kept
    if noise.style == "walk" or (noise.style == "constant" and stepped):
        return None if before is None else before * kept
    return 1.0 if noise.style == "constant" else None


def _mixed(likeness: _Likeness, noise: NoiseDrawn) -> float | None:
    """Return the likeness of the morph of both seeds to the morph of their homes."""
    if noise.seed_b is None:
        return likeness.a
    angle = noise.morph * math.pi / 2
    parts = (math.cos(angle) ** 2, likeness.a), (math.sin(angle) ** 2, likeness.b)
    if any(left is None for weight, left in parts if weight > 1e-9):
        return None
    return sum(weight * left for weight, left in parts if left is not None)
