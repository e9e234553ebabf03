"""Run `jbdiff finish`: the finisher alone on a sound file. No level plays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from soundfile import SoundFileError

from jbdiff.audio.files import read_mono
from jbdiff.audio.writing import new_sound, remedy
from jbdiff.geometry import Geometry
from jbdiff.heap import keep_freed_memory
from jbdiff.machine import usable_device
from jbdiff.out_path import file_problem
from jbdiff.render.render import SUBTYPES
from jbdiff.stacks.stack import CheckpointError, Stack, load_stack
from jbdiff.stream.execution import Execution
from jbdiff.stream.finisher import finisher_stage
from jbdiff.stream.settings import FinisherSettings
from jbdiff.stream.state import StreamError

LONGEST_SECONDS = 3600.0


class FinishError(RuntimeError):
    """The sound cannot be finished; the message gives the cause and the remedy."""


@dataclass(frozen=True)
class FinishJob:
    """The arguments of one call of `jbdiff finish`. strength: None is the stack's own."""

    sound: Path
    out: Path
    stack: str
    strength: float | None
    seed: int
    bits: int
    overwrite: bool
    device: str


def run_finish(job: FinishJob, console: Console) -> None:
    """Finish a file. Raises FinishError with the remedy."""
    try:
        _finish(job, console)
    except (CheckpointError, StreamError, SoundFileError, OSError, ValueError) as error:
        raise FinishError(f"{error}{remedy(error)}") from error


def _finish(job: FinishJob, console: Console) -> None:
    subtype = SUBTYPES.get((job.out.suffix.lower(), job.bits))
    if subtype is None:
        known = ", ".join(f"{suffix} at {bits}" for suffix, bits in SUBTYPES)
        raise FinishError(f"{job.out.name} at {job.bits} bit cannot be written; known: {known} bit")
    if not job.out.parent.is_dir():
        raise FinishError(f"no folder {job.out.parent}; make it first")
    if job.out.exists() and job.sound.exists() and job.out.samefile(job.sound):
        raise FinishError(f"{job.out} is the sound that is read; give another name")
    if problem := file_problem(job.out, job.overwrite):
        raise FinishError(problem)
    usable_device(job.device)
    keep_freed_memory()
    stack = load_stack(job.stack)
    rate = stack.config.sample_rate
    read = read_mono(job.sound, rate, int(LONGEST_SECONDS * rate))
    for note in read.notes:
        console.print(f"{job.sound.name}: {note}", soft_wrap=True)
    peak, frames = 0.0, len(read.samples)
    with Progress(console=console) as progress, new_sound(job.out, rate, 2, subtype) as file:
        task = progress.add_task(job.out.name, total=frames)
        settings = FinisherSettings(strength=job.strength, seed=job.seed)
        for block in finished_blocks(stack, torch.from_numpy(read.samples)[None, None], settings, job.device):
            samples = block[0].numpy().T
            peak = max(peak, float(np.abs(samples).max(initial=0)))
            file.write(samples if job.bits == 32 else samples.clip(-1, 1))
            progress.update(task, advance=len(samples))
    console.print(f"wrote {job.out}: {frames / rate:.1f} s, peak {peak:.2f}", soft_wrap=True)


def finished(
    stack: Stack, mono: torch.Tensor, settings: FinisherSettings, device: str = "cpu"
) -> torch.Tensor:
    """Return all of `finished_blocks` as one sound `[1, 2, n]`."""
    return torch.cat(list(finished_blocks(stack, mono, settings, device)), dim=2)


@torch.inference_mode()
def finished_blocks(
    stack: Stack, mono: torch.Tensor, settings: FinisherSettings, device: str = "cpu"
) -> Iterator[torch.Tensor]:
    """Yield a sound `[1, 1, n]` as the stack's finisher makes it, in blocks `[1, 2, frames]`, without its delay.

    Together the blocks have n frames. They are the same as those of a stream whose init passes the levels
    (`BlockSettings.direct`), but for the delay. ValueError: the stack has no finisher.
    """
    block = Geometry(stack.config).window_samples(stack.levels[0])
    where = torch.device(device)
    stage = finisher_stage(stack.to(where), block, Execution(where))
    if stage is None:
        raise ValueError(f"stack {stack.config.name!r} has no finisher; choose another stack")
    frames, state, skip = mono.shape[2], stage.fresh_state(), stage.latency_frames
    for index in range(-(-(frames + skip) // block)):
        piece = mono[..., index * block : (index + 1) * block]
        piece = torch.nn.functional.pad(piece, (0, block - piece.shape[2]))
        made, state = stage.finish(state, settings, piece.to(where), lambda step: None, index)
        begin = index * block - skip  # of the made block, in frames of the sound
        yield made[..., max(0, -begin) : max(0, frames - begin)].cpu()
