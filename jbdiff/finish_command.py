"""Run `jbdiff finish`: the finisher alone on a sound file. No level plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.progress import Progress
from soundfile import SoundFileError

from jbdiff.audio.files import read_mono
from jbdiff.geometry import Geometry
from jbdiff.heap import keep_freed_memory
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
        raise FinishError(str(error)) from error


def _finish(job: FinishJob, console: Console) -> None:
    subtype = SUBTYPES.get((job.out.suffix.lower(), job.bits))
    if subtype is None:
        known = ", ".join(f"{suffix} at {bits}" for suffix, bits in SUBTYPES)
        raise FinishError(f"{job.out.name} at {job.bits} bit cannot be written; known: {known} bit")
    if not job.out.parent.is_dir():
        raise FinishError(f"no folder {job.out.parent}; make it first")
    if job.out.exists() and job.sound.exists() and job.out.samefile(job.sound):
        raise FinishError(f"{job.out} is the sound that is read; give another name")
    if job.out.exists() and not job.overwrite:
        raise FinishError(f"{job.out} is there already; give another name, or --overwrite to replace it")
    keep_freed_memory()
    stack = load_stack(job.stack)
    rate = stack.config.sample_rate
    read = read_mono(job.sound, rate, int(LONGEST_SECONDS * rate))
    for note in read.notes:
        console.print(f"{job.sound.name}: {note}", soft_wrap=True)
    with Progress(console=console) as progress:
        task = progress.add_task(job.out.name, total=len(read.samples))
        audio = finished(
            stack,
            torch.from_numpy(read.samples)[None, None],
            FinisherSettings(strength=job.strength, seed=job.seed),
            job.device,
            lambda frames: progress.update(task, completed=frames),
        )
    samples = audio[0].cpu().numpy().T
    peak = float(np.abs(samples).max())
    soundfile.write(job.out, samples if job.bits == 32 else samples.clip(-1, 1), rate, subtype=subtype)
    console.print(f"wrote {job.out}: {len(samples) / rate:.1f} s, peak {peak:.2f}", soft_wrap=True)


@torch.inference_mode()
def finished(
    stack: Stack,
    mono: torch.Tensor,
    settings: FinisherSettings,
    device: str = "cpu",
    on_frames: Callable[[int], object] = lambda frames: None,
) -> torch.Tensor:
    """Return a sound `[1, 1, n]` as the stack's finisher makes it, `[1, 2, n]`, without its delay.

    It is the same as a stream whose init passes the levels (`BlockSettings.direct`), but for the delay.
    on_frames(frames): runs after each block, with the frames that are finished. ValueError: the stack has no finisher.
    """
    block = Geometry(stack.config).window_samples(stack.levels[0])
    where = torch.device(device)
    stage = finisher_stage(stack.to(where), block, Execution(where))
    if stage is None:
        raise ValueError(f"stack {stack.config.name!r} has no finisher; choose another stack")
    frames, state = mono.shape[2], stage.fresh_state()
    blocks = -(-(frames + stage.latency_frames) // block)
    padded = torch.nn.functional.pad(mono, (0, blocks * block - frames))
    out = []
    for index, piece in enumerate(torch.split(padded, block, dim=2)):
        made, state = stage.finish(state, settings, piece.to(where), lambda step: None, index)
        out.append(made.cpu())
        on_frames(min(frames, (index + 1) * block))
    return torch.cat(out, dim=2)[..., stage.latency_frames : stage.latency_frames + frames]
