"""Mel pictures: a tone stands where its pitch and time are, and the file is a PNG."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from jbdiff.audio.pictures import LOWEST_HZ, mel, mel_levels, write_mel_picture

RATE = 44_100


@pytest.mark.parametrize("hz", [100, 440, 2_000, 9_000])
def test_a_tone_is_brightest_at_its_pitch(hz: float) -> None:
    tone = np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)[:, None]
    levels = mel_levels([tone], RATE, RATE)
    bands = levels.shape[0]
    low, high = mel(LOWEST_HZ), mel(RATE / 2)
    expected = (mel(hz) - low) / (high - low) * (bands + 1) - 1
    assert abs(int(levels.mean(dim=1).argmax()) - expected) <= 1


def test_pieces_give_the_picture_of_the_whole() -> None:
    sound = np.random.default_rng(0).standard_normal((100_000, 2)).astype(np.float32)
    whole = mel_levels([sound], 100_000, RATE)
    pieces = mel_levels([sound[at : at + 777] for at in range(0, 100_000, 777)], 100_000, RATE)
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-3)


def test_a_click_is_where_it_sounds() -> None:
    sound = np.zeros((10 * RATE, 1), np.float32)
    sound[7 * RATE] = 1
    levels = mel_levels([sound], len(sound), RATE).amax(dim=0)
    places = torch.nonzero(levels > levels.max() - 3).float().mean() / len(levels)
    assert abs(float(places) - 0.7) < 0.01


@pytest.mark.parametrize("frames", [1, 100, 5_000, 200_000])
def test_any_length_even_silence_is_a_png(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "a.png"
    write_mel_picture(path, [np.zeros((frames, 2), np.float32)], frames, RATE)
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    size = struct.unpack(">I", content[33:37])[0]
    rows = zlib.decompress(content[41 : 41 + size])
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and len(rows) == height * (3 * width + 1)
