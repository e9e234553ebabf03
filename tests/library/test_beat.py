"""Tempo and first beat of sound files: clicks of known places, and the sounds of the factory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jbdiff.audio.beat import found_beat
from jbdiff.audio.files import read_mono

RATE = 44_100
SOUNDS = Path(__file__).resolve().parents[2] / "patches" / "sounds"


def clicks(tempo: float, first: float, seconds: float) -> np.ndarray:
    """Clicks on every beat, the first at second `first`, over a soft tone and noise."""
    rng = np.random.default_rng(3)
    sound = 0.01 * rng.standard_normal(round(seconds * RATE)) + 0.05 * np.sin(
        np.arange(round(seconds * RATE)) / 40
    )
    burst = 0.5 * rng.standard_normal(800) * np.exp(-np.arange(800) / 150)
    for time in np.arange(first, seconds - 0.05, 60 / tempo):
        at = round(time * RATE)
        sound[at : at + len(burst)] += burst
    return sound.astype(np.float32)


@pytest.mark.parametrize(("tempo", "first"), [(120.0, 0.21), (97.3, 0.0), (141.7, 0.4)])
def test_a_beat_is_found_to_the_hundredth_and_its_first_stroke(tempo: float, first: float) -> None:
    beat = found_beat(clicks(tempo, first, 20.0), RATE)
    assert beat is not None and beat.tempo == pytest.approx(tempo, abs=0.03)
    apart = (beat.first / RATE - first) * tempo / 60
    assert abs(apart - round(apart)) * 60 / tempo < 0.012


@pytest.mark.parametrize(
    ("name", "tempo"),
    [("drift", 112.35), ("lock", 95.7), ("quick", 143.55), ("band", 129.2), ("ticker", 112.35)],
)
def test_the_beats_of_the_factorys_sounds_are_found(name: str, tempo: float) -> None:
    beat = found_beat(read_mono(SOUNDS / f"{name}.ogg", RATE, 60 * RATE).samples, RATE)
    assert beat is not None and beat.tempo == pytest.approx(tempo, rel=0.001)


@pytest.mark.parametrize("name", ["region", "glass"])
def test_a_drone_and_a_pad_have_no_beat(name: str) -> None:
    assert found_beat(read_mono(SOUNDS / f"{name}.ogg", RATE, 60 * RATE).samples, RATE) is None


def test_silence_and_short_sounds_have_no_beat() -> None:
    assert found_beat(np.zeros(RATE * 10, np.float32), RATE) is None
    assert found_beat(clicks(120, 0, 1.0), RATE) is None
    assert found_beat(np.zeros(0, np.float32), RATE) is None
