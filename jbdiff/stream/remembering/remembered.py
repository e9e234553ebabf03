"""What a level remembers of its own music, and how that is stored. `memory.py` and `theme.py` say what it is for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jbdiff.untyped import JsonDict

FACTS = ("bar", "per_token", "steady", "form")
THEME_FACTS = ("bar", "length", "form", "since")


@dataclass(frozen=True)
class Theme:
    """Music that is never forgotten, and how long ago it was. Every number but `bar` counts bars."""

    bands: Tensor  # [1, n, c], newest last
    bar: float  # tokens a bar
    length: float  # of all that is used, the end of `bands`: a whole number of forms
    form: float  # after so many bars the music comes again
    since: float = 0.0  # from its end to the next token of the stream

    def to(self, device: torch.device) -> Theme:
        """The same theme with its tensor on `device`."""
        return replace(self, bands=self.bands.to(device))


@dataclass(frozen=True)
class MemoryState:
    """What a level whose network has echoes remembers of its own music."""

    bands: Tensor  # [1, n, c], newest last
    bar: float  # tokens a bar; 0 if it is not known
    per_token: float  # beats a token of the clock; 0 without one
    steady: int  # tokens at the end of `bands` that were played at this tempo
    form: float = 0.0  # tokens after which the music comes again; 0: the usual number of bars
    # [n], float64, CPU: place of each token in bars, below 0; the next token is at 0. None: all at one tempo
    places: Tensor | None = None
    theme: Theme | None = None  # None as long as too little was played, or no bar is known

    def to(self, device: torch.device) -> MemoryState:
        """The same state with its tensors on `device`."""
        theme = None if self.theme is None else self.theme.to(device)
        return replace(self, bands=self.bands.to(device), theme=theme)

    def fits(self, other: MemoryState) -> bool:
        """Whether this state can take the place of `other`: as many bands, and a place for each token."""
        count, bands = self.bands.shape[1], other.bands.shape[2]
        if self.bands.shape != (1, count, bands):
            return False
        if self.places is not None and self.places.shape != (count,):
            return False
        theme = self.theme
        return theme is None or (
            theme.bands.shape == (1, theme.bands.shape[1], bands)
            and theme.bands.shape[1] > 0
            and all(math.isfinite(number) and number > 0 for number in (theme.bar, theme.length, theme.form))
            and math.isfinite(theme.since)
        )


def memory_facts(memory: MemoryState) -> JsonDict:
    """All numbers of a memory by name."""
    facts: JsonDict = {name: getattr(memory, name) for name in FACTS}
    if memory.theme is not None:
        facts["theme"] = {name: getattr(memory.theme, name) for name in THEME_FACTS}
    return facts


def memory_tensors(memory: MemoryState, prefix: str) -> dict[str, Tensor]:
    """All tensors of a memory by name; each name begins with `prefix`."""
    theme = None if memory.theme is None else memory.theme.bands
    tensors = {"memory": memory.bands, "places": memory.places, "theme": theme}
    return {prefix + name: tensor for name, tensor in tensors.items() if tensor is not None}


def memory_from(facts: JsonDict, tensors: Mapping[str, Tensor], prefix: str) -> MemoryState:
    """The memory of `memory_facts` and `memory_tensors`. KeyError, TypeError or ValueError: something is wrong."""
    theme = None
    if (of_theme := facts.get("theme")) is not None:
        theme = Theme(tensors[prefix + "theme"], **{name: float(of_theme[name]) for name in THEME_FACTS})
    numbers = {name: facts[name] for name in FACTS if name in facts}
    return MemoryState(
        tensors[prefix + "memory"], **numbers, places=tensors.get(prefix + "places"), theme=theme
    )
