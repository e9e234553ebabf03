"""Mel pictures of named pieces of audio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jbdiff.audio.pictures import LOWEST_HZ, RANGE_DB, mel, mel_levels
from jbdiff.untyped import JsonDict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TICKS_HZ = (100, 300, 1000, 3000, 10_000)


def mel_figure(pieces: Mapping[str, NDArray[np.float32]], sample_rate: int) -> Figure:
    """A matplotlib figure with one row for each mono piece `[frames]`: mel bands, 80 dB below the loudest of all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 2.6 * max(1, len(pieces))), layout="constrained", dpi=60)
    FigureCanvasAgg(figure)
    lowest, highest = mel(LOWEST_HZ), mel(sample_rate / 2)
    levels = {
        name: mel_levels([audio[:, None]], len(audio), sample_rate).numpy() for name, audio in pieces.items()
    }
    top = max((float(level.max()) for level in levels.values()), default=0.0)
    shades: JsonDict = {"vmin": top - RANGE_DB, "vmax": top, "cmap": "magma"}
    for row, (name, level) in enumerate(levels.items()):
        axes = figure.add_subplot(len(pieces), 1, row + 1)
        extent = (0.0, len(pieces[name]) / sample_rate, lowest, highest)
        axes.imshow(level, origin="lower", aspect="auto", extent=extent, **shades)
        inside = [hz for hz in TICKS_HZ if lowest < mel(hz) < highest]
        axes.set_yticks([mel(hz) for hz in inside], [f"{hz} Hz" for hz in inside])
        axes.set_title(name, fontsize=9)
    return figure


def mel_image(pieces: Mapping[str, NDArray[np.float32]], sample_rate: int) -> NDArray[np.uint8]:
    """Return the figure of mono pieces `[frames]` as pixels, RGB `[height, width, 3]`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(mel_figure(pieces, sample_rate))
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def write_spectrogram(path: Path, pieces: Mapping[str, NDArray[np.float32]], sample_rate: int) -> None:
    """Write the figure of mono pieces `[frames]` as a PNG file."""
    mel_figure(pieces, sample_rate).savefig(path)
