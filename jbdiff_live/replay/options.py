"""What a replay does differently from the take. Frozen values; no heavy imports, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class ReplayError(ValueError):
    """A take cannot be rendered again. The text names the cause and the remedy."""


@dataclass(frozen=True)
class ReplayOptions:
    """The options of a replay. With the defaults it is bit-exact on the machine of the take.

    steps: of the coarsest level. levels: the stack's levels that play. finisher: "none", "own" (the stack's own, also
    if the take had none), or a stack whose finisher plays; None as in the take. full: blocks that were made cheaper
    get all of their work. stems: write each level's own sound. rate: also write the sound at this rate, in Hz.

    from_block, from_seconds, to_seconds: the part to render; seconds of the take's music. edits: a file of edits.
    stacks: folders in place of the take's stacks, by name; the name "" stands for every stack. other_weights: render
    even if a stack has other weights. threads: of the model; None takes those of the take. fresh: begin an interrupted
    render anew.
    """

    steps: int | None = None
    levels: tuple[int, ...] | None = None
    finisher: str | None = None
    full: bool = False
    stems: bool = False
    rate: int | None = None
    from_block: int | None = None
    from_seconds: float | None = None
    to_seconds: float | None = None
    edits: Path | None = None
    stacks: tuple[tuple[str, str], ...] = ()
    other_weights: bool = False
    threads: int | None = None
    fresh: bool = False

    @property
    def same_sound(self) -> bool:
        """True if no option changes the sound."""
        plain = self.steps is None and self.levels is None and self.finisher is None
        return plain and not self.full and self.edits is None and not self.other_weights
