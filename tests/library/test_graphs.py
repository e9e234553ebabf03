"""Recorded work: a stream with the switch sounds as one without, and says what it does not record.

CUDA graphs need CUDA. Here the recorder is a plain one that does what a graph does: it keeps the work and the buffers
of the first call, and every replay runs that work over what the buffers hold by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import jbdiff.stream.cuda_graphs
import jbdiff.stream.execution
from jbdiff.bench.measure import measure
from jbdiff.config import BandCodecConfig, FewStepsConfig, JointDenoiserConfig, LevelConfig, StackConfig
from jbdiff.diffusion.samplers import sample_dpmpp_2m, sample_vddim
from jbdiff.networks.few_steps import with_jumps
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.kinds import build_codec
from jbdiff.stacks.stack import Stack
from jbdiff.stream.cuda_graphs import LONGEST_LOOP, Recorded, decode_obstacle, loop_obstacle
from jbdiff.stream.stream import (
    BlockSettings,
    BlockStream,
    FinisherSettings,
    LevelSettings,
    StreamInterrupted,
)

CPU = torch.device("cpu")


def plain_recorder(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    result = work().clone()

    def replay() -> Tensor:
        return result.copy_(work())

    return replay


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """Records on the CPU too; lists what was recorded."""
    made: list[Recorded] = []

    class Listed(Recorded):
        def __init__(self, *rest: Any) -> None:
            super().__init__(*rest)
            made.append(self)

    for module in (jbdiff.stream.cuda_graphs, jbdiff.stream.execution):
        monkeypatch.setattr(module, "recorder_for", lambda device: plain_recorder)
    monkeypatch.setattr(jbdiff.stream.cuda_graphs, "Recorded", Listed)
    return made


def small_stack(anchor: bool = False) -> Stack:
    sizes = JointDenoiserConfig(
        window_tokens=32, context_tokens=64, width=32, depth=2, heads=2, anchor=anchor
    )
    level = LevelConfig(level=2, denoiser=sizes, window_tokens=32, steps=6, few=FewStepsConfig(most_steps=2))
    config = StackConfig("mini", BandCodecConfig(decoder_channels=16, decoder_blocks=1), (level,))
    torch.manual_seed(0)
    denoiser = JointDenoiser(sizes)
    few = with_jumps(denoiser)
    with torch.no_grad():
        for module in (denoiser, few):
            for parameter in module.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    stack = Stack(config, build_codec(config.codec), {2: denoiser}, "mini", few={2: few})
    for module in stack.modules():
        module.eval().requires_grad_(False)
    return stack


@pytest.fixture(scope="module")
def student_stack() -> Stack:
    return small_stack()


def knobs(guidance: float, resample: float = 0.0, steps: int = 2) -> BlockSettings:
    each = {level: LevelSettings(steps=1, strength=0.5, guidance=guidance) for level in (1, 0)}
    finisher = FinisherSettings(steps=1, strength=0.4 + 0.1 * resample)
    return BlockSettings(guidance=guidance, resample=resample, steps=steps, levels=each, finisher=finisher)


TURNS = [(2.0, 0.0), (3.0, 0.0), (1.5, 0.3), (0.0, 0.6), (4.0, 0.2)]


def played(stream: BlockStream, levels: tuple[int, ...] = (2, 1, 0), steps: int = 2) -> Tensor:
    """Blocks through a whole context, with knobs that turn."""
    blocks = []
    for guidance, resample in TURNS:
        how = knobs(guidance, resample, steps)
        finer = {level: how.levels[level] for level in levels if level != 2}
        blocks.append(stream.step(BlockSettings(**{**how.__dict__, "levels": finer})).audio)
    return torch.cat(blocks, dim=2)


@pytest.mark.parametrize("hop", [None, 16])
def test_recorded_levels_and_finisher_sound_as_played_ones(
    toy_stack: Stack, recorded: list[Recorded], hop: int | None
) -> None:
    options: dict[str, Any] = {"finisher": True, "hop_tokens": hop, "token_multiplier": 2}
    plain = played(BlockStream(toy_stack, **options))
    assert not recorded
    stream = BlockStream(toy_stack, graphs=True, **options)
    assert stream.notes == ()
    assert torch.equal(played(stream), plain)
    assert recorded


@pytest.mark.parametrize("steps", [2, 3])
@pytest.mark.parametrize("hop", [None, 16])
def test_recorded_denoisers_and_students_sound_as_played_ones(
    student_stack: Stack, recorded: list[Recorded], steps: int, hop: int | None
) -> None:
    plain = played(BlockStream(student_stack, hop_tokens=hop), (2,), steps)
    stream = BlockStream(student_stack, hop_tokens=hop, graphs=True)
    assert stream.notes == ()
    assert torch.equal(played(stream, (2,), steps), plain)
    assert recorded


@pytest.mark.parametrize("steps", [2, 3])
def test_a_recorded_anchor_is_the_one_of_its_block(recorded: list[Recorded], steps: int) -> None:
    """What were numbers when it was recorded would be heard for ever."""
    turns = [
        {},
        {},
        {"tempo": 90.0, "brightness": 0.5},
        {"tempo": 90.0, "motion": -1.0},
        {"tempo": 0.0},
        {"anchor": 0.0},
        {"anchor": 0.3},
    ]
    anchored = small_stack(anchor=True)

    def sounds(stream: BlockStream) -> list[Tensor]:
        return [stream.step(BlockSettings(steps=steps, guidance=2.0, **turn)).audio for turn in turns]  # type: ignore[arg-type]

    plain = sounds(BlockStream(anchored))
    assert not recorded
    for one, other in zip(sounds(BlockStream(anchored, graphs=True)), plain, strict=True):
        assert torch.equal(one, other)
    assert len(recorded) == 2


@pytest.mark.parametrize("hop", [None, 16])
def test_steps_and_decode_are_recorded_once_when_the_context_is_full(
    student_stack: Stack, recorded: list[Recorded], hop: int | None
) -> None:
    stream = BlockStream(student_stack, hop_tokens=hop, graphs=True)
    for _ in range(3):
        played(stream, (2,))
    assert len(recorded) == 2


def test_the_benchmark_measures_the_student_where_it_plays(student_stack: Stack) -> None:
    for steps, row in ((2, "level 2: student step"), (3, "level 2: guided step")):
        result = measure(student_stack, blocks=0, steps=steps, repeats=1)
        assert [part.per_block for part in result.parts if part.name == row] == [steps]


def test_without_cuda_the_switch_changes_nothing_and_says_so(student_stack: Stack) -> None:
    stream = BlockStream(student_stack, graphs=True)
    assert stream.notes == ("nothing can be recorded on cpu: graphs are CUDA's",)
    assert torch.equal(played(stream, (2,)), played(BlockStream(student_stack), (2,)))


def test_steps_are_told_and_a_stop_leaves_the_stream_as_it_was(
    student_stack: Stack, recorded: list[Recorded]
) -> None:
    stream = BlockStream(student_stack, graphs=True)
    played(stream, (2,))
    assert recorded
    told: list[tuple[int, int]] = []
    stream.step(knobs_of_level_2(), on_step=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
    before = stream.save()
    with pytest.raises(StreamInterrupted):
        stream.step(knobs_of_level_2(), on_step=lambda done, of: False)
    assert stream.save() is before


def knobs_of_level_2() -> BlockSettings:
    return BlockSettings(guidance=2.0, steps=2)


def test_obstacles_have_names(student_stack: Stack, recorded: list[Recorded]) -> None:
    assert loop_obstacle(LONGEST_LOOP, sample_vddim) is None
    assert "steps are more than" in str(loop_obstacle(LONGEST_LOOP + 1, sample_vddim))
    stream = BlockStream(student_stack, graphs=True, sampler=sample_dpmpp_2m)
    assert any("v-DDIM" in note for note in stream.notes)
    plain = BlockStream(student_stack, sampler=sample_dpmpp_2m)
    assert torch.equal(played(stream, (2,), steps=3), played(plain, (2,), steps=3))
    assert decode_obstacle(student_stack.codec) is None


def test_recorded_work_refuses_other_shapes() -> None:
    double = Recorded(lambda x: 2 * x, CPU, plain_recorder)
    assert torch.equal(double(torch.ones(3)), torch.full((3,), 2.0))
    assert torch.equal(double(torch.full((3,), 4.0)), torch.full((3,), 8.0))
    with pytest.raises(ValueError, match="recorded for"):
        double(torch.ones(4))
