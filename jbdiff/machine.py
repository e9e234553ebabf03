"""The machine of a benchmark: its description, its rates for products and copies, and timers that wait for a device.

To compare times of different machines, divide by one number: the rate of a large square matrix product in the same
arithmetic and with the same threads (`matmul_gflops`). For copies use `copy_gbytes`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

Shape = Sequence[int]
COPY_BYTES = 256 * 2**20  # far more than any cache holds


@dataclass(frozen=True)
class Machine:
    """Description of a machine. `threads`: torch's threads for one operation."""

    cpu: str
    cores: int
    threads: int
    system: str
    python: str
    torch: str
    gpu: str | None = None

    def __str__(self) -> str:
        where = self.gpu or f"{self.cpu}, {self.threads} of {self.cores} cores"
        return f"{where}, torch {self.torch}"


@dataclass(frozen=True)
class Ceiling:
    """Highest rates of a machine: a matrix product of side `matmul_size`, and a copy in memory."""

    matmul_size: int
    matmul_gflops: float  # 10^9 operations a second; a product of side n has 2 n^3
    copy_gbytes: float  # 10^9 bytes a second, read and written both counted


def cpu_name() -> str:
    """Return the processor's name as its maker writes it, or what the system reports."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


class DeviceError(ValueError):
    """A device of torch that this machine has not; the message names the remedy."""


def usable_device(device: torch.device | str) -> torch.device:
    """Return the device if this machine can compute on it. Raises DeviceError with the remedy."""
    try:
        found = torch.device(device)
    except RuntimeError as error:  # torch's own message lists devices that no build has
        raise DeviceError(f"no device {str(device)!r}; use --device cpu, cuda, cuda:1 or mps") from error
    try:
        torch.ones(1, device=found).add(1).item()
    except (RuntimeError, AssertionError, ImportError, AttributeError) as error:
        raise DeviceError(
            f"{str(found)!r}: no {found.type.upper()} device here, or a torch that cannot use it; use --device cpu"
        ) from error
    return found


def this_machine(device: torch.device | str = "cpu") -> Machine:
    """Return the description of this machine; `gpu` is None for the CPU."""
    device = torch.device(device)
    return Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        system=platform.platform(terse=True),
        python=platform.python_version(),
        torch=torch.__version__,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    )


def commit(folder: Path | None = None) -> str | None:
    """Return the commit of this code, with "-changed" at its end if files differ from it; None outside a checkout."""
    command = ["git", "-C", str(folder or Path(__file__).parent), "describe", "--always", "--abbrev=12"]
    command += ["--exclude=*", "--dirty=-changed"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def settled(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def time_calls(run: Callable[[], object], times: int, device: torch.device | str = "cpu") -> list[float]:
    """Return the seconds of each of `times` calls, after a first one that is not counted."""
    device = torch.device(device)
    run()
    seconds = []
    for _ in range(times):
        settled(device)
        began = time.perf_counter()
        run()
        settled(device)
        seconds.append(time.perf_counter() - began)
    return seconds


@torch.inference_mode()
def ceiling(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, times: int = 12
) -> Ceiling:
    """Return the best rates of `times` products and copies.

    If others use the machine too, the best is nearest the truth.
    """
    device = torch.device(device)
    size = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = min(time_calls(lambda: a @ b, times, device))
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    copy = min(time_calls(lambda: target.copy_(source), max(2, times // 2), device))
    return Ceiling(size, 2 * size**3 / product / 1e9, 2 * COPY_BYTES / copy / 1e9)


def _cpu_attention(
    query: Shape, key: Shape, value: Shape, *_: object, out_shape: object = None, **__: object
) -> int:
    return int(sdpa_flop_count(query, key, value))


@functools.cache
def _formulas() -> dict[object, Callable[..., int]]:
    """Return the formula that torch's counter lacks: that of torch's fused attention for CPUs."""
    name = "_scaled_dot_product_flash_attention_for_cpu"
    operator = getattr(torch.ops.aten, name, None)
    return {} if operator is None else {operator: _cpu_attention}


def count_operations(run: Callable[[], object]) -> int:
    """Count the floating-point operations of matrix products, convolutions and attention in one call of `run`.

    It uses torch.utils.flop_counter: a multiplication and its addition count as two. Element-wise work, norms and
    Fourier transforms are not counted.
    """
    with FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
        run()
    return int(counter.get_total_flops())


def resident_bytes() -> int | None:
    """Return the largest resident memory of this process so far, in bytes; None if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def device_bytes(device: torch.device) -> int | None:
    """Return the most bytes that torch has held on a CUDA device so far; None for other devices."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Switch TF32 off for products and convolutions on CUDA inside a `with` block."""
    matmul, convolution = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, convolution


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the autocast with which streams run networks below float32; at float32 it does nothing."""
    reduced = dtype != torch.float32
    # "meta" has no autocast of its own, and computes nothing
    kind = "cpu" if device.type == "meta" else device.type
    return torch.autocast(kind, dtype if reduced else None, enabled=reduced)


def random_weights(module: torch.nn.Module, generator: torch.Generator) -> None:
    """Fill a module in place with values like those of a fresh network.

    Gains are near 1. Weights are scaled by the number of inputs that each output sums. Buffers that are not constants
    of the design, such as codebooks, are standard normal.
    """

    def normal(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim < 2:
                gain = 1.0 if name.endswith("weight") else 0.0
                parameter.copy_(gain + 0.02 * normal(parameter))
            else:
                parameter.copy_(normal(parameter) / parameter[0].numel() ** 0.5)
        for name, buffer in module.named_buffers():
            if name.endswith(".k"):
                buffer.copy_(normal(buffer))
