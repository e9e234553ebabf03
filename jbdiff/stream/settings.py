"""Settings of one block of a stream, read from the knobs. Frozen values without tensors."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from jbdiff.diffusion.noise import NoiseSettings, NoiseStyle


class Handover(enum.Enum):
    """How a finer level starts from the encoded audio of the level above it, called e here.

    The start is cos * e + sin * n at the noise level that the strength leaves; the three differ in n.
    """

    RESIDUAL = "residual"  # n = e, as v1 was trained: the lossy sound itself is what to remove
    INIT = "init"  # n = Gaussian noise tied to absolute time
    PRIMED = "primed"  # n = sqrt(1 - p^2) * e + p * noise: p = 0 is RESIDUAL, p = 1 is INIT


@dataclass(frozen=True)
class LevelSettings:
    """One level. None takes the stack's default; strength, handover and priming belong to finer levels.

    A finer level of 0 steps passes on the sound of the level above, encoded and decoded by its own codec level.
    """

    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None  # 0..1: how much of the level above is kept
    handover: Handover = Handover.RESIDUAL
    priming: float = 0.5  # 0..1: p of PRIMED
    update_context: bool = True  # False: go on from the same context block after block


@dataclass(frozen=True)
class FinisherSettings:
    """The finisher. If it is off, the mono sound passes it with the same latency, and its state moves on."""

    on: bool = True
    steps: int | None = None  # None: as many as v1 takes at the stack's default strength
    strength: float | None = None  # 0..1: how much of the mono sound is kept
    seed: int = 0
    noise_style: NoiseStyle = NoiseStyle.CONSTANT
    noise_step: float = 0.4  # 0..1

    def noise(self) -> NoiseSettings:
        """The finisher's noise settings."""
        return NoiseSettings(self.seed, self.noise_style, self.noise_step)

    def strength_or(self, usual: float) -> float:
        """`strength`, or `usual`, the stack's, if it is None. Raises ValueError outside of 0..1."""
        strength = usual if self.strength is None else self.strength
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"finisher strength {strength} is outside 0..1")
        return strength


@dataclass(frozen=True)
class BlockSettings:
    """Everything one block reads from the knobs.

    `guidance` and `steps` are the coarsest level's, unless `levels` names them for it. `anchor`, `tempo`, `brightness`
    and `motion` are for stacks with an anchor (`networks/anchor.py`), `memory` and `theme` for those with
    echoes (`networks/echoes.py`). Other stacks ignore them.
    """

    seed: int = 0
    noise_style: NoiseStyle = NoiseStyle.WALK
    noise_step: float = 0.3  # 0..1
    hold: bool = False
    reroll: int = 0  # counter: a change jumps to new noise
    home: int = 0  # counter: a change returns to the home noise
    advance: int = 0  # counter: a change moves the noise once, also while it is held
    noise_length: int = 8  # 1..32: slots of the style REGISTER
    noise_mutation: float = 0.0  # 0..1: the chance that a slot gets new noise when its turn comes
    write: int = 0  # counter: a change puts the last block's noise into a slot
    erase: int = 0  # counter: a change puts new noise into a slot
    seed_b: int = 0  # the other seed
    seed_morph: float = 0.0  # 0..1: from `seed` to `seed_b`
    resample: float = 0.0  # 0..1: 0 is all from noise, 1 leaves the init as it is
    direct: bool = False  # the init's own sound goes to the finisher, in place of what the levels made
    guidance: float = 1.5
    steps: int | None = None  # None: the stack's default
    anchor: float = 1.0  # 0..1: how firmly the style that the stream began with holds; 0 is not at all
    tempo: float | None = None  # beats a minute; 0 is no clock, None that of the context
    beat: float | None = (
        None  # place in the bar, 0..4, that an outer clock has at the block's first token; None: none
    )
    brightness: float = 0.0  # -1..1, from the style's own
    motion: float = 0.0  # -1..1, likewise
    memory: float = 0.7  # 0..1: the share of windows that get each echo; 1 repeats, 0 invents
    theme: float = 0.5  # 0..1: the share of groups of bars whose longest echo is what the stream began with
    levels: Mapping[int, LevelSettings] = field(default_factory=dict)
    finisher: FinisherSettings = field(default_factory=FinisherSettings)

    def noise(self) -> NoiseSettings:
        """The noise settings of the coarsest level; finer levels use the same."""
        return NoiseSettings(
            self.seed,
            self.noise_style,
            self.noise_step,
            self.hold,
            self.reroll,
            self.home,
            self.advance,
            self.noise_length,
            self.noise_mutation,
            self.write,
            self.erase,
            self.seed_b,
            self.seed_morph,
        )

    def level(self, number: int) -> LevelSettings:
        """Settings of a level; defaults if `levels` has none for it."""
        return self.levels.get(number, LevelSettings())


class StepKnobs(Protocol):
    """Knobs that are read while a block is being made. Their values replace those of `BlockSettings`.

    The stream's thread calls each function once for each value that it uses. A caller that stores these values can
    make the block again.
    """

    def guidance(self, step: int) -> float:
        """Guidance scale of the coarsest level's `step`, counted from 0. It is read right before the model call."""
        ...

    def finisher_strength(self) -> float:
        """Strength, 0..1. It is read once, when the finisher starts: it sets the noise that all steps remove."""
        ...
