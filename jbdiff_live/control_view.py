"""What a window sees of the controllers. Shared and immutable: the control map makes it, the window reads it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jbdiff_live.binding import Binding


class Waiting(Enum):
    """The use of the next touched control."""

    NOTHING = ""
    LEARN = "learn"
    UNLEARN = "unlearn"
    LOCATE = "locate"


@dataclass(frozen=True)
class BindingRow:
    """One line of the table of bindings. source: "map" of the controller, "patch", or "always".

    binding: None for panic's own message, and for a target that the map keeps free of the patch's controls. takeover:
    the mode in use. conflict: what else the control moves. unused: why the binding is not in use.
    """

    device: str
    target: str
    label: str
    control: str
    source: str
    binding: Binding | None = None
    takeover: str = ""
    conflict: str = ""
    unused: str = ""


@dataclass(frozen=True)
class Ghost:
    """The control of a parameter. position: in the knob's travel, 0 to 1. taken: True if it moves the parameter now."""

    position: float
    taken: bool


@dataclass(frozen=True)
class LearnQuestion:
    """A control was learned that moves something else already: replace that, keep both, or cancel?"""

    device: str
    target: str
    control: str
    others: tuple[str, ...]  # targets
    text: str
