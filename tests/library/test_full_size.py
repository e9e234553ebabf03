"""A whole v1 stack at its published size, random weights, in the original layout: converts, loads, plays.

python -m pytest -m full -s tests/library/test_full_size.py      # 4 GB of memory, 6 GB of disk, minutes
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from jbdiff.codecs.vqvae import VQVAE
from jbdiff.config import FinisherConfig, UNetConfig, VQVAEConfig
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.networks.unet import UNet
from jbdiff.stacks.convert import convert, plan
from jbdiff.stacks.stack import load_stack
from jbdiff.stacks.v1_layout import UNET_PREFIXES, unet_duplicate_keys, unet_key_map
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings, LevelSettings

GENERATOR = torch.Generator().manual_seed(0)


def random_state(module: torch.nn.Module) -> dict[str, Tensor]:
    """Values like those of a fresh network: gains near 1, the rest scaled by what each output sums."""
    state = {}
    for name, meta in module.state_dict().items():
        values = torch.randn(meta.shape, generator=GENERATOR)
        if name.endswith("kernel"):
            state[name] = values.fill_(0.125)
        elif meta.ndim < 2:
            state[name] = 0.02 * values + (1.0 if name.endswith("weight") else 0.0)
        else:
            state[name] = values / meta[0].numel() ** 0.5
    return state


def write_originals(folder: Path) -> None:
    with torch.device("meta"):
        unet, vqvae, finisher = UNet(UNetConfig()), VQVAE(VQVAEConfig()), Finisher(FinisherConfig())
    names = unet_key_map(UNetConfig())
    codec = random_state(vqvae)
    torch.save({"model": {f"module.{key}": value for key, value in codec.items()}}, folder / "vqvae.pth.tar")
    for level in (2, 1, 0):
        net = {names[key]: value for key, value in random_state(unet).items()}
        net |= {copy: net[original] for copy, original in unet_duplicate_keys().items()}
        state = {prefix + key: value for prefix in UNET_PREFIXES for key, value in net.items()}
        state |= {f"vqvae.{key}": value for key, value in codec.items()}
        torch.save(
            {"state_dict": state, "epoch": 1, "optimizer_states": []}, folder / f"jb_level{level}.ckpt"
        )
    averaged = random_state(finisher)
    state = {f"diffusion.{key}": torch.zeros_like(value) for key, value in averaged.items()}
    state |= {f"diffusion_ema.{key}": value for key, value in averaged.items()}
    torch.save({"state_dict": state}, folder / "dd.ckpt")


@pytest.mark.full
def test_a_full_size_stack_converts_loads_and_plays_a_block(tmp_path: Path) -> None:
    import resource

    originals = tmp_path / "originals"
    originals.mkdir()
    write_originals(originals)
    began = time.perf_counter()
    folder = convert(plan([originals], {}), tmp_path / "stack", report=print)
    converted = time.perf_counter()
    for file in originals.iterdir():
        file.unlink()
    stack = load_stack(folder)
    loaded = time.perf_counter()
    stream = BlockStream(stack, finisher=True)
    once = LevelSettings(steps=1)
    block = stream.step(BlockSettings(steps=1, levels={1: once, 0: once}, finisher=FinisherSettings(steps=1)))
    played = time.perf_counter()
    assert block.audio.shape == (1, 2, 98_304) and torch.isfinite(block.audio).all()
    assert stream.latency_frames == 8_192 + 2_048 + 512 + 1_536
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in block.seconds.items())
    print(
        f"convert {converted - began:.1f} s, load {loaded - converted:.1f} s, "
        f"block {played - loaded:.1f} s ({parts}), peak {peak / 1e9:.2f} GB"
    )
    assert peak < 24e9
