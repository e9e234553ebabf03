"""The set-up of torch in this process, and the best options for a stack on this device.

Any thread. torch and the library are imported by calling these functions, not by importing this file.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch

    from jbdiff.stacks.stack import Stack

# How often torch's threads on Linux check if the others are ready before they go to sleep. Read when torch is
# imported. Measured with pocket on two cores, a block at the 99th percentile. One thread: .87 to 1.1 s. Two threads:
# .62 s, but 4.3 s if another program takes a core, because each waits for the other. Two with 1000: .78 s and 1.13 s.
SPINS = "1000"
_waits_are_short = False
_importing = threading.Lock()  # two threads that import torch at once may see half of it


class StreamOptions(TypedDict, total=False):
    """Options of a `BlockStream` on a device. A missing option has the stream's own default."""

    graphs: bool
    compiled: bool
    dtype: torch.dtype


def set_up_torch(threads: int | None) -> str:
    """Import torch, which takes a second or two the first time, and return the device.

    threads: the model's threads on a CPU. None takes half the cores, since window, feeder and recorder need the
    others. It takes at least two if their waits are short (`SPINS`).
    """
    import_library()
    import torch

    cores = os.cpu_count() or 2
    least = min(2, cores) if _waits_are_short else 1
    torch.set_num_threads(threads or max(least, cores // 2))
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_options(stack: Stack, device: str) -> StreamOptions:
    """Return the best options of a `BlockStream` of this stack on a device.

    On CUDA, graphs are recorded. U-Nets and waveform finishers are compiled and run in half precision.
    """
    import torch

    from jbdiff.networks.channels_last import has_token_form

    if device != "cuda":
        return {}
    half = any(has_token_form(net) for net in stack.denoisers.values())
    return {"graphs": True, "compiled": half, "dtype": torch.float16 if half else torch.float32}


def machine_facts(device: str, dtype: torch.dtype) -> dict[str, str | int]:
    """Return the facts of this machine on which the samples depend."""
    import torch

    return {
        **_processor(device),
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


@functools.cache
def _processor(device: str) -> dict[str, str]:
    import torch

    from jbdiff.machine import this_machine

    machine = this_machine(device)
    kernels = "" if machine.gpu else str(torch.backends.cpu.get_cpu_capability())
    return {"device": device, "processor": machine.gpu or machine.cpu, "kernels": kernels}


def share_one_heap() -> None:
    """Let all threads share one heap, so that the process holds little freed memory. Call it before they start."""
    from jbdiff.heap import share_one_heap

    share_one_heap()


def exact_options(options: StreamOptions) -> StreamOptions | None:
    """Return the same options in float32, or None if they are in float32 already."""
    import torch

    exact: StreamOptions = {**options, "dtype": torch.float32}
    return None if options.get("dtype", torch.float32) == torch.float32 else exact


def import_library() -> None:
    """Import the library that reads and plays stacks, and torch with it. Any thread.

    If torch was not imported before, this process is an instrument. Its threads then wait shortly. Freed memory is
    kept, since clearing new pages for every block takes time, and not always the same time.
    """
    global _waits_are_short
    with _importing:
        if sys.platform == "linux" and "torch" not in sys.modules:
            from jbdiff.heap import keep_freed_memory

            keep_freed_memory()
            os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
            _waits_are_short = True
        import jbdiff.stacks.stack
        import jbdiff.stream.stream  # noqa: F401
