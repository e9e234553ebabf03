"""The picture of a closed take: waveform above, mel spectrogram below, markers through both. Written as PNG.

Another process draws it, after the take is closed and with the lowest priority, so that no block is late for it. That
process ends by itself; nobody waits for it.

    python -m jbdiff_live.record.picture TAKE
"""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from jbdiff_live.block import Audio
from jbdiff_live.record.events import MarkerEvent
from jbdiff_live.record.take import Take, TakeError, open_sound, open_take

log = logging.getLogger(__name__)

PICTURE = "picture.png"
COLUMNS = 1200
WAVE_ROWS, BANDS, BAND_ROWS = 120, 80, 3
FFT = 4096
LOWEST_HZ, RANGE_DB = 30.0, 80.0
PAPER, WAVE, MARKER = (16, 16, 20), (235, 180, 90), (90, 200, 235)
MOST_FRAMES = 1 << 18  # read at once

Pixels = NDArray[np.uint8]
WINDOW = np.hanning(FFT)
_drawing: list[subprocess.Popen[bytes]] = []  # processes that were started and may have ended


def draw_beside(folder: Path) -> None:
    """Start a process that draws the picture of a take. Returns at once; the writer's thread."""
    _drawing[:] = [process for process in _drawing if process.poll() is None]
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "jbdiff_live.record.picture", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal ends the instrument, not the picture
        )
    except OSError as error:  # the take is whole without it
        log.info("no picture of %s: %s", folder, error)
        return
    _drawing.append(process)


def draw(take: Take) -> Path:
    """Draw the picture of a closed take, and return its path. TakeError, OSError: it cannot be read or written."""
    total, rate = take.frames, take.info.sample_rate
    per_column = max(1, -(-total // COLUMNS))
    columns = max(1, -(-total // per_column))
    wave = np.zeros((columns, 2), np.float32)
    mel = np.zeros((columns, BANDS), np.float32)
    weights = _mel_weights(rate)
    for number, samples in enumerate(_columns(take, per_column)):
        mono = samples.mean(axis=1)
        wave[number] = mono.min(), mono.max()
        mel[number] = _levels(mono, weights)
    pixels = np.full((WAVE_ROWS + BANDS * BAND_ROWS, columns, 3), PAPER, np.uint8)
    _draw_wave(pixels, wave)
    _draw_mel(pixels, mel)
    for position in _markers(take):
        pixels[:, min(columns - 1, position // per_column)] = MARKER
    path = take.folder / PICTURE
    new = path.with_suffix(".png.new")
    new.write_bytes(png(pixels))
    new.replace(path)
    return path


def _columns(take: Take, per_column: int) -> Iterator[Audio]:
    """Give the sound column by column, `[at most per_column frames, channels]`."""
    left = np.zeros((0, take.info.channels), np.float32)
    for path in take.audio:
        with open_sound(path) as sound:
            while True:
                missing = per_column - len(left)
                part = sound.read(min(missing, MOST_FRAMES), dtype="float32", always_2d=True)
                if not len(part):
                    break
                left = np.concatenate([left, part])
                if len(left) == per_column:
                    yield left
                    left = left[:0]
    if len(left):
        yield left


def _mel_weights(rate: int) -> NDArray[np.float32]:
    """Return triangles over the bins of the transform, `[bins, bands]`."""
    bins = np.linspace(0, rate / 2, FFT // 2 + 1)
    lowest, highest = np.log10(1 + np.array([LOWEST_HZ, rate / 2]) / 700)
    edges = 700 * (10 ** np.linspace(lowest, highest, BANDS + 2) - 1)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    nearest = np.abs(bins[:, None] - edges[1:-1]).argmin(axis=0)
    triangles[nearest, np.arange(BANDS)] += 1e-3  # low bands are narrower than a bin
    weights: NDArray[np.float32] = (triangles / triangles.sum(axis=0)).astype(np.float32)
    return weights


def _levels(mono: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the level of each band in dB: the loudest of some windows of a column, `[bands]`."""
    starts = np.linspace(0, max(0, len(mono) - FFT), 4).astype(int)
    windows = np.zeros((len(starts), FFT), np.float32)
    for row, start in zip(windows, starts, strict=True):
        part = mono[start : start + FFT]
        row[: len(part)] = part
    power = np.abs(np.fft.rfft(windows * WINDOW)) ** 2
    levels: NDArray[np.float32] = (10 * np.log10(power.max(axis=0) @ weights + 1e-9)).astype(np.float32)
    return levels


def _draw_wave(pixels: Pixels, wave: NDArray[np.float32]) -> None:
    """Draw lowest and highest sample of each column, full scale over the whole height."""
    middle = WAVE_ROWS // 2
    tops = np.clip(middle - wave[:, 1] * middle, 0, WAVE_ROWS - 1).astype(int)
    bottoms = np.clip(middle - wave[:, 0] * middle, 0, WAVE_ROWS - 1).astype(int)
    for column, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
        pixels[top : bottom + 1, column] = WAVE


def _draw_mel(pixels: Pixels, mel: NDArray[np.float32]) -> None:
    """Draw the bands, low ones at the bottom; the loudest is brightest."""
    light = np.clip((mel - mel.max()) / RANGE_DB + 1, 0, 1)
    rows = np.repeat(light.T[::-1], BAND_ROWS, axis=0)[..., None]
    colour = np.concatenate([rows**0.7, rows**1.6, 0.35 * np.sin(np.pi * rows) + 0.4 * rows**4], axis=2)
    pixels[WAVE_ROWS:] = np.clip(np.array(PAPER) + colour * 235, 0, 255).astype(np.uint8)


def _markers(take: Take) -> list[int]:
    """Return the positions of the markers in `audio.wav`, in frames."""
    return [take.position(event.frame) for event in take.events() if isinstance(event, MarkerEvent)]


def png(pixels: Pixels) -> bytes:
    """Return `[rows, columns, 3]` as a PNG file."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows, columns, _ = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + chunk(b"IEND", b"")
    )


def main(arguments: list[str]) -> int:
    """Draw the picture of the take in the folder that is named, behind all other programs."""
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(19)
    try:
        draw(open_take(Path(arguments[0])))
    except (TakeError, OSError, soundfile.LibsndfileError) as error:
        print(f"no picture: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
