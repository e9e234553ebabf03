"""Loudness against the reference tone of ITU-R BS.1770-4 and the signals of EBU Tech 3341."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from jbdiff.evaluate.metrics.loudness import SILENCE, loudness


def tone(rate: int, *parts: tuple[float, float], hertz: float = 1000.0) -> Tensor:
    """A stereo sine that goes through (dB of full scale, seconds), the same in both channels."""
    sound = torch.cat([10 ** (level / 20) * torch.ones(int(seconds * rate)) for level, seconds in parts])
    return (sound * torch.sin(2 * math.pi * hertz * torch.arange(len(sound)).double() / rate)).repeat(2, 1)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_reference_tone_reads_what_the_standard_says(rate: int) -> None:
    full = tone(rate, (0.0, 3.0), hertz=997.0)
    assert loudness(full[0], rate) == pytest.approx(-3.01, abs=0.01), "one channel, full scale"
    assert loudness(full, rate) == pytest.approx(0.0, abs=0.01)
    assert loudness(tone(rate, (-23.0, 3.0)), rate) == pytest.approx(-23.0, abs=0.1)
    assert loudness(tone(rate, (-33.0, 3.0)), rate) == pytest.approx(-33.0, abs=0.1)


def test_quiet_parts_are_gated_away() -> None:
    """Cases 3 to 5 of Tech 3341, a quarter as long."""
    rate = 48_000
    assert loudness(tone(rate, (-36, 2.5), (-23, 15), (-36, 2.5)), rate) == pytest.approx(-23, abs=0.1)
    case4 = tone(rate, (-72, 2.5), (-36, 2.5), (-23, 15), (-36, 2.5), (-72, 2.5))
    assert loudness(case4, rate) == pytest.approx(-23, abs=0.1)
    case5 = tone(rate, (-26, 5), (-20, 5.025), (-26, 5))
    assert loudness(case5, rate) == pytest.approx(-23, abs=0.1)


def test_low_tones_count_less_and_high_ones_more() -> None:
    rate = 44_100
    at = {
        hertz: loudness(tone(rate, (-20.0, 2.0), hertz=hertz), rate)
        for hertz in (25.0, 100.0, 1000.0, 8000.0)
    }
    assert at[25.0] < at[100.0] - 5 and at[100.0] < at[1000.0] < at[8000.0] - 2
    assert at[8000.0] - at[1000.0] == pytest.approx(3.3, abs=0.3), "the shelf is 4 dB, of which 0.7 at 1 kHz"


def test_silence_and_short_sounds_have_a_reading() -> None:
    assert loudness(torch.zeros(2, 44_100), 44_100) == SILENCE
    assert loudness(tone(44_100, (-20.0, 0.2)), 44_100) == pytest.approx(-20, abs=0.5)
