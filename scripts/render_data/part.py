"""The data of a rendered stem."""

from __future__ import annotations

from dataclasses import dataclass

from sounds import Audio


@dataclass(frozen=True)
class Part:
    """One stem: audio `[2, frames]`, and how it goes into the mix.

    `gain` brings it to its level there. `reverb`, `delay`: its sends. `ducked` parts become softer at each kick.
    """

    name: str
    audio: Audio
    gain: float
    reverb: float = 0.0
    delay: float = 0.0
    pan: float = 0.0
    ducked: bool = False
