"""Spectrogram pictures of named pieces of audio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_spectrogram(path: Path, pieces: Mapping[str, NDArray[np.float32]], sample_rate: int) -> None:
    """One row a piece, log frequency, 80 dB range, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 2.6 * len(pieces)), layout="constrained")
    FigureCanvasAgg(figure)
    for row, (name, audio) in enumerate(pieces.items()):
        axes = figure.add_subplot(len(pieces), 1, row + 1)
        size, hop = 2048, 512
        padded = np.pad(audio, (0, max(0, size - len(audio))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)
        level = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)).T * 4 / size + 1e-6)
        seconds = np.arange(level.shape[1]) * hop / sample_rate
        hertz = np.fft.rfftfreq(size, 1 / sample_rate)
        axes.pcolormesh(seconds, hertz[1:], level[1:], vmin=-85, vmax=-5, cmap="magma", shading="nearest")
        axes.set_yscale("log")
        axes.set_ylim(40, 16_000)
        axes.set_title(name, fontsize=9)
    figure.savefig(path, dpi=60)
