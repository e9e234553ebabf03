"""Students of few steps at toy size, for tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from jbdiff.config import (
    BandCodecConfig,
    FewStepsConfig,
    JointDenoiserConfig,
    LevelConfig,
    StackConfig,
)
from jbdiff.networks.few_steps import Additions
from jbdiff.networks.joint_denoiser import JointDenoiser, Jump

DENOISER = JointDenoiserConfig(
    latent_channels=100, window_tokens=32, context_tokens=64, patch=4, width=16, depth=2, heads=2
)
FEW = FewStepsConfig(most_steps=4, rank=2)
CONFIG = StackConfig(
    name="mini",
    codec=BandCodecConfig(decoder_channels=16, decoder_blocks=2, local_channels=4),
    levels=(LevelConfig(2, DENOISER, window_tokens=32, steps=3, guidance=1.5, few=FEW),),
)
WITHOUT = dataclasses.replace(CONFIG, levels=(dataclasses.replace(CONFIG.levels[0], few=None),))


def lively(module: torch.nn.Module, spread: float = 0.1) -> Any:
    """Layers that begin at zero would hide everything behind them."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return module


def toy_denoiser() -> JointDenoiser:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net: JointDenoiser = lively(JointDenoiser(DENOISER), 0.04).eval().requires_grad_(False)
    return net


def toy_additions(denoiser: JointDenoiser) -> Additions:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made: Additions = lively(Additions(denoiser, FEW), 0.05)
    return made


def jump(guidance: float, length: float, batch: int = 1) -> Jump:
    return Jump(torch.full((batch,), guidance), torch.full((batch,), length))


def window(seed: int = 0, batch: int = 1) -> tuple[Tensor, Tensor]:
    """A noisy window `[b, 100, 32]` and a context `[b, 64, 100]`."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, 100, 32, generator=generator),
        torch.randn(batch, 64, 100, generator=generator) / 2,
    )
