"""How many requests a machine makes at once: cores, memory and GPUs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jbdiff.batch.request import BatchError
from jbdiff.batch.work import ENVIRONMENT
from jbdiff.stacks.facts import StackFacts

BASE_BYTES = 600 * 2**20  # of a worker that makes a piece of *pocket*, measured (docs/rendering.md)
WEIGHTS = 3.0  # bytes of a worker for each byte of a stack's files: float32, and the tensors of a block
GPUS = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Workers:
    """The workers of one machine: torch device and environment of each. `why`: what their number comes from."""

    devices: tuple[str, ...]
    environments: tuple[dict[str, str], ...]
    why: str


@dataclass(frozen=True)
class Machine:
    """The resources of this machine. free_bytes is None if the system does not say it."""

    cores: int = 1
    free_bytes: int | None = None
    gpus: tuple[str, ...] = field(default=())  # names as CUDA_VISIBLE_DEVICES has them


def worker_bytes(stacks: Sequence[StackFacts]) -> int:
    """Return the memory that a worker needs, in bytes, about: it holds one stack at a time."""
    return BASE_BYTES + round(WEIGHTS * max((stack.bytes for stack in stacks), default=0))


def plan_workers(machine: Machine, device: str, jobs: int | None, requests: int, need: int) -> Workers:
    """Return the workers for so many requests. need: bytes of one. jobs: the user's number, None for the usual one.

    The usual number is a process a core, as many as memory holds, or one a GPU. Raises BatchError if a GPU is asked for
    and none is there.
    """
    kind, _, named = device.partition(":")
    if kind == "cpu":
        usual, why = machine.cores, "one a core"
        if machine.free_bytes is not None and (fits := machine.free_bytes // need) < usual:
            usual, why = max(1, fits), f"memory has room for {max(1, fits)}"
    elif kind == "cuda":
        if not machine.gpus:
            raise BatchError(
                "no CUDA device is there; leave out --device, or check the driver and the build of torch"
            )
        usual, why = (1, "the GPU that was named") if named else (len(machine.gpus), "one a GPU")
    else:
        usual, why = 1, f"one on {device}"
    if jobs is not None:
        usual, why = jobs, "--jobs"
    count = max(1, min(usual, requests))
    if kind != "cuda" or named:
        return Workers((device,) * count, tuple(dict(ENVIRONMENT) for _ in range(count)), why)
    places = [machine.gpus[number % len(machine.gpus)] for number in range(count)]
    return Workers(("cuda",) * count, tuple({**ENVIRONMENT, GPUS: place} for place in places), why)


def this_machine(device: str) -> Machine:
    """Return the resources of this machine. GPUs are counted only if the device is one."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return Machine(cores, _free_bytes(), _gpus() if device.startswith("cuda") else ())


def _gpus() -> tuple[str, ...]:
    import torch

    if GPUS in os.environ:
        named = [name.strip() for name in os.environ[GPUS].split(",") if name.strip()]
        return tuple(named[: torch.cuda.device_count()])
    return tuple(str(number) for number in range(torch.cuda.device_count()))


def _free_bytes() -> int | None:
    """Return the bytes of memory that programs can get, within the limit of a container, or None."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
    try:
        most = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or no limit
        return free
    return max(0, min(free, most - used))
