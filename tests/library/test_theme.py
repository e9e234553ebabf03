"""The theme: what a stream began with comes back, in time, at any tempo, and is saved with the stream."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from test_stream_memory import CHANNELS, WINDOW, bars_of_music, memory, own, remembered, small_stack
from torch import Tensor

from jbdiff.stream.remembering.remembered import MemoryState, Theme
from jbdiff.stream.remembering.theme import (
    THEME_BARS,
    theme_later,
    theme_of,
    theme_returns,
    theme_sound,
)
from jbdiff.stream.state import StreamState
from jbdiff.stream.stream import BlockSettings, BlockStream

BAR = 40.0
LONGEST = 2  # number of the longest echo


def counted(tokens: int, bar: float = BAR) -> Tensor:
    """Latents `[1, n, CHANNELS]` that say their place in bars, from the end."""
    return (torch.arange(-tokens, 0) / bar)[None, :, None].expand(1, -1, CHANNELS).clone()


def began(bars: int) -> MemoryState:
    """The memory of a stream that begins after so many bars of music."""
    return own().begun(bars_of_music(100.0, bars)[None], 4 / 100)


def seed_whose_group(theme: Theme, returns: bool) -> int:
    return next(seed for seed in range(100) if theme_returns(theme, 0.5, seed, 2) is returns)


@pytest.mark.parametrize(
    ("bars", "form", "least", "length"),
    [
        (10, 0.0, 8, 8),
        (17, 0.0, 8, 16),
        (7.9, 0.0, 8, None),
        (12, 0.0, 16, None),
        (16, 0.0, 16, 16),
        (13, 240.0, 8, 12),
    ],
)
def test_a_theme_is_a_whole_number_of_forms(
    bars: float, form: float, least: float, length: float | None
) -> None:
    bands = counted(round(bars * BAR))
    theme = theme_of(bands, BAR, form, least)
    if length is None:
        assert theme is None
        return
    assert theme is not None and theme.length == length
    assert torch.equal(theme.bands, bands[:, -round(length * BAR) :]), "the newest part"


def test_music_without_a_bar_has_no_theme() -> None:
    assert theme_of(counted(900), 0.0, 0.0, 8) is None


@pytest.mark.parametrize("bar", [40.0, 31.7, 52.5])
@pytest.mark.parametrize("since", [0.0, 3.25, 21.0, 163.4])
def test_a_theme_sounds_in_time_at_any_tempo(bar: float, since: float) -> None:
    theme = theme_later(theme_of(counted(640), BAR, 0.0, 8), since)
    assert theme is not None
    held, tokens = 16, 48
    sound = theme_sound(theme, bar, tokens, held)[0, 0]
    wanted = (since + (torch.arange(tokens) - held + 0.5) / bar) % 16 - 16
    # The latents say the beginning of a token, and what is wanted lies somewhere in it.
    assert bool(((wanted - sound).abs() <= 1 / BAR + 1e-5).all())


def test_a_share_of_the_groups_of_bars_returns_to_the_theme() -> None:
    theme = theme_of(counted(640), BAR, 0.0, 8)
    assert theme is not None
    later = [dataclasses.replace(theme, since=8.0 * group) for group in range(400)]
    before = [False] * len(later)
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        turns = [theme_returns(one, share, 5, 2) for one in later]
        assert abs(sum(turns) / 400 - share) < 0.07
        assert all(now for now, then in zip(turns, before, strict=True) if then), "the knob only adds groups"
        before = turns
    assert sum(before) == 400 and not any(theme_returns(one, 0.0, 5, 2) for one in later)
    half = [[theme_returns(one, 0.5, seed, 2) for one in later] for seed in (5, 6)]
    assert half[0] != half[1], "another seed, other groups"
    inside = [
        theme_returns(dataclasses.replace(theme, since=8.0 * 7 + bars), 0.5, 5, 2) for bars in (0.0, 3.3, 7.9)
    ]
    assert len(set(inside)) == 1, "a group comes back as a whole"


def test_the_longest_echo_comes_from_the_theme_in_such_a_group() -> None:
    begun = began(12)
    assert begun.theme is not None and begun.theme.length == 8
    theme = dataclasses.replace(begun.theme, bands=torch.full_like(begun.theme.bands, 7.0))
    state = dataclasses.replace(begun, theme=theme)
    for returns in (True, False):
        seed = seed_whose_group(theme, returns)
        echo = own().echo(state, WINDOW, 0, 1.0, seed, 0, 0.5)
        same = bool((echo.sound[0, LONGEST] == 7.0).all())
        assert same is returns
        assert float(echo.known[0, LONGEST].min()) == 1.0
        assert not bool((echo.sound[0, :LONGEST] == 7.0).any()), "one bar ago is one bar ago"
    free = own().echo(state, WINDOW, 0, 0.0, seed_whose_group(theme, True), 0, 0.5)
    assert float(free.known.max()) == 0.0, "with Memory at 0 nothing comes back"


def grown(state: MemoryState, bars: float, pace: float = 1.0) -> MemoryState:
    tokens = round(bars * state.bar)
    return own().grown(
        state, torch.randn(1, CHANNELS, tokens, generator=torch.Generator().manual_seed(tokens)), pace
    )


def test_a_short_beginning_becomes_a_theme_after_sixteen_bars_and_stays_it() -> None:
    state = began(4)
    assert state.theme is None, "four bars are too few"
    while state.theme is None:
        state = grown(state, 2.0)
        assert state.steady <= (THEME_BARS + 2) * state.bar
    theme = state.theme
    assert theme.length == THEME_BARS and theme.since == 0.0
    assert torch.equal(theme.bands, state.bands[:, -theme.bands.shape[1] :])
    for _ in range(50):
        state = grown(state, 2.0)
    assert state.theme is not None and torch.equal(state.theme.bands, theme.bands)
    assert state.theme.since == pytest.approx(100.0, abs=0.6)


@pytest.mark.parametrize("share", [-0.1, 1.01, math.nan])
def test_a_share_outside_of_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"theme .* is outside 0\.\.1"):
        own().echo(began(12), WINDOW, 0, 1.0, 1, 0, share)


def test_the_theme_knows_how_long_ago_it_was() -> None:
    state = began(12)
    assert state.theme is not None and state.theme.since == 0.0
    state = grown(state, 3.0, pace=1.04)
    assert state.theme is not None and state.theme.since == pytest.approx(3.12, abs=0.02)
    jumped = own().jumped(state, 2.0)
    assert jumped.theme is not None and jumped.theme.since == pytest.approx(state.theme.since + 0.5)
    earlier = own().earlier(state, round(state.bar))
    assert earlier.theme is not None and earlier.theme.since == pytest.approx(
        state.theme.since - 1.0, abs=0.02
    )
    faster = own().at_tempo(state, 1.5 * state.per_token)
    assert faster.theme is not None and faster.theme.since == state.theme.since and faster.steady == 0
    echo = own().echo(faster, WINDOW, 0, 1.0, seed_whose_group(faster.theme, True), 0, 0.5)
    assert float(echo.known[0, LONGEST].min()) == 1.0, (
        "a theme is there at a new tempo, when no other echo is"
    )
    assert own().of_context(state, torch.randn(1, 300, CHANNELS)).theme is None, (
        "another context, another music"
    )


def test_a_theme_is_saved_with_the_stream() -> None:
    stream = BlockStream(small_stack())
    stream.set_context(torch.randn(1, 1, 44_100 * 30, generator=torch.Generator().manual_seed(3)) * 0.1)
    state = stream.save()
    level = dataclasses.replace(state.levels[2], memory=memory(theme=theme_of(counted(640), BAR, 0.0, 8)))
    stored = StreamState.from_bytes(dataclasses.replace(state, levels={2: level}).to_bytes())
    read = stored.levels[2].memory
    assert (
        read is not None
        and read.theme is not None
        and level.memory is not None
        and level.memory.theme is not None
    )
    assert torch.equal(read.theme.bands, level.memory.theme.bands)
    assert dataclasses.replace(read.theme, bands=level.memory.theme.bands) == level.memory.theme
    stream.restore(stored)
    stream.step(BlockSettings(seed=1))
    theme = remembered(stream).theme
    assert theme is not None and theme.since > 0


@pytest.mark.parametrize(
    "change",
    [
        {"bar": 0.0},
        {"length": -1.0},
        {"form": math.nan},
        {"since": math.inf},
        {"bands": torch.zeros(1, 5, 3)},
    ],
)
def test_a_theme_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    theme = theme_of(counted(640), BAR, 0.0, 8)
    assert theme is not None and memory(theme=theme).fits(memory())
    assert not memory(theme=dataclasses.replace(theme, **change)).fits(memory())  # type: ignore[arg-type]
