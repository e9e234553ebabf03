"""The governor: bands come back to the level and spread of the beginning, as far as the knobs ask for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jbdiff.codecs.bands import CHANNELS, LOWEST_DECIBELS
from jbdiff.stream.governor import HIGHEST, StreamGovernor
from jbdiff.stream.settings import BlockSettings
from jbdiff.stream.state import GovernorState

WINDOW = 32
MEAN, SPREAD = torch.full((CHANNELS,), -40.0), torch.full((CHANNELS,), 20.0)


def music(seed: int, tokens: int = WINDOW, level: float = 0.2, spread: float = 0.5) -> Tensor:
    """Bands `[1, CHANNELS, tokens]`."""
    generator = torch.Generator().manual_seed(seed)
    return level + spread * torch.randn(1, CHANNELS, tokens, generator=generator)


def own() -> StreamGovernor:
    return StreamGovernor(MEAN, SPREAD, WINDOW)


def runaway(strength: float, windows: int = 60, **knobs: float) -> tuple[Tensor, GovernorState]:
    """What becomes of a model that makes every window a little louder and wider than the last: the last window."""
    governor, settings = own(), BlockSettings(**knobs)  # type: ignore[arg-type]
    state = governor.begun(music(0, 20 * WINDOW).transpose(1, 2))
    last = music(0)
    for number in range(windows):
        made = 1.05 * last.std() * music(number, level=0.0, spread=1.0) + last.mean() + 0.03
        last, state = governor.governed(state, made, settings, strength)
    return last, state


def test_level_and_spread_stay_those_of_the_beginning() -> None:
    last, _ = runaway(1.0)
    assert float(last.mean()) == pytest.approx(0.2, abs=0.1)
    assert float(last.std()) == pytest.approx(0.5, rel=0.2)


def test_without_strength_only_the_limits_of_the_codec_remain() -> None:
    last, _ = runaway(0.0)
    assert float(last.std()) > 1.0
    assert float(last.max()) <= HIGHEST and float(last.min()) >= (LOWEST_DECIBELS + 40.0) / 20.0


def test_brightness_tilts_what_is_held_and_motion_widens_it() -> None:
    bright, _ = runaway(1.0, brightness=1.0)
    low, high = bright[:, :20].mean(), bright[:, -20:].mean()
    assert float(high - low) > 0.5
    calm, lively = (runaway(1.0, motion=motion)[0].std() for motion in (-1.0, 1.0))
    assert float(lively) > 1.5 * float(calm)


def test_music_that_is_as_it_should_be_is_hardly_moved() -> None:
    governor = own()
    state = governor.begun(music(0, 40 * WINDOW).transpose(1, 2))
    held, _ = governor.governed(state, music(1), BlockSettings(), 1.0)
    assert float((held - music(1)).abs().max()) < 1e-4


def test_a_stream_from_nothing_is_held_to_what_it_played_first() -> None:
    governor = own()
    state = governor.begun(None)
    for number in range(8):
        assert state.held is None
        same, state = governor.governed(state, music(number), BlockSettings(), 1.0)
        assert torch.equal(same, music(number))
    assert state.held is not None
    assert float(state.held[:, 0].mean()) == pytest.approx(0.2, abs=0.05)


def test_short_blocks_are_measured_as_whole_windows_are() -> None:
    governor = own()
    state = governor.begun(music(0, 20 * WINDOW).transpose(1, 2))
    for number in range(60):
        _, state = governor.governed(state, music(number, tokens=8), BlockSettings(), 1.0)
    assert state.played is not None
    mean, square = state.played[:, 0], state.played[:, 1]
    assert float((square - mean.square()).sqrt().mean()) == pytest.approx(0.5, rel=0.1)
