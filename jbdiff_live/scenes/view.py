"""What the window shows of scenes, of undo and of the time machine. Frozen values; readers poll them."""

from __future__ import annotations

from dataclasses import dataclass

from jbdiff_live.parameters import SCENES
from jbdiff_live.scenes.scene import USUALLY_LEFT_OUT


@dataclass(frozen=True)
class SceneView:
    """One scene. filled: False for an empty place."""

    number: int
    filled: bool = False
    name: str = ""
    program: int | None = None
    leaves_out: frozenset[str] = USUALLY_LEFT_OUT


@dataclass(frozen=True)
class SceneStatus:
    """All scenes at one moment. Scenes count from 1.

    active: the scene that was recalled or captured last. pending: the scene that waits for its beat or bar, and
    `lands_in` the seconds until then. morph: the share of a morph that is done, 0 to 1; None if none runs.
    capturing: the scene that is chosen next is captured.
    """

    scenes: tuple[SceneView, ...] = tuple(SceneView(number) for number in range(1, SCENES + 1))
    active: int | None = None
    pending: int | None = None
    lands_in: float | None = None
    morph: float | None = None
    capturing: bool = False


@dataclass(frozen=True)
class UndoStatus:
    """undo, redo: the change that would be taken back or made again; empty if there is none.

    modified: the patch differs from its file. comparing: the saved patch plays for a comparison.
    """

    undo: str = ""
    redo: str = ""
    modified: bool = False
    comparing: bool = False


# What a player can do while older music plays again.
GO_ON = "turn a knob to go on from here, or go forward (Shift+Backspace)"


@dataclass(frozen=True)
class PastStatus:
    """The reach of the time machine.

    seconds: the music that it can bring back. ago: how long before the newest block the music lies that plays again;
    None if new music plays. nbytes: the memory that the kept music takes.
    """

    seconds: float = 0.0
    ago: float | None = None
    nbytes: int = 0
