"""Compares every fast path with exact float32 on fresh random inputs, in results and in time.

    for check in check_paths("guided step", net, PATHS, device, seed=1): print(check)

An error is relative to the change that a step makes. If a U-Net mostly passes its input through, v - x is small beside
v. So differences are divided by the root mean square of float32's v - x, not of v.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jbdiff.bench.fast_paths import (
    FASTPATHS,
    SEVEN_BITS,
    TEN_BITS,
    FastPath,
    Step,
    precision,
    quick_step,
    quickened,
)
from jbdiff.config import FinisherConfig, JointDenoiserConfig, UNetConfig
from jbdiff.guidance import GuidedModel
from jbdiff.machine import settled, time_calls
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockSettings, BlockStream

SIGMAS = (0.95, 0.5, 0.1)
GUIDANCE = 2.0


@dataclass(frozen=True)
class PathCheck:
    """Result of one path on one network.

    `error`, `bound`: see `FastPath`. `seconds`: fastest step. `first_seconds`: the first step, with its preparation.
    `reason`: why the check has no figures; None if it has.
    """

    network: str
    path: str
    device: str
    seed: int
    bound: float
    error: float | None = None
    seconds: float | None = None
    faster: float | None = None  # than the float32 step of the same run
    first_seconds: float | None = None
    reason: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the path ran and kept its bound. An error of NaN fails."""
        return self.error is not None and self.error <= self.bound


@dataclass(frozen=True)
class Bench:
    """A benchmark of a network: `make(net, dtype)` returns a step, `inputs` are x and sigma of each step."""

    make: Callable[[nn.Module, torch.dtype], Step]
    inputs: tuple[tuple[Tensor, Tensor], ...]


def _inputs(
    shape: tuple[int, ...], device: torch.device, draw: torch.Generator
) -> tuple[tuple[Tensor, Tensor], ...]:
    return tuple(
        (torch.randn(shape, generator=draw).to(device), torch.full(shape[:1], sigma, device=device))
        for sigma in SIGMAS
    )


def bench_of(net: nn.Module, device: torch.device, seed: int) -> Bench:
    """Return the bench of a denoiser (guided, both branches) or of a finisher. Raises ValueError for other networks."""
    draw = torch.Generator().manual_seed(seed)
    config = getattr(net, "config", None)
    if isinstance(config, FinisherConfig):
        shape = (1, config.io_channels, config.window_samples)
        return Bench(lambda net, dtype: net, _inputs(shape, device, draw))
    if isinstance(config, UNetConfig):
        channels, tokens, width = config.in_channels, config.embedding_max_length, config.embedding_features
        shape = (1, channels, tokens // 2)
    elif isinstance(config, JointDenoiserConfig):
        channels, tokens, width = config.latent_channels, config.context_tokens, config.latent_channels
        shape = (1, channels, config.window_tokens)
    else:
        raise ValueError(f"no bench for a {type(net).__name__}")
    context = torch.randn((1, tokens, width), generator=draw).to(device)

    def make(net: nn.Module, dtype: torch.dtype) -> Step:
        return GuidedModel(net, context.to(dtype), GUIDANCE, both_branches=True, device=device)

    return Bench(make, _inputs(shape, device, draw))


def relative_error(found: Tensor, wanted: Tensor, x: Tensor) -> float:
    """Return the root mean square of found - wanted over that of wanted - x; all three `[...]` of one shape."""
    return float(
        (found - wanted).double().square().mean().sqrt() / (wanted - x).double().square().mean().sqrt()
    )


@torch.inference_mode()
def check_paths(
    network: str,
    net: nn.Module,
    paths: Iterable[FastPath] = tuple(FASTPATHS.values()),
    device: torch.device | str = "cpu",
    *,
    seed: int,
    repeats: int = 5,
) -> Iterator[PathCheck]:
    """Yield one check for each path, as soon as it is done. The reference is exact float32 on the same device.

    If the device is not the CPU, the path named float32 is compared with the CPU.
    """
    device = torch.device(device)
    net = net.to(device).eval()
    bench = bench_of(net, device, seed)
    with precision(FASTPATHS["float32"]):
        reference = quick_step(bench.make(net, torch.float32), FASTPATHS["float32"], device)
        wanted = [reference(x, sigma) for x, sigma in bench.inputs]
        plain = min(time_calls(lambda: reference(*bench.inputs[0]), repeats, device))
    for path in paths:
        known = PathCheck(network, path.name, str(device), seed, path.bound)
        if not path.runs_on(device):
            yield PathCheck(**{**known.__dict__, "reason": f"not on {device.type}"})
            continue
        if not path.takes(net):
            yield PathCheck(**{**known.__dict__, "reason": f"not for a {type(net).__name__}"})
            continue
        try:
            yield _checked(known, path, net, bench, wanted, plain, device, repeats)
        # a path that this machine cannot run is a result, and the other paths still run
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            yield PathCheck(**{**known.__dict__, "reason": f"{type(error).__name__}: {lines[0][:200]}"})


@dataclass(frozen=True)
class GraphCheck:
    """Compares recorded, and perhaps compiled, blocks with the same blocks in float32 step by step.

    `error`: root mean square of the difference over that of the sound, for the first recorded block. `bound` allows for
    a codebook, which can turn a rounding into another entry. `seconds`, `graph_seconds`: median block without and with
    recordings, to samples in main memory. `first_seconds`: the block that was recorded while it was played.
    """

    stack: str
    device: str
    dtype: str
    block_seconds: float  # of sound
    steps: str
    bound: float
    error: float
    seconds: float
    graph_seconds: float
    first_seconds: float
    notes: tuple[str, ...]
    compiled: bool = False

    @property
    def passed(self) -> bool:
        """Whether the samples are the same within the bound. An error of NaN fails."""
        return self.error <= self.bound


@torch.inference_mode()
def check_graphs(
    stack: Stack,
    settings: BlockSettings,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    *,
    finisher: bool = False,
    hop_tokens: int | None = None,
    compiled: bool = False,
    blocks: int = 5,
) -> GraphCheck:
    """Play blocks in float32 step by step, and again recorded, and return the comparison.

    Both start from the same state, whose context is full, and play `blocks` blocks. The recorded ones run in `dtype`,
    and compiled if `compiled` is set. Raises ValueError as `BlockStream` does.
    """
    plain, recorded = (
        BlockStream(
            stack,
            device=device,
            dtype=dtype if graphs else torch.float32,
            finisher=finisher,
            hop_tokens=hop_tokens,
            graphs=graphs,
            compiled=graphs and compiled,
        )
        for graphs in (False, True)
    )
    plain.settle(settings)
    state = plain.save()
    played: list[Tensor] = []
    took: list[list[float]] = []
    for stream in (plain, recorded):
        stream.restore(state)
        times = []
        for index in range(blocks + 1):
            settled(stream.device)
            began = time.perf_counter()
            audio = stream.step(settings).audio.float().cpu()
            times.append(time.perf_counter() - began)
            if index == 0:
                played.append(audio)
        took.append(times)
    wanted, own = played
    return GraphCheck(
        stack=stack.config.name,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        block_seconds=plain.geometry.seconds(plain.block_frames),
        steps=", ".join(f"{name} {count}" for name, count in plain.step_counts(settings).items()),
        bound=TEN_BITS if dtype == torch.float32 else SEVEN_BITS,
        error=relative_error(own, wanted, torch.zeros_like(wanted)),
        seconds=statistics.median(took[0][1:]),
        graph_seconds=statistics.median(took[1][1:]),
        first_seconds=took[1][0],
        notes=recorded.notes,
        compiled=compiled,
    )


def _checked(
    known: PathCheck,
    path: FastPath,
    net: nn.Module,
    bench: Bench,
    wanted: list[Tensor],
    plain: float,
    device: torch.device,
    repeats: int,
) -> PathCheck:
    with precision(path):
        began = time.perf_counter()
        own = copy.deepcopy(net) if path.compile else net
        step = quick_step(bench.make(quickened(own, path).to(device), path.weights), path, device)
        found = [step(x, sigma).clone() for x, sigma in bench.inputs]
        settled(device)
        first = time.perf_counter() - began
        seconds = min(time_calls(lambda: step(*bench.inputs[0]), repeats, device))
    if path.name == "float32" and device.type != "cpu":
        on_cpu = bench_of(net, torch.device("cpu"), known.seed)
        twin = copy.deepcopy(net).cpu()
        reference = on_cpu.make(twin, torch.float32)
        wanted = [reference(x, sigma).to(device) for x, sigma in on_cpu.inputs]
    errors = [
        relative_error(one, other, x) for one, other, (x, _) in zip(found, wanted, bench.inputs, strict=True)
    ]
    # max() would ignore a NaN that is not the first value.
    error = max(errors) if all(value == value for value in errors) else float("nan")
    return PathCheck(
        known.network,
        known.path,
        known.device,
        known.seed,
        known.bound,
        error,
        seconds,
        plain / seconds,
        first,
    )
