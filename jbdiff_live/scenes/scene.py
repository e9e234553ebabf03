"""A scene: the values of the knobs at one moment, without the groups that it leaves out.

Immutable, shared by all threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from jbdiff_live.parameters import (
    OF_THE_ANCHOR,
    OF_THE_FILES,
    OF_THE_FINISHER,
    OF_THE_INPUT,
    OF_THE_MEMORY,
    OF_THE_REGISTER,
    OF_THE_SCENES,
    PARAMETERS,
    SCENES,
)

LONGEST_NAME = 40
OTHERS = "others"  # the group of a parameter that no group names

# Groups of parameters, in the order of the window. A scene holds a group or leaves it out.
GROUPS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "noise": frozenset({"noise_step", "noise_style", "seed", "seed_b", "seed_morph", "hold"})
        | OF_THE_REGISTER,
        "memory": OF_THE_MEMORY,
        "style": OF_THE_ANCHOR,
        "sources": frozenset({"guidance", "resample", "context_source", "init_source"})
        | OF_THE_INPUT
        | OF_THE_FILES,
        "finisher": OF_THE_FINISHER,
        "output": frozenset({"gain", "mute"}),
        OTHERS: frozenset(),
    }
)
GROUP_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "noise": "Noise",
        "memory": "Memory and theme",
        "style": "Style and beat",
        "sources": "Sources",
        "finisher": "Finisher",
        "output": "Output (gain, mute)",
        OTHERS: "Other knobs",
    }
)
# Parameters that no scene holds: they say how scenes and held changes are played.
NEVER = OF_THE_SCENES | {"hold_changes"}
# A scene must not change how loud the stage is, unless the player asks for it.
USUALLY_LEFT_OUT = frozenset({"output"})


def group_of(parameter: str) -> str:
    """Return the group of a parameter."""
    return next((group for group, names in GROUPS.items() if parameter in names), OTHERS)


def groups_in_use() -> tuple[str, ...]:
    """Return the groups that have parameters, in the window's order."""
    used = {group_of(p.name) for p in PARAMETERS if p.name not in NEVER}
    return tuple(group for group in GROUPS if group in used)


def held_by_scenes(leaves_out: frozenset[str]) -> tuple[str, ...]:
    """Return the parameters that a scene holds if it leaves out these groups."""
    return tuple(p.name for p in PARAMETERS if p.name not in NEVER and group_of(p.name) not in leaves_out)


@dataclass(frozen=True)
class Scene:
    """values: by parameter. leaves_out: groups. program: the MIDI program, 1 to 128, that recalls the scene."""

    name: str = ""
    values: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    leaves_out: frozenset[str] = USUALLY_LEFT_OUT
    program: int | None = None

    def captured(self, values: Mapping[str, float]) -> Scene:
        """Return this scene with the present values of all parameters that it holds."""
        held = {name: values[name] for name in held_by_scenes(self.leaves_out)}
        return replace(self, values=MappingProxyType(held))

    def stored(self, values: Mapping[str, float]) -> Scene:
        """Return this scene with new values for those of its parameters that `values` has."""
        kept = {name: values.get(name, value) for name, value in self.values.items()}
        return replace(self, values=MappingProxyType(kept))

    def leaving_out(self, groups: frozenset[str], values: Mapping[str, float]) -> Scene:
        """Return this scene without these groups. A group that joins comes with its present values."""
        held = {
            name: self.values.get(name, values[name])
            for name in held_by_scenes(groups)
            if name in self.values or group_of(name) in self.leaves_out
        }
        return replace(self, values=MappingProxyType(held), leaves_out=groups)


Scenes = tuple[Scene | None, ...]  # `SCENES` places; None is an empty one
NO_SCENES: Scenes = (None,) * SCENES


@dataclass(frozen=True)
class Kept:
    """All scenes of a patch, and the number of the one that plays; None if none does."""

    scenes: Scenes = NO_SCENES
    active: int | None = None

    def __getitem__(self, number: int) -> Scene | None:
        """Return scene `number`, counted from 1. ValueError: there is no such number."""
        if not 1 <= number <= SCENES:
            raise ValueError(f"scene {number}: there are scenes 1 to {SCENES}")
        return self.scenes[number - 1]

    def put(self, number: int, scene: Scene | None) -> Kept:
        """Return the scenes with another one at `number`. Its program is taken from any other scene."""
        self[number]  # raises for a wrong number
        changed = list(self.scenes)
        changed[number - 1] = scene
        if scene is not None and scene.program is not None:
            for place, other in enumerate(changed):
                if other is not None and place != number - 1 and other.program == scene.program:
                    changed[place] = replace(other, program=None)
        return replace(self, scenes=tuple(changed))

    def cleared(self, number: int) -> Kept:
        """Return the scenes with an empty place at `number`."""
        return replace(self.put(number, None), active=None if self.active == number else self.active)

    def of_program(self, program: int) -> int | None:
        """Return the number of the scene that a MIDI program recalls; None if no scene has it."""
        for number, scene in enumerate(self.scenes, 1):
            if scene is not None and scene.program == program:
                return number
        return None


def title(number: int, scene: Scene | None) -> str:
    """Return a scene's name as a person reads it: "scene 2", "scene 2 (calm)"."""
    return f"scene {number} ({scene.name})" if scene is not None and scene.name else f"scene {number}"
