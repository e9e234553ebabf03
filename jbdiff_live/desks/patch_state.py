"""Everything that loading a patch changes, so that undo can go back to it. Immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.binding import Binding
from jbdiff_live.patch import Patch
from jbdiff_live.scenes.scene import Kept
from jbdiff_live.stack_choice import StackChoice


@dataclass(frozen=True)
class PatchState:
    """patch, path: as loaded or saved. values: those that the step changes. The rest: as it was played.

    choice: the stack; None if the generator plays no stacks. context: path of the sound to begin from; init: that of
    Init's file; both may be empty. begun: these three as they were when the patch was loaded or saved.
    """

    patch: Patch
    path: Path | None
    values: Mapping[str, float]
    lfos: Mapping[str, Lfo]
    bindings: tuple[Binding, ...]
    scenes: Kept
    choice: StackChoice | None
    context: str
    init: str
    begun: tuple[StackChoice | None, str, str]
