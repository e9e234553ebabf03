"""Kept states: bit-exact, and a log of them takes little more than what is new in each block."""

from __future__ import annotations

import torch

from jbdiff.stacks.stack import load_stack
from jbdiff.stream.keeping.kept import _cut, _KeptTensor, keep, piece_lengths
from jbdiff.stream.stream import BlockSettings, BlockStream, NoiseStyle


def test_a_kept_state_comes_back_bit_for_bit_and_shares_what_is_not_new() -> None:
    stream = BlockStream(load_stack("pocket"), finisher=True, hop_tokens=48)
    lengths, kept, sizes, wholes = piece_lengths(stream), None, [], []
    for _ in range(8):
        stream.step(BlockSettings(seed=1, steps=1, noise_style=NoiseStyle.REGISTER))
        state = stream.save()
        kept = keep(state, lengths, kept)
        assert kept.state().to_bytes() == state.to_bytes()
        sizes.append(kept.nbytes)
        wholes.append(sum(t.numel() * t.element_size() for t in state.parts()[0].values()))
    assert sizes[-1] < 0.5 * wholes[-1] and sizes[-1] <= 1.1 * sizes[1], (
        "the memory grows, what is new does not"
    )
    stream.restore(kept.state())


def test_every_dtype_and_an_empty_part_come_back() -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for shape in ((1, 3, 10), (1, 0, 5), (2, 4)):
            tensor = torch.randn(shape).to(dtype)
            axis = len(shape) - 1
            back = _KeptTensor(shape, dtype, axis, tuple(_cut(tensor, axis, 4))).tensor()
            assert torch.equal(back, tensor) and back.dtype == dtype and back.is_contiguous()
