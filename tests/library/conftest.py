"""Recorded results and a toy-sized stack for the library's tests.

The files under `fixtures/` were recorded once from the first public implementation of Jukebox Diffusion
with small random weights (`config.json` there holds the constructor arguments and the deviation of that
implementation from itself). They cannot be remade from this repository: they are what it is measured
against.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from toys import FIXTURES, LivelyDenoiser, write_toy_stack

from jbdiff.config import FinisherConfig, LevelConfig, StackConfig, UNetConfig, VQVAEConfig
from jbdiff.stacks.stack import Stack, load_stack


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Two idle OpenMP threads that wait for each other cost more than these sizes gain."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def recorded_config() -> dict[str, Any]:
    return json.loads((FIXTURES / "config.json").read_text())


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], dict[str, Tensor]]:
    """recorded("unet") -> the tensors of that file."""
    return lambda name: load_file(FIXTURES / f"{name}.safetensors")


@pytest.fixture(scope="session")
def toy_unet_config(recorded_config: dict[str, Any]) -> UNetConfig:
    values = recorded_config["config"]["unet"]
    known = {field.name for field in dataclasses.fields(UNetConfig)}
    return UNetConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known})


@pytest.fixture(scope="session")
def toy_config(recorded_config: dict[str, Any], toy_unet_config: UNetConfig) -> StackConfig:
    vq = recorded_config["config"]["vq"]
    tokens = recorded_config["config"]["base_tokens"]
    levels = tuple(
        LevelConfig(level=level, denoiser=toy_unet_config, window_tokens=tokens, steps=4)
        for level in (2, 1, 0)
    )
    codec = VQVAEConfig(width=vq["width"], depth=vq["depth"], codebook_size=vq["l_bins"])
    dd = recorded_config["config"]["dd"]
    finisher = FinisherConfig(
        channels=tuple(dd["c_mults"]),
        attention_layers=dd["n_attn_layers"],
        window_samples=recorded_config["config"]["dd_sample_size"],
        fade_samples=recorded_config["config"]["xfade"],
    )
    return StackConfig(name="toy", codec=codec, levels=levels, finisher=finisher)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory, toy_config: StackConfig) -> Path:
    return write_toy_stack(tmp_path_factory.mktemp("stacks") / "toy", toy_config)


@pytest.fixture(scope="session")
def toy_stack(toy_folder: Path) -> Stack:
    """The recorded v1 checkpoints at toy size, three levels."""
    return load_stack(toy_folder)


@pytest.fixture(scope="session")
def toy_level2(toy_stack: Stack) -> Stack:
    """Level 2 alone."""
    config = dataclasses.replace(toy_stack.config, levels=toy_stack.config.levels[:1])
    return dataclasses.replace(toy_stack, config=config, denoisers={2: toy_stack.denoisers[2]})


@pytest.fixture(scope="session")
def lively_stack(toy_level2: Stack) -> Stack:
    """Level 2 with the recorded codec and a denoiser whose output uses the whole codebook."""
    return dataclasses.replace(toy_level2, denoisers={2: LivelyDenoiser()})
