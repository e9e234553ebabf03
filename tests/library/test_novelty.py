"""Novelty: how far a block lies from the one before, in latents."""

from __future__ import annotations

import pytest
import torch

from jbdiff.stacks.stack import Stack
from jbdiff.stream.state import novelty
from jbdiff.stream.stream import BlockSettings, BlockStream


def test_the_same_block_is_nothing_new_and_an_unrelated_one_is_all_new() -> None:
    generator = torch.Generator().manual_seed(1)
    one, other = (torch.randn(1, 64, 100, generator=generator) for _ in range(2))
    assert novelty(one, one) == 0
    assert novelty(one, other) == pytest.approx(1, abs=0.02)
    assert novelty(one, one + 0.1 * other) == pytest.approx(0.1 / 2**0.5, abs=0.01)
    assert novelty(one, -one) == 1, "it ends there"
    assert novelty(0 * one, 0 * one) == 0
    assert novelty(5 * one, 5 * other) == pytest.approx(novelty(one, other)), "the size does not matter"
    assert novelty(one.half(), other.half()) == pytest.approx(novelty(one, other), abs=1e-3)


def test_a_block_carries_the_distance_of_its_own_latents(lively_stack: Stack) -> None:
    stream = BlockStream(lively_stack)
    tokens = stream.stack.config.level(2).window_tokens
    assert stream.step(BlockSettings()).novelty == 0, "there is none before the first one"
    before = stream.save().levels[2].history[..., -tokens:]
    block = stream.step(BlockSettings())
    after = stream.save().levels[2].history[..., -tokens:]
    assert 0.1 < block.novelty == pytest.approx(novelty(before, after))
