"""Block by block: edges, memory, knobs, and stopping."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from jbdiff.stacks.stack import Stack
from jbdiff.stream.state import StreamState
from jbdiff.stream.stream import (
    BlockSettings,
    BlockStream,
    FinisherSettings,
    StreamBlock,
    StreamError,
    StreamInterrupted,
)


def run(stream: BlockStream, blocks: int, **settings) -> Tensor:
    return torch.cat([stream.step(BlockSettings(**settings)).audio for _ in range(blocks)], dim=2)


def whole_decode(stream: BlockStream, states: list[StreamState]) -> Tensor:
    """One decode of all latents the stream made, with the stream's constant delay in front."""
    window = stream.stack.config.level(2).window_tokens
    latents = torch.cat([state.levels[2].history[..., -window:] for state in states], dim=2)
    with torch.inference_mode():
        audio = stream.stack.codec.decode(latents, 2)
    silence = torch.zeros(1, 1, stream.latency_frames)
    return torch.cat([silence, audio], dim=2)[..., : audio.shape[2]]


def chunks_and_states(stream: BlockStream, blocks: int) -> tuple[Tensor, list[StreamState]]:
    audio, states = [], []
    for _ in range(blocks):
        audio.append(stream.step(BlockSettings()).audio)
        states.append(stream.save())
    return torch.cat(audio, dim=2), states


def test_a_short_delay_differs_from_the_whole_only_beside_block_edges(lively_stack: Stack) -> None:
    stream = BlockStream(lively_stack, delay_tokens=4)
    chunks, states = chunks_and_states(stream, 4)
    difference = (chunks - whole_decode(stream, states)).abs()[0, 0]
    reach = (stream.stack.codec.decoder_margin(2)) * stream.geometry.hop(2)
    edges = torch.arange(1, 4) * stream.block_frames
    places = torch.arange(len(difference))
    near = ((places[:, None] - edges) < stream.latency_frames) & ((edges - places[:, None]) < reach)
    assert difference[~near.any(dim=1)].max() < 1e-5


class Turning:
    """Guidance that jumps from one value to another before a step."""

    def __init__(self, before: float, after: float, at: int, strength: float = 0.23) -> None:
        self.before, self.after, self.at, self.strength = before, after, at, strength
        self.asked: list[int | str] = []

    def guidance(self, step: int) -> float:
        self.asked.append(step)
        return self.before if step < self.at else self.after

    def finisher_strength(self) -> float:
        self.asked.append("finisher")
        return self.strength


def test_guidance_is_read_before_every_step_and_counts_from_there_on(lively_stack: Stack) -> None:
    def second_block(turning: Turning | None, guidance: float = 2.0) -> tuple[StreamBlock, Tensor]:
        """A block and its latents: a small turn may leave the codes, and so the sound, as they were."""
        stream = BlockStream(lively_stack)
        stream.step(BlockSettings())  # guidance pulls away from having no context
        block = stream.step(BlockSettings(guidance=guidance, steps=6), turning=turning)
        return block, stream.save().levels[2].history[..., -16:]

    plain, latents = second_block(None)
    assert plain.guidance == (2.0,) * 6
    still = Turning(2.0, 2.0, 3)
    assert torch.equal(second_block(still, guidance=9.0)[1], latents), "it goes before the settings"
    assert still.asked == [0, 1, 2, 3, 4, 5]
    seen = [latents]
    for at in (0, 3, 5):
        block, latents = second_block(Turning(2.0, 3.0, at))
        assert block.guidance == (2.0,) * at + (3.0,) * (6 - at)
        assert all(not torch.equal(latents, other) for other in seen), f"a turn before step {at} counts"
        seen.append(latents)
    assert torch.equal(seen[1], second_block(None, guidance=3.0)[1])


def test_the_finishers_strength_is_read_once_when_it_starts(toy_stack: Stack) -> None:
    streams = [BlockStream(toy_stack, finisher=True) for _ in range(2)]
    turning = Turning(1.5, 1.5, 0, strength=0.7)
    finisher = FinisherSettings(steps=2)
    turned = streams[0].step(BlockSettings(steps=2, finisher=finisher), turning=turning)
    assert turning.asked == [0, 1, "finisher"] and turned.finisher_strength == 0.7
    plain = streams[1].step(BlockSettings(steps=2, finisher=dataclasses.replace(finisher, strength=0.7)))
    assert torch.equal(turned.audio, plain.audio)
    off = streams[0].step(BlockSettings(steps=2, finisher=FinisherSettings(on=False)), turning=turning)
    assert off.finisher_strength is None and turning.asked.count("finisher") == 1


def test_no_click_at_block_edges(lively_stack: Stack) -> None:
    stream = BlockStream(lively_stack)
    audio = run(stream, 6)[0, 0]
    jumps = audio.diff().abs()
    edges = torch.arange(1, 6) * stream.block_frames - 1
    inside = jumps[stream.latency_frames :]
    assert jumps[edges].max() <= inside.max()


def test_every_block_has_exactly_block_frames(toy_level2: Stack) -> None:
    stream = BlockStream(toy_level2)
    assert stream.block_frames == 16 * 128
    assert [stream.step(BlockSettings(resample=r)).audio.shape for r in (0.0, 0.5, 1.0)] == [(1, 1, 2048)] * 3


def test_state_of_another_stack_or_size_is_refused(toy_level2: Stack) -> None:
    stream = BlockStream(toy_level2)
    state = stream.save()
    other = BlockStream(dataclasses.replace(toy_level2, identity="another"))
    with pytest.raises(StreamError, match="another stack"):
        other.restore(state)
    with pytest.raises(StreamError, match="other sizes"):
        BlockStream(toy_level2, delay_tokens=3).restore(state)
    with pytest.raises(StreamError, match="no saved stream state"):
        StreamState.from_bytes(b"nothing of the kind")
    with pytest.raises(StreamError, match="no saved stream state"):
        StreamState.from_bytes(state.to_bytes()[:-3])


def test_resample_one_gives_back_the_init(toy_level2: Stack) -> None:
    stream = BlockStream(toy_level2)
    init = 0.3 * torch.randn(1, 1, stream.block_frames, generator=torch.Generator().manual_seed(3))
    stream.step(BlockSettings(resample=1.0), init=init)
    latents = stream.save().levels[2].history
    assert torch.allclose(latents, stream.stack.codec.encode(init, 2), atol=1e-5)


def test_resample_keeps_more_of_the_init_the_higher_it_is(toy_level2: Stack) -> None:
    init = 0.3 * torch.randn(1, 1, 2048, generator=torch.Generator().manual_seed(3))
    target = toy_level2.codec.encode(init, 2)

    def distance(resample: float) -> float:
        stream = BlockStream(toy_level2)
        stream.step(BlockSettings(resample=resample, guidance=1.0), init=init)
        return float((stream.save().levels[2].history - target).square().mean())

    distances = [distance(r) for r in (0.2, 0.6, 0.9, 1.0)]
    assert distances == sorted(distances, reverse=True)


def test_resample_without_init_uses_the_own_last_window(lively_stack: Stack) -> None:
    stream = BlockStream(lively_stack)
    stream.step(BlockSettings())
    played = stream.save().levels[2].history
    stream.step(BlockSettings(resample=1.0))
    assert torch.allclose(stream.save().levels[2].history[..., -16:], played[..., -16:], atol=1e-6)


def test_work_per_block_is_the_same_for_every_knob(toy_level2: Stack) -> None:
    calls: list[tuple[int, ...]] = []

    class Counting(torch.nn.Module):
        def forward(self, x, sigma, context=None, drop=None):
            calls.append(tuple(x.shape))
            return torch.zeros_like(x)

    stack = dataclasses.replace(toy_level2, denoisers={2: Counting()})
    stream = BlockStream(stack)
    stream.step(BlockSettings())
    expected = [(2, 64, 16)] * 4
    for knobs in ({"resample": 0.7}, {"guidance": 1.0}, {"guidance": 0.0}, {"hold": True}, {"resample": 1.0}):
        calls.clear()
        stream.step(BlockSettings(**knobs))
        assert calls == expected, knobs


def test_context_audio_of_any_length_is_taken(toy_level2: Stack) -> None:
    stream = BlockStream(toy_level2)
    audio = 0.3 * torch.randn(1, 1, 3 * 2048 + 77)
    for frames, tokens in ((3 * 2048 + 77, 32), (2048 + 130, 17), (128, 1)):
        stream.set_context(audio[..., :frames])
        context = stream.save().levels[2].context
        assert context is not None and context.shape == (1, tokens, 64)
        assert torch.isfinite(stream.step(BlockSettings()).audio).all()
    stream.set_context(audio[..., :100])
    assert stream.save().levels[2].context is None


def test_set_context_takes_the_end_of_the_audio(toy_level2: Stack) -> None:
    stream = BlockStream(toy_level2)
    audio = 0.3 * torch.randn(1, 1, 10_000)
    stream.set_context(audio)
    expected = toy_level2.codec.encode(audio[..., -4096:], 2).transpose(1, 2)
    assert torch.equal(stream.save().levels[2].context, expected)


def test_live_context_counts_for_one_block_only(lively_stack: Stack) -> None:
    live = 0.5 * torch.randn(1, 1, 4096, generator=torch.Generator().manual_seed(5))
    stream, other = BlockStream(lively_stack), BlockStream(lively_stack)
    run(stream, 2)
    run(other, 2)
    before = stream.save().levels[2].context
    heard = stream.step(BlockSettings(), context=live).audio
    assert not torch.equal(heard, other.step(BlockSettings()).audio)
    after = stream.save().levels[2].context
    assert torch.equal(after[:, :16], before[:, -16:])


def test_stop_in_the_middle_leaves_the_stream_as_it_was(toy_level2: Stack) -> None:
    stream = BlockStream(toy_level2)
    run(stream, 1)
    before = stream.save().to_bytes()
    seen: list[tuple[int, int]] = []

    def stop_at_two(done: int, of: int) -> bool:
        seen.append((done, of))
        return done < 2

    with pytest.raises(StreamInterrupted):
        stream.step(BlockSettings(), on_step=stop_at_two)
    assert seen == [(1, 4), (2, 4)]
    assert stream.save().to_bytes() == before


def test_broken_numbers_raise_and_leave_the_stream_as_it_was(toy_level2: Stack) -> None:
    class Broken(torch.nn.Module):
        def forward(self, x, sigma, context=None, drop=None):
            return torch.full_like(x, float("nan"))

    stream = BlockStream(dataclasses.replace(toy_level2, denoisers={2: Broken()}))
    before = stream.save().to_bytes()
    with pytest.raises(StreamError, match="not finite"):
        stream.step(BlockSettings())
    assert stream.save().to_bytes() == before


def test_wrong_shapes_and_ranges_are_refused_in_words(toy_level2: Stack) -> None:
    stream = BlockStream(toy_level2)
    with pytest.raises(ValueError, match="a block has 2048"):
        stream.step(BlockSettings(), init=torch.zeros(1, 1, 100))
    with pytest.raises(ValueError, match=r"\[1, 1, frames\]"):
        stream.set_context(torch.zeros(2, 100))
    with pytest.raises(ValueError, match="resample"):
        stream.step(BlockSettings(resample=1.5))
    with pytest.raises(ValueError, match="delay"):
        BlockStream(toy_level2, delay_tokens=17)


def test_low_precision_stays_near_float32(toy_level2: Stack) -> None:
    exact, rough = BlockStream(toy_level2), BlockStream(toy_level2, dtype=torch.bfloat16)
    exact.step(BlockSettings())
    rough.step(BlockSettings())
    a, b = exact.save().levels[2].history, rough.save().levels[2].history
    assert b.dtype == torch.float32
    assert (a - b).std() < 0.1 * a.std()
