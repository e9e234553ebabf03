"""Training of students of few steps, at toy size: trajectories, and that a student learns."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file
from torch.func import functional_call
from toy_students import DENOISER, FEW, lively, toy_additions, toy_denoiser, window

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.config import (
    BandCodecConfig,
)
from jbdiff.data.clips import Stretches
from jbdiff.diffusion.samplers import sample_vddim
from jbdiff.diffusion.schedules import linear_sigmas
from jbdiff.guidance import GuidedModel, JumpingModel
from jbdiff.networks.anchor import Anchor
from jbdiff.networks.few_steps import Additions, merge
from jbdiff.networks.joint_denoiser import JointDenoiser, Jump

pytest.importorskip("lightning")

from jbdiff.train.jobs.distil import DistilJob, load_additions, train_distil
from jbdiff.train.modules.denoiser import GUIDANCE_INTERVAL
from jbdiff.train.modules.distil import (
    GRIDS,
    NODES,
    DistilTraining,
    Start,
    grid_jumps,
    jump_target,
)
from jbdiff.train.run.run import RunSettings
from jbdiff.train.run.schedule import Budget


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def denoiser() -> JointDenoiser:
    return toy_denoiser()


@pytest.fixture(scope="module")
def additions(denoiser: JointDenoiser) -> Additions:
    return toy_additions(denoiser)


@pytest.mark.parametrize(("above", "below"), [(1.0, 0.75), (0.5, 0.0), (0.31, 0.3), (1.0, 0.0)])
def test_a_step_along_the_target_lands_there(above: float, below: float) -> None:
    torch.manual_seed(0)
    x, after = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    v = jump_target(x, after, torch.tensor(above), torch.tensor(below))
    landed = sample_vddim(lambda *_: v, x, torch.tensor([above, below]))
    torch.testing.assert_close(landed, after, atol=1e-3, rtol=1e-3)


def test_the_steps_of_each_grid_follow_each_other_from_noise_to_sound() -> None:
    for steps in GRIDS:
        first, last, _ = grid_jumps((steps,))
        assert first == [0, *last[:-1]] and last[-1] == NODES and len(first) == steps


def training(denoiser: JointDenoiser, steps: int = 24) -> DistilTraining:
    module = DistilTraining(DENOISER, FEW, Budget(steps=steps), 4e-3, 0, False)
    module.adopt(denoiser)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module


def test_trajectories_are_the_guided_denoisers_and_hold_what_is_known(denoiser: JointDenoiser) -> None:
    module = training(denoiser)
    noise, context = window()
    places = module.trajectory(Start(noise, noise, linear_sigmas(NODES), context, None), 2.0)
    assert len(places) == NODES + 1 and torch.equal(places[0], noise)
    with torch.no_grad():
        model = GuidedModel(
            denoiser, context, 2.0, both_branches=True, rescale=1.0, interval=GUIDANCE_INTERVAL
        )
        fine = sample_vddim(model, noise, linear_sigmas(200))
        coarse = sample_vddim(model, noise, linear_sigmas(4))
    assert (places[-1] - fine).square().mean() < 0.1 * (coarse - fine).square().mean()
    clean = torch.randn(1, 100, 8) / 2
    known = Start(noise, noise, linear_sigmas(NODES), context, (clean, noise[..., :8]))
    for place, sigma in zip(module.trajectory(known, 2.0), linear_sigmas(NODES), strict=True):
        angle = sigma * math.pi / 2
        expected = angle.cos() * clean + angle.sin() * noise[..., :8]
        torch.testing.assert_close(place[..., :8], expected, atol=1e-4, rtol=1e-4)


def test_training_computes_what_the_merged_student_plays(
    denoiser: JointDenoiser, additions: Additions
) -> None:
    module = training(denoiser)
    module.go_on_from(additions)
    x, context = window(batch=2)
    sigma = torch.tensor([0.9, 0.4])
    told = Jump(torch.tensor([1.0, 4.0]), torch.tensor([0.5, 0.25]))
    parameters = {f"network.{n}": value for n, value in module.student.merged(module.teacher).items()}
    v = functional_call(module.jumps, parameters, (x, sigma, context, told, 1))
    torch.testing.assert_close(v, merge(denoiser, additions)(x, sigma, context, jump=told))


def test_a_student_learns_to_land_where_the_denoiser_goes(denoiser: JointDenoiser) -> None:
    module = training(denoiser)
    torch.manual_seed(0)
    optimiser = module.configure_optimizers()
    assert isinstance(optimiser, torch.optim.Optimizer)
    noise, context = window(seed=99, batch=4)
    wanted = module.trajectory(Start(noise, noise, linear_sigmas(NODES), context, None), 1.5)[-1]

    def distance(steps: int, guidance: float = 1.5) -> float:
        sigmas = linear_sigmas(steps)
        student = merge(module.teacher, module.student)
        with torch.no_grad():
            model = JumpingModel(student, context, guidance, sigmas, FEW.guidance, 4)
            return float((sample_vddim(model, noise, sigmas) - wanted).square().mean())

    before = [distance(steps) for steps in (1, 2, 4)]
    teacher = {name: value.clone() for name, value in module.teacher.state_dict().items()}
    for number in range(24):
        generator = np.random.default_rng(number)
        stretch = torch.from_numpy(generator.standard_normal((2, 96, 100)).astype(np.float32)) / 2
        loss = module.training_step(Stretches(stretch, torch.zeros(2, 2)), number)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        module.on_train_batch_end(None, None, number)
    after = [distance(steps) for steps in (1, 2, 4)]
    assert all(new < 0.8 * old for new, old in zip(after, before, strict=True)), (before, after)
    for name, value in module.teacher.state_dict().items():
        assert torch.equal(value, teacher[name]), name


def test_what_was_made_is_the_next_context(denoiser: JointDenoiser) -> None:
    module = training(denoiser)
    stretch = torch.randn(2, 96, 100) / 2
    batch = Stretches(stretch, torch.zeros(2, 2))
    module.training_step(batch, 0)
    assert module.pieces["made"].tolist() == [1, 1]
    made = module.pieces["context"][:, -32:]
    assert not torch.allclose(made, stretch[:, 32:64], atol=1e-3)
    module.step_count = 1
    generator = torch.Generator().manual_seed(5)
    rows = module._begun(batch, generator)
    for row in range(2):
        kept = bool(rows["made"][row])
        expected = module.pieces["context"] if kept else stretch[:, :64]
        assert torch.equal(rows["context"][row], expected[row])


@pytest.mark.parametrize("wrong", [1e9, float("nan")])
def test_a_row_that_exploded_begins_anew_and_spoils_no_weights(denoiser: JointDenoiser, wrong: float) -> None:
    module = training(denoiser)
    torch.manual_seed(2)
    batch = Stretches(torch.randn(2, 96, 100) / 2, torch.zeros(2, 2))
    module.training_step(batch, 0)
    module.pieces["context"][0, -1, 0] = wrong
    module.step_count = 1
    loss = module.training_step(batch, 1)
    assert loss.isfinite() and module.pieces["made"].tolist()[0] == 1
    start = module._start(module._begun(batch, module.chance()), module.chance())
    places = module.trajectory(start, 1.5)
    spoiled = [torch.where(torch.arange(2)[:, None, None] == 0, wrong, place) for place in places]
    alone, _ = module._loss(start, spoiled, 1.5)
    alone.backward()
    assert alone.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def test_a_student_of_a_network_with_an_anchor_is_told_of_it_and_its_clock_goes_on() -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(DENOISER, anchor=True)
    teacher = lively(JointDenoiser(config), 0.04).eval().requires_grad_(False)
    module = DistilTraining(config, FEW, Budget(steps=24), 4e-3, 0, False)
    module.adopt(teacher)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    batch = Stretches(torch.randn(2, 96, 100) / 2, torch.tensor([[8.0, 32.0], [0.0, 0.0]]))
    rows = module._begun(batch, torch.Generator())
    assert rows["tempo"].tolist() == [4 / 32, 0.0]
    assert rows["beat"].tolist() == [(8 + 64) * 4 / 32, 0.0], "that of the window after the context"
    module.training_step(batch, 0).backward()
    learnt = module.student.up["anchor/window/weight"], module.student.whole["anchor/out/bias"]
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in learnt)
    passed = module.pieces["beat"] - rows["beat"]
    assert float(passed[0]) in {tokens * 4 / 32 for tokens in (32, 24, 16, 8)} and float(passed[1]) == 0
    noise, context = window(batch=2)
    told = Anchor(rows["style"], rows["known"], rows["beat"], rows["tempo"])
    ends = [
        module.trajectory(Start(noise, noise, linear_sigmas(NODES), context, None, one), 1.5)[-1]
        for one in (told, told.at(5), None)
    ]
    assert not torch.allclose(ends[0][0], ends[1][0], atol=1e-4) and torch.equal(ends[0][1], ends[1][1])
    assert not torch.allclose(ends[0], ends[2], atol=1e-4)
    module.validation_step(batch, 0)


def test_additions_that_were_learnt_without_an_anchor_go_on_with_one(
    tmp_path: Path, denoiser: JointDenoiser, additions: Additions
) -> None:
    save_file(
        {name: value.detach() for name, value in additions.state_dict().items()}, tmp_path / "few.safetensors"
    )
    (tmp_path / "run.json").write_text(json.dumps({"distill": dataclasses.asdict(FEW)}))
    torch.manual_seed(0)
    told = JointDenoiser(dataclasses.replace(DENOISER, anchor=True))
    loaded = load_additions(tmp_path / "few.safetensors", told).state_dict()
    for name, value in additions.state_dict().items():
        assert torch.equal(loaded[name], value), name
    new = {name: value for name, value in loaded.items() if name not in additions.state_dict()}
    assert new and all(".anchor/" in name for name in new)
    assert not any(value.any() for name, value in new.items() if not name.startswith("down."))


def test_a_resumed_run_gives_the_same_additions(
    tmp_path: Path, denoiser: JointDenoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The learning rate follows the progress towards the end asked for, which differs in a run's first part.
    monkeypatch.setattr("jbdiff.train.run.schedule.learning_rate_scale", lambda *_: 1.0)
    sounds, base = tmp_path / "sounds", tmp_path / "base"
    sounds.mkdir()
    base.mkdir()
    for index in range(2):
        noise = np.random.default_rng(index).standard_normal(80_000)
        soundfile.write(sounds / f"{index}.wav", 0.2 * noise, 44_100)
    small = BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2)
    save_file(BandCodec(small).state_dict(), base / "codec.safetensors")
    save_file(denoiser.state_dict(), base / "denoiser.safetensors")
    sizes = {"codec": dataclasses.asdict(small), "denoiser": dataclasses.asdict(DENOISER)}
    (base / "run.json").write_text(json.dumps(sizes))
    job = DistilJob(
        sounds, None, base / "codec.safetensors", base / "denoiser.safetensors", None, 2, 1e-3, 0, False
    )

    def run(name: str, steps: int, resume: bool = False, start: Path | None = None) -> Path:
        settings = RunSettings(
            tmp_path / name,
            steps=steps,
            resume=resume,
            round_steps=2,
            demo_minutes=0,
            accelerator="cpu",
            devices="1",
        )
        train_distil(settings, dataclasses.replace(job, start=start), FEW if start is None else None)
        return tmp_path / name / "weights.safetensors"

    whole = load_file(run("whole", 4))
    run("broken", 2)
    resumed = load_file(run("broken", 4, resume=True))
    assert whole.keys() == resumed.keys()
    for name in whole:
        assert torch.equal(whole[name], resumed[name]), name
    assert any(value.any() for name, value in whole.items() if name.startswith("up."))
    additions = load_additions(tmp_path / "whole" / "weights.safetensors", denoiser)
    assert additions.config == FEW
    assert list((tmp_path / "whole" / "demos").glob("*.wav"))
    on = load_file(run("on", 2, start=tmp_path / "whole" / "weights.safetensors"))
    assert on.keys() == whole.keys()
    assert not torch.equal(on["up.out/weight"], whole["up.out/weight"])
