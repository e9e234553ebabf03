"""The hierarchy block by block: subsets, the finisher, hand-over between levels, and one state for all of it."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from jbdiff.diffusion.noise import NoiseStyle
from jbdiff.diffusion.schedules import crash_sigmas, crash_sigmas_from
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import (
    BlockSettings,
    BlockStream,
    FinisherSettings,
    Handover,
    LevelSettings,
    StreamError,
    StreamInterrupted,
)

FINER = LevelSettings(steps=1, strength=0.5, guidance=1.3)


def settings(*levels: int, **knobs) -> BlockSettings:
    finisher = knobs.pop("finisher", FinisherSettings(steps=1))
    finer = {level: knobs.pop("finer", FINER) for level in levels if level != 2}
    return BlockSettings(steps=1, levels=finer, finisher=finisher, **knobs)


def run(stream: BlockStream, blocks: int, how: BlockSettings) -> Tensor:
    return torch.cat([stream.step(how).audio for _ in range(blocks)], dim=2)


@pytest.mark.parametrize("levels", [(2,), (2, 1), (2, 1, 0), (2, 0)])
@pytest.mark.parametrize("finisher", [False, True])
def test_any_subset_plays(toy_stack: Stack, levels: tuple[int, ...], finisher: bool) -> None:
    stream = BlockStream(toy_stack, levels=levels, finisher=finisher)
    block = stream.step(settings(*levels))
    assert block.audio.shape == (1, 2 if finisher else 1, stream.block_frames)
    assert set(block.stems) == set(levels)
    assert all(stem.shape == (1, 1, stream.block_frames) for stem in block.stems.values())
    assert torch.isfinite(block.audio).all()
    delay = stream.stem_latency_frames[levels[-1]] + (64 if finisher else 0)
    assert stream.latency_frames == delay
    state = stream.save()
    for level in levels:
        context = state.levels[level].context
        assert context is not None and context.shape == (1, 16 if level == 2 else 32, 64)


def test_a_state_with_other_parts_is_refused(toy_stack: Stack) -> None:
    state = BlockStream(toy_stack, levels=(2, 1), finisher=True).save()
    with pytest.raises(StreamError, match=r"levels \[2, 1\] and a finisher, this stream has \[2, 1\]"):
        BlockStream(toy_stack, levels=(2, 1)).restore(state)
    with pytest.raises(StreamError, match=r"this stream has \[2, 1, 0\] and a finisher"):
        BlockStream(toy_stack, finisher=True).restore(state)
    with pytest.raises(StreamError, match="other sizes"):
        BlockStream(toy_stack, levels=(2, 1), finisher=True, token_multiplier=2).restore(state)


def test_a_bypassed_finisher_keeps_length_and_place(toy_stack: Stack) -> None:
    on, off = (BlockStream(toy_stack, levels=(2,), finisher=True) for _ in range(2))
    bare = BlockStream(toy_stack, levels=(2,))
    loud = run(on, 2, settings(2))
    dry = run(off, 2, settings(2, finisher=FinisherSettings(on=False)))
    mono = run(bare, 2, settings(2))
    assert loud.shape == dry.shape == (1, 2, mono.shape[2])
    assert torch.allclose(dry[0, 0, 64:], mono[0, 0, :-64], atol=1e-6)
    assert not torch.allclose(loud, dry)
    # Both went the same way: what the finisher hears next is the same in both.
    a, b = on.save().finisher, off.save().finisher
    assert torch.equal(a.mono, b.mono) and torch.equal(a.noise, b.noise) and a.finished and not b.finished


def test_the_finisher_fades_at_equal_power_when_switched(toy_stack: Stack) -> None:
    stream = BlockStream(toy_stack, levels=(2,), finisher=True)
    stream.step(settings(2))
    tail = stream.save().finisher.tail
    block = stream.step(settings(2, finisher=FinisherSettings(on=False)))
    mono = stream.save().finisher.mono
    middle = 32
    before = stream.save().finisher.mono.shape[2]
    assert before == 1024 and mono.shape == (1, 1, 1024)
    assert torch.isfinite(block.audio).all()
    ramp = torch.linspace(0, 1, 64)[middle] * torch.pi / 2
    heard = block.audio[0, :, middle] - tail[0, :, middle] * ramp.cos()
    assert torch.allclose(heard[0], heard[1], atol=1e-6)  # what is left is the mono sound, on both sides


def test_finisher_windows_are_filled_with_known_sound_and_held_noise(toy_stack: Stack) -> None:
    seen: list[Tensor] = []

    class Listening(torch.nn.Module):
        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            seen.append(x)
            return torch.zeros_like(x)

    stack = dataclasses.replace(toy_stack, finisher=Listening())
    stream = BlockStream(stack, levels=(2,), finisher=True)
    run(stream, 2, settings(2, finisher=FinisherSettings(steps=1, noise_style=NoiseStyle.RANDOM)))
    assert [x.shape for x in seen] == [(1, 2, 2048)] * 4
    for one, next_one in itertools.pairwise(seen):
        assert torch.equal(one[..., -1024:], next_one[..., :1024])  # same sound, same noise


def test_every_strength_of_the_finisher_costs_the_same(toy_stack: Stack) -> None:
    stream = BlockStream(toy_stack, levels=(2,), finisher=True)
    stage = stream.finisher_stage
    assert stage is not None
    counted = len(crash_sigmas(150, below=0.77)) - 1
    assert stage.default_steps() == counted
    for strength in (0.0, 0.23, 0.9, 1.0):
        assert len(crash_sigmas_from(counted, 1.0 - strength)) == counted + 1
    assert torch.allclose(crash_sigmas_from(10, 1.0), crash_sigmas(10), atol=1e-6)


def test_progress_counts_the_whole_block_and_stops_anywhere(toy_stack: Stack) -> None:
    stream = BlockStream(toy_stack, levels=(2, 1), finisher=True)
    seen: list[tuple[int, int]] = []
    stream.step(settings(2, 1), on_step=lambda *at: seen.append(at))
    assert seen == [(n + 1, 7) for n in range(7)]  # 1 + 4 windows of level 1 + 2 finisher windows
    before = stream.save().to_bytes()
    for at in (1, 3, 6):
        with pytest.raises(StreamInterrupted):
            stream.step(settings(2, 1), on_step=lambda done, of, at=at: done < at)
        assert stream.save().to_bytes() == before


def test_resample_and_strength_never_change_the_work(toy_stack: Stack) -> None:
    stream = BlockStream(toy_stack, levels=(2, 1))
    counts = []
    for strength in (0.0, 0.67, 1.0):
        seen: list[int] = []
        finer = LevelSettings(steps=2, strength=strength)
        stream.step(
            settings(1, finer=finer, resample=strength), on_step=lambda done, of, seen=seen: seen.append(of)
        )
        counts.append((len(seen), seen[0]))
    assert set(counts) == {(9, 9)}


def test_strength_one_passes_the_level_above_through(toy_stack: Stack) -> None:
    stream = BlockStream(toy_stack, levels=(2, 1))
    finer = LevelSettings(steps=1, strength=1.0, handover=Handover.INIT)
    block = stream.step(settings(1, finer=finer))
    with torch.inference_mode():
        expected = toy_stack.codec.encode(block.stems[2], 1)
    history = stream.save().levels[1].history
    assert torch.allclose(history, expected[..., -history.shape[2] :], atol=1e-5)


def test_priming_runs_from_residual_to_init(toy_stack: Stack) -> None:
    def latents(handover: Handover, priming: float = 0.5) -> Tensor:
        stream = BlockStream(toy_stack, levels=(2, 1))
        finer = dataclasses.replace(FINER, handover=handover, priming=priming)
        stream.step(settings(1, finer=finer))
        return stream.save().levels[1].history

    residual, init = latents(Handover.RESIDUAL), latents(Handover.INIT)
    assert torch.allclose(latents(Handover.PRIMED, 0.0), residual, atol=1e-5)
    assert torch.allclose(latents(Handover.PRIMED, 1.0), init, atol=1e-5)
    assert not torch.allclose(residual, init, atol=1e-2)


def test_a_context_may_stand_still(toy_stack: Stack) -> None:
    stream = BlockStream(toy_stack, levels=(2, 1))
    stream.set_context(0.2 * torch.randn(1, 1, 9000, generator=torch.Generator().manual_seed(1)))
    before = {level: stream.save().levels[level].context for level in (2, 1)}
    still = LevelSettings(steps=1, update_context=False)
    stream.step(BlockSettings(steps=1, levels={2: still, 1: FINER}))
    after = stream.save().levels
    assert torch.equal(after[2].context, before[2])
    assert not torch.equal(after[1].context, before[1])


@pytest.mark.parametrize("times", [2, 16])
def test_longer_windows_play(toy_stack: Stack, times: int) -> None:
    stream = BlockStream(toy_stack, levels=(2, 1), token_multiplier=times)
    assert stream.block_frames == times * 2048
    block = stream.step(settings(2, 1))
    assert block.audio.shape == (1, 1, times * 2048)
    assert stream.save().levels[2].context.shape[1] == min(16 * times, 32)


def test_what_a_stack_cannot_do_is_refused_in_words(toy_stack: Stack, toy_level2: Stack) -> None:
    with pytest.raises(ValueError, match="invents and has to play"):
        BlockStream(toy_stack, levels=(1, 0))
    with pytest.raises(ValueError, match="has no level 1"):
        BlockStream(toy_level2, levels=(2, 1))
    with pytest.raises(ValueError, match=r"outside 1\.\.16"):
        BlockStream(toy_stack, token_multiplier=17)
    with pytest.raises(ValueError, match="has no finisher"):
        BlockStream(dataclasses.replace(toy_stack, finisher=None), finisher=True)
    with pytest.raises(ValueError, match="settings for level 1"):
        BlockStream(toy_level2).step(settings(1))
    with pytest.raises(ValueError, match="strength 2"):
        BlockStream(toy_stack, levels=(2, 1)).step(settings(1, finer=LevelSettings(strength=2.0)))


class Copying(torch.nn.Module):
    """v that leaves every start as it is scaled back: the sound of the level above, at every level."""

    def forward(self, x: Tensor, sigma: Tensor, context=None, drop=None) -> Tensor:
        return torch.zeros_like(x)


def test_finer_levels_of_chunks_sound_like_the_whole(toy_stack: Stack) -> None:
    # With a denoiser that adds nothing, level 1 is encode and decode; done in blocks or at once is the same
    # away from the places where one block's encoder lacks its right-hand neighbours.
    stack = dataclasses.replace(toy_stack, denoisers={2: toy_stack.denoisers[2], 1: Copying()})
    stream = BlockStream(stack, levels=(2, 1))
    finer = LevelSettings(steps=1, strength=1.0, guidance=1.0)
    blocks = [stream.step(settings(1, finer=finer)) for _ in range(3)]
    lossy = torch.cat([block.stems[2] for block in blocks], dim=2)
    heard = torch.cat([block.stems[1] for block in blocks], dim=2)
    with torch.inference_mode():
        whole = toy_stack.codec.decode(toy_stack.codec.encode(lossy, 1), 1)
    delay = stream.stem_latency_frames[1] - stream.stem_latency_frames[2]
    difference = (heard[..., delay:] - whole[..., : heard.shape[2] - delay]).abs()[0, 0]
    reach = 2 * toy_stack.codec.decoder_margin(1) * 32
    places = torch.arange(len(difference))
    edges = torch.arange(1, 3) * stream.block_frames
    near = (places[:, None] - edges).abs() < reach
    assert difference[~near.any(dim=1)].max() < 1e-5
