"""Run `jbdiff sample`: read options and sounds, render one file for each seed, and show the progress."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from soundfile import SoundFileError

from jbdiff.audio.files import read_mono
from jbdiff.audio.sound_facts import SilentSound
from jbdiff.audio.writing import remedy
from jbdiff.config import StackConfig
from jbdiff.diffusion.samplers import sampler_named
from jbdiff.geometry import Geometry
from jbdiff.heap import keep_freed_memory
from jbdiff.machine import usable_device
from jbdiff.out_path import link_problem
from jbdiff.render.options import RenderOptions, options_from, read_toml, with_assignments, with_flags
from jbdiff.render.render import Rendered, RenderError, RenderPlan, check_targets, render
from jbdiff.stacks.stack import CheckpointError, Stack, load_stack
from jbdiff.stream.stream import BlockStream, StreamError
from jbdiff.untyped import JsonDict, JsonTable
from jbdiff.v1.piece import render_v1, v1_defaults, v1_piece

CONTEXT_SECONDS = 180.0  # the end of a context that is read; no stack uses more
# For an init: seconds that a piece needs beyond its own length, and the most that are held in memory.
SPARE_SECONDS, MOST_INIT_SECONDS = 60.0, 3600.0


class SampleError(RuntimeError):
    """The render cannot begin or go on; the message gives the cause and the remedy."""


@dataclass(frozen=True)
class SampleJob:
    """The arguments of one call of `jbdiff sample`. Flags that are None leave the value of the options file.

    `flags` belong to the piece, `coarsest` to its first level, `finisher` to the finisher; `assignments` are the texts
    of `--set`. `v1`: work as the first implementation does.
    """

    out: Path
    stack: str
    config: Path | None
    context: Path | None
    init: Path | None
    flags: JsonTable
    coarsest: JsonTable
    finisher: JsonTable
    assignments: tuple[str, ...]
    v1: bool
    fresh: bool
    overwrite: bool
    device: str


def run_sample(job: SampleJob, console: Console) -> None:
    """Render every seed of a job to its file. Raises SampleError with the remedy."""
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    rows: dict[Path, TaskID] = {}
    with Progress(*columns, console=console) as progress:

        def show(out: Path, done: int, of: int) -> None:
            if out not in rows:
                rows[out] = progress.add_task(out.name)
            progress.update(rows[out], completed=done, total=of)

        def say(line: str) -> None:
            progress.console.print(line, soft_wrap=True)

        try:
            for made, seconds in render_job(job, say, show):
                say(_report(made, seconds))
        except KeyboardInterrupt as stop:
            if job.v1:
                raise SampleError(
                    "stopped; a --compat v1 render cannot be continued, the same command begins it again"
                ) from stop
            raise SampleError("stopped; the same command again goes on from here") from stop


def render_job(
    job: SampleJob,
    note: Callable[[str], None],
    on_progress: Callable[[Path, int, int], None],
    load: Callable[[str], Stack] = load_stack,
) -> Iterator[tuple[Rendered, float]]:
    """Render every seed of a job. Yield each result and its seconds of sound.

    note(line): a fact about an input for the user. on_progress(file, done, of) counts denoising steps. load: returns
    the stack of a name or folder. Raises SampleError with the remedy.
    """
    try:
        if not job.out.parent.is_dir():
            raise SampleError(f"no folder {job.out.parent}; make it first")
        if problem := link_problem(
            job.out
        ):  # all other files are looked at when the levels of the stack are known
            raise SampleError(problem)
        yield from _rendered(job, note, on_progress, load)
    except (CheckpointError, RenderError, StreamError, SoundFileError, OSError, ValueError) as error:
        raise SampleError(f"{error}{_disk_remedy(error)}") from error


def _rendered(
    job: SampleJob,
    note: Callable[[str], None],
    on_progress: Callable[[Path, int, int], None],
    load: Callable[[str], Stack],
) -> Iterator[tuple[Rendered, float]]:
    values = _values(job)
    usable_device(job.device)
    keep_freed_memory()
    loaded = load(job.stack)
    options = _options(job, values, loaded.config)
    asked = job.finisher.get("on")
    finished = (loaded.finisher is not None if asked is None else asked) and options.finisher.on
    stream = None if job.v1 else _stream(job, options, loaded, finished)
    plans = plans_of(job, options, loaded.config)
    inputs = {"--context": job.context, "--init": job.init, "--config": job.config}
    for plan in plans.values():
        check_targets(plan, options.levels or loaded.levels, job.overwrite, inputs)
    most_init = min(options.seconds + SPARE_SECONDS, MOST_INIT_SECONDS)
    context = _mono(job.context, "context", CONTEXT_SECONDS, True, loaded, note)
    init = _mono(job.init, "init", most_init, False, loaded, note)
    for seed, unread in plans.items():
        plan = replace(unread, context=context, init=init)
        show = partial(on_progress, plan.out)
        if stream is None:
            piece = v1_piece(loaded, options, seed, finished, init is not None)
            made = render_v1(piece, plan, show, device=job.device, overwrite=job.overwrite)
        else:
            made = render(stream, plan, show, fresh=job.fresh, overwrite=job.overwrite)
        yield made, options.seconds


def job_options(job: SampleJob, config: StackConfig) -> RenderOptions:
    """Return all options of a job for a stack of these sizes. Raises SampleError or ValueError with what is allowed."""
    return _options(job, _values(job), config)


def _values(job: SampleJob) -> JsonDict:
    """Return the values of file, assignments and flags that belong to the whole piece."""
    values = with_assignments({} if job.config is None else read_toml(job.config), list(job.assignments))
    return with_flags(values, dict(job.flags))


def _options(job: SampleJob, values: JsonDict, config: StackConfig) -> RenderOptions:
    coarsest = config.levels[0]
    values = with_flags(values, dict(job.coarsest), f"level{coarsest.level}")
    values = with_flags(values, dict(job.finisher), "finisher")
    if job.v1:
        if job.fresh:
            raise SampleError("--compat v1 keeps nothing of an unfinished render; leave out --fresh")
        values = v1_defaults(values, coarsest.level)
    options = options_from(values)
    if not job.v1 and options.crossfade is not None:
        raise SampleError("crossfade belongs to --compat v1; blocks of a stream meet without one")
    return options


def _stream(job: SampleJob, options: RenderOptions, loaded: Stack, finished: bool) -> BlockStream:
    return BlockStream(
        loaded,
        device=job.device,
        levels=options.levels,
        finisher=finished,
        token_multiplier=options.token_multiplier,
        hop_tokens=options.hop,
        sampler=sampler_named(options.sampler) if options.sampler else None,
    )


def plans_of(job: SampleJob, options: RenderOptions, config: StackConfig) -> dict[int, RenderPlan]:
    """Return the plan of each seed, without context and init, which are read later."""
    frames = Geometry(config).frames(options.seconds)
    return {
        seed: RenderPlan(
            job.out if len(options.seeds) == 1 else job.out.with_stem(f"{job.out.stem}-seed{seed}"),
            frames,
            options.settings(seed, config.levels[0].guidance),
            bits=options.bits,
            stems=options.stems,
            pictures=options.pictures,
            sampler=options.sampler,
        )
        for seed in options.seeds
    }


def _mono(
    path: Path | None, role: str, seconds: float, end: bool, stack: Stack, say: Callable[[str], None]
) -> torch.Tensor | None:
    """Read the beginning or the end of a sound file as `[1, 1, frames]` at the stack's rate. None without a path."""
    if path is None:
        return None
    try:
        sound = read_mono(path, stack.config.sample_rate, Geometry(stack.config).frames(seconds), end=end)
    except SilentSound as error:
        article = "an" if role == "init" else "a"
        raise SampleError(
            f"{path} is silent; give {article} {role} that sounds, or leave --{role} out"
        ) from error
    for note in sound.notes:
        say(f"{role} {path.name}: {note}")
    return torch.from_numpy(sound.samples)[None, None]


def _report(made: Rendered, seconds: float) -> str:
    went_on = f", went on after block {made.resumed_at}" if made.resumed_at else ""
    files = ", ".join(str(file) for file in (*made.files, *made.pictures))
    return f"wrote {files}: {seconds:g} s, peak {made.peak:.2f}{went_on}"


def _disk_remedy(error: Exception) -> str:
    """Return the remedy for an error of the disk, as the end of a message; else nothing."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "; free some space, the same command goes on from there"
    return remedy(error)
