"""The test for clipping is itself tested: clipping alone fails it."""

from __future__ import annotations

import numpy as np
import pytest
from flat_tops import flat_tops, is_clipped

RATE = 44_100


def tone(hertz: float, level: float) -> np.ndarray:
    """A second of a tone, `[frames, 2]`, float32, its channels a quarter of a period apart."""
    turning = 2 * np.pi * hertz * (np.arange(RATE) + 0.5) / RATE
    return (level * np.stack([np.sin(turning), np.cos(turning)], 1)).astype(np.float32)


@pytest.mark.parametrize("hertz", [27.5, 55.0, 110.25, 220.5, 441.0, 4410.0, 11_025.0])
@pytest.mark.parametrize("level", [0.5, 0.95, 1.7])
def test_a_loud_tone_is_not_clipped(hertz: float, level: float) -> None:
    """Its crest may have two equal neighbours, in every period at the same height."""
    assert not is_clipped(tone(hertz, level))


def test_two_equal_neighbours_at_a_crest_are_there_to_be_mistaken() -> None:
    sound = tone(110.25, 0.95)
    assert ((np.diff(sound, axis=0) == 0) & (np.abs(sound[1:]) > 0.9)).any(), (
        "else the tones above show nothing"
    )


def test_noise_silence_and_a_held_knob_are_not_clipped() -> None:
    rng = np.random.default_rng(0)
    assert not is_clipped(rng.standard_normal((RATE, 2)).astype(np.float32))
    assert not is_clipped(np.zeros((RATE, 2), np.float32))
    assert flat_tops(np.zeros((RATE, 2), np.float32)) == 0


@pytest.mark.parametrize("limit", [0.3, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("hertz", [27.5, 55.0, 441.0])
def test_what_a_limit_cuts_off_is_clipped(limit: float, hertz: float) -> None:
    assert is_clipped(np.clip(tone(hertz, 1.2 * limit), -limit, limit))


def test_one_side_and_one_channel_are_enough() -> None:
    sound = tone(55.0, 1.0)
    sound[:, 1] = np.minimum(sound[:, 1], 0.8)
    assert is_clipped(sound)
