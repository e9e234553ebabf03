"""A stream plays the register and the morph, keeps both in its saved state, and begins anew without a gap."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from jbdiff.diffusion.noise import NoiseStyle
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockSettings, BlockStream, StreamError, StreamState

HOP = 16
LOOP = BlockSettings(steps=1, seed=3, noise_style=NoiseStyle.REGISTER, noise_length=2)


@pytest.fixture
def stack(lively_stack: Stack) -> Stack:
    """Level 2 with windows of 32 tokens: two hops."""
    (level,) = lively_stack.config.levels
    config = dataclasses.replace(lively_stack.config, levels=(dataclasses.replace(level, window_tokens=32),))
    return dataclasses.replace(lively_stack, config=config)


def newest_noise(stream: BlockStream) -> Tensor:
    past = stream.save().levels[2].past_noise
    assert past is not None
    return past[..., -HOP:]


def play(stream: BlockStream, *settings: BlockSettings) -> Tensor:
    return torch.cat([stream.step(one).audio for one in settings], dim=2)


def test_a_loop_of_short_hops_comes_round_with_its_windows(stack: Stack) -> None:
    stream, noises = BlockStream(stack, hop_tokens=HOP), []
    for _ in range(8):
        stream.step(LOOP)
        noises.append(newest_noise(stream))
    for early, late in zip(noises[:4], noises[4:], strict=True):
        assert torch.equal(early, late)
    assert len({noise.numpy().tobytes() for noise in noises}) == 4, "two windows of two hops"


def test_a_written_and_mutating_loop_goes_on_bit_exactly_after_bytes(stack: Stack) -> None:
    knobs = replace(LOOP, noise_length=3, noise_mutation=0.5, seed_b=9, seed_morph=0.3)
    pressed = replace(knobs, write=1, erase=0)
    stream = BlockStream(stack, hop_tokens=HOP)
    play(stream, *[knobs] * 5, *[pressed] * 3)
    state = StreamState.from_bytes(stream.save().to_bytes())
    pair = state.levels[2].registers[0]
    assert pair.a.loop.slots and pair.b.loop.slots, "there is something to keep"
    again = BlockStream(stack, hop_tokens=HOP)
    again.restore(state)
    later = [replace(pressed, erase=1)] * 6
    assert torch.equal(play(stream, *later), play(again, *later))


def test_a_state_of_the_version_before_still_plays(stack: Stack) -> None:
    plain = BlockSettings(steps=1, seed=3)
    stream = BlockStream(stack, hop_tokens=HOP)
    play(stream, *[plain] * 3)
    content = stream.save().to_bytes()
    length = int.from_bytes(content[:8], "little")
    facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["stream_state"])
    facts["format"] = 4
    for register in facts["levels"]["2"]["registers"]:
        for name in ("b", "place", "slots", "advance_seen", "write_seen", "erase_seen"):
            del register[name]
    kept = {name: tensor for name, tensor in load(content).items() if not name.endswith(".b")}
    old = BlockStream(stack, hop_tokens=HOP)
    old.restore(StreamState.from_bytes(save(kept, metadata={"stream_state": json.dumps(facts)})))
    assert torch.equal(play(stream, *[plain] * 3), play(old, *[plain] * 3))


def test_a_slot_of_another_shape_is_refused(stack: Stack) -> None:
    stream = BlockStream(stack, hop_tokens=HOP)
    play(stream, *[replace(LOOP, noise_mutation=1.0)] * 4)
    state = stream.save()
    level = state.levels[2]
    pair = level.registers[0]
    wrong = replace(pair.a, loop=pair.a.loop.holding(torch.zeros(1, 2, 3)))
    bad = replace(level, registers=(replace(pair, a=wrong), *level.registers[1:]))
    with pytest.raises(StreamError, match="other sizes"):
        stream.restore(replace(state, levels={2: bad}))


def test_the_morph_at_one_plays_seed_b(stack: Stack) -> None:
    plain = BlockSettings(steps=1, seed=7)
    morphing = BlockSettings(steps=1, seed=1, seed_b=7)
    alone = play(BlockStream(stack, hop_tokens=HOP), *[plain] * 4)
    at_one = play(BlockStream(stack, hop_tokens=HOP), *[replace(morphing, seed_morph=1.0)] * 4)
    at_zero = play(BlockStream(stack, hop_tokens=HOP), *[morphing] * 4)
    assert torch.equal(alone, at_one) and not torch.equal(alone, at_zero)


def test_what_is_forgotten_has_no_part_in_what_follows(stack: Stack) -> None:
    """Latents after `forget` are those of a stream that never played the past; the noise goes on."""
    settings = BlockSettings(steps=2, seed=5, guidance=2.0)
    new: list[Tensor] = []
    for first in (0.0, 1.0):
        stream = BlockStream(stack, hop_tokens=HOP)
        stream.set_context(torch.randn(1, 1, 32 * 128, generator=torch.Generator().manual_seed(4)) * first)
        play(stream, *[settings] * 4)
        stream.forget()
        level = stream.save().levels[2]
        assert level.context is None and level.registers[0].a.index == 2
        stream.step(settings)
        new.append(stream.save().levels[2].history[..., -HOP:])
    torch.testing.assert_close(*new, rtol=0, atol=1e-4)


def test_beginning_anew_joins_on_without_a_jump(stack: Stack) -> None:
    settings = BlockSettings(steps=2, seed=5)
    stream = BlockStream(stack)
    before = play(stream, *[settings] * 3)
    stream.forget()
    after = play(stream, *[settings] * 2)
    whole = torch.cat([before, after], dim=2)[0, 0]
    seam = before.shape[2]
    jumps = whole.diff().abs()
    assert float(after.abs().max()) > 0
    assert float(jumps[seam - 2 : seam + 2].max()) <= float(jumps[: seam - 2].max()) * 1.5
