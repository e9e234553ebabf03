"""How torch is set up in this process, and how a stack is played best on the device that there is.

Any thread. torch and the library are imported by calling these functions, not by importing this file.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import torch

    from jbdiff.stacks.stack import Stack

# How often torch's threads on Linux look whether the others are ready before they go to sleep; read when torch is
# imported. Measured with pocket on two cores, a block at the 99th percentile: one thread .87 to 1.1 s; two .62 s, or
# 4.3 s when another program takes a core and each waits for the other; with 1000, two .78 s and 1.13 s.
SPINS = "1000"
_waits_are_short = False
_importing = threading.Lock()  # two threads that import torch at once may see half of it


class StreamOptions(TypedDict, total=False):
    """How a `BlockStream` is played on a device. What is left out is the stream's own default."""

    graphs: bool
    compiled: bool
    dtype: torch.dtype


def set_up_torch(threads: int | None) -> str:
    """Imports torch, which takes a second or two the first time, and says which device there is.

    threads: those of the model on a CPU; None takes half the cores, since window, feeder and recorder need the
    others, but two at least where their waits are short (`SPINS`).
    """
    import_library()
    import torch

    cores = os.cpu_count() or 2
    least = min(2, cores) if _waits_are_short else 1
    torch.set_num_threads(threads or max(least, cores // 2))
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_options(stack: Stack, device: str) -> StreamOptions:
    """How a `BlockStream` of this stack is best played there: on CUDA recorded, U-Nets and waveform finishers compiled
    and in half precision.
    """
    import torch

    from jbdiff.networks.channels_last import has_token_form

    if device != "cuda":
        return {}
    half = any(has_token_form(net) for net in stack.denoisers.values())
    return {"graphs": True, "compiled": half, "dtype": torch.float16 if half else torch.float32}


def share_one_heap() -> None:
    """Keeps small what the process holds of memory that its threads have freed; before any of them is started."""
    from jbdiff.heap import share_one_heap

    share_one_heap()


def exact_options(options: StreamOptions) -> StreamOptions | None:
    """The same options in float32; None where they are that already."""
    import torch

    exact: StreamOptions = {**options, "dtype": torch.float32}
    return None if options.get("dtype", torch.float32) == torch.float32 else exact


def import_library() -> None:
    """Imports what reads and plays stacks, and torch with it; any thread. Where torch was not there before, this
    process is an instrument: its threads wait shortly, and memory that they free is kept, as clearing pages anew for
    every block takes time, and not always the same.
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
