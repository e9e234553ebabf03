"""The beat of a stream: any tempo without drift, and an outer clock that it comes up with."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from test_stream_anchor import small_stack

from jbdiff.config import JointDenoiserConfig
from jbdiff.networks.anchor import BEATS
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stream.anchor import MOST_BEND, StreamAnchor
from jbdiff.stream.state import AnchorState
from jbdiff.stream.stream import BlockSettings, BlockStream

WINDOW, RATE = 192, 60 * 44_100 / 512  # tokens of pocket's window, and tokens a minute
LITTLE = torch.zeros(1, 4, 8)  # a history too short to have a style


@pytest.fixture(scope="module")
def anchor() -> StreamAnchor:
    sizes = JointDenoiserConfig(
        window_tokens=WINDOW,
        context_tokens=2 * WINDOW,
        width=16,
        depth=1,
        heads=2,
        line_channels=2,
        anchor=True,
    )
    return StreamAnchor(JointDenoiser(sizes), RATE, torch.ones(sizes.latent_channels))


def beginning(beat: float | None = 0.0) -> AnchorState:
    return AnchorState(torch.zeros(1, 1), None, 0.0, beat)


def wrapped(beats: float, around: float) -> float:
    """A difference of places, from half of `around` below 0 to half of it above."""
    return (beats + around / 2) % around - around / 2


@pytest.mark.parametrize("tempo", [97.0, 118.2, 133.3])
@pytest.mark.parametrize("tokens", [16, WINDOW])
def test_a_bar_of_a_fractional_number_of_tokens_neither_jumps_nor_drifts(
    anchor: StreamAnchor, tempo: float, tokens: int
) -> None:
    settings, state = BlockSettings(tempo=tempo), beginning()
    assert (4 * RATE / tempo) % 1 > 0.05  # tokens a bar
    for block in range(1, 3001):
        state = anchor.settled(state, settings, None)
        state = anchor.moved(state, settings, LITTLE, tokens)
        assert state.beat is not None
        assert abs(wrapped(state.beat - block * tokens * tempo / RATE, BEATS)) < 1e-8


@pytest.mark.parametrize("tokens", [16, WINDOW])
@pytest.mark.parametrize("behind", [0.4, -0.3, 0.05])
def test_an_outer_clock_is_come_up_with_by_4_percent_at_most_and_then_kept(
    anchor: StreamAnchor, tokens: int, behind: float
) -> None:
    steady, state, outer, missing = 97 / RATE, beginning(), behind, []
    for _ in range(24 * WINDOW // tokens):
        settings = BlockSettings(tempo=97.0, beat=outer % BEATS)
        state = anchor.settled(state, settings, None)
        assert abs(anchor.per_token(state, settings) / steady - 1) <= MOST_BEND + 1e-9
        state = anchor.moved(state, settings, LITTLE, tokens)
        outer += tokens * steady
        assert state.beat is not None
        missing.append(abs(wrapped(outer - state.beat, BEATS)))
    assert all(after <= before + 1e-9 for before, after in pairwise(missing))
    assert missing[-1] < 1e-4


def test_the_beat_of_the_bar_is_put_right_at_once(anchor: StreamAnchor) -> None:
    settings = BlockSettings(tempo=97.0, beat=2.9)
    state = anchor.settled(beginning(0.8), settings, None)
    assert state.beat == pytest.approx(2.8)


def test_a_clock_that_wanders_a_little_is_followed_without_jumps(anchor: StreamAnchor) -> None:
    """As a measured delay wanders: by some milliseconds from block to block."""
    steady, state, outer = 97 / RATE, beginning(), 0.0
    for block in range(200):
        noise = 0.003 * (-1) ** block
        settings = BlockSettings(tempo=97.0, beat=(outer + noise) % BEATS)
        state = anchor.settled(state, settings, None)
        state = anchor.moved(state, settings, LITTLE, WINDOW)
        outer += WINDOW * steady
        assert state.beat is not None and abs(wrapped(outer - state.beat, BEATS)) < 0.0035


def test_what_was_played_before_is_told_of_the_clocks_own_tempo(anchor: StreamAnchor) -> None:
    settings = BlockSettings(tempo=97.0, beat=0.0)
    earlier = anchor.earlier(beginning(1.9), settings, 10)
    assert earlier.beat == pytest.approx(1.9 - 10 * 97 / RATE)


def test_a_block_tells_its_beat() -> None:
    stream = BlockStream(small_stack(), hop_tokens=16)
    first, second = (stream.step(BlockSettings(tempo=97.0)) for _ in range(2))
    assert first.beat is not None and second.beat is not None
    per_frame = 97 / 60 / 44_100
    assert first.beat[1] == pytest.approx(per_frame)
    assert wrapped(second.beat[0] - first.beat[0], BEATS) == pytest.approx(stream.block_frames * per_frame)
    assert stream.step(BlockSettings(tempo=0.0)).beat is None
