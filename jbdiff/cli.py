"""The command line of the library. Torch is imported by the command that needs it."""

from __future__ import annotations

import enum
import math
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.progress import TaskID
from rich.table import Table
from rich.text import Text

from jbdiff.batch.cli import render as render_list
from jbdiff.config import NoiseStyle
from jbdiff.evaluate.amounts import SECTIONS
from jbdiff.out_path import file_problem, folder_problem, link_problem
from jbdiff.terminal import plain_console, with_home


class Compat(enum.Enum):
    """Earlier implementations that `sample` can imitate."""

    V1 = "v1"


class WeightType(enum.Enum):
    """Types of weights and of computation."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


app = typer.Typer(help="Jukebox Diffusion: sample, train and inspect stacks.", no_args_is_help=True)
console = plain_console()


def _fail(message: object) -> NoReturn:
    words = str(message)
    if isinstance(message, OSError):
        from jbdiff.audio.writing import remedy

        words += remedy(message)
    # A long name is not broken over two lines, so that it can be copied.
    plain_console(stderr=True).print(Text("error: ", "red") + Text(words), soft_wrap=True)
    raise typer.Exit(1)


@app.command()
def info() -> None:
    """List every stack that can be found: its folder, its hash, and whether it loads."""
    from jbdiff.stacks.stack import CheckpointError, known_stacks, load_stack, user_directory

    stacks = known_stacks()
    if not stacks:
        try:
            console.print(f"no stacks found; put one into {user_directory()}", soft_wrap=True)
        except CheckpointError as error:
            _fail(f"no stacks found; {error}")
        return
    table = Table("stack", "levels", "rate", "parameters", "identity", "state")
    for name, folder in stacks.items():
        try:
            stack = load_stack(folder)
        except CheckpointError as error:
            table.add_row(name, "", "", "", "", Text("does not load: ", "red") + Text(str(error)))
            continue
        count = sum(parameter.numel() for module in stack.modules() for parameter in module.parameters())
        levels = ", ".join(str(level) for level in stack.levels) + (" + finisher" if stack.finisher else "")
        rate = f"{stack.config.sample_rate} Hz"
        table.add_row(name, levels, rate, f"{count / 1e6:.1f} M", stack.identity[:12], Text("loads", "green"))
    console.print(table)
    for name, folder in stacks.items():
        console.print(f"{name}: {folder}", soft_wrap=True)


@app.command()
@with_home
def convert(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="checkpoint files, or folders with them; each file's name gives its part"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="new folder; if left out, one among your own stacks")
    ] = None,
    name: Annotated[str, typer.Option(help="name of the new stack")] = "v1",
    codec: Annotated[Path | None, typer.Option(help="the VQ-VAE file")] = None,
    level2: Annotated[Path | None, typer.Option(help="the checkpoint of level 2")] = None,
    level1: Annotated[Path | None, typer.Option(help="the checkpoint of level 1")] = None,
    level0: Annotated[Path | None, typer.Option(help="the checkpoint of level 0")] = None,
    finisher: Annotated[Path | None, typer.Option(help="the Dance Diffusion checkpoint")] = None,
    dtype: Annotated[WeightType, typer.Option(help="how weights are stored")] = WeightType.FLOAT32,
) -> None:
    """Turn original checkpoints, or a stack of ours, into a stack folder. The set may be incomplete."""
    import torch

    from jbdiff.stacks.convert import convert as write_stack
    from jbdiff.stacks.convert import plan
    from jbdiff.stacks.stack import CheckpointError, user_directory

    given = {"codec": codec, "level2": level2, "level1": level1, "level0": level0, "finisher": finisher}
    roles = {role: path for role, path in given.items() if path is not None}
    try:
        folder = out if out is not None else user_directory() / name
        if problem := folder_problem(folder):  # before the files are read
            _fail(problem)
        write_stack(
            plan(sources or [], roles),
            folder,
            name=name,
            dtype=getattr(torch, dtype.value),
            report=lambda line: console.print(line, soft_wrap=True),
        )
    except (CheckpointError, OSError) as error:
        _fail(error)
    console.print(f"wrote {folder}", soft_wrap=True)


@app.command()
@with_home
def fetch(
    roles: Annotated[
        list[str] | None, typer.Argument(help="level2, level1, level0, finisher; all if left out")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder; if left out, one among your own stacks")] = None,
) -> None:
    """Download the published Jukebox Diffusion v1 files, 3.3 GB in all, and check their hashes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from jbdiff.stacks.fetch import FetchError
    from jbdiff.stacks.fetch import fetch as fetch_file
    from jbdiff.stacks.published import PUBLISHED
    from jbdiff.stacks.stack import CheckpointError, user_directory

    known = {file.role: file for file in PUBLISHED}
    unknown = sorted(set(roles or ()) - set(known))
    if unknown:
        _fail(f"nothing is published for {', '.join(unknown)}; known: {', '.join(known)}")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    try:
        folder = out if out is not None else user_directory() / "v1"
        if problem := link_problem(folder):
            _fail(problem)
        with Progress(*columns, console=console) as progress:
            for role in roles or known:
                task = progress.add_task(role, total=None)

                def show(done: int, of: int, task: TaskID = task) -> None:
                    progress.update(task, completed=done, total=of or None)

                path = fetch_file(known[role], folder, show)
                progress.console.print(f"{role}: {path}", soft_wrap=True)
    except (FetchError, CheckpointError, OSError) as error:
        _fail(error)
    console.print(
        f"ready; `jbdiff convert {folder}` makes a smaller, faster-loading stack of them", soft_wrap=True
    )


@app.command()
@with_home
def sample(
    out: Annotated[Path, typer.Option(help="WAV or FLAC file to write; other files go beside it")],
    stack: Annotated[str, typer.Option(help="name or folder of a stack")] = "pocket",
    config: Annotated[Path | None, typer.Option(help="TOML file of options; flags win over it")] = None,
    context: Annotated[Path | None, typer.Option(help="sound file to continue")] = None,
    init: Annotated[Path | None, typer.Option(help="sound file to resample from")] = None,
    resample: Annotated[
        float | None, typer.Option(min=0, max=1, help="how much of the init is kept (0)")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.01, help="length to make (20)")] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="seed of the noise; again for more files (0)")
    ] = None,
    style: Annotated[
        NoiseStyle | None, typer.Option(help="how noise moves from block to block (walk)")
    ] = None,
    step: Annotated[float | None, typer.Option(min=0, max=1, help="how far it moves (0.3)")] = None,
    guidance: Annotated[float | None, typer.Option(help="guidance of the coarsest level")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="denoising steps of the coarsest level")] = None,
    levels: Annotated[str | None, typer.Option(help="levels to play, such as 21; all if left out")] = None,
    finisher: Annotated[
        bool | None, typer.Option("--finisher/--no-finisher", help="stereo finisher, if the stack has one")
    ] = None,
    token_multiplier: Annotated[
        int | None, typer.Option(min=1, max=16, help="windows longer than in training (1)")
    ] = None,
    hop: Annotated[
        int | None, typer.Option(min=16, help="tokens of the coarsest level in a block (its whole window)")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="vddim, dpmpp_2m, deis_3 or unipc; else the stack's own")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="16, 24 or 32 (floating point) (24)")] = None,
    stems: Annotated[
        bool | None, typer.Option("--stems/--no-stems", help="also write one file for each level")
    ] = None,
    pictures: Annotated[
        bool | None, typer.Option("--pictures/--no-pictures", help="a mel picture (PNG) beside each sound")
    ] = None,
    update_context: Annotated[
        bool | None,
        typer.Option(
            "--update-context/--keep-context", help="the coarsest level continues its own blocks (it does)"
        ),
    ] = None,
    finisher_style: Annotated[
        NoiseStyle | None, typer.Option(help="how the finisher's noise moves (constant)")
    ] = None,
    finisher_step: Annotated[
        float | None, typer.Option(min=0, max=1, help="how far the finisher's noise moves (0.4)")
    ] = None,
    finisher_seed: Annotated[int | None, typer.Option(help="the finisher's seed (that of the piece)")] = None,
    compat: Annotated[
        Compat | None,
        typer.Option(help="v1: work as the original does, with its defaults, to repeat its results"),
    ] = None,
    crossfade: Annotated[
        str | None, typer.Option(help="with --compat v1: linear or constant-power (linear)")
    ] = None,
    assign: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="such as level1.steps=20 or finisher.strength=0.3; for stacks with an anchor also anchor=0.5, "
            "tempo=120 (0: no clock), brightness=0.3, motion=-0.3",
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget an unfinished render of this name")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="replace existing files; a sound that is read is never replaced"),
    ] = False,
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
) -> None:
    """Make music offline, block by block. After an interruption, the same command continues."""
    from jbdiff.sample_command import SampleError, SampleJob, run_sample

    if levels is not None and not (levels.isdigit() and levels.isascii()):
        _fail(f"levels {levels!r}; write them as digits, such as 21")
    job = SampleJob(
        out, stack, config, context, init,
        flags={
            "resample": resample, "seconds": seconds, "seeds": seed, "style": style, "step": step,
            "token_multiplier": token_multiplier, "bits": bits, "stems": stems,
            "pictures": pictures, "hop": hop, "sampler": sampler, "crossfade": crossfade,
            "levels": None if levels is None else [int(digit) for digit in levels],
        },
        coarsest={"steps": steps, "guidance": guidance, "update_context": update_context},
        finisher={"on": finisher, "style": finisher_style, "step": finisher_step, "seed": finisher_seed},
        assignments=tuple(assign or ()),
        v1=compat is not None, fresh=fresh, overwrite=overwrite, device=device,
    )  # fmt: skip
    try:
        run_sample(job, console)
    except SampleError as error:
        _fail(error)


@app.command()
@with_home
def finish(
    sound: Annotated[Path, typer.Argument(help="sound file to finish; it is mixed to mono")],
    out: Annotated[Path, typer.Option(help="WAV or FLAC file to write")],
    stack: Annotated[str, typer.Option(help="name or folder of a stack with a finisher")] = "pocket",
    strength: Annotated[
        float | None, typer.Option(min=0, max=1, help="how much of the sound is kept (the stack's own)")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the finisher's noise")] = 0,
    bits: Annotated[int, typer.Option(help="16, 24 or 32 (floating point)")] = 24,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
) -> None:
    """Finish a sound file: the finisher alone makes it stereo. Nothing is invented."""
    from jbdiff.finish_command import FinishError, FinishJob, run_finish

    try:
        run_finish(FinishJob(sound, out, stack, strength, seed, bits, overwrite, device), console)
    except FinishError as error:
        _fail(error)


app.command("render")(render_list)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def train(context: typer.Context) -> None:
    """Train codecs and denoisers; see `jbdiff train --help`."""
    try:
        from jbdiff.train.cli import app as train_app
    except ModuleNotFoundError as error:
        _fail(f"training needs {error.name}; install jbdiff-live with its [train] extra")
    train_app(context.args, prog_name="jbdiff train")


@app.command()
@with_home
def bench(
    stack: Annotated[str, typer.Option(help="name or folder; with --random one of v1, pocket")] = "pocket",
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
    dtype: Annotated[WeightType, typer.Option(help="below float32, networks run under autocast")] = (
        WeightType.FLOAT32
    ),
    blocks: Annotated[int, typer.Option(min=0, help="blocks to play; 0 measures parts alone")] = 20,
    levels: Annotated[str | None, typer.Option(help="levels to play, such as 21; all if left out")] = None,
    finisher: Annotated[
        bool | None, typer.Option("--finisher/--no-finisher", help="stereo finisher, if the stack has one")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=10_000, help="denoising steps of each part")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="calls of each part")] = 10,
    hop: Annotated[int | None, typer.Option(help="length of a block in tokens of the coarsest level")] = None,
    graphs: Annotated[bool, typer.Option("--graphs", help="record blocks as CUDA graphs")] = False,
    compiled: Annotated[
        bool, typer.Option("--compiled", help="compile U-Nets and waveform finisher for CUDA")
    ] = False,
    random: Annotated[bool, typer.Option("--random", help="random weights of the stack's sizes")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="file to write the result to")] = None,
    log: Annotated[Path | None, typer.Option(help="log to which the result is added, one line a run")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="measure nothing; show the last runs of a log side by side")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="how many runs --compare shows")] = 4,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the file of --json")] = False,
) -> None:
    """Measure the parts of a stack and whole blocks, and compare them with the machine's highest rates."""
    import torch

    from jbdiff.bench import measure as benchmark
    from jbdiff.bench.command import run_bench

    if json_file is not None and (problem := file_problem(json_file, overwrite)):
        _fail(problem)
    try:
        if compare is not None:
            runs = benchmark.read_log(compare)[-last:]
            tables = [(f"the last {len(runs)} runs of {compare.name}", benchmark.comparison(runs))]
        else:
            result = run_bench(
                stack, random, log, json_file,
                report=lambda line: console.print(line, style="dim"),
                device=device, dtype=getattr(torch, dtype.value), blocks=blocks, steps=steps, repeats=repeats,
                levels=None if levels is None else [int(digit) for digit in levels if digit.isdigit()],
                finisher=finisher, hop=hop, graphs=graphs, compiled=compiled,
            )  # fmt: skip
            tables = [(benchmark.title(result), benchmark.table(result)), ("", benchmark.facts(result))]
    except (RuntimeError, OSError, ValueError) as error:
        _fail(error)
    for title, (heads, *rows) in tables:
        shown = Table(*heads, title=title or None)
        for row in rows:
            shown.add_row(*row)
        console.print(shown)


@app.command()
@with_home
def evaluate(
    out: Annotated[Path, typer.Option(help="new folder for the result, or the folder of an earlier result")],
    heldout: Annotated[
        Path | None, typer.Option(help="folder of sounds, or of stems, that the stack was not trained on")
    ] = None,
    music: Annotated[Path | None, typer.Option(help="folder of any music, judged in its own section")] = None,
    music_from: Annotated[
        float, typer.Option(min=0, max=86_400, help="second of each music file at which its context begins")
    ] = 0.0,
    stack: Annotated[str, typer.Option(help="name or folder of a stack")] = "pocket",
    training: Annotated[
        Path | None,
        typer.Option(help="folder of its training music, to measure how much of it the stack copies"),
    ] = None,
    sections: Annotated[
        str | None, typer.Option(help=f"only these, with commas between: {', '.join(SECTIONS)}")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, max=10_000, help="length of the run without a break (30; quick 1)"),
    ] = None,
    pieces: Annotated[int | None, typer.Option(min=6, help="tracks of each folder (24; quick 12)")] = None,
    planner: Annotated[
        Path | None, typer.Option(help="weights of a `train plan` run, for the section plan")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, max=10_000, help="steps of the coarsest level")] = None,
    finisher: Annotated[
        bool | None, typer.Option("--finisher/--no-finisher", help="stereo finisher, if the stack has one")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="processor threads for torch")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="fewer pieces: three minutes instead of twenty")
    ] = False,
) -> None:
    """Judge the sound of a stack: codec, notes, likeness, rhythm, memory, seams, drift, knobs and speed."""
    from dataclasses import replace

    from jbdiff.evaluate.amounts import FULL, QUICK, chosen
    from jbdiff.evaluate.figures import check_out, table
    from jbdiff.stacks.stack import CheckpointError, load_stack

    try:
        if heldout is None and music is None:
            raise ValueError("nothing to judge by; give --heldout with held-out tracks, or --music, or both")
        wanted = chosen(sections, heldout is not None, music is not None)
        from jbdiff.evaluate.command import Job, evaluate_stack
        from jbdiff.evaluate.metrics.transcribe import SETUP, judge_installed

        check_out(out, {"--heldout": heldout, "--training": training, "--music": music})
        if minutes is not None and not math.isfinite(minutes):
            raise ValueError(f"{minutes} minutes: give a number")
        if planner is not None and "plan" not in wanted:
            raise ValueError("--planner is for the section plan; name it with --sections plan")
        amounts = QUICK if quick else FULL
        amounts = replace(amounts, minutes=minutes or amounts.minutes, pieces=pieces or amounts.pieces)
        loaded = load_stack(stack)
        finished = loaded.finisher is not None if finisher is None else finisher
        figures = evaluate_stack(
            Job(
                loaded,
                heldout,
                training,
                out,
                amounts,
                finished,
                steps,
                threads,
                wanted,
                music,
                music_from,
                planner,
            ),
            lambda line: console.print(line, style="dim", highlight=False, markup=False),
        )
    except ModuleNotFoundError as error:
        _fail(f"evaluation needs {error.name}; install jbdiff-live with its [train] extra")
    except (CheckpointError, OSError, ValueError) as error:
        _fail(error)
    console.print(table(figures, f"{loaded.config.name} {loaded.identity[:12]}"))
    console.print(f"wrote {out}", soft_wrap=True, highlight=False, markup=False)
    if {"tones", "music"} & set(wanted) and not judge_installed():
        console.print(
            f"Notes were not judged: the transcriber is missing. {SETUP} installs it.", style="bold"
        )
