"""The noise styles: all five for live blocks, and four of them as v1 draws them from one running generator.

Live noise is a pure function of (seed, stream, epoch, block index), and is always drawn on the CPU in float32. So a
block's noise depends neither on earlier draws nor on the device. Mixing keeps the variance at 1 for every step size s,
because the weights are sqrt(1 - s^2) and s.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from jbdiff.config import NoiseStyle
from jbdiff.diffusion.noise_loop import LONGEST, NoiseLoop, mutates

__all__ = [
    "NoiseIdentity",
    "NoiseRegister",
    "NoiseSettings",
    "NoiseStyle",
    "draw",
    "step_from",
    "v1_base_noise",
    "v1_noises",
]


def step_from(origin: Tensor, fresh: Tensor, step: float | Tensor) -> Tensor:
    """Return `origin` `[...]` moved towards `fresh` `[...]` by `step`: 0 is `origin`, 1 is `fresh`.

    Shape and variance stay the same. step: a number, or a tensor that broadcasts.
    """
    kept = (1 - step**2).sqrt() if isinstance(step, Tensor) else math.sqrt(1 - step**2)
    return origin * kept + step * fresh


def v1_noises(count: int, shape: tuple[int, ...], seed: int, style: NoiseStyle, step: float) -> list[Tensor]:
    """Return `count` noises `[*shape]`, drawn one after another as in the first implementation.

    One CPU generator draws all of them, so each noise depends on all draws before it. Bit-exact with v1's
    finisher noise (one noise per window) and, through `v1_base_noise`, with its level-2 noise. Raises ValueError for
    the style that v1 does not have.
    """
    if style is NoiseStyle.REGISTER:
        raise ValueError("v1 has no noise style 'register'; choose random, constant, region or walk")
    generator = torch.Generator().manual_seed(seed)
    home = torch.randn(shape, generator=generator)
    noises = [home]
    while len(noises) < count:
        if style is NoiseStyle.CONSTANT:
            noises.append(home)
            continue
        fresh = torch.randn(shape, generator=generator)
        if style is NoiseStyle.REGION:
            fresh = step_from(home, fresh, step)
        elif style is NoiseStyle.WALK:
            fresh = step_from(noises[-1], fresh, step)
        noises.append(fresh)
    return noises


def v1_base_noise(
    windows: int, tokens: int, seed: int, style: NoiseStyle, step: float = 0.05, channels: int = 64
) -> Tensor:
    """Level-2 noise of a whole v1 run, `[1, channels, windows * tokens]`.

    RANDOM is one long draw, so its beginning depends on `windows`. The beginning of the other styles does not.
    """
    if style is NoiseStyle.RANDOM:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(1, channels, windows * tokens, generator=generator)
    return torch.cat(v1_noises(windows, (1, channels, tokens), seed, style, step), dim=2)


def draw(shape: tuple[int, ...], seed: int, stream: str, epoch: int, index: int) -> Tensor:
    """Return standard normal noise `[*shape]` for one key; the same key always gives the same noise.

    The key is hashed because neighbouring seeds of the CPU generator must not give related noise, and
    because it keeps only 32 bits of its seed. index -1 is the home noise of an epoch.
    """
    key = f"{seed}/{stream}/{epoch}/{index}".encode()
    digest = int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "little")
    return torch.randn(shape, generator=torch.Generator().manual_seed(digest), dtype=torch.float32)


def draw_uniform(shape: tuple[int, ...], seed: int, stream: str, epoch: int, index: int) -> Tensor:
    """Return numbers `[*shape]` in 0..1, all equally likely, for one key of `draw`."""
    return 0.5 * (1 + torch.erf(draw(shape, seed, stream, epoch, index) / 2**0.5))


@dataclass(frozen=True)
class NoiseSettings:
    """Values of the player's noise knobs for one block."""

    seed: int = 0
    style: NoiseStyle = NoiseStyle.WALK
    step: float = 0.3  # 0..1
    hold: bool = False
    reroll: int = 0  # a counter: a change jumps to new noise
    home: int = 0  # a counter: a change returns to the seed's home noise
    advance: int = 0  # a counter: a change moves the noise once, also while it is held
    length: int = 8  # 1..32: slots of the register
    mutation: float = 0.0  # 0..1: the chance that a slot of the register gets new noise when its turn comes
    write: int = 0  # a counter: a change puts the last block's noise into the slot of this block
    erase: int = 0  # a counter: a change puts new noise into the slot of this block
    seed_b: int = 0  # the other seed
    morph: float = 0.0  # 0..1: from `seed` to `seed_b`

    @property
    def morphs(self) -> bool:
        """Whether `seed_b` has a part in the noise."""
        return self.morph > 0.0 and self.seed_b != self.seed

    @property
    def nearest_seed(self) -> int:
        """The seed that has the greater part, for choices that cannot lie between two."""
        return self.seed_b if self.morph >= 0.5 else self.seed

    def check(self) -> None:
        """Raise ValueError if a setting of one register is outside its range."""
        if not 0.0 <= self.step <= 1.0:
            raise ValueError(f"noise step {self.step} is outside 0..1")
        if not 0.0 <= self.mutation <= 1.0:
            raise ValueError(f"noise mutation {self.mutation} is outside 0..1")
        if not 1 <= self.length <= LONGEST:
            raise ValueError(f"noise length {self.length} is outside 1..{LONGEST}")


@dataclass(frozen=True)
class NoiseIdentity:
    """Identity of the noise that a block was made from, for the log."""

    stream: str
    seed: int
    style: NoiseStyle
    step: float
    epoch: int  # 0 is the seed's own home; each re-roll opens a new one
    index: int  # block index in the stream
    held: bool
    jumped: bool  # this block plays the home noise of its epoch
    seed_b: int | None = None  # the other seed, if it has a part
    morph: float = 0.0  # its part
    slot: int | None = None  # the slot of the loop, from 0, in style REGISTER


@dataclass(frozen=True)
class NoiseRegister:
    """The noise of one stream, block after block. Immutable: `next` gives the noise and its successor.

    The first block, and every block after a new seed, a re-roll or a home press, plays the home noise
    of its epoch as it is, in every style. A press wins over hold; hold then repeats the new noise. In style REGISTER
    the same presses begin another loop; in the other styles the loop keeps what was written into it.

        noise, identity, register = register.next(settings)
    """

    stream: str
    channels: int
    tokens: int
    index: int = 0
    seed: int = 0
    epoch: int = 0
    rolls: int = 0  # re-rolls since the seed was set: a new epoch each, also after a return home
    reroll_seen: int = 0
    home_seen: int = 0
    current: Tensor | None = None  # [1, channels, tokens] of the previous block
    loop: NoiseLoop = field(default_factory=NoiseLoop)
    advance_seen: int = 0
    write_seen: int = 0
    erase_seen: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the noise of one block: `[1, channels, length]`."""
        return 1, self.channels, self.tokens

    def next(self, settings: NoiseSettings) -> tuple[Tensor, NoiseIdentity, NoiseRegister]:
        """Noise `[1, channels, tokens]` of the next block, its identity, and the register after it."""
        settings.check()
        epoch, rolls, jumped = self._epoch(settings)
        moves = not jumped and (not settings.hold or settings.advance != self.advance_seen)
        loop = self._loop(settings, epoch, jumped, moves)
        if jumped or self.current is None:
            noise = draw(self.shape, settings.seed, self.stream, epoch, -1)
        elif not moves:
            noise = self.current
        elif settings.style is NoiseStyle.REGISTER:
            noise = loop.noise(lambda slot: self._slot(settings.seed, epoch, slot))
        else:
            noise = self._moved(settings, self.current, epoch)
        identity = NoiseIdentity(
            stream=self.stream,
            seed=settings.seed,
            style=settings.style,
            step=settings.step,
            epoch=epoch,
            index=self.index,
            held=not moves and not jumped,
            jumped=jumped,
            slot=loop.place if settings.style is NoiseStyle.REGISTER else None,
        )
        after = replace(
            self,
            index=self.index + 1,
            seed=settings.seed,
            epoch=epoch,
            rolls=rolls,
            reroll_seen=settings.reroll,
            home_seen=settings.home,
            current=noise,
            loop=loop,
            advance_seen=settings.advance,
            write_seen=settings.write,
            erase_seen=settings.erase,
        )
        return noise, identity, after

    def _epoch(self, settings: NoiseSettings) -> tuple[int, int, bool]:
        """The epoch of the next block, the re-rolls since the seed was set, and whether the noise jumps."""
        if self.current is None or settings.seed != self.seed:
            return 0, 0, True
        epoch, rolls, jumped = self.epoch, self.rolls, False
        if settings.reroll != self.reroll_seen:
            rolls += 1
            epoch, jumped = rolls, True
        if settings.home != self.home_seen:
            epoch, jumped = 0, True
        return epoch, rolls, jumped

    def _loop(self, settings: NoiseSettings, epoch: int, jumped: bool, moves: bool) -> NoiseLoop:
        """The loop as it stands for the next block. It moves on when the noise moves, in every style."""
        plays = settings.style is NoiseStyle.REGISTER
        if self.current is None or (jumped and plays):
            return NoiseLoop()
        loop = self.loop.moved_on(settings.length) if moves else self.loop
        if settings.erase != self.erase_seen:
            return loop.holding(self._fresh(settings.seed, epoch))
        if settings.write != self.write_seen:
            return loop.holding(self.current)
        if plays and moves and mutates(settings.seed, epoch, self.index, settings.mutation):
            return loop.holding(self._fresh(settings.seed, epoch))
        return loop

    def _fresh(self, seed: int, epoch: int) -> Tensor:
        """New noise of the next block."""
        return draw(self.shape, seed, self.stream, epoch, self.index)

    def _slot(self, seed: int, epoch: int, slot: int) -> Tensor:
        """The noise of an unchanged slot. That of the first one is the home noise."""
        if slot == 0:
            return draw(self.shape, seed, self.stream, epoch, -1)
        return draw(self.shape, seed, f"{self.stream}.slot", epoch, slot)

    def _moved(self, settings: NoiseSettings, previous: Tensor, epoch: int) -> Tensor:
        fresh = self._fresh(settings.seed, epoch)
        if settings.style is NoiseStyle.RANDOM:
            return fresh
        stepped = settings.advance != self.advance_seen
        if settings.style is NoiseStyle.WALK or (stepped and settings.style is NoiseStyle.CONSTANT):
            return step_from(previous, fresh, settings.step)
        home = draw(self.shape, settings.seed, self.stream, epoch, -1)
        return home if settings.style is NoiseStyle.CONSTANT else step_from(home, fresh, settings.step)
