"""Mel pictures of sounds: time to the right, pitch upwards, level as colour. Writes PNG without other packages.

    write_mel_picture(Path("a.png"), chunks, frames=441_000, sample_rate=44_100)

The sound passes through in pieces, so a picture of an hour takes as much memory as one of a second.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]

FFT = 4096
BANDS = 128
ROW_HEIGHT = 3  # pixels of a band
MOST_COLUMNS = 1600
FEWEST_COLUMNS = 480
LOWEST_HZ = 30.0
RANGE_DB = 80.0
PIECE_FRAMES = 1 << 18
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 12, 34  # margins in pixels
SCALE = 2  # pixels of a dot of the font
PAPER, INK = (16, 16, 20), (190, 190, 196)
# From black over violet and orange to pale yellow. Lightness grows evenly, so the picture is also clear in grey.
COLOURS = ((0, 0, 4), (40, 17, 89), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
           (252, 255, 164))  # fmt: skip
FONT = {  # three dots wide, five high, a row a number
    "0": (7, 5, 5, 5, 7), "1": (2, 6, 2, 2, 7), "2": (7, 1, 7, 4, 7), "3": (7, 1, 7, 1, 7), "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7), "6": (7, 4, 7, 5, 7), "7": (7, 1, 1, 2, 2), "8": (7, 5, 7, 5, 7), "9": (7, 5, 7, 1, 7),
    ":": (0, 2, 0, 2, 0), ".": (0, 0, 0, 0, 2), "k": (4, 5, 6, 5, 5), "s": (3, 4, 2, 1, 6), "H": (5, 5, 7, 5, 5),
    "z": (0, 7, 1, 2, 7), " ": (0, 0, 0, 0, 0),
}  # fmt: skip
TIME_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
PITCHES_HZ = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


def mel(hz: float) -> float:
    """Return a frequency in mel, HTK's scale: 2595 log10(1 + hz / 700).

    Slaney's scale is linear below 1 kHz instead.
    """
    return 2595 * math.log10(1 + hz / 700)


def mel_weights(sample_rate: int) -> Tensor:
    """Return triangles over the bins of the transform, `[bands, FFT / 2 + 1]`, each with sum 1.

    Low bands are narrower than a bin. Their triangles use the bins beside their centre.
    """
    edges = torch.linspace(mel(LOWEST_HZ), mel(sample_rate / 2), BANDS + 2, dtype=torch.float64)
    hz = 700 * (10 ** (edges / 2595) - 1)
    bins = torch.arange(FFT // 2 + 1, dtype=torch.float64) * sample_rate / FFT
    middle = hz[1:-1, None]
    width = sample_rate / FFT
    rising = (bins - middle) / torch.clamp(middle - hz[:-2, None], min=width) + 1
    falling = (middle - bins) / torch.clamp(hz[2:, None] - middle, min=width) + 1
    weights = torch.minimum(rising, falling).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def mel_levels(chunks: Iterable[NDArray[np.float32]], frames: int, sample_rate: int) -> Tensor:
    """Return levels in dB of full scale, `[bands, columns]`, of `frames` samples that come as pieces `[n, channels]`.

    The power of the channels is averaged. Each column is the loudest of its transforms.
    """
    columns = max(FEWEST_COLUMNS, min(MOST_COLUMNS, frames // 256))
    hop = min(FFT // 4, max(1, frames // columns))
    weights, window = mel_weights(sample_rate), torch.hann_window(FFT)
    power = torch.zeros(BANDS, columns)
    kept: Tensor | None = None  # [channels, n] not yet transformed
    done = 0  # transforms so far

    def transform(audio: Tensor) -> Tensor:
        """Do all whole transforms of `audio` `[channels, n]`; return the rest, with which the next one begins."""
        nonlocal done
        count = (audio.shape[1] - FFT) // hop + 1
        if count < 1:
            return audio
        spectrum = torch.stft(audio, FFT, hop, window=window, center=False, return_complex=True)
        bands = weights @ (spectrum.abs() * (2 / window.sum())).square().mean(dim=0)
        places = (done + torch.arange(count)) * hop * columns // max(1, frames)
        places = places.clamp(max=columns - 1).expand(BANDS, -1)
        power.scatter_reduce_(1, places, bands, "amax")
        done += count
        return audio[:, count * hop :]

    for chunk in chunks:
        for start in range(0, len(chunk), PIECE_FRAMES):
            piece = torch.from_numpy(np.array(chunk[start : start + PIECE_FRAMES].T, dtype=np.float32))
            before = piece.new_zeros(piece.shape[0], FFT // 2) if kept is None else kept
            kept = transform(torch.cat([before, piece], dim=1))
    if kept is not None:
        transform(torch.nn.functional.pad(kept, (0, FFT)))
    filled = min(columns, 1 + (max(0, done - 1) * hop * columns) // max(1, frames))
    if (
        done and filled and hop * columns > frames
    ):  # fewer transforms than columns: each fills several columns
        source = torch.arange(columns) * frames // columns // hop * hop * columns // max(1, frames)
        power = power[:, source.clamp(max=filled - 1)]
    return 10 * torch.log10(power.clamp(min=1e-12))


def write_mel_picture(
    path: Path, chunks: Iterable[NDArray[np.float32]], frames: int, sample_rate: int
) -> None:
    """Write a PNG of `frames` samples, which come as pieces `[n, channels]`; the loudest point is the brightest."""
    levels = mel_levels(chunks, frames, sample_rate)
    top = max(float(levels.max()), -60.0)  # silence stays dark
    shade = ((levels - top) / RANGE_DB + 1).clamp(0, 1).flip(0).numpy()
    stops = np.linspace(0, 1, len(COLOURS))
    inside = np.stack(
        [np.interp(shade, stops, [colour[n] for colour in COLOURS]) for n in range(3)], axis=2
    ).astype(np.uint8)
    inside = inside.repeat(ROW_HEIGHT, axis=0)
    height, width = inside.shape[:2]
    picture: Pixels = np.empty((TOP + height + BOTTOM, LEFT + width + RIGHT, 3), np.uint8)
    picture[:] = PAPER
    picture[TOP : TOP + height, LEFT : LEFT + width] = inside
    _time_ticks(picture, width, TOP + height, frames / sample_rate)
    low, high = mel(LOWEST_HZ), mel(sample_rate / 2)
    above = TOP + height + 14
    for hz in PITCHES_HZ:
        row = TOP + round((high - mel(hz)) / (high - low) * (height - 1))
        if hz < sample_rate / 2 and row <= above - 14:  # a label is 10 pixels high
            above = row
            picture[row, LEFT - 6 : LEFT] = INK
            text = f"{hz // 1000}k" if hz >= 1000 else str(hz)
            _write(picture, text, LEFT - 10 - _width(text), row - 5)
    path.write_bytes(png(picture))


def png(picture: Pixels) -> bytes:
    """Return an 8-bit RGB picture `[height, width, 3]` as the bytes of a PNG file (ISO 15948, filter 0)."""

    def part(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = picture.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows.tobytes(), 6)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _time_ticks(picture: Pixels, width: int, below: int, seconds: float) -> None:
    step = next((step for step in TIME_STEPS if seconds / step <= width / 90), TIME_STEPS[-1])
    for number in range(int(seconds / step + 1e-9) + 1):
        column = LEFT + min(width - 1, round(number * step / seconds * width))
        picture[below : below + 6, column] = INK
        text = _clock(number * step, step)
        left = min(column - _width(text) // 2, picture.shape[1] - _width(text) - 2)
        _write(picture, text, left, below + 12)


def _clock(seconds: float, step: float) -> str:
    if step < 1:
        return f"{seconds:.{2 if step < 0.1 else 1}f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _width(text: str) -> int:
    return (4 * len(text) - 1) * SCALE


def _write(picture: Pixels, text: str, left: int, top: int) -> None:
    """Write text with its upper left dot at (left, top)."""
    for place, letter in enumerate(text):
        for row, dots in enumerate(FONT[letter]):
            for column in range(3):
                if dots >> (2 - column) & 1:
                    x, y = left + (4 * place + column) * SCALE, top + row * SCALE
                    picture[y : y + SCALE, x : x + SCALE] = INK
