"""The finisher and whole v1 runs, end to end, against the first implementation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import FIXTURES

from jbdiff.audio.crossfade import Crossfade
from jbdiff.config import FinisherConfig
from jbdiff.diffusion.noise import NoiseStyle, v1_base_noise
from jbdiff.diffusion.schedules import crash_sigmas
from jbdiff.networks.dance_finisher import Finisher, finish_window
from jbdiff.stacks.stack import Stack
from jbdiff.stacks.v1_layout import finisher_tensors
from jbdiff.stacks.weight_files import CheckpointError, load_into, read_checkpoint
from jbdiff.v1.renderer import V1LevelSettings, V1Renderer, V1Settings

Recorded = Callable[[str], dict[str, Tensor]]


def assert_close(ours: Tensor, theirs: Tensor, atol: float) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= atol


def test_full_size_finisher_has_the_published_layout() -> None:
    with torch.device("meta"):
        ours = {name: list(tensor.shape) for name, tensor in Finisher(FinisherConfig()).state_dict().items()}
    theirs = {}
    for line in (FIXTURES / "full_keys_dd.txt").read_text().splitlines():
        key, shape, _ = line.split("\t")
        theirs[key] = json.loads(shape)
    assert {f"diffusion_ema.{name}": shape for name, shape in ours.items()} == {
        name: shape for name, shape in theirs.items() if name.startswith("diffusion_ema.")
    }


def test_finisher_uses_the_averaged_weights(toy_stack: Stack, recorded: Recorded) -> None:
    file = recorded("dd")
    with torch.inference_mode():
        assert_close(toy_stack.finisher(file["audio"], file["t"]), file["forward"], 2e-5)
    other = Finisher(toy_stack.config.finisher)
    tensors = read_checkpoint(FIXTURES / "dd.ckpt").tensors
    raw = {k.removeprefix("diffusion."): v for k, v in tensors.items() if k.startswith("diffusion.")}
    load_into(other, raw, "the finisher", "dd.ckpt")
    with torch.inference_mode():
        assert_close(other(file["audio"], file["t"]), file["forward_nonema"], 2e-5)


@pytest.mark.parametrize(("steps", "level", "name"), [(10, 0.77, "077"), (8, 0.5, "05"), (5, 1.0, "1")])
def test_finisher_resamples(
    toy_stack: Stack, recorded: Recorded, steps: int, level: float, name: str
) -> None:
    file = recorded("dd")
    out = finish_window(toy_stack.finisher, file["audio"], file["noise"], steps=steps, noise_level=level)
    assert_close(out, file[f"resample_{steps}_nl{name}"], 2e-5)


@pytest.mark.parametrize("steps", [5, 8, 10, 150])
def test_crash_schedule(recorded: Recorded, steps: int) -> None:
    assert_close(crash_sigmas(steps).flip(0), recorded("dd")[f"schedule_{steps}"], 1e-6)


def test_a_file_without_averaged_weights_is_no_finisher() -> None:
    with pytest.raises(CheckpointError, match="level checkpoint of level 2; a finisher checkpoint is needed"):
        finisher_tensors(read_checkpoint(FIXTURES / "jb_level2.ckpt"))


def test_finisher_refuses_lengths_it_cannot_halve(toy_stack: Stack) -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        toy_stack.finisher(torch.zeros(1, 2, 2050), torch.ones(1))


def v1_settings(config: dict[str, Any], arguments: dict[str, Any]) -> V1Settings:
    """The recorded run's arguments in our words."""
    levels = {
        number: V1LevelSettings(*config["level_conf_in_pipeline"][str(number)])
        for number in arguments["levels"]
    }
    if arguments["use_init"]:
        levels[2] = dataclasses.replace(levels[2], strength=arguments["init_strength"])
    linear = arguments["xstyle"] == "linear"
    return V1Settings(
        levels=levels,
        windows=arguments["shifts"],
        token_multiplier=arguments["token_multiplier"],
        update_lowest_context=arguments.get("upd_low", False),
        finisher_steps=config["config"]["dd_steps"],
        finisher_strength=config["config"]["dd_init"],
        finisher_seed=arguments["dd_seed"],
        finisher_style=NoiseStyle(arguments["dd_style"]),
        finisher_step=arguments["dd_noise_step"],
        fade=Crossfade.LINEAR if linear else Crossfade.V1_CONSTANT_POWER,
    )


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_whole_runs(toy_stack: Stack, recorded: Recorded, recorded_config: dict, name: str) -> None:
    file = recorded(f"pipeline_{name}")
    arguments = recorded_config["files"][f"pipeline_{name}.safetensors"]["args"]
    tokens = recorded_config["config"]["base_tokens"] * arguments["token_multiplier"]
    style = NoiseStyle(arguments["noise_style"])
    noise = v1_base_noise(arguments["shifts"], tokens, arguments["noise_seed"], style)
    assert torch.equal(noise, file["base_noise"])

    renderer = V1Renderer(toy_stack, v1_settings(recorded_config, arguments))
    context = file["context_audio"].mean(dim=0)[None, None]
    for level in arguments["levels"]:
        assert_close(renderer.first_context(context, level), file[f"context_init_L{level}"], 1e-4)
    init = file["init_audio"].mean(dim=0)[None, None] if arguments["use_init"] else None
    run = renderer.render(noise, context, init)
    for level in arguments["levels"]:
        assert_close(torch.cat(run.level_audio[level], dim=2)[:, 0], file[f"audio_L{level}"], 1e-4)
        assert_close(run.contexts[level], file[f"context_final_L{level}"], 1e-4)
    assert_close(run.audio, file["final_audio"], 1e-4)


def test_a_v1_run_needs_a_finisher(toy_stack: Stack) -> None:
    bare = dataclasses.replace(toy_stack, finisher=None)
    with pytest.raises(ValueError, match="no finisher"):
        V1Renderer(bare, V1Settings(levels={2: V1LevelSettings(4, 2.0)}, windows=1))
