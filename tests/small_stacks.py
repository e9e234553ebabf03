"""A stack of v1's kind, small enough to be played beside a test: three levels, a finisher, random weights."""

from __future__ import annotations

from pathlib import Path

import torch

from jbdiff.config import FinisherConfig, LevelConfig, StackConfig, UNetConfig, VQVAEConfig
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.stacks.kinds import build_codec, build_denoiser
from jbdiff.stacks.stack import save_stack

WINDOW_TOKENS = 128  # of level 2: a block of 16 384 frames, 0.37 s

UNET = UNetConfig(
    channels=(8, 8, 16),
    factors=(1, 4, 4),
    items=(1, 1, 1),
    attentions=(0, 0, 1),
    cross_attentions=(0, 0, 1),
    attention_heads=2,
    attention_features=8,
    embedding_max_length=4 * WINDOW_TOKENS,
    modulation_features=16,
)

SMALL = StackConfig(
    name="small",
    codec=VQVAEConfig(width=4, depth=1, codebook_size=32),
    levels=(
        LevelConfig(2, UNET, WINDOW_TOKENS, steps=2),
        LevelConfig(1, UNET, 2 * WINDOW_TOKENS, context_windows=1, steps=2, init_strength=0.5),
        LevelConfig(0, UNET, 4 * WINDOW_TOKENS, context_windows=1, steps=2, init_strength=0.5),
    ),
    finisher=FinisherConfig(
        channels=(4, 4, 4, 8, 32, 32, 32),
        attention_layers=0,
        window_samples=20_480,
        steps=2,
        fade_samples=256,
    ),
)


def write_small_stack(folder: Path, config: StackConfig = SMALL) -> Path:
    """Writes it, the same every time; returns the folder."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        codec = build_codec(config.codec)
        for name, codes in codec.named_buffers():
            if name.endswith(".k"):  # a fresh codebook is all zeros
                codes.normal_()
        denoisers = {level.level: build_denoiser(level.denoiser) for level in config.levels}
        finisher = None if config.finisher is None else Finisher(config.finisher)
    return save_stack(folder, config, codec, denoisers, dtype=torch.float32, finisher=finisher)
