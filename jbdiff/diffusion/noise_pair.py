"""Two seeds that run in parallel, and a morph between their noises."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from jbdiff.diffusion.noise import NoiseIdentity, NoiseRegister, NoiseSettings, draw


def morphed(one: Tensor, other: Tensor, morph: float) -> Tensor:
    """Return noise between two independent noises `[...]` of one shape, by slerp: 0 is `one`, 1 is `other`.

    Independent noises are at right angles, so the weights are cosine and sine within a quarter turn. Their squares add
    up to 1, so the variance is 1 at every value of the morph.
    """
    if morph == 0.0:
        return one
    if morph == 1.0:
        return other
    angle = morph * math.pi / 2
    return math.cos(angle) * one + math.sin(angle) * other


def draw_morphed(
    shape: tuple[int, ...], settings: NoiseSettings, stream: str, epoch: int, index: int
) -> Tensor:
    """Return noise `[*shape]` as `draw` does, morphed between the two seeds of the settings."""
    one = draw(shape, settings.seed, stream, epoch, index)
    if not settings.morphs:
        return one
    return morphed(one, draw(shape, settings.seed_b, stream, epoch, index), settings.morph)


@dataclass(frozen=True)
class NoisePair:
    """The registers of seed A and seed B in one stream, with the `next` of a `NoiseRegister`.

    Both move with every block, whatever the morph is. So the morph can change to any value at any time, and at 1 the
    noise is exactly that of seed B alone.
    """

    a: NoiseRegister
    b: NoiseRegister

    @classmethod
    def fresh(cls, stream: str, channels: int, tokens: int) -> NoisePair:
        """Return the pair for the beginning of a stream."""
        register = NoiseRegister(stream, channels, tokens)
        return cls(register, register)

    def next(self, settings: NoiseSettings) -> tuple[Tensor, NoiseIdentity, NoisePair]:
        """Noise `[1, channels, tokens]` of the next block, its identity, and the pair after it.

        Raises ValueError if a setting is outside its range.
        """
        if not 0.0 <= settings.morph <= 1.0:
            raise ValueError(f"seed morph {settings.morph} is outside 0..1")
        noise, identity, a = self.a.next(settings)
        other, _, b = self.b.next(replace(settings, seed=settings.seed_b))
        if settings.morphs:
            noise = morphed(noise, other, settings.morph)
            identity = replace(identity, seed_b=settings.seed_b, morph=settings.morph)
        return noise, identity, NoisePair(a, b)
