"""Knobs that are read while a block is being made, and what is kept of them. Engine thread only. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from jbdiff_live.parameters import ParameterSnapshot


class NewestKnobs:
    """The knobs as they stand at each step: `jbdiff.stream.stream.StepKnobs` over the store's newest snapshot."""

    def __init__(self, newest: Callable[[], ParameterSnapshot]) -> None:
        self._newest = newest
        self.read_at: float | None = None  # when guidance was read last, on `time.monotonic`

    def guidance(self, step: int) -> float:
        self.read_at = time.monotonic()
        return self._newest()["guidance"]

    def finisher_strength(self) -> float:
        return self._newest()["finisher_strength"]


def turned(
    snapshot: ParameterSnapshot, guidance: tuple[float, ...], finisher_strength: float | None
) -> Mapping[str, tuple[float, ...]]:
    """What was read for a block by parameter, in the order of reading; only where it is not what `snapshot` says.

    guidance: of every step. finisher_strength: None where no finisher played.
    """
    read = {
        "guidance": guidance,
        "finisher_strength": () if finisher_strength is None else (finisher_strength,),
    }
    return {name: values for name, values in read.items() if any(v != snapshot[name] for v in values)}
