"""Blocks shorter than a window: what was played is held, the rest is invented beside it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from toys import LivelyDenoiser

from jbdiff.diffusion.noise import NoiseStyle
from jbdiff.diffusion.samplers import sample_dpmpp_2m, sample_vddim
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import (
    BlockSettings,
    BlockStream,
    FinisherSettings,
    Handover,
    LevelSettings,
    StreamError,
    StreamState,
)

HOP = 16


class Watching(torch.nn.Module):
    """A denoiser that keeps what it was shown."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen: list[tuple[Tensor, float, Tensor | None]] = []

    def forward(
        self, x: Tensor, sigma: Tensor, context: Tensor | None = None, drop: Tensor | None = None
    ) -> Tensor:
        self.seen.append((x[:1].clone(), float(sigma[0]), None if context is None else context[:1].clone()))
        return self.inner(x, sigma, context, drop)


class WatchingDetail(Watching):
    """The same for a denoiser of bands, whose detail is added afterwards."""

    @property
    def detail_reach(self) -> int:
        return self.inner.detail_reach

    def with_detail(self, bands: Tensor) -> Tensor:
        return self.inner.with_detail(bands)


@pytest.fixture
def watched(lively_stack: Stack) -> tuple[Stack, Watching]:
    """Level 2 with windows of 64 tokens, and the eye on its denoiser."""
    (level,) = lively_stack.config.levels
    config = dataclasses.replace(lively_stack.config, levels=(dataclasses.replace(level, window_tokens=64),))
    watching = Watching(lively_stack.denoisers[2])
    return dataclasses.replace(lively_stack, config=config, denoisers={2: watching}), watching


def how(**knobs) -> BlockSettings:
    return BlockSettings(steps=2, **knobs)


def test_a_block_is_as_long_as_its_hop_and_costs_a_window(watched: tuple[Stack, Watching]) -> None:
    stack, watching = watched
    stream = BlockStream(stack, hop_tokens=HOP)
    assert stream.block_frames == HOP * 128 and stream.window_frames == 64 * 128
    for _ in range(7):
        block = stream.step(how())
        assert block.audio.shape == (1, 1, HOP * 128)
    assert {x.shape[2] for x, _, _ in watching.seen} == {64}


@pytest.mark.parametrize("sampler", [sample_vddim, sample_dpmpp_2m])
def test_the_held_part_stays_on_its_path_and_is_shown_to_the_model(
    watched: tuple[Stack, Watching], sampler
) -> None:
    stack, watching = watched
    stream = BlockStream(stack, hop_tokens=HOP, sampler=sampler)
    for _ in range(6):
        stream.step(how())
    before = stream.save().levels[2]
    watching.seen.clear()
    stream.step(how())
    known, noise = before.history[..., -48:], before.past_noise
    assert noise is not None and noise.shape[2] == 48
    for x, sigma, _ in watching.seen:
        angle = torch.tensor(sigma * torch.pi / 2)
        expected = angle.cos() * known + angle.sin() * noise
        torch.testing.assert_close(x[..., :48], expected, rtol=1e-4, atol=1e-4)
    assert len(watching.seen) == 2
    after = stream.save().levels[2]
    assert torch.equal(after.history[..., :-HOP][..., -48:], known)


def test_the_context_ends_where_the_window_begins(watched: tuple[Stack, Watching]) -> None:
    stack, watching = watched
    stream = BlockStream(stack, hop_tokens=HOP)
    for _ in range(16):
        stream.step(how())
    whole = stream.save().levels[2].context
    assert whole is not None and whole.shape[1] == 2 * 64 + 48
    watching.seen.clear()
    stream.step(how())
    context = watching.seen[0][2]
    assert context is not None and torch.equal(context, whole[:, :128])


def test_a_given_context_is_not_cut_by_what_was_played_before_it(watched: tuple[Stack, Watching]) -> None:
    stack, watching = watched
    stream = BlockStream(stack, hop_tokens=HOP)
    for _ in range(5):
        stream.step(how())
    stream.set_context(torch.randn(1, 1, 128 * 128) * 0.1)
    given = stream.save().levels[2].context
    watching.seen.clear()
    stream.step(how())
    context = watching.seen[0][2]
    assert context is not None and given is not None and torch.equal(context, given)


def test_held_noise_comes_round_with_the_window(watched: tuple[Stack, Watching]) -> None:
    stack, _ = watched
    stream = BlockStream(stack, hop_tokens=HOP)
    noises = []
    for _ in range(8):
        stream.step(how(noise_style=NoiseStyle.CONSTANT, seed=3))
        past = stream.save().levels[2].past_noise
        assert past is not None
        noises.append(past[..., -HOP:])
    for early, late in zip(noises[:4], noises[4:], strict=True):
        assert torch.equal(early, late)
    assert not torch.equal(noises[0], noises[1])


def test_resample_at_one_repeats_what_was_heard_a_window_ago(watched: tuple[Stack, Watching]) -> None:
    stack, _ = watched
    stream = BlockStream(stack, hop_tokens=HOP)
    for _ in range(4):
        stream.step(how())
    window = stream.save().levels[2].history[..., -64:]
    for _ in range(4):
        stream.step(how(resample=1.0))
    torch.testing.assert_close(stream.save().levels[2].history[..., -64:], window, rtol=0, atol=1e-6)


@pytest.mark.parametrize("handover", list(Handover))
def test_three_levels_and_finisher_play_short_hops_and_restore(toy_stack: Stack, handover: Handover) -> None:
    levels = tuple(dataclasses.replace(level, window_tokens=64) for level in toy_stack.config.levels)
    stack = dataclasses.replace(
        toy_stack,
        config=dataclasses.replace(toy_stack.config, levels=levels),
        denoisers={level.level: LivelyDenoiser() for level in levels},
    )
    finer = LevelSettings(steps=1, strength=0.5, guidance=1.3, handover=handover)
    settings = BlockSettings(steps=1, levels={1: finer, 0: finer}, finisher=FinisherSettings(steps=1))
    stream = BlockStream(stack, hop_tokens=HOP, finisher=True)
    for _ in range(5):
        block = stream.step(settings)
        assert block.audio.shape == (1, 2, HOP * 128) and torch.isfinite(block.audio).all()
    kept = StreamState.from_bytes(stream.save().to_bytes())
    expected = [stream.step(settings).audio for _ in range(3)]
    other = BlockStream(stack, hop_tokens=HOP, finisher=True)
    other.restore(kept)
    assert all(torch.equal(other.step(settings).audio, audio) for audio in expected)
    with pytest.raises(StreamError, match="hop_tokens"):
        BlockStream(stack, finisher=True).restore(kept)


def test_a_hop_of_a_whole_window_is_the_stream_as_it_was(watched: tuple[Stack, Watching]) -> None:
    stack, _ = watched
    plain, whole = BlockStream(stack), BlockStream(stack, hop_tokens=64)
    for _ in range(3):
        assert torch.equal(plain.step(how()).audio, whole.step(how()).audio)


@pytest.mark.parametrize("hop", [0, 8, 24, 48, 128])
def test_hops_that_do_not_cut_the_window_are_refused(watched: tuple[Stack, Watching], hop: int) -> None:
    with pytest.raises(ValueError, match="16, 32, 64"):
        BlockStream(watched[0], hop_tokens=hop)


def test_where_windows_may_be_shorter_a_quarter_of_one_is_held_and_the_rest_is_context() -> None:
    from jbdiff.stacks.stack import load_stack

    stack = load_stack("pocket")
    watching = WatchingDetail(stack.denoisers[2])
    stream = BlockStream(dataclasses.replace(stack, denoisers={2: watching}), hop_tokens=16)
    for _ in range(16):
        stream.step(BlockSettings(steps=5))  # more than a student plays
    assert {x.shape[2] for x, _, _ in watching.seen} == {48 + 16}, "the same work from the first block on"
    _, _, context = watching.seen[-1]
    own = stream.save().levels[2].history[..., : -(48 + 16)]  # all that was played before what is held
    assert context is not None and own.shape[2] > 100
    assert torch.equal(context[0, -own.shape[2] :].T, own[0])


def test_the_decoders_delay_is_no_longer_than_a_quarter_of_a_short_hop() -> None:
    from jbdiff.stacks.stack import load_stack

    stack = load_stack("pocket")
    delays = {hop: BlockStream(stack, hop_tokens=hop).latency_frames // 512 for hop in (16, 32, 48, 96, 192)}
    assert delays == {16: 4, 32: 8, 48: 12, 96: 16, 192: 16}


def test_pocket_plays_on_from_a_sound_in_short_hops_without_edges() -> None:
    from jbdiff.stacks.stack import load_stack

    stream = BlockStream(load_stack("pocket"), hop_tokens=48)
    t = torch.arange(4 * stream.window_frames) / stream.sample_rate
    beat = (2 * torch.pi * 110 * t).sin() * (-6 * (t % 0.5)).exp() * 0.4
    stream.set_context(beat[None, None])
    audio = torch.cat([stream.step(BlockSettings(steps=4)).audio for _ in range(8)], dim=2)[0, 0]
    steps = audio.diff().abs()
    edges = torch.arange(1, 8) * stream.block_frames
    around = torch.cat([steps[edge - 8 : edge + 8] for edge in edges.tolist()])
    assert around.max() <= steps.max() and around.mean() < 3 * steps[stream.block_frames :].mean()
