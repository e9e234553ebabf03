"""Whether each knob does what its name says, and does enough: curves over its range, averaged over pieces and seeds.

Distances are mel distances in dB (`measures.mel_distance`) of what is played after the same context from the same
seed with one knob moved. A curve goes the right way when no step of it goes the wrong way by more than the standard
error of that step over the pieces.
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
BLOCKS = 2  # that are measured for each place of a knob


@dataclass(frozen=True)
class Curve:
    """What a knob does: `rows` `[pieces, places]` are values at the knob's `places`."""

    name: str
    what: str
    places: tuple[float, ...]
    rows: NDArray[np.float64]
    rising: bool
    unit: str = "dB"
    least: float | None = LEAST_SPAN  # that it should span; None: the curve has no bounds at all

    @property
    def means(self) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self.rows.mean(0)
        return found

    @property
    def span(self) -> float:
        """From the first place to the last, in the direction that the knob should go."""
        return float(self.means[-1] - self.means[0]) * (1 if self.rising else -1)

    @property
    def worst_step(self) -> float:
        """How far the worst step goes the wrong way beyond its standard error; 0 or below is monotone."""
        steps = self.rows[:, 1:] - self.rows[:, :-1] if self.rising else self.rows[:, :-1] - self.rows[:, 1:]
        error = steps.std(0, ddof=1) / np.sqrt(len(steps)) if len(steps) > 1 else np.zeros(steps.shape[1])
        return float((-steps.mean(0) - error).max())


@dataclass(frozen=True)
class Cell:
    """One piece and one seed that every knob is tried with."""

    piece: Piece
    other: Piece
    seed: int


def heard_samples(player: Player) -> int:
    """How much of what is played a knob is judged by: what `BLOCKS` blocks bring, or more where sound comes late."""
    return (BLOCKS + player.latency // player.block) * player.block - player.latency


def noise_step(player: Player, cells: Sequence[Cell]) -> Curve:
    """The first block is always the same: the knob acts from the second one on."""
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
    """Which notes sound in a mono sound, and how strongly: the mean level of each semitone in dB, `[68]`."""
    return note_levels(sound, sample_rate).mean(1)


def adherence(sound: Tensor, contexts: Sequence[Tensor], own: int) -> float:
    """How much more alike `notes` are to those of the own context than to those of the others, -2..2.

    By correlation about the contexts' mean: guidance exaggerates, and what goes further the same way is no less like
    the context.
    """
    mean = torch.stack(list(contexts)).mean(0)
    alike = [float(torch.corrcoef(torch.stack([sound - mean, one - mean]))[0, 1]) for one in contexts]
    others = [value for number, value in enumerate(alike) if number != own]
    return alike[own] - float(np.mean(others))


def guidance(player: Player, cells: Sequence[Cell]) -> tuple[Curve, Curve]:
    """The distance to guidance 1, and the adherence to the context."""
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
    """What is played with the finisher so, `[2, n]`."""
    given = replace(player.settings(cell.seed), finisher=settings)
    return player.play(cell.piece.context, heard_samples(player), given)


def finisher_strength(player: Player, cells: Sequence[Cell]) -> Curve:
    """Each channel's distance to the sound without the finisher: strength is how much of that is kept."""
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
    """Mean distance between seeds after the same context, and between contexts from the same seed."""
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
    """Up to `wanted` pieces, evenly spread, each with another one beside it. Takes two pieces or more."""
    count = min(wanted, len(pieces))
    picks = [int((i + 0.5) * len(pieces) / count) for i in range(count)]
    return [
        Cell(pieces[pick], pieces[(pick + max(1, len(pieces) // 2)) % len(pieces)], seed)
        for seed, pick in enumerate(picks)
    ]


def knob_curves(player: Player, cells: Sequence[Cell], report: Callable[[str], None]) -> list[Curve]:
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
