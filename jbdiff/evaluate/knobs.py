"""The section *knobs*: a curve over the range of each knob, averaged over pieces and seeds.

Only one knob moves; context and seed stay the same. Distances are mel distances in dB (`measures.mel_distance`)
between the resulting sounds. A curve passes if no step goes the wrong way by more than that step's standard error
over the pieces.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.material import Piece
from jbdiff.evaluate.metrics.measures import mel_distance
from jbdiff.evaluate.metrics.memorisation import note_levels
from jbdiff.evaluate.playing import Player
from jbdiff.stream.stream import FinisherSettings

SECTION = "knobs"
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
GUIDANCES = (1.0, 1.5, 2.0, 3.0, 4.0)
LEAST_SPAN = 0.5  # dB
ADHERENCE = "adherence to the context"
BLOCKS = 2  # blocks that are measured at each place of a knob


@dataclass(frozen=True)
class Curve:
    """The effect of a knob: `rows` `[pieces, places]` are the measured values at the knob's `places`.

    `what` names the measured quantity, `unit` its unit. `rising`: whether it should rise with the knob.
    """

    name: str
    what: str
    places: tuple[float, ...]
    rows: NDArray[np.float64]
    rising: bool
    unit: str = "dB"
    least: float | None = LEAST_SPAN  # span that the curve needs; None: the curve has no bounds at all

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean over the pieces at each place, `[places]`."""
        found: NDArray[np.float64] = self.rows.mean(0)
        return found

    @property
    def span(self) -> float:
        """Change from the first place to the last; positive if it has the right direction."""
        return float(self.means[-1] - self.means[0]) * (1 if self.rising else -1)

    @property
    def worst_step(self) -> float:
        """How far the worst step goes the wrong way, less its standard error. 0 or below passes as monotone."""
        steps = self.rows[:, 1:] - self.rows[:, :-1] if self.rising else self.rows[:, :-1] - self.rows[:, 1:]
        error = steps.std(0, ddof=1) / np.sqrt(len(steps)) if len(steps) > 1 else np.zeros(steps.shape[1])
        return float((-steps.mean(0) - error).max())


@dataclass(frozen=True)
class Cell:
    """One piece and one seed on which every knob is tried. `other` is a different piece, the init of resample."""

    piece: Piece
    other: Piece
    seed: int


def heard_samples(player: Player) -> int:
    """Return the number of samples on which a knob is judged: those of `BLOCKS` blocks.

    The stream opens with silence of the finisher's latency. Enough whole blocks are added to make up for it.
    """
    return (BLOCKS + player.latency // player.block) * player.block - player.latency


def noise_step(player: Player, cells: Sequence[Cell]) -> Curve:
    """Return the curve of Noise: distance to the sound at 0.

    Measured from the second block, where the knob first acts.
    """
    rows = []
    for cell in cells:
        settings = player.settings(cell.seed)
        player.begin(cell.piece.context)
        player.go_on(settings, 1 + player.latency // player.block)
        state, sounds = player.stream.save(), []
        for step in QUARTERS:
            player.stream.restore(state)
            sounds.append(player.go_on(replace(settings, noise_step=step), BLOCKS).mean(0))
        rows.append([mel_distance(sounds[0], sound, player.sample_rate) for sound in sounds])
    return Curve("noise step", "distance to step 0", QUARTERS, np.array(rows), True)


def resample(player: Player, cells: Sequence[Cell]) -> Curve:
    """Return the curve of Resample: distance to the init, which is the other piece of the cell."""
    samples, rows = heard_samples(player), []
    for cell in cells:
        init, row = cell.other.original.mean(0), []
        for amount in QUARTERS:
            settings = replace(player.settings(cell.seed), resample=amount)
            sound = player.play(cell.piece.context, samples, settings, init).mean(0)
            row.append(mel_distance(init[:samples], sound, player.sample_rate))
        rows.append(row)
    return Curve("resample", "distance to the init", QUARTERS, np.array(rows), False)


def notes(sound: Tensor, sample_rate: int) -> Tensor:
    """Return the mean level in dB of each semitone `[68]` of mono audio `[n]`."""
    return note_levels(sound, sample_rate).mean(1)


def adherence(sound: Tensor, contexts: Sequence[Tensor], own: int) -> float:
    """Return how much closer the sound `[n]` is to its own context than to the other contexts, -2..2.

    It is the correlation of `notes` with those of context number `own`, less the mean correlation with the other
    contexts `[m]`. The mean of all contexts is subtracted first. Guidance exaggerates a context, and a correlation does
    not punish a sound for going further in the same direction.
    """
    mean = torch.stack(list(contexts)).mean(0)
    alike = [float(torch.corrcoef(torch.stack([sound - mean, one - mean]))[0, 1]) for one in contexts]
    others = [value for number, value in enumerate(alike) if number != own]
    return alike[own] - float(np.mean(others))


def guidance(player: Player, cells: Sequence[Cell]) -> tuple[Curve, Curve]:
    """Return two curves of Guidance: the distance to the sound at guidance 1, and the adherence to the context."""
    samples, rate = heard_samples(player), player.sample_rate
    contexts = [notes(cell.piece.context, rate) for cell in cells]
    away, near = [], []
    for number, cell in enumerate(cells):
        sounds = []
        for scale in GUIDANCES:
            settings = replace(player.settings(cell.seed), guidance=scale)
            sounds.append(player.play(cell.piece.context, samples, settings).mean(0))
        away.append([mel_distance(sounds[0], sound, rate) for sound in sounds])
        near.append([adherence(notes(sound, rate), contexts, number) for sound in sounds])
    return (
        Curve("guidance", "distance to guidance 1", GUIDANCES, np.array(away), True),
        Curve("guidance", ADHERENCE, GUIDANCES, np.array(near), True, unit="", least=None),
    )


def finished(player: Player, cell: Cell, settings: FinisherSettings) -> Tensor:
    """Play a cell with these settings of the finisher; return `[2, n]`."""
    given = replace(player.settings(cell.seed), finisher=settings)
    return player.play(cell.piece.context, heard_samples(player), given)


def finisher_strength(player: Player, cells: Sequence[Cell]) -> Curve:
    """Return the curve of Finisher strength: mean distance of both channels to the sound without the finisher.

    The finisher's strength is how much of the unfinished sound is kept, so the curve falls.
    """
    rows = []
    for cell in cells:
        without = finished(player, cell, FinisherSettings(on=False))[0]
        row = []
        for strength in QUARTERS:
            channels = finished(player, cell, FinisherSettings(strength=strength))
            row.append(np.mean([mel_distance(without, sound, player.sample_rate) for sound in channels]))
        rows.append(row)
    return Curve("finisher strength", "distance to the unfinished sound", QUARTERS, np.array(rows), False)


def seeds(player: Player, cells: Sequence[Cell], count: int) -> tuple[float, float]:
    """Return two mean distances in dB: between seeds with one context, and between contexts with one seed."""
    samples, rate = heard_samples(player), player.sample_rate
    among, firsts = [], []
    for cell in cells:
        sounds = [
            player.play(cell.piece.context, samples, player.settings(seed)).mean(0) for seed in range(count)
        ]
        among += [mel_distance(one, other, rate) for one, other in itertools.combinations(sounds, 2)]
        firsts.append(sounds[0])
    apart = [mel_distance(one, other, rate) for one, other in itertools.pairwise(firsts)]
    return float(np.mean(among)), float(np.mean(apart))


def make_cells(pieces: Sequence[Piece], wanted: int) -> list[Cell]:
    """Return up to `wanted` cells: pieces evenly spread over the list, each with a different piece as `other`.

    Needs two pieces or more.
    """
    count = min(wanted, len(pieces))
    picks = [int((i + 0.5) * len(pieces) / count) for i in range(count)]
    return [
        Cell(pieces[pick], pieces[(pick + max(1, len(pieces) // 2)) % len(pieces)], seed)
        for seed, pick in enumerate(picks)
    ]


def knob_curves(player: Player, cells: Sequence[Cell], report: Callable[[str], None]) -> list[Curve]:
    """Return the curves of all knobs that the stack of `player` has. `report` receives the progress."""
    report("  noise step")
    found = [noise_step(player, cells)]
    report("  resample")
    found.append(resample(player, cells))
    report("  guidance")
    found += guidance(player, cells)
    if player.stream.channels > 1:
        report("  finisher strength")
        found.append(finisher_strength(player, cells))
    return found


def knob_figures(curves: Sequence[Curve], among: float, contexts: float) -> list[Figure]:
    """Return the figures of curves, and of the distances in dB between seeds (`among`) and between contexts."""
    figures = []
    for curve in curves:
        values = ", ".join(f"{mean:.2f}" for mean in curve.means)
        name, note = f"{curve.name}, {curve.what}", f"{'rising' if curve.rising else 'falling'}: {values}"
        most = None if curve.least is None else 0.0
        figures.append(
            Figure(SECTION, f"{name}: wrong way", curve.worst_step, curve.unit, high=most, note=note)
        )
        figures.append(Figure(SECTION, f"{name}: span", curve.span, curve.unit, low=curve.least))
    note = f"two contexts, one seed: {contexts:.2f} dB"
    figures.append(Figure(SECTION, "seed: distance between two", among, "dB", low=LEAST_SPAN, note=note))
    return figures
