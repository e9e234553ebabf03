"""Which stack plays, and with which of its parts. Frozen values for every thread; no torch here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LEVELS = (2, 1, 0)  # coarsest first: 2 invents, 1 and 0 clean
SHORTEST_HOP = 16  # tokens


@dataclass(frozen=True)
class StackChoice:
    """What a patch, the command line or the window asks for.

    `stack` is a name or a folder. `levels` None plays all that the stack has; `finisher` plays the stack's
    finisher where it has one. `hop` is the length of a block in tokens of the coarsest level, None for its whole
    window: a shorter one hears the knobs sooner, for more work. `steps` are the coarsest level's
    denoising steps, None for the stack's own. ValueError names what cannot be, and the remedy.
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
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"{self.steps} steps: at least 1 is needed; leave it out for the stack's own")

    @property
    def text(self) -> str:
        """For a person: "v1", "v1 levels 2 1, no finisher"."""
        levels = "" if self.levels is None else f" levels {' '.join(map(str, self.levels))}"
        hop = "" if self.hop is None else f", hop {self.hop}"
        steps = "" if self.steps is None else f", {self.steps} steps"
        return f"{self.stack}{levels}{'' if self.finisher else ', no finisher'}{hop}{steps}"


@dataclass(frozen=True)
class StackParts:
    """What a stack has to choose from. A stack that cannot be read has no levels.

    `window` tokens of `token_seconds` each are what its coarsest level invents at a time. `anchor` says whether it can
    be held to a style and a beat, `memory` whether it can repeat its own bars.
    """

    name: str
    levels: tuple[int, ...]
    finisher: bool
    window: int = 0
    token_seconds: float = 0.0
    anchor: bool = False
    memory: bool = False

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
    """What makes a block: everything needed to make the same stream again."""

    stack: str
    levels: tuple[int, ...]
    finisher: bool
    identity: str  # of weights and sizes
    latency_frames: int  # silence with which its first block opens
    parts: StackParts
    hop: int | None = None  # tokens of a block; None is the whole window
    steps: int | None = None  # of the coarsest level; None is the stack's own number
    fade_frames: int = 0  # length of the fade from the stack before it; 0 for the first one


@dataclass(frozen=True)
class StackStatus:
    """What the player may know about the stack. `wanted` is the newest choice that was not refused.

    The properties say what plays. Before a stack plays, they say what is wanted.
    """

    wanted: StackChoice = StackChoice()
    playing: StackPlaying | None = None
    loading: str = ""  # the stack that is being loaded beside the music, and how far it is
    problem: str = ""  # why the last choice does not play

    @property
    def name(self) -> str:
        return self.wanted.stack if self.playing is None else self.playing.stack

    @property
    def levels(self) -> tuple[int, ...]:
        return (self.wanted.levels or ()) if self.playing is None else self.playing.levels

    @property
    def finisher(self) -> bool:
        """Whether the stack's finisher plays."""
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
        """What the stack has; None before it is loaded."""
        return None if self.playing is None else self.playing.parts


def take_details(playing: StackPlaying | None) -> dict[str, object]:
    """Return what a take keeps of the stack that made its first block; None is no stack."""
    return {
        "stack": playing.stack if playing is not None else "",
        "stack_identity": playing.identity if playing is not None else "",
        "levels": list(playing.levels) if playing is not None else [],
        "finisher": playing is not None and playing.finisher,
        "hop": playing.hop if playing is not None else None,
        "steps": playing.steps if playing is not None else None,
        "latency_frames": playing.latency_frames if playing is not None else 0,
    }


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
