"""Every fast path against exact float32 on fresh inputs, and whole streams on the device. Needs CUDA.

python -m pytest -m gpu tests/gpu
python -m pytest -m gpu tests/gpu --confcutdir=tests/gpu      # with a carried folder: no sound libraries
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

from jbdiff.bench.checks import check_graphs, check_paths
from jbdiff.bench.fast_paths import FASTPATHS
from jbdiff.bench.measure import measure, random_stack
from jbdiff.config import (
    FinisherConfig,
    JointDenoiserConfig,
    LevelConfig,
    StackConfig,
    UNetConfig,
    VQVAEConfig,
)
from jbdiff.machine import exact_float32, random_weights
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.unet import UNet
from jbdiff.stacks.stack import Stack, load_stack
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings, LevelSettings

pytestmark = pytest.mark.gpu

SMALL_UNET = UNetConfig(
    channels=(16, 32, 32, 64), factors=(1, 2, 1, 2), items=(1, 2, 2, 1), attentions=(0, 0, 1, 0),
    cross_attentions=(0, 1, 0, 1), attention_heads=2, attention_features=8, embedding_max_length=64,
    modulation_features=48,
)  # fmt: skip
SMALL_FINISHER = FinisherConfig(
    channels=(32, 32, 64), attention_layers=1, window_samples=2048, fade_samples=64, steps=4
)
SMALL_STACK = StackConfig(
    name="small",
    codec=VQVAEConfig(width=8, depth=2, codebook_size=32),
    levels=tuple(LevelConfig(level=n, denoiser=SMALL_UNET, window_tokens=32, steps=3) for n in (2, 1, 0)),
    finisher=SMALL_FINISHER,
)


def network(kind: str) -> nn.Module:
    nets = {
        "unet": lambda: UNet(SMALL_UNET),
        "finisher": lambda: Finisher(SMALL_FINISHER),
        "joint": lambda: JointDenoiser(JointDenoiserConfig(width=64, depth=2)),
    }
    net = nets[kind]()
    random_weights(net, torch.Generator().manual_seed(0))
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("path", [name for name, path in FASTPATHS.items() if not path.compile])
@pytest.mark.parametrize("kind", ["unet", "finisher", "joint"])
def test_path_stays_near_float32(kind: str, path: str, device: torch.device) -> None:
    if not FASTPATHS[path].runs_on(device):
        pytest.skip(f"{path} does not run on {device.type}")
    net = network(kind)
    if not FASTPATHS[path].takes(net):
        pytest.skip(f"{path} is for other networks than {type(net).__name__}")
    (check,) = check_paths(kind, net, [FASTPATHS[path]], device, seed=secrets.randbelow(2**31))
    assert check.passed, check


@pytest.mark.parametrize("kind", ["unet", "finisher"])
def test_compiled_path_stays_near_float32(kind: str, device: torch.device) -> None:
    """The one that streams play; `scripts/gpu_bench` has the others, at full size."""
    path = FASTPATHS["float16 tokens compiled graph"]
    if not path.runs_on(device):
        pytest.skip("CUDA's alone")
    (check,) = check_paths(kind, network(kind), [path], device, seed=secrets.randbelow(2**31))
    assert check.passed, check


@pytest.fixture
def small_stack() -> Stack:
    return random_stack(SMALL_STACK)


def settings(steps: int = 2) -> BlockSettings:
    each = {level: LevelSettings(steps=steps) for level in (2, 1, 0)}
    return BlockSettings(guidance=2.0, levels=each, finisher=FinisherSettings(steps=steps))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_stream_goes_on_from_its_saved_state_bit_for_bit(
    small_stack: Stack, device: torch.device, dtype: torch.dtype
) -> None:
    stream = BlockStream(small_stack, device=device, dtype=dtype, finisher=True)
    stream.step(settings())
    state = stream.save()
    first = stream.step(settings()).audio
    stream.restore(state)
    again = stream.step(settings()).audio
    assert first.device.type == device.type
    assert torch.equal(first, again)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_recorded_blocks_sound_as_played_ones(
    small_stack: Stack, device: torch.device, dtype: torch.dtype
) -> None:
    check = check_graphs(small_stack, settings(), device, dtype, finisher=True, blocks=1)
    assert check.passed, check
    assert bool(check.notes) == (device.type != "cuda")


def test_compiled_blocks_sound_as_played_ones(small_stack: Stack, device: torch.device) -> None:
    check = check_graphs(
        small_stack, settings(), device, torch.float16, finisher=True, compiled=True, blocks=1
    )
    assert check.passed, check
    assert bool(check.notes) == (device.type != "cuda")


def test_a_stack_is_recorded_while_another_one_plays(small_stack: Stack, device: torch.device) -> None:
    playing = BlockStream(load_stack("pocket"), device=device)
    recorded = threading.Event()
    failures: list[Exception] = []

    def play() -> None:
        try:
            while not recorded.is_set():
                playing.step(BlockSettings(steps=1))
        except Exception as error:
            failures.append(error)

    player = threading.Thread(target=play)
    player.start()
    try:
        BlockStream(small_stack, device=device, finisher=True, graphs=True).settle(settings())
    finally:
        recorded.set()
        player.join()
    assert failures == []


def test_the_instrument_plays_a_compiled_stack(small_stack: Stack, device: torch.device) -> None:
    from jbdiff_live.engine.voices.load import load_voice
    from jbdiff_live.stack_choice import StackChoice

    if device.type == "cpu":
        pytest.skip("on a CPU the instrument compiles nothing")
    small_stack.to(device)
    told: list[str] = []
    voice = load_voice(
        StackChoice("small", finisher=True),
        lambda work: told.append(work.detail),
        lambda: True,
        shared=small_stack,
    )
    assert voice is not None and small_stack.compiled
    assert any("GPU" in line for line in told)


@pytest.mark.parametrize("hop_tokens", [None, 48])
def test_recorded_pocket_sounds_as_played(device: torch.device, hop_tokens: int | None) -> None:
    check = check_graphs(
        load_stack("pocket"), BlockSettings(steps=2), device, hop_tokens=hop_tokens, blocks=1
    )
    assert check.passed, check


def test_a_recorded_stream_follows_its_knobs(small_stack: Stack, device: torch.device) -> None:
    plain, recorded = (
        BlockStream(small_stack, device=device, finisher=True, graphs=graphs) for graphs in (False, True)
    )
    for guidance in (2.0, 2.0, 2.0, 2.0, 4.0, 1.5):
        how = replace(settings(), guidance=guidance, resample=guidance / 10)
        own, wanted = recorded.step(how).audio, plain.step(how).audio
        # A codebook makes more of a rounding; both go on from the same sound.
        recorded.restore(plain.save())
        assert (own - wanted).square().mean().sqrt() < 3e-2 * wanted.square().mean().sqrt()


def test_pocket_sounds_as_on_the_cpu(device: torch.device) -> None:
    with exact_float32():
        here = BlockStream(load_stack("pocket"), device=device).step(BlockSettings(steps=4)).audio.cpu()
        there = BlockStream(load_stack("pocket")).step(BlockSettings(steps=4)).audio
    difference = (here - there).square().mean().sqrt() / there.square().mean().sqrt()
    assert difference < 1e-2


def test_the_table_counts_the_devices_memory(small_stack: Stack, device: torch.device) -> None:
    result = measure(small_stack, device=device, finisher=True, blocks=1, steps=1, repeats=1)
    assert (result.device_bytes is not None) == (device.type == "cuda")
    assert (result.machine.gpu is not None) == (device.type == "cuda")
    assert all(part.fastest > 0 for part in result.parts)
