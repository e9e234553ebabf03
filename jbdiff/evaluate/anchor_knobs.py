"""Whether the knobs of a stack's anchor do what their names say: brightness, motion, and the tempo of the clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.evaluate.knobs import Cell, Curve
from jbdiff.evaluate.metrics.measures import attack
from jbdiff.evaluate.metrics.statistics import colour, pulse
from jbdiff.evaluate.playing import Player
from jbdiff.stream.stream import BlockSettings

BOTH_WAYS = (-1.0, 0.0, 1.0)
TEMPI = (88.0, 108.0, 128.0, 148.0)
MOST_CELLS = 4  # few, because each one also plays the blocks in which a knob begins to act
SETTLING, MEASURED = 2, 3  # blocks before the measurement, and blocks of the measurement
# Least spans of the curves: octaves, dB, beats a minute.
LEAST_OCTAVES, LEAST_MOTION, LEAST_BPM = 0.25, 1.0, 40.0


def settled_sound(player: Player, cell: Cell, settings: BlockSettings) -> Tensor:
    """Play a cell with `settings` and return the mono sound `[n]` after the settling blocks."""
    sound = player.play(cell.piece.context, (SETTLING + MEASURED) * player.block, settings).mean(0)
    return sound[SETTLING * player.block :]


def both_ways(
    player: Player,
    cells: Sequence[Cell],
    turned: Callable[[BlockSettings, float], BlockSettings],
    measure: Callable[[Tensor], float],
) -> NDArray[np.float64]:
    """Measure the sound at each place of a knob; return `[cells, places]`, in the unit of `measure`.

    `turned` returns the settings with the knob at a place from -1 to 1. `measure` takes mono sound `[n]`.
    """
    rows = []
    for cell in cells:
        own = [turned(player.settings(cell.seed), place) for place in BOTH_WAYS]
        rows.append([measure(settled_sound(player, cell, settings)) for settings in own])
    return np.array(rows)


def brightness(player: Player, cells: Sequence[Cell]) -> Curve:
    """Return the curve of Brightness: the spectral centroid in octaves (log2 of Hz), at -1, 0 and 1."""

    def octave(sound: Tensor) -> float:
        return math.log2(max(1.0, colour(sound, player.sample_rate)[0]))

    rows = both_ways(player, cells, lambda own, place: replace(own, brightness=place), octave)
    what = "spectral centroid"
    return Curve("brightness", what, BOTH_WAYS, rows, True, unit="octaves", least=LEAST_OCTAVES)


def motion(player: Player, cells: Sequence[Cell]) -> Curve:
    """Return the curve of Motion: the strength of the strongest attacks in dB, at -1, 0 and 1."""

    def decibels(sound: Tensor) -> float:
        return 20 * math.log10(attack(sound) + 1e-6)

    rows = both_ways(player, cells, lambda own, place: replace(own, motion=place), decibels)
    return Curve("motion", "strength of attacks", BOTH_WAYS, rows, True, least=LEAST_MOTION)


def tempo(player: Player, cells: Sequence[Cell]) -> Curve:
    """Return the curve of Tempo: beats a minute of the sound, halved or doubled to lie next to the knob's tempo.

    Nothing is played as context, because a context has its own tempo.
    """
    rows = []
    for cell in cells:
        row = []
        for asked in TEMPI:
            settings = replace(player.settings(cell.seed), tempo=asked)
            sound = player.play(None, (SETTLING + 2 * MEASURED) * player.block, settings).mean(0)
            lag = pulse(sound[SETTLING * player.block :], player.sample_rate)[1]
            bpm = 60 / lag if lag else asked
            row.append(bpm * 2 ** round(math.log2(asked / bpm)))
        rows.append(row)
    return Curve("tempo", "beats heard", TEMPI, np.array(rows), True, unit="BPM", least=LEAST_BPM)


def anchor_curves(player: Player, cells: Sequence[Cell], report: Callable[[str], None]) -> list[Curve]:
    """Return the curves of the anchor's knobs; an empty list for a stack without an anchor."""
    if not player.stream.stack.config.anchored:
        return []
    report("  brightness, motion, tempo")
    few = cells[:MOST_CELLS]
    return [brightness(player, few), motion(player, few), tempo(player, few)]
