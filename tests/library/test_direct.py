"""The way past the levels: the init's own sound goes to the finisher, block by block as the whole at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from contract_parts import noise
from test_contract import joint_stack
from torch import Tensor

from jbdiff.finish_command import finished
from jbdiff.stream.around.direct import DirectSound
from jbdiff.stream.settings import BlockSettings, FinisherSettings
from jbdiff.stream.state import DirectState, StreamState
from jbdiff.stream.stream import BlockStream

PAST = BlockSettings(resample=1.0, direct=True, steps=1, finisher=FinisherSettings(seed=3))


def played(stream: BlockStream, settings: BlockSettings, sound: Tensor) -> Tensor:
    """Each block of a stream whose init is the sound, with the sound before it as its lead."""
    out = []
    for end in range(stream.block_frames, sound.shape[2] + 1, stream.block_frames):
        init = sound[..., max(0, end - stream.window_frames) : end]
        out.append(stream.step(settings, init=init).audio)
    return torch.cat(out, dim=2)


@pytest.mark.parametrize("hop", [None, 16])
def test_blocks_that_pass_the_levels_are_the_finisher_on_the_whole(hop: int | None) -> None:
    stack = joint_stack(remembers=True)
    stream = BlockStream(stack, finisher=True, hop_tokens=hop)
    sound = 0.2 * noise(5, 1, 6 * stream.window_frames)
    out = played(stream, PAST, sound)
    late, begun = stream.latency_frames, stream.window_frames  # it fades in at the beginning
    wanted = finished(stack, sound, PAST.finisher)
    difference = (out[..., late + begun :] - wanted[..., begun : out.shape[2] - late]).abs()
    assert wanted.abs().max() > 0.1 and difference.max() < 1e-5


@pytest.mark.parametrize("restore", [BlockStream.restore, BlockStream.restore_what_fits])
def test_a_saved_state_goes_on_past_the_levels_bit_for_bit(
    restore: Callable[[BlockStream, StreamState], object],
) -> None:
    stream = BlockStream(joint_stack(remembers=True), finisher=True, hop_tokens=16)
    sound = 0.2 * noise(6, 1, 8 * stream.block_frames)
    half = sound.shape[2] // 2
    played(stream, PAST, sound[..., :half])
    state = StreamState.from_bytes(stream.save().to_bytes())
    assert state.direct is not None and state.direct.on
    after = played(stream, PAST, sound[..., half:])
    restore(stream, state)
    assert torch.equal(played(stream, PAST, sound[..., half:]), after)


def test_without_the_way_past_the_levels_own_sound_is_played() -> None:
    stream = BlockStream(joint_stack(remembers=False))
    sound = 0.2 * noise(7, 1, stream.window_frames)
    plain = replace(PAST, direct=False, resample=0.5)
    for _ in range(3):
        block = stream.step(plain, init=sound)
        assert torch.equal(block.audio, block.stems[2]) and block.audio.abs().max() > 0
    passed = stream.step(PAST, init=sound)
    assert not torch.equal(passed.audio, passed.stems[2])


BLOCK, LATE = 4096, 1500


def steps(on: list[bool | None]) -> Tensor:
    """DirectSound over blocks: 1 is the levels' sound, a sine of 0.5 the init's; None is a block without an init."""
    direct, state, out = DirectSound(BLOCK, LATE), None, []
    sound = 0.5 * torch.sin(torch.arange(len(on) * BLOCK) / 30)[None, None]
    for index, each in enumerate(on):
        init = None if each is None else sound[..., : (index + 1) * BLOCK]
        made, state = direct.mixed(state, torch.ones(1, 1, BLOCK), init, bool(each))
        assert isinstance(state, DirectState) or each is None
        out.append(made)
    return torch.cat(out, dim=2)[0, 0]


def test_the_way_past_opens_and_closes_with_a_fade_also_when_the_init_ends() -> None:
    for on in ([False, True, True, False, False], [True, True, None, None, True]):
        assert steps(on).diff().abs().max() < 0.02, on


def test_the_sound_waits_as_long_as_that_of_the_levels() -> None:
    out = steps([True, True, True])
    sound = 0.5 * torch.sin(torch.arange(3 * BLOCK) / 30)
    begun = LATE + 1024
    assert torch.equal(out[begun:], sound[begun - LATE : -LATE])
