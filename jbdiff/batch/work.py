"""Make one request, in any process: a worker of the pool, a task on a Ray cluster, or a test.

Every worker computes with one thread. A sum over several threads is rounded in another order, so the samples would
depend on their number.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from jbdiff.batch.request import Outcome, Piece, Report, Request
from jbdiff.batch.takes import replay
from jbdiff.machine import this_machine
from jbdiff.render.render import Rendered
from jbdiff.sample_command import SampleError, render_job
from jbdiff.stacks.stack import Stack, load_stack

THREADS = 1
REPORT_SECONDS = 0.2  # the shortest time between two reports of progress
# Read by the libraries that compute when they are first imported.
ENVIRONMENT = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def make(request: Request, folder: Path, report: Report, device: str | None = None) -> Outcome:
    """Make the files of a request in a folder of its own. Return how it went; a failure is in `Outcome.error`.

    What an interrupted run left in the folder is continued. device: instead of that of a piece.
    """
    began = time.monotonic()
    torch.set_num_threads(THREADS)
    notes: list[str] = []
    files: tuple[str, ...] = ()
    said = error = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(request, Piece):
            made = _piece(request, folder, _seldom(report), notes.append, device)
            files = tuple(path.name for path in (*made.files, *made.pictures))
            said = f"{request.seconds:g} s, peak {made.peak:.2f}"
            said += f", went on after block {made.resumed_at}" if made.resumed_at else ""
        else:
            files, said = replay(request, folder, _seldom(report), ENVIRONMENT)
    except (SampleError, OSError, RuntimeError, ValueError) as failure:
        error = str(failure) or repr(failure)
    except Exception as failure:  # a fault of ours ends this piece, not the others
        place = traceback.extract_tb(failure.__traceback__)[-1]
        error = f"{failure!r} in {Path(place.filename).name}, line {place.lineno}; please report this"
    seconds = time.monotonic() - began
    used = device or (request.job.device if isinstance(request, Piece) else "cpu")
    return Outcome(files, error, said, seconds, machine_facts(used), tuple(notes))


def _piece(
    piece: Piece, folder: Path, report: Report, note: Callable[[str], None], device: str | None
) -> Rendered:
    job = dataclasses.replace(
        piece.job, out=folder / piece.out.name, device=device or piece.job.device, overwrite=True
    )

    def load(name: str) -> Stack:
        stack = _stack(name, piece.identity)
        if stack.identity != piece.identity:
            raise SampleError(f"the stack {name} has changed since the batch began; start the batch again")
        return stack

    made = [result for result, _ in render_job(job, note, lambda _, done, of: report(done, of), load)]
    return made[0]


@functools.lru_cache(maxsize=1)  # a worker holds one stack in memory
def _stack(name: str, identity: str) -> Stack:
    """Return the loaded stack. identity: a stack that changes under its name is loaded again."""
    return load_stack(name)


def _seldom(report: Report) -> Report:
    """Return a report that passes on the last step, and others only from time to time."""
    last = -REPORT_SECONDS

    def passed_on(done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS or done >= of:
            last = now
            report(done, of)

    return passed_on


def machine_facts(device: str) -> dict[str, object]:
    """Return what decides on the rounding of samples: processor or GPU, system, torch, threads; and the host."""
    facts = dataclasses.asdict(this_machine(torch.device(device)))
    return {**facts, "host": platform.node(), "capability": torch.backends.cpu.get_cpu_capability()}
