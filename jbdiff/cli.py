"""The command line of the library. Torch is imported by the command that needs it."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from jbdiff.config import NoiseStyle

if TYPE_CHECKING:
    from torch import Tensor


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
def sample(
    out: Annotated[Path, typer.Option(help="WAV file to write")],
    stack: Annotated[str, typer.Option(help="name or folder of a stack")] = "pocket",
    context: Annotated[Path | None, typer.Option(help="sound file to go on from")] = None,
    init: Annotated[Path | None, typer.Option(help="sound file to resample from")] = None,
    resample: Annotated[float, typer.Option(min=0, max=1, help="how much of the init is kept")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="length to make")] = 20.0,
    seed: Annotated[int, typer.Option(help="seed of the noise")] = 0,
    style: Annotated[NoiseStyle, typer.Option(help="how noise moves from block to block")] = NoiseStyle.WALK,
    step: Annotated[float, typer.Option(min=0, max=1, help="how far it moves")] = 0.3,
    guidance: Annotated[
        float | None, typer.Option(help="pull of the context; the stack's own if left out")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="denoising steps a block")] = None,
    device: Annotated[str, typer.Option(help="torch device")] = "cpu",
) -> None:
    """Makes music offline, block by block, and writes it to a file."""
    import soundfile
    import torch
    from rich.progress import Progress

    from jbdiff.audiofiles import read_audio
    from jbdiff.checkpoints import CheckpointError, load_stack
    from jbdiff.stream import BlockSettings, BlockStream, StreamError

    if not out.parent.is_dir():
        _fail(f"no folder {out.parent}; make it first")

    def mono(path: Path) -> torch.Tensor:
        """A sound file as `[1, 1, n]` at the stack's rate."""
        audio, _ = read_audio(path, stream.sample_rate)
        return torch.from_numpy(audio.mean(axis=1))[None, None]

    try:
        stream = BlockStream(load_stack(stack), device=device)
        if guidance is None:
            guidance = stream.stack.config.levels[0].guidance
        if context is not None:
            stream.set_context(mono(context))
        source = mono(init) if init is not None else None
        frames = stream.geometry.frames(seconds)
        blocks = -(-(frames + stream.latency_frames) // stream.block_frames)
        settings = BlockSettings(
            seed=seed, noise_style=style, noise_step=step, resample=resample, guidance=guidance, steps=steps
        )
        audio: list[torch.Tensor] = []
        with Progress(console=console) as progress:
            for index in progress.track(range(blocks), description="blocks"):
                piece = _piece(source, index, stream.block_frames) if source is not None else None
                audio.append(stream.step(settings, init=piece).audio.cpu())
    except (CheckpointError, StreamError, OSError, ValueError) as error:
        _fail(error)
    whole = torch.cat(audio, dim=2)[..., stream.latency_frames : stream.latency_frames + frames]
    peak = float(whole.abs().max())
    soundfile.write(out, whole[0].clamp(-1, 1).T.numpy(), stream.sample_rate, subtype="PCM_24")
    console.print(f"wrote {out}: {seconds:g} s, peak {peak:.2f}", highlight=False)


def _piece(source: Tensor, index: int, frames: int) -> Tensor:
    """Block `index` of a sound `[1, 1, n]`, from the beginning again where it ends."""
    import torch

    places = (torch.arange(frames) + index * frames) % source.shape[2]
    return source[..., places]


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
