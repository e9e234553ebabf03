"""Measures the full-size v1 stack for a comparison with the recorded figures of the first implementation.

`scripts/bench_parts` runs each measurement in its own process and writes the page. Random weights, CPU.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from jbdiff.bench.checks import relative_error
from jbdiff.bench.fast_paths import FASTPATHS
from jbdiff.bench.measure import random_stack
from jbdiff.codecs.vqvae import VQVAE
from jbdiff.config import V1, FinisherConfig, JointDenoiserConfig, UNetConfig, VQVAEConfig
from jbdiff.diffusion.samplers import Model, sample_vddim
from jbdiff.diffusion.schedules import linear_sigmas
from jbdiff.guidance import GuidedModel
from jbdiff.machine import autocast, count_operations, random_weights, resident_bytes, time_calls
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.networks.unet import UNet
from jbdiff.stacks.stack import load_stack
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings, LevelSettings
from jbdiff.untyped import JsonDict

M = TypeVar("M", bound=nn.Module)
# The first implementation, recorded once on two Xeon cores (AVX-512), torch 2.13.0, two threads; part -> seconds.
RECORDED_MACHINE = "two Xeon cores with AVX-512, torch 2.13.0, two threads"
RECORDED_GFLOPS = 330.0  # float32 product of side 2048, best of 12
STEP, LONG = "guided U-Net step, 768 tokens", "guided U-Net step, 1536 tokens"
FINISHER = "finisher step, 2 x 65 536 samples"
ENCODE, DECODE = "level-2 encode, 98 304 samples", "level-2 decode, 98 304 samples"
# Its guided step took 67.69 GFLOP at 768 tokens and 127.0 at 1536. Its seconds at 1536 are computed from the same rate.
RECORDED = {STEP: 0.81, LONG: 0.81 * 127.0 / 67.69, FINISHER: 4.05, ENCODE: 0.096, DECODE: 0.125}
NETWORKS = (STEP, LONG, FINISHER)
# Its default window has twice the trained length and holds 16 windows of level 0. Each of them has a finisher call.
WINDOW_CALLS = {"level 2": 1, "level 1": 4, "level 0": 16, "finisher": 16}
DEFAULT_STEPS = {"level 2": 250, "level 1": 24, "level 0": 10, "finisher": 125}
GUIDANCE = 4.0
HALF_BOUND = FASTPATHS["autocast bfloat16"].bound
NULL_EVERY = {"null branch every 2nd": 2, "null branch every 4th": 4}
HALF, COMPILED = "autocast bfloat16", "torch.compile"
POCKET_HALF, POCKET_INT8 = "pocket: autocast bfloat16", "pocket: int8 linear layers"
POCKET_COMPILED = "pocket: torch.compile"
SWITCHES = (*NULL_EVERY, HALF, COMPILED, POCKET_HALF, POCKET_INT8, POCKET_COMPILED)
SWITCH_STEPS = 8


def first_window(steps: dict[str, int]) -> float:
    """Return the seconds of the first implementation for its window without the codec, from recorded seconds a step."""
    cost = {name: RECORDED[LONG] for name in WINDOW_CALLS} | {"finisher": RECORDED[FINISHER]}
    return sum(WINDOW_CALLS[name] * steps[name] * cost[name] for name in WINDOW_CALLS)


def _seeded(net: M) -> M:
    random_weights(net, torch.Generator().manual_seed(0))
    return net.eval().requires_grad_(False)


def _part(name: str) -> tuple[Callable[[], Tensor], Tensor]:
    """Return one call of a part with random weights and inputs, and its input x."""
    if name in (STEP, LONG):
        x, sigma = torch.randn(1, 64, 768 if name == STEP else 1536), torch.tensor([0.5])
        net, context = _seeded(UNet(UNetConfig())), torch.randn(1, 1536, 64)
        models: list[GuidedModel] = []

        def step() -> Tensor:
            if not models:  # made once, under the caller's autocast: the steps of a block share it
                models.append(GuidedModel(net, context, GUIDANCE))
            return models[0](x, sigma).float()

        return step, x
    if name == FINISHER:
        sound, level, finisher = (
            torch.randn(1, 2, 65_536),
            torch.tensor([0.5]),
            _seeded(Finisher(FinisherConfig())),
        )
        return lambda: finisher(sound, level).float(), sound
    codec = _seeded(VQVAE(VQVAEConfig()))
    audio, latents = 0.1 * torch.randn(1, 1, 98_304), torch.randn(1, 64, 768)
    if name == ENCODE:
        return lambda: codec.encode(audio, 2), audio
    return lambda: codec.decode(latents, 2), latents


@torch.inference_mode()
def measure_part(name: str, dtype: torch.dtype, times: int) -> JsonDict:
    """Return seconds of the fastest call, operations, peak resident bytes, and the error of a type below float32."""
    torch.manual_seed(0)
    run, x = _part(name)
    found: JsonDict = {}
    with autocast(torch.device("cpu"), dtype):
        found["seconds"] = min(time_calls(run, times))
        found["peak"] = resident_bytes()
        found["operations"] = count_operations(run)
        own = run()
    if dtype != torch.float32:
        torch.manual_seed(0)
        run, x = _part(name)
        found["error"] = relative_error(own, run(), x)
    return found


def measure_window(dtype: torch.dtype, steps: dict[str, int]) -> JsonDict:
    """Measure one window of twice the trained length through three levels and finisher, with `steps` in each part."""
    counts = dict(zip((2, 1, 0), (LevelSettings(steps=count) for count in steps.values()), strict=False))
    settings = BlockSettings(
        guidance=GUIDANCE, levels=counts, finisher=FinisherSettings(steps=steps["finisher"])
    )
    stream = BlockStream(random_stack(V1), dtype=dtype, finisher=True, token_multiplier=2)
    calls = stream.step_counts(settings)
    began = time.perf_counter()
    block = stream.step(settings)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "sound": stream.geometry.seconds(block.audio.shape[2]),
        "peak": resident_bytes(),
        "calls": calls,
        "parts": dict(block.part_seconds),
        "codec": block.seconds["encode"] + block.seconds["decode"],
    }


def _in_float32(model: Model) -> Model:
    return lambda x, sigma: model(x, sigma).float()


@torch.inference_mode()
def measure_switch(name: str, times: int) -> JsonDict:
    """Return the seconds a guided step, over a run from sigma 1 to 0, and the error of its result.

    The error is that against a plain run.
    """
    torch.manual_seed(0)
    if name.startswith("pocket"):
        net: nn.Module = cast(nn.Module, load_stack("pocket").denoisers[2])
        sizes = cast(JointDenoiserConfig, net.config)
        x = torch.randn(1, sizes.latent_channels, sizes.window_tokens)
        context = torch.randn(1, sizes.context_tokens, sizes.all_channels)
    else:
        net = _seeded(UNet(UNetConfig()))
        x, context = torch.randn(1, 64, 768), torch.randn(1, 1536, 64)
    dtype = torch.bfloat16 if name in (HALF, POCKET_HALF) else torch.float32
    quick = net
    if name == POCKET_INT8:
        quick = torch.ao.quantization.quantize_dynamic(copy.deepcopy(net), {nn.Linear}, dtype=torch.qint8)
    elif name in (COMPILED, POCKET_COMPILED):
        quick = copy.deepcopy(net)
        quick.forward = torch.compile(quick.forward, dynamic=False)

    def timed(net: nn.Module, dtype: torch.dtype, every: int) -> tuple[float, Tensor, float]:
        best, first = float("inf"), 0.0
        for index in range(max(3, times // 2)):
            with autocast(torch.device("cpu"), dtype):
                began = time.perf_counter()
                guided = GuidedModel(net, context, GUIDANCE, both_branches=True, null_every=every)
                out = sample_vddim(_in_float32(guided), x, linear_sigmas(SWITCH_STEPS))
                took = time.perf_counter() - began
            first, best = took if index == 0 else first, min(best, took / SWITCH_STEPS)
        return best, out, first

    plain, wanted, _ = timed(net, torch.float32, 1)
    seconds, own, first = timed(quick, dtype, NULL_EVERY.get(name, 1))
    error = float(((own - wanted).square().mean() / wanted.square().mean()).sqrt())
    return {"seconds": seconds, "plain": plain, "error": error, "first": first}
