"""The choice of a stack and of its parts. Frozen values for every thread; no torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LEVELS = (2, 1, 0)  # coarsest first: 2 invents, 1 and 0 clean
SHORTEST_HOP = 16  # tokens
MOST_STEPS = 1000  # four times as many as v1 uses offline; memory is taken for each of them


@dataclass(frozen=True)
class StackChoice:
    """The choice of a stack by a patch, the command line or the window.

    `stack` is a name or a folder. `levels` None plays all levels of the stack. `finisher` plays the stack's finisher,
    if it has one. `hop` is the length of a block in tokens of the coarsest level; None is its whole window. With a
    shorter hop, knobs act sooner and each second of sound costs more work. `steps` are the coarsest level's denoising
    steps, None for the stack's own. ValueError names the bad value and the remedy.
    """

    stack: str = "pocket"
    levels: tuple[int, ...] | None = None
    finisher: bool = True
    hop: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if not self.stack:
            raise ValueError('a stack without a name; write stack = "pocket", or a folder of checkpoints')
        if self.levels is not None:
            object.__setattr__(self, "levels", ordered_levels(self.levels))
        if self.hop is not None and self.hop < SHORTEST_HOP:
            raise ValueError(
                f"a hop of {self.hop} tokens: {SHORTEST_HOP} is the shortest; leave it out for a window"
            )
        if self.steps is not None and not 1 <= self.steps <= MOST_STEPS:
            raise ValueError(
                f"{self.steps} steps: goes from 1 to {MOST_STEPS}; leave it out for the stack's own"
            )

    @property
    def text(self) -> str:
        """The choice in words: "v1", "v1 levels 2 1, no finisher"."""
        levels = "" if self.levels is None else f" levels {' '.join(map(str, self.levels))}"
        hop = "" if self.hop is None else f", hop {self.hop}"
        steps = "" if self.steps is None else f", {self.steps} steps"
        return f"{self.stack}{levels}{'' if self.finisher else ', no finisher'}{hop}{steps}"


@dataclass(frozen=True)
class StackParts:
    """The parts of a stack from which a player chooses. A stack that cannot be read has no levels.

    Its coarsest level generates `window` tokens of `token_seconds` each at a time. `steps` is its own number of steps;
    0 is not known. `anchor` is True if the stack can hold a style and a beat, and `memory` if it can repeat its own
    bars.
    """

    name: str
    levels: tuple[int, ...]
    finisher: bool
    window: int = 0
    token_seconds: float = 0.0
    anchor: bool = False
    memory: bool = False
    steps: int = 0

    def hops(self) -> tuple[int, ...]:
        """Hops that cut the window evenly, the window itself first, then about a half, a quarter and so on."""
        cuts = [n for n in range(self.window, SHORTEST_HOP - 1, -SHORTEST_HOP) if self.window % n == 0]
        kept = cuts[:1]
        for hop in cuts[1:]:
            if hop <= 0.75 * kept[-1]:
                kept.append(hop)
        return tuple(kept)


@dataclass(frozen=True)
class StackPlaying:
    """The stack that makes a block: all facts needed to make the same stream again."""

    stack: str
    levels: tuple[int, ...]
    finisher: bool
    identity: str  # of weights and sizes
    latency_frames: int  # frames of silence at the beginning of its first block
    parts: StackParts
    hop: int | None = None  # tokens of a block; None is the whole window
    steps: int | None = None  # of the coarsest level; None is the stack's own number
    fade_frames: int = 0  # length of the fade from the stack before it; 0 for the first one
    licence: str = ""  # of the weights; empty if their files do not say


@dataclass(frozen=True)
class StackStatus:
    """The stack's status for the player. `wanted` is the newest choice that was not refused.

    The properties describe the playing stack, or the wanted one before a stack plays.
    """

    wanted: StackChoice = StackChoice()
    playing: StackPlaying | None = None
    loading: str = ""  # the stack that loads during the music, and its progress
    problem: str = ""  # why the last choice does not play

    @property
    def name(self) -> str:
        return self.wanted.stack if self.playing is None else self.playing.stack

    @property
    def levels(self) -> tuple[int, ...]:
        return (self.wanted.levels or ()) if self.playing is None else self.playing.levels

    @property
    def finisher(self) -> bool:
        """True if the stack's finisher plays."""
        return self.playing is not None and self.playing.finisher

    @property
    def hop(self) -> int | None:
        """Tokens in a block; None is a whole window."""
        return None if self.playing is None else self.playing.hop

    @property
    def steps(self) -> int | None:
        """Steps of the coarsest level; None is the stack's own number."""
        return None if self.playing is None else self.playing.steps

    @property
    def parts(self) -> StackParts | None:
        """The stack's parts; None before it is loaded."""
        return None if self.playing is None else self.playing.parts


def take_details(playing: StackPlaying | None) -> dict[str, object]:
    """Return a take's facts about the stack of its first block. playing: None is no stack."""
    return {
        "stack": playing.stack if playing is not None else "",
        "stack_identity": playing.identity if playing is not None else "",
        "weights_licence": playing.licence if playing is not None else "",
        "levels": list(playing.levels) if playing is not None else [],
        "finisher": playing is not None and playing.finisher,
        "hop": playing.hop if playing is not None else None,
        "steps": playing.steps if playing is not None else None,
        "latency_frames": playing.latency_frames if playing is not None else 0,
    }


def ordered_levels(levels: Iterable[int]) -> tuple[int, ...]:
    """Sort levels, coarsest first. ValueError: a level is unknown or comes twice, or there is none."""
    given = tuple(levels)
    if not given or len(set(given)) != len(given) or not set(given) <= set(LEVELS):
        shown = ", ".join(map(str, given)) or "none"
        raise ValueError(f"levels {shown}: choose among 2, 1 and 0, each once, such as [2, 1]")
    return tuple(sorted(given, reverse=True))


def parse_levels(text: str) -> tuple[int, ...]:
    """Parse levels in the form of the command line, such as "21". ValueError for any other text."""
    if not text.isdigit():
        raise ValueError(f"levels {text!r}: write the levels' numbers, such as 21")
    return ordered_levels(int(digit) for digit in text)
