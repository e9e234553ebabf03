"""`jbdiff train ...`: codec, denoiser, export. Heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train a pocket stack on a folder of sounds, and export it.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", help="Folder of sounds, any format libsndfile reads.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of the run: state, weights, metrics, demos.")]
HeldOutOption = Annotated[
    Path | None, typer.Option(help="Folder to judge by; else every 20th file is kept back.")
]
MinutesOption = Annotated[float | None, typer.Option(help="Stop after this many minutes.")]
StepsOption = Annotated[int | None, typer.Option(help="Stop after this many steps, counted over all runs.")]
ThreadsOption = Annotated[int, typer.Option(help="Processor threads for torch.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
ShippedOption = Annotated[bool, typer.Option("--from-shipped", help="Start from the weights that ship.")]
StackOption = Annotated[
    str, typer.Option("--stack", help="Stack that --from-shipped or the codec comes from.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of batches and noise.")]
Bf16Option = Annotated[bool, typer.Option(help="Matrix products in bfloat16.")]
DemoOption = Annotated[float, typer.Option(help="Minutes between demos.")]


@app.command()
def codec(
    data: DataOption,
    out: OutOption,
    heldout: HeldOutOption = None,
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    threads: ThreadsOption = 1,
    batch: Annotated[int, typer.Option(help="Stretches of audio a step.")] = 6,
    seconds: Annotated[float, typer.Option(help="Length of each stretch.")] = 1.0,
    rate: Annotated[float, typer.Option(help="Learning rate at its highest.")] = 1e-3,
    discriminator: Annotated[bool, typer.Option("--discriminator", help="Also against a critic.")] = False,
    codec_weights: Annotated[
        Path | None, typer.Option(help="Start from this run's weights.safetensors.")
    ] = None,
    from_shipped: ShippedOption = False,
    stack: StackOption = "pocket",
    resume: ResumeOption = False,
    seed: SeedOption = 0,
    bf16: Bf16Option = True,
    demo_minutes: DemoOption = 10.0,
) -> None:
    """Train the codec's synthesis; the analysis is fixed, so that the denoiser needs not wait for it."""
    from jbdiff.train.commands import CodecJob, train_codec
    from jbdiff.train.run import RunSettings

    settings = RunSettings(out, minutes, steps, threads, resume, demo_minutes=demo_minutes)
    start = codec_weights or (stack if from_shipped else None)
    job = CodecJob(data, heldout, batch, seconds, rate, discriminator, start, seed, bf16)
    train_codec(settings, job)


@app.command()
def denoiser(
    data: DataOption,
    out: OutOption,
    level: Annotated[int, typer.Option(help="Level of the stack; pocket has only 2.")] = 2,
    codec_weights: Annotated[
        Path | None, typer.Option(help="Codec run's weights.safetensors; else --stack's.")
    ] = None,
    heldout: HeldOutOption = None,
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    threads: ThreadsOption = 1,
    batch: Annotated[int, typer.Option(help="Windows a step.")] = 6,
    levels: Annotated[int, typer.Option(help="Noise levels for each window.")] = 4,
    lines: Annotated[
        bool, typer.Option("--lines", help="Only the last convolution; try --rate 4e-3.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Learning rate at its highest.")] = 8e-4,
    denoiser_weights: Annotated[
        Path | None, typer.Option(help="Start from this weights.safetensors.")
    ] = None,
    from_shipped: ShippedOption = False,
    stack: StackOption = "pocket",
    resume: ResumeOption = False,
    seed: SeedOption = 0,
    bf16: Bf16Option = True,
    demo_minutes: DemoOption = 10.0,
) -> None:
    """Train the denoiser that invents windows, on the latents of a trained codec."""
    from jbdiff.train.commands import DenoiserJob, train_denoiser
    from jbdiff.train.run import RunSettings

    if level != 2:
        raise typer.BadParameter(f"level {level}: the pocket stack has only level 2")
    settings = RunSettings(out, minutes, steps, threads, resume, demo_minutes=demo_minutes)
    start = denoiser_weights or (stack if from_shipped else None)
    codec = codec_weights or stack
    train_denoiser(settings, DenoiserJob(data, heldout, codec, batch, levels, rate, start, seed, bf16, lines))


@app.command()
def export(
    codec_weights: Annotated[Path, typer.Option(help="weights.safetensors of a codec run.")],
    denoiser_weights: Annotated[Path | None, typer.Option(help="The same of a denoiser run.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the stack; its name is how it is loaded.")] = Path(
        "stack"
    ),
    name: Annotated[str, typer.Option(help="Name of the stack.")] = "pocket",
    licence: Annotated[str, typer.Option(help="Licence of the weights; CC0-1.0 for the pocket stack.")] = "",
) -> None:
    """Write a stack that plays: half-precision weights, sizes, checksums, where it came from."""
    from jbdiff.train.export import POCKET_SOURCE, export_stack

    source = POCKET_SOURCE if name == "pocket" and not licence else {"licence": licence or "not stated"}
    typer.echo(f"wrote {export_stack(codec_weights, denoiser_weights, out, name, source)}")


@app.command()
def judge(
    heldout: Annotated[Path, typer.Option(help="Folder of sounds the model was not trained on.")],
    out: OutOption,
    stack: StackOption = "pocket",
    seconds: Annotated[float, typer.Option(help="How long each continuation runs on by itself.")] = 60.0,
    pieces: Annotated[int, typer.Option(help="How many held-out pieces to continue.")] = 3,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also try steps and guidance.")] = False,
    threads: ThreadsOption = 1,
) -> None:
    """Figures and demos of a stack: the codec, the denoiser, and minutes of its own music."""
    from jbdiff.train.judge import judge_stack

    judge_stack(stack, heldout, out, seconds, pieces, sweep, threads)


@app.callback()
def train() -> None:
    """Train a pocket stack on a folder of sounds, and export it."""
