"""The loop of the register style: slots of noise that are played in turn, as in the Turing machine of modular players.

A slot holds the noise that seed and slot number give, until a mutation, *write* or *erase* puts other noise into it.
Only those slots are stored. Whether a slot mutates is a function of (seed, epoch, block index), so that the same knobs
play the same loop again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

LONGEST = 32  # slots


def mutates(seed: int, epoch: int, index: int, mutation: float) -> bool:
    """Whether the slot of a block gets new noise. `mutation` is the chance: 0 never, 1 always.

    The stream is no part of the key: all hops of a window, and all levels, change together.
    """
    digest = hashlib.blake2b(f"{seed}/mutation/{epoch}/{index}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") < mutation * 2**32


@dataclass(frozen=True)
class NoiseLoop:
    """The slots of one stream. Immutable: every change gives a new loop.

    Slots at and above the length are not played. They keep their noise until the length grows again.
    """

    place: int = 0  # the slot of the last block
    slots: Mapping[int, Tensor] = field(default_factory=dict)  # by number; only those that were changed

    def moved_on(self, length: int) -> NoiseLoop:
        """Move to the next of `length` slots; after the last one comes the first."""
        after = self.place + 1
        return replace(self, place=after if after < length else 0)

    def holding(self, noise: Tensor) -> NoiseLoop:
        """Put `noise` `[1, channels, tokens]` into the present slot."""
        return replace(self, slots={**self.slots, self.place: noise})

    def noise(self, untouched: Callable[[int], Tensor]) -> Tensor:
        """Return the noise `[1, channels, tokens]` of the present slot.

        `untouched(slot)` draws that of an unchanged slot.
        """
        found = self.slots.get(self.place)
        return untouched(self.place) if found is None else found
