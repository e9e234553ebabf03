"""Change, contrast, pulse and constant-Q levels of sounds whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from notes import RATE, melody, sound

from jbdiff.evaluate.metrics.beat import beat_pulse
from jbdiff.evaluate.metrics.changes import HOP, band_levels, bar_seconds, cells, change, contrast
from jbdiff.evaluate.metrics.constant_q import HOP as COLUMN
from jbdiff.evaluate.metrics.constant_q import constant_q, row_hertz

BAR = 2.0


def changes(audio: torch.Tensor) -> tuple[float, float]:
    sixteenths = cells(band_levels(audio, RATE), BAR * RATE / HOP)
    one, four = change(sixteenths, 1), change(sixteenths, 4)
    assert one is not None and four is not None
    return one, four


def test_a_loop_does_not_change_and_what_forgets_changes_more_than_what_remembers() -> None:
    remembers = changes(sound(melody(0, 12), 12 * BAR))
    forgets = changes(sound(melody(0, 12, memory=False), 12 * BAR))
    loop = changes(sound(melody(0, 1), BAR).repeat(12))
    four = changes(sound(melody(0, 4), 4 * BAR).repeat(3))
    assert loop[0] < 0.05 * remembers[0] and loop[1] < 0.05 * remembers[1]
    assert four[1] < 0.05 * remembers[1] and four[0] > 0.6 * remembers[0], (
        "a loop of four bars moves within them"
    )
    assert forgets[1] > 1.5 * remembers[1]
    noise = 0.1 * torch.randn(int(12 * BAR * RATE), generator=torch.Generator().manual_seed(0))
    assert changes(noise)[0] < 0.6 * remembers[0], "noise is the same all the time"


def test_cells_are_means_over_sixteenths_that_no_whole_number_of_tokens_fits() -> None:
    levels = torch.arange(100.0)[:, None].repeat(1, 3)
    found = cells(levels, 16 * 2.5)
    assert found.shape == (40, 3)
    # Tokens 0, 1 and half of 2; then the other half of 2, 3 and 4.
    np.testing.assert_allclose(found[:2, 0], [(0 + 1 + 0.5 * 2) / 2.5, (0.5 * 2 + 3 + 4) / 2.5])
    assert change(found[:16], 1) is None
    assert change(found, 1) == pytest.approx(40.0**2)


def test_lines_have_contrast_and_noise_has_less() -> None:
    lines = contrast(band_levels(sound(melody(0, 4), 8.0), RATE))
    noise = contrast(
        band_levels(0.1 * torch.randn(8 * RATE, generator=torch.Generator().manual_seed(0)), RATE)
    )
    assert lines > 1.3 * noise


def test_bars_of_a_piece_are_found_and_a_sound_without_a_beat_is_refused() -> None:
    beats = torch.zeros(12 * RATE)
    click = torch.exp(-torch.arange(4000) / 500) * torch.sin(torch.arange(4000) * 0.02)
    for place in range(24):
        start = int(place * 0.5 * RATE) + 100
        beats[start : start + 4000] += click[: len(beats) - start]
    assert bar_seconds(beats, RATE) == pytest.approx(2.0, rel=0.01)
    with pytest.raises(ValueError, match="no beat"):
        bar_seconds(torch.zeros(5 * RATE), RATE)


def test_a_steady_beat_has_a_pulse_and_noise_has_none() -> None:
    steady = beat_pulse(sound(melody(0, 8), 16.0), RATE)
    noise = beat_pulse(0.1 * torch.randn(16 * RATE, generator=torch.Generator().manual_seed(0)), RATE)
    rng = np.random.default_rng(0)
    moved = [type(n)(n.start + 0.2 * rng.random(), n.end + 0.2 * rng.random(), n.key) for n in melody(0, 8)]
    assert steady > 0.8 and noise < 0.2 and beat_pulse(sound(moved, 17.0), RATE) < 0.6 * steady
    assert beat_pulse(torch.zeros(5 * RATE), RATE) == 0 == beat_pulse(torch.zeros(100), RATE)


def test_a_sine_reads_its_level_in_its_own_row() -> None:
    time = torch.arange(2 * RATE, dtype=torch.float64) / RATE
    hertz = row_hertz()
    for row in (30, 140, 250):
        levels = constant_q(0.5 * torch.sin(2 * torch.pi * hertz[row] * time), RATE)
        assert levels.shape == (288, -(-len(time) // COLUMN))
        middle = levels[:, levels.shape[1] // 2]
        assert int(middle.argmax()) == row and float(middle[row]) == pytest.approx(-6.02, abs=0.1)
        assert float(middle[(torch.arange(288) - row).abs() > 36].max()) < -40
    assert float(constant_q(torch.randn(RATE // 4), 8000)[-12:].max()) == -100, "above half the sample rate"
