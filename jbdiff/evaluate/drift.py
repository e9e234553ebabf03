"""The section *drift*: compares statistics of the first and the last minutes of half an hour without a break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.metrics.statistics import STATISTICS, Table, over_time, relative_drift, tempo_wander
from jbdiff.evaluate.playing import Player

SECTION = "drift"
MOST_DRIFT = 0.2
ENDS = 6  # the beginning and the end are a sixth of the whole: five minutes of thirty


@dataclass(frozen=True)
class LongRun:
    """The audio of a long run `[channels, n]`, and its statistics over time."""

    audio: NDArray[np.float32]
    table: Table


def play_long(
    player: Player, context: Tensor, samples: int, stretch: float, seed: int, report: Callable[[str], None]
) -> LongRun:
    """Play `samples` samples after a mono context `[n]`; each `stretch` seconds give one value of each statistic."""
    audio = np.zeros((player.stream.channels, samples), np.float32)
    place, reported = 0, 0
    for block in player.endless(context, player.settings(seed)):
        part = block[:, : samples - place].numpy()
        audio[:, place : place + part.shape[1]] = part
        place += part.shape[1]
        if 10 * place // samples > reported:
            reported = 10 * place // samples
            report(f"  {place / player.sample_rate / 60:.1f} minutes played")
        if place >= samples:
            break
    return LongRun(audio, over_time(torch.from_numpy(audio), player.sample_rate, stretch))


def ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the means over the first and over the last sixth of values over time `[t]`."""
    count = max(1, len(values) // ENDS)
    return float(values[:count].mean()), float(values[-count:].mean())


def drift_figures(table: Table, held: Table, minutes: float) -> list[Figure]:
    """Return the drift of each statistic, with its bound, and how far the beat wandered over the whole run."""
    figures = []
    for statistic in STATISTICS:
        first, last = ends(table[statistic.name])
        drift = relative_drift(statistic, first, last, held[statistic.name])
        unit = f" {statistic.unit}".rstrip()
        note = f"{first:.3g} to {last:.3g}{unit}; held out {held[statistic.name].mean():.3g}{unit}"
        figures.append(Figure(SECTION, statistic.name, 100 * drift, "%", high=100 * MOST_DRIFT, note=note))
    wander = 100 * tempo_wander(table["beat"])
    figures.append(Figure(SECTION, "wander of the beat", wander, "%", note=f"over all {minutes:g} minutes"))
    return figures
