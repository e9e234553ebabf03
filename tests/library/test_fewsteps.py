"""Students of few steps at toy size: what they are, and how they play in the stream."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from toy_students import CONFIG, FEW, WITHOUT, jump, toy_additions, toy_denoiser, window

from jbdiff.config import (
    POCKET,
    FewStepsConfig,
    JointDenoiserConfig,
    stack_from_dict,
    stack_to_dict,
)
from jbdiff.diffusion.samplers import sample_unipc
from jbdiff.networks.few_steps import Additions, merge
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.kinds import build_codec
from jbdiff.stacks.stack import CheckpointError, Stack, load_stack, save_stack
from jbdiff.stream.stream import BlockSettings, BlockStream


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def denoiser() -> JointDenoiser:
    return toy_denoiser()


@pytest.fixture(scope="module")
def additions(denoiser: JointDenoiser) -> Additions:
    return toy_additions(denoiser)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, denoiser: JointDenoiser, additions: Additions) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        codec = build_codec(CONFIG.codec)
    path = tmp_path_factory.mktemp("mini")
    return save_stack(path, CONFIG, codec, {2: denoiser}, dtype=torch.float32, few={2: additions})


@pytest.fixture(scope="module")
def mini(folder: Path) -> Stack:
    return load_stack(folder)


# What a student is


def test_a_student_begins_as_its_denoiser(denoiser: JointDenoiser) -> None:
    student = merge(denoiser, Additions(denoiser, FEW))
    (x, context), sigma = window(), torch.tensor([0.7])
    assert torch.equal(student(x, sigma, context, jump=jump(3.0, 0.25)), denoiser(x, sigma, context))


def test_a_denoiser_without_jumps_is_what_it_was(denoiser: JointDenoiser) -> None:
    assert not [name for name in denoiser.state_dict() if name.startswith("jump")]
    x, context = window()
    with pytest.raises(ValueError, match="without jumps"):
        denoiser(x, torch.tensor([0.7]), context, jump=jump(1.0, 0.5))


def test_guidance_and_length_change_what_a_student_says(
    denoiser: JointDenoiser, additions: Additions
) -> None:
    student = merge(denoiser, additions)
    (x, context), sigma = window(), torch.tensor([0.7])
    plain = student(x, sigma, context, jump=jump(1.5, 0.25))
    assert not torch.allclose(plain, student(x, sigma, context, jump=jump(3.0, 0.25)), atol=1e-4)
    assert not torch.allclose(plain, student(x, sigma, context, jump=jump(1.5, 0.5)), atol=1e-4)


def test_merged_matrices_differ_by_no_more_than_the_rank(
    denoiser: JointDenoiser, additions: Additions
) -> None:
    student = merge(denoiser, additions).state_dict()
    for name, before in denoiser.state_dict().items():
        if before.ndim == 2 and name.startswith("blocks") and name.endswith("weight"):
            assert torch.linalg.matrix_rank(student[name] - before, rtol=1e-4) == FEW.rank, name


def test_pocket_additions_are_about_two_megabytes_in_half_precision() -> None:
    level = POCKET.level(2)
    assert isinstance(level.denoiser, JointDenoiserConfig)
    numbers = sum(p.numel() for p in Additions(JointDenoiser(level.denoiser), FewStepsConfig()).parameters())
    assert 1e6 < 2 * numbers < 2.6e6


# In a stack


def test_a_stack_without_a_student_is_described_as_before() -> None:
    assert "few" not in stack_to_dict(WITHOUT)["levels"][0]
    assert stack_from_dict(stack_to_dict(CONFIG)) == CONFIG
    assert stack_from_dict(json.loads(json.dumps(stack_to_dict(CONFIG)))) == CONFIG


def test_a_student_comes_back_from_its_file(
    mini: Stack, folder: Path, denoiser: JointDenoiser, additions: Additions
) -> None:
    (x, context), sigma = window(), torch.tensor([0.4])
    expected = merge(denoiser, additions)(x, sigma, context, jump=jump(2.0, 0.25))
    assert torch.equal(mini.few[2](x, sigma, context, jump=jump(2.0, 0.25)), expected)
    assert (folder / "level2_few.safetensors").stat().st_size < (folder / "level2.safetensors").stat().st_size
    assert mini.few[2] in mini.modules()


def test_a_student_of_another_denoiser_is_refused(folder: Path, tmp_path: Path) -> None:
    import hashlib
    import shutil

    shutil.copytree(folder, tmp_path / "other")
    path = tmp_path / "other" / "level2_few.safetensors"
    tensors = load_file(path)
    tensors["up.out/weight"] = tensors["up.out/weight"][:-1].contiguous()
    save_file(tensors, path)
    about = json.loads((path.parent / "config.json").read_text())
    about["files"]["level2_few"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "config.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match=r"level2_few.safetensors does not fit the student of level 2"):
        load_stack(path.parent)
    del about["files"]["level2_few"]
    (path.parent / "config.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="no file for level2_few"):
        load_stack(path.parent)


# In the stream


class Counting(torch.nn.Module):
    """A network that notes the rows of every call."""

    def __init__(self, inner: JointDenoiser) -> None:
        super().__init__()
        self.inner, self.rows = inner, list[int]()

    def prepare_context(self, context: Tensor | None, drop: Tensor | None, batch: int) -> Any:
        return self.inner.prepare_context(context, drop, batch)

    def forward(self, x: Tensor, *rest: Any, **named: Any) -> Tensor:
        self.rows.append(len(x))
        made: Tensor = self.inner(x, *rest, **named)
        return made


@pytest.mark.parametrize(
    ("steps", "of_denoiser", "of_student"), [(1, 0, 1), (4, 0, 4), (5, 5, 0), (None, 0, 3)]
)
def test_few_steps_are_the_students_in_one_branch(
    mini: Stack, steps: int | None, of_denoiser: int, of_student: int
) -> None:
    many, few = Counting(mini.denoisers[2]), Counting(mini.few[2])
    stream = BlockStream(dataclasses.replace(mini, denoisers={2: many}, few={2: few}))
    stream.step(BlockSettings(steps=steps))
    assert many.rows == [2] * of_denoiser and few.rows == [1] * of_student


def played(stack: Stack, blocks: int = 2, **options: Any) -> Tensor:
    made = {name: options.pop(name) for name in ("sampler", "hop_tokens") if name in options}
    stream = BlockStream(stack, **made)
    return torch.cat([stream.step(BlockSettings(seed=1, **options)).audio for _ in range(blocks)], 2)


def test_more_steps_sound_as_without_a_student(mini: Stack) -> None:
    plain = dataclasses.replace(mini, config=WITHOUT, few={})
    assert torch.equal(played(mini, steps=5), played(plain, steps=5))
    assert not torch.allclose(played(mini, steps=4), played(plain, steps=4), atol=1e-4)


def test_the_guidance_knob_is_heard(mini: Stack) -> None:
    sounds = [played(mini, guidance=scale, steps=4) for scale in (1.0, 2.0, 4.0)]
    near, far = ((sounds[0] - other).square().mean() for other in sounds[1:])
    assert 0 < near < far


def test_guidance_beyond_what_was_taught_plays_as_its_end(mini: Stack) -> None:
    assert torch.equal(played(mini, guidance=6.0, steps=4), played(mini, guidance=9.0, steps=4))


def test_the_student_keeps_to_its_own_sampler(mini: Stack) -> None:
    assert torch.equal(played(mini, sampler=sample_unipc, steps=4), played(mini, steps=4))


def test_resample_and_short_hops_play_with_the_student(mini: Stack) -> None:
    assert not torch.allclose(played(mini, resample=0.5), played(mini, resample=0.0), atol=1e-4)
    stream = BlockStream(mini, hop_tokens=16)
    stream.step(BlockSettings())
    before = stream.save().levels[2].history
    stream.step(BlockSettings())
    assert torch.equal(stream.save().levels[2].history[..., :-16], before[..., -16:])


def test_preparing_the_context_is_not_counted_as_steps(mini: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ladder takes a part's time for that of its steps."""
    import types

    clock = iter(range(100))
    ticking = types.SimpleNamespace(perf_counter=lambda: float(next(clock)))
    for place in ("jbdiff.stream.level", "jbdiff.stream.window"):
        monkeypatch.setattr(f"{place}.time", ticking)
    block = BlockStream(mini).step(BlockSettings())
    # Started, encoded, began to prepare, prepared, denoised, decoded: one second from each to the next.
    assert block.seconds == {"encode": 2.0, "denoise": 2.0, "decode": 1.0}
