"""From the knobs to a block's settings: in full, with less work for a rung, and read anew at each step.

Engine thread, and the loader's while it warms a stack up. No torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jbdiff_live.block import Rung
from jbdiff_live.parameters import ParameterSnapshot

if TYPE_CHECKING:
    from jbdiff.stream.stream import BlockSettings, BlockStream, StreamBlock

LOOP_RESAMPLE = 0.85  # resample of a looped window: the rhythm stays in time, and the sound still changes


def block_settings(snapshot: ParameterSnapshot, steps: int | None = None) -> BlockSettings:
    """Return one block's settings from the knobs. An offline render of the snapshot uses the same.

    steps: of the coarsest level, None for the stack's own.
    """
    from jbdiff.config import NoiseStyle
    from jbdiff.stream.stream import BlockSettings, FinisherSettings

    return BlockSettings(
        seed=int(snapshot["seed"]),
        noise_style=NoiseStyle(snapshot.choice("noise_style")),
        noise_step=snapshot["noise_step"],
        hold=snapshot.on("hold"),
        reroll=snapshot.counts["reroll"],
        home=snapshot.counts["home"],
        **_noise_settings(snapshot),
        resample=snapshot["resample"],
        # Resample at its end passes the file or the live input on as it is, for the finisher alone.
        direct=snapshot["resample"] >= 1.0 and snapshot.choice("init_source") != "own",
        guidance=snapshot["guidance"],
        steps=steps,
        anchor=snapshot["anchor"],
        tempo=_tempo(snapshot),
        beat=snapshot.values.get("clock_beat"),
        brightness=snapshot["brightness"],
        motion=snapshot["motion"],
        memory=snapshot["memory"],
        theme=snapshot["theme"],
        finisher=FinisherSettings(
            on=snapshot.on("finisher_on"),
            strength=snapshot["finisher_strength"],
            seed=int(snapshot["finisher_seed"]),
            noise_style=NoiseStyle(snapshot.choice("finisher_style")),
            noise_step=snapshot["finisher_step"],
        ),
    )


def _noise_settings(snapshot: ParameterSnapshot) -> dict[str, Any]:
    """Return the settings of register, second seed and presses. Logs of older takes lack some of them."""
    return {
        "advance": snapshot.counts.get("advance", 0),
        "noise_length": int(snapshot["noise_length"]),
        "noise_mutation": snapshot["noise_mutation"],
        "write": snapshot.counts.get("write", 0),
        "erase": snapshot.counts.get("erase", 0),
        "seed_b": int(snapshot["seed_b"]),
        "seed_morph": snapshot["seed_morph"],
    }


def _tempo(snapshot: ParameterSnapshot) -> float | None:
    """Return the tempo for `BlockSettings`: 0 is no clock, None the tempo of the context."""
    clock = snapshot.choice("clock")
    if clock == "tempo":
        return snapshot["tempo"]
    return None if clock == "context" else 0.0


def eased(settings: BlockSettings, rung: Rung, stream: BlockStream) -> BlockSettings:
    """Return the settings with less work: without what this rung and the rungs above it leave out."""
    from jbdiff.stream.stream import LevelSettings

    if rung is Rung.FULL:
        return settings
    coarsest, *finer = stream.levels
    full = stream.step_counts(settings)
    loop = rung is Rung.LOOP

    def fewer(part: str) -> int:
        return max(1, math.ceil(full[part] / stream.windows[part] / 2))

    steps = {level: fewer(f"level{level}") for level in finer}
    if loop or rung >= Rung.NO_LEVEL_0:
        steps |= {0: 0} if 0 in finer else {}
    if loop or rung >= Rung.NO_LEVEL_1:
        steps |= {1: 0} if 1 in finer else {}
    levels = {
        level: replace(settings.levels.get(level, LevelSettings()), steps=n) for level, n in steps.items()
    }
    finisher = settings.finisher
    if "finisher" in full:
        finisher = replace(finisher, steps=1 if rung >= Rung.QUICK_FINISHER else fewer("finisher"))
    return replace(
        settings,
        steps=1 if loop else fewer(f"level{coarsest}"),
        resample=max(settings.resample, LOOP_RESAMPLE) if loop else settings.resample,
        levels={**settings.levels, **levels},
        finisher=finisher,
    )


def rung_shares(block: StreamBlock, stream: BlockStream, settings: BlockSettings) -> Mapping[Rung, float]:
    """Return each rung's cost as a share of this full block, best first. Rungs that save nothing are missing."""
    full = stream.step_counts(settings)
    seconds = dict(block.part_seconds)
    rest = max(0.0, sum(block.seconds.values()) - sum(seconds.values()))
    whole = rest + sum(seconds.values())
    shares = {Rung.FULL: 1.0}
    for rung in list(Rung)[1 : Rung.REPEAT]:
        counts = stream.step_counts(eased(settings, rung, stream))
        cost = rest + sum(seconds[part] * counts[part] / full[part] for part in seconds if full[part])
        if cost < 0.98 * min(shares.values()) * whole:
            shares[rung] = cost / whole
    return shares


class NewestKnobs:
    """The knobs' newest values at each step: `jbdiff.stream.stream.StepKnobs` over the store's snapshot."""

    def __init__(self, newest: Callable[[], ParameterSnapshot]) -> None:
        self._newest = newest
        self.read_at: float | None = None  # last reading of guidance, by `time.monotonic`

    def guidance(self, step: int) -> float:
        self.read_at = time.monotonic()
        return self._newest()["guidance"]

    def finisher_strength(self) -> float:
        return self._newest()["finisher_strength"]


def turned(
    snapshot: ParameterSnapshot, guidance: tuple[float, ...], finisher_strength: float | None
) -> Mapping[str, tuple[float, ...]]:
    """Return a block's values by parameter, in the order of reading, if they differ from `snapshot`.

    guidance: one value for each step. finisher_strength: None if no finisher played.
    """
    read = {
        "guidance": guidance,
        "finisher_strength": () if finisher_strength is None else (finisher_strength,),
    }
    return {name: values for name, values in read.items() if any(v != snapshot[name] for v in values)}
