"""The command line of the library. Torch is imported by the command that needs it."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from jbdiff.config import NoiseStyle


class WeightType(enum.Enum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


app = typer.Typer(help="Jukebox Diffusion: sample, train and inspect stacks.", no_args_is_help=True)
console = Console()


def _fail(message: object) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/red] {message}", highlight=False)
    raise typer.Exit(1)


@app.command()
def info() -> None:
    """Lists every stack that can be found: where it lies, its hash, and whether it loads."""
    from jbdiff.checkpoints import CheckpointError, known_stacks, load_stack, user_directory

    stacks = known_stacks()
    if not stacks:
        console.print(f"no stacks found; put one into {user_directory()}")
        return
    table = Table("stack", "levels", "rate", "parameters", "identity", "state")
    for name, folder in stacks.items():
        try:
            stack = load_stack(folder)
        except CheckpointError as error:
            table.add_row(name, "", "", "", "", f"[red]does not load:[/red] {error}")
            continue
        count = sum(parameter.numel() for module in stack.modules() for parameter in module.parameters())
        levels = ", ".join(str(level) for level in stack.levels) + (" + finisher" if stack.finisher else "")
        rate = f"{stack.config.sample_rate} Hz"
        table.add_row(name, levels, rate, f"{count / 1e6:.1f} M", stack.identity[:12], "[green]loads[/green]")
    console.print(table)
    for name, folder in stacks.items():
        console.print(f"{name}: {folder}", highlight=False)


@app.command()
def convert(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="checkpoint files, or folders of them; roles are told by name")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="new folder; your own stacks' if left out")] = None,
    name: Annotated[str, typer.Option(help="name of the new stack")] = "v1",
    codec: Annotated[Path | None, typer.Option(help="the VQ-VAE file")] = None,
    level2: Annotated[Path | None, typer.Option(help="the checkpoint of level 2")] = None,
    level1: Annotated[Path | None, typer.Option(help="the checkpoint of level 1")] = None,
    level0: Annotated[Path | None, typer.Option(help="the checkpoint of level 0")] = None,
    finisher: Annotated[Path | None, typer.Option(help="the Dance Diffusion checkpoint")] = None,
    dtype: Annotated[WeightType, typer.Option(help="how weights are stored")] = WeightType.FLOAT32,
) -> None:
    """Turns original checkpoints, or a stack of ours, into a stack folder. Parts of a set will do."""
    import torch

    from jbdiff.checkpoints import CheckpointError, user_directory
    from jbdiff.convert import convert as write_stack
    from jbdiff.convert import plan

    given = {"codec": codec, "level2": level2, "level1": level1, "level0": level0, "finisher": finisher}
    roles = {role: path for role, path in given.items() if path is not None}
    folder = out if out is not None else user_directory() / name
    try:
        write_stack(
            plan(sources or [], roles),
            folder,
            name=name,
            dtype=getattr(torch, dtype.value),
            report=lambda line: console.print(line, highlight=False, markup=False),
        )
    except (CheckpointError, OSError) as error:
        _fail(error)
    console.print(f"wrote {folder}", highlight=False)


@app.command()
def fetch(
    roles: Annotated[
        list[str] | None, typer.Argument(help="level2, level1, level0, finisher; all if left out")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder; your own stacks' if left out")] = None,
) -> None:
    """Downloads the published Jukebox Diffusion v1 files, 3.3 GB in all, and checks their hashes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from jbdiff.checkpoints import user_directory
    from jbdiff.fetch import FetchError
    from jbdiff.fetch import fetch as fetch_file
    from jbdiff.published import PUBLISHED

    known = {file.role: file for file in PUBLISHED}
    unknown = sorted(set(roles or ()) - set(known))
    if unknown:
        _fail(f"nothing is published for {', '.join(unknown)}; known: {', '.join(known)}")
    folder = out if out is not None else user_directory() / "v1"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            for role in roles or known:
                task = progress.add_task(role, total=None)

                def show(done: int, of: int, task: TaskID = task) -> None:
                    progress.update(task, completed=done, total=of or None)

                path = fetch_file(known[role], folder, show)
                progress.console.print(f"{role}: {path}", highlight=False)
    except (FetchError, OSError) as error:
        _fail(error)
    console.print(f"ready; `jbdiff convert {folder}` makes a smaller, faster-loading stack of them")


@app.command()
def sample(
    out: Annotated[Path, typer.Option(help="WAV or FLAC file to write; all else lies beside it")],
    stack: Annotated[str, typer.Option(help="name or folder of a stack")] = "pocket",
    config: Annotated[Path | None, typer.Option(help="TOML file of options; flags win over it")] = None,
    context: Annotated[Path | None, typer.Option(help="sound file to go on from")] = None,
    init: Annotated[Path | None, typer.Option(help="sound file to resample from")] = None,
    resample: Annotated[
        float | None, typer.Option(min=0, max=1, help="how much of the init is kept [0]")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="length to make [20]")] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="seed of the noise; again for more files [0]")
    ] = None,
    style: Annotated[
        NoiseStyle | None, typer.Option(help="how noise moves from block to block [walk]")
    ] = None,
    step: Annotated[float | None, typer.Option(min=0, max=1, help="how far it moves [0.3]")] = None,
    guidance: Annotated[float | None, typer.Option(help="pull of the context on the coarsest level")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="denoising steps of the coarsest level")] = None,
    levels: Annotated[str | None, typer.Option(help="levels to play, such as 21; all if left out")] = None,
    finisher: Annotated[
        bool | None, typer.Option("--finisher/--no-finisher", help="stereo finisher, if the stack has one")
    ] = None,
    token_multiplier: Annotated[
        int | None, typer.Option(min=1, max=16, help="windows longer than in training [1]")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="16, 24 or 32 (floating point) [24]")] = None,
    stems: Annotated[bool | None, typer.Option("--stems/--no-stems", help="one file a level as well")] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="level1.steps=20, finisher.strength=0.3 and the like")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="forget an unfinished render of this name")] = False,
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
) -> None:
    """Makes music offline, block by block. The same command again goes on after an interruption."""
    import torch
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from jbdiff.audiofiles import read_audio
    from jbdiff.checkpoints import CheckpointError, load_stack
    from jbdiff.render import RenderError, RenderPlan, render
    from jbdiff.render_options import options_from, read_toml, with_assignments
    from jbdiff.stream import BlockStream, LevelSettings, StreamError

    if not out.parent.is_dir():
        _fail(f"no folder {out.parent}; make it first")

    def mono(path: Path | None) -> torch.Tensor | None:
        """A sound file as `[1, 1, n]` at the stack's rate."""
        if path is None:
            return None
        audio, _ = read_audio(path, stream.sample_rate)
        return torch.from_numpy(audio.mean(axis=1))[None, None]

    flags = {
        "resample": resample, "seconds": seconds, "seeds": seed, "style": style, "step": step,
        "token_multiplier": token_multiplier, "bits": bits, "stems": stems,
        "levels": None if levels is None else [int(digit) for digit in levels if digit.isdigit()],
    }  # fmt: skip
    try:
        values = with_assignments({} if config is None else read_toml(config), assign or [])
        options = options_from(values | {key: value for key, value in flags.items() if value is not None})
        loaded = load_stack(stack)
        with_finisher = loaded.finisher is not None and options.finisher.on
        stream = BlockStream(
            loaded,
            device=device,
            levels=options.levels,
            finisher=with_finisher if finisher is None else finisher,
            token_multiplier=options.token_multiplier,
        )
        coarsest = loaded.config.levels[0]
        level = options.level.get(coarsest.level, LevelSettings())
        level = dataclasses.replace(
            level,
            steps=level.steps if steps is None else steps,
            guidance=level.guidance if guidance is None else guidance,
        )
        options = dataclasses.replace(options, level={**options.level, coarsest.level: level})
        context_audio, init_audio = mono(context), mono(init)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            for number in options.seeds:
                name = out if len(options.seeds) == 1 else out.with_stem(f"{out.stem}-seed{number}")
                task = progress.add_task(name.name)
                plan = RenderPlan(
                    name,
                    stream.geometry.frames(options.seconds),
                    options.settings(number, coarsest.guidance),
                    context=context_audio,
                    init=init_audio,
                    bits=options.bits,
                    stems=options.stems,
                )

                def show(done: int, of: int, task: TaskID = task) -> None:
                    progress.update(task, completed=done, total=of)

                made = render(stream, plan, show, fresh=fresh)
                went_on = f", went on after block {made.resumed_at}" if made.resumed_at else ""
                files = ", ".join(str(file) for file in made.files)
                progress.console.print(
                    f"wrote {files}: {options.seconds:g} s, peak {made.peak:.2f}{went_on}", highlight=False
                )
    except (CheckpointError, RenderError, StreamError, OSError, ValueError) as error:
        _fail(error)
    except KeyboardInterrupt:
        _fail("stopped; the same command again goes on from here")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def train(context: typer.Context) -> None:
    """Trains codecs and denoisers; `jbdiff train --help` tells more."""
    try:
        from jbdiff.train.cli import app as train_app
    except ModuleNotFoundError as error:
        _fail(f"training needs {error.name}; install jbdiff-live with its [train] extra")
    train_app(context.args, prog_name="jbdiff train")
