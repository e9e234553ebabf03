"""Which stack plays, and with which of its parts. Frozen values for every thread; no torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LEVELS = (2, 1, 0)  # coarsest first: 2 invents, 1 and 0 clean


@dataclass(frozen=True)
class StackChoice:
    """What a patch, the command line or the window asks for.

    `stack` is a name or a folder. `levels` None plays all that the stack has; `finisher` plays the stack's
    finisher where it has one. ValueError names levels that cannot be, and the remedy.
    """

    stack: str = "pocket"
    levels: tuple[int, ...] | None = None
    finisher: bool = True

    def __post_init__(self) -> None:
        if not self.stack:
            raise ValueError('a stack without a name; write stack = "pocket", or a folder of checkpoints')
        if self.levels is not None:
            object.__setattr__(self, "levels", ordered_levels(self.levels))

    @property
    def text(self) -> str:
        """For a person: "v1", "v1 levels 2 1, no finisher"."""
        levels = "" if self.levels is None else f" levels {' '.join(map(str, self.levels))}"
        return f"{self.stack}{levels}{'' if self.finisher else ', no finisher'}"


@dataclass(frozen=True)
class StackParts:
    """What a stack has to choose from. A stack that cannot be read has no levels."""

    name: str
    levels: tuple[int, ...]
    finisher: bool


@dataclass(frozen=True)
class StackPlaying:
    """What makes a block: everything needed to make the same stream again."""

    stack: str
    levels: tuple[int, ...]
    finisher: bool
    identity: str  # of weights and sizes
    latency_frames: int  # silence with which its first block opens
    parts: StackParts
    fade_frames: int = 0  # length of the fade from the stack before it; 0 for the first one


@dataclass(frozen=True)
class StackStatus:
    """What the player may know of it. `wanted` is what was asked for last and not refused."""

    wanted: StackChoice
    playing: StackPlaying | None = None
    loading: str = ""  # what is loaded beside the music, and how far it is
    problem: str = ""  # why the last choice does not play


def ordered_levels(levels: Iterable[int]) -> tuple[int, ...]:
    """Levels coarsest first. ValueError where one is unknown, comes twice, or none is there."""
    given = tuple(levels)
    if not given or len(set(given)) != len(given) or not set(given) <= set(LEVELS):
        shown = ", ".join(map(str, given)) or "none"
        raise ValueError(f"levels {shown}: choose among 2, 1 and 0, each once, such as [2, 1]")
    return tuple(sorted(given, reverse=True))


def parse_levels(text: str) -> tuple[int, ...]:
    """Levels as the command line writes them: "21". ValueError for anything else."""
    if not text.isdigit():
        raise ValueError(f"levels {text!r}: write the levels' numbers, such as 21")
    return ordered_levels(int(digit) for digit in text)
