"""Pictures of an evaluation. Matplotlib is imported at the top, so that a run without it fails at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from jbdiff.evaluate.judged import Judged
from jbdiff.evaluate.knobs import Curve
from jbdiff.evaluate.metrics.constant_q import HOP, OCTAVES
from jbdiff.evaluate.metrics.statistics import STATISTICS, Table


def _figure(rows: int, columns: int) -> tuple[Any, Any]:
    figure = Figure(figsize=(4.6 * columns, 2.2 * rows), layout="constrained", dpi=80)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


RANGE_DECIBELS = 60.0  # a constant-Q picture shows this range below the loudest point of its row
MOST_ROWS = 12  # pieces in one picture


def write_constant_q(path: Path, pieces: Sequence[Judged], sample_rate: int) -> None:
    """Write one row per piece: constant-Q spectrograms of the end of the context, the truth and the continuation."""
    shown = pieces[:MOST_ROWS]
    figure = Figure(figsize=(16, 2.1 * len(shown)), layout="constrained", dpi=58)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(shown), 3, squeeze=False, sharey=True)
    names = ("end of the context", "how it goes on", "what is played")
    for row, piece in zip(axes, shown, strict=True):
        top = max(float(levels.max()) for levels in piece.pictures)
        for place, name, levels in zip(row, names, piece.pictures, strict=True):
            seconds = levels.shape[1] * HOP / sample_rate
            start = -seconds if place is row[0] else 0.0
            place.imshow(
                levels.numpy(), origin="lower", aspect="auto", extent=(start, start + seconds, 0, OCTAVES),
                vmin=top - RANGE_DECIBELS, vmax=top, cmap="magma", interpolation="nearest",
            )  # fmt: skip
            place.set_title(f"{piece.name}: {name}", fontsize=9)
            place.set_yticks(range(OCTAVES), [f"C{octave + 1}" for octave in range(OCTAVES)])
            place.set_xlabel("seconds", fontsize=8)
        row[0].set_ylabel("note", fontsize=8)
    figure.savefig(path)


def write_drift(path: Path, table: Table, held: Table, stretch: float) -> None:
    """Write each statistic over the minutes of a long run; grey marks held-out music (mean and deviation)."""
    names = [(s.name, s.unit) for s in STATISTICS] + [("beat", "s")]
    figure, axes = _figure(-(-len(names) // 2), 2)
    for place, (name, unit) in zip(axes.flat, names, strict=False):
        values = table[name]
        mean, spread = float(held[name].mean()), float(held[name].std())
        place.axhspan(mean - spread, mean + spread, color="0.88")
        place.plot((np.arange(len(values)) + 0.5) * stretch / 60, values, linewidth=0.9)
        place.set_title(f"{name} ({unit})" if unit else name, fontsize=9)
        place.set_xlabel("minutes", fontsize=8)
    figure.savefig(path)


def write_curves(path: Path, curves: Sequence[Curve]) -> None:
    """Write one plot per knob: a thin line for each piece, and their mean with its standard error."""
    columns = min(3, len(curves))
    figure, axes = _figure(-(-len(curves) // columns), columns)
    for place, curve in zip(axes.flat, curves, strict=False):
        for row in curve.rows:
            place.plot(curve.places, row, color="0.8", linewidth=0.7)
        error: NDArray[np.float64] = curve.rows.std(0) / np.sqrt(max(1, len(curve.rows) - 1))
        place.errorbar(curve.places, curve.means, error, linewidth=1.6)
        place.set_title(f"{curve.name}: {curve.what}{curve.unit and f' ({curve.unit})'}", fontsize=9)
    for place in axes.flat[len(curves) :]:
        place.set_axis_off()
    figure.savefig(path)
