"""`jbdiff train ...`: codec, denoiser, distill, finisher, export, own. Heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jbdiff.terminal import named_folder, with_home
from jbdiff.train.run.settings import RunSettings, check_numbers, in_one_line, with_run_options

app = typer.Typer(
    no_args_is_help=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)

DataOption = Annotated[Path, typer.Option("--data", help="Folder of sounds, any format libsndfile reads.")]
HeldOutOption = Annotated[
    Path | None, typer.Option(help="Held-out sounds; else every 20th file is held out.")
]
CodecWeightsOption = Annotated[
    Path | None, typer.Option(help="weights.safetensors of a codec run; else --stack's.")
]
ShippedOption = Annotated[bool, typer.Option("--from-shipped", help="Start from the weights of --stack.")]
StackOption = Annotated[
    str, typer.Option("--stack", help="Name or folder of the stack for the codec and for --from-shipped.")
]
SourceOption = Annotated[
    str, typer.Option("--stack", help="Name or folder of the stack for the weights that no option names.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of batches and noise.")]


@app.command()
@with_run_options
def codec(
    settings: RunSettings,
    data: DataOption,
    heldout: HeldOutOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Stretches of audio a step, of each process.")] = 6,
    seconds: Annotated[float, typer.Option(help="Length of each stretch.")] = 1.0,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    discriminator: Annotated[
        bool, typer.Option("--discriminator", help="Also train against a discriminator.")
    ] = False,
    codec_weights: Annotated[
        Path | None, typer.Option(help="Start from this run's weights.safetensors.")
    ] = None,
    from_shipped: ShippedOption = False,
    stack: StackOption = "pocket",
    seed: SeedOption = 0,
) -> None:
    """Train the codec's synthesis: latents to sound.

    The analysis is fixed, so a denoiser can be trained at the same time.
    """
    from jbdiff.train.jobs.codec import CodecJob, train_codec

    start = codec_weights or (stack if from_shipped else None)
    train_codec(
        settings,
        CodecJob(data, heldout, batch, seconds, rate, discriminator, start, seed, settings.bf16),
    )


@app.command()
@with_run_options
def denoiser(
    settings: RunSettings,
    data: DataOption,
    level: Annotated[
        int, typer.Option(min=0, max=2, help="2 makes new music; 1 and 0 (U-Nets only) refine it.")
    ] = 2,
    codec_weights: CodecWeightsOption = None,
    heldout: HeldOutOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows a step, of each process.")] = 6,
    levels: Annotated[int, typer.Option(min=1, help="Noise levels for each window; a U-Net has one.")] = 4,
    lines: Annotated[
        bool, typer.Option("--lines", help="Train the last convolution only; try --rate 4e-3.")
    ] = False,
    plan_inputs: Annotated[
        bool, typer.Option("--plan-inputs", help="Train the inputs of a plan only; try --rate 2e-3.")
    ] = False,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate; 8e-4, for a U-Net 1e-4.")] = None,
    denoiser_weights: Annotated[
        Path | None, typer.Option(help="Start from this weights.safetensors.")
    ] = None,
    from_shipped: ShippedOption = False,
    stack: StackOption = "pocket",
    seed: SeedOption = 0,
) -> None:
    """Train the denoiser of one level, on the latents of a trained codec.

    --stack decides its kind: a transformer for pocket's codec, a U-Net for a VQ-VAE's levels.
    """
    from jbdiff.train.jobs.denoiser import DenoiserJob, train_denoiser
    from jbdiff.train.jobs.unet import UNetJob, is_unet, train_unet

    if is_unet(stack):
        if codec_weights is not None or lines or plan_inputs:
            raise ValueError(
                f"stack {stack!r} is of U-Nets: --codec-weights, --lines and --plan-inputs are not for those"
            )
        start = denoiser_weights
        job = UNetJob(
            data, heldout, stack, level, batch, rate or 1e-4, start, from_shipped, seed, settings.bf16
        )
        train_unet(settings, job)
        return
    if level != 2:
        raise ValueError(f"level {level}: stack {stack!r} has only level 2; give --stack one of U-Nets")
    train_denoiser(
        settings,
        DenoiserJob(
            data,
            heldout,
            codec_weights or stack,
            batch,
            levels,
            rate or 8e-4,
            denoiser_weights or (stack if from_shipped else None),
            seed,
            settings.bf16,
            lines,
            plan_inputs,
        ),
    )


@app.command()
@with_run_options
def distill(
    settings: RunSettings,
    data: DataOption,
    codec_weights: CodecWeightsOption = None,
    denoiser_weights: Annotated[
        Path | None, typer.Option(help="The teacher: weights.safetensors of a denoiser run; else --stack's.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Start from an earlier distillation's weights.safetensors.")
    ] = None,
    heldout: HeldOutOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Windows a step, of each process.")] = 6,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    stack: SourceOption = "pocket",
    seed: SeedOption = 0,
) -> None:
    """Train a student of a denoiser that plays in four steps or fewer."""
    from jbdiff.config import FewStepsConfig
    from jbdiff.train.jobs.distil import DistilJob, train_distil

    job = DistilJob(
        data,
        heldout,
        codec_weights or stack,
        denoiser_weights or stack,
        start,
        batch,
        rate,
        seed,
        settings.bf16,
    )
    train_distil(settings, job, settings.sized(FewStepsConfig()) if settings.sizes else None)


@app.command()
@with_run_options
def plan(
    settings: RunSettings,
    data: DataOption,
    codec_weights: CodecWeightsOption = None,
    plan_weights: Annotated[
        Path | None, typer.Option(help="Start from this run's weights.safetensors.")
    ] = None,
    heldout: HeldOutOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Plans of four bars a step, of each process.")] = 8,
    levels: Annotated[int, typer.Option(min=1, help="Noise levels for each plan.")] = 2,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1.2e-3,
    stack: SourceOption = "pocket",
    seed: SeedOption = 0,
) -> None:
    """Train level 3, which plans the next bars: the level of every band in each sixteenth of a bar.

    No stack plays with it yet; docs/model.md has the figures.
    """
    from jbdiff.train.jobs.plan import PlanJob, train_plan

    job = PlanJob(
        data, heldout, codec_weights or stack, batch, levels, rate, plan_weights, seed, settings.bf16
    )
    train_plan(settings, job)


@app.command()
@with_run_options
def finisher(
    settings: RunSettings,
    data: DataOption,
    codec_weights: CodecWeightsOption = None,
    denoiser_weights: Annotated[
        Path | None,
        typer.Option(
            help="weights.safetensors of a denoiser run, which makes the detail of decodes; else the stack's."
        ),
    ] = None,
    finisher_weights: Annotated[
        Path | None, typer.Option(help="Start from this run's weights.safetensors.")
    ] = None,
    from_shipped: ShippedOption = False,
    heldout: HeldOutOption = None,
    batch: Annotated[int, typer.Option(min=1, help="Stretches of audio a step, of each process.")] = 4,
    seconds: Annotated[float, typer.Option(help="Length of each stretch.")] = 1.5,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 2e-3,
    stack: StackOption = "pocket",
    seed: SeedOption = 0,
) -> None:
    """Train the finisher, which turns decodes of the codec into the original stereo sound."""
    from jbdiff.train.jobs.finisher import FinisherJob, train_finisher

    start = finisher_weights or (stack if from_shipped else None)
    codec, denoiser = codec_weights or stack, denoiser_weights or stack
    job = FinisherJob(data, heldout, codec, denoiser, start, batch, seconds, rate, seed, settings.bf16)
    train_finisher(settings, job)


@app.command()
@with_home
def blend(
    denoiser_weights: Annotated[Path, typer.Option(help="weights.safetensors of a denoiser run.")],
    out: Annotated[Path, typer.Option(help="Folder for the new weights.safetensors.")],
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the run's weights; the rest is of --stack.")
    ] = 0.5,
    stack: Annotated[str, typer.Option(help="Stack that the run started from.")] = "pocket",
) -> None:
    """Mix the weights of a denoiser run with those it started from, so that it forgets less of what they knew."""
    from jbdiff.train.jobs.blend import blend_denoisers

    with in_one_line():
        typer.echo(f"wrote {blend_denoisers(denoiser_weights, stack, share, out)}")


@app.command()
@with_home
def export(
    codec_weights: Annotated[
        Path | None, typer.Option(help="weights.safetensors of a codec run; its fixed analysis is included.")
    ] = None,
    denoiser_weights: Annotated[
        list[Path] | None,
        typer.Option(help="The same of a denoiser run; once for each level of U-Nets."),
    ] = None,
    distill_weights: Annotated[
        Path | None,
        typer.Option(help="The same of a distillation: the student for four steps or fewer."),
    ] = None,
    finisher_weights: Annotated[Path | None, typer.Option(help="The same of a finisher run.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the stack; it is loaded by the folder's name.")] = Path(
        "stack"
    ),
    base: Annotated[
        str | None, typer.Option(help="Stack of U-Nets whose levels these weights replace.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the stack.")] = "pocket",
    licence: Annotated[str, typer.Option(help="Licence of the weights; CC0-1.0 for the pocket stack.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a stack that is in --out.")] = False,
) -> None:
    """Write a stack that plays: half-precision weights, sizes, checksums, origin."""
    from jbdiff.train.jobs.export import POCKET_SOURCE, StackParts, export_stack, files_of_stack
    from jbdiff.train.jobs.unet import put_into_stack

    weights = denoiser_weights or []
    source = POCKET_SOURCE if name == "pocket" and not licence else {"licence": licence or "not stated"}
    with in_one_line():
        if files_of_stack(out) and not overwrite:
            raise ValueError(f"{out} holds a stack; give a new folder, or --overwrite to replace it")
        if base is not None:
            made = put_into_stack(base, weights, out, name, source)
        elif codec_weights is None:
            raise ValueError("give --codec-weights of a codec run, or --base with a stack of U-Nets")
        elif len(weights) > 1:
            raise ValueError("a stack with this codec has one denoiser; give --denoiser-weights once")
        else:
            parts = StackParts(
                codec_weights, weights[0] if weights else None, distill_weights, finisher_weights
            )
            made = export_stack(parts, out, name, source)
    typer.echo(f"wrote {made}")


@app.command()
def own(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=named_folder,
            metavar="FOLDER",
            help="Folder of tracks, any format libsndfile reads; or of stems.",
        ),
    ],
    hours: Annotated[
        float | None, typer.Option(min=0, help="Time for everything, in hours; or give --minutes.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Time for everything, in minutes.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new stack; else the folder's name.")] = None,
    stack: Annotated[str, typer.Option(help="Name or folder of the stack to start from.")] = "pocket",
    bpm: Annotated[
        float | None,
        typer.Option(min=20, max=400, help="Tempo of tracks without a track.json; else it is estimated."),
    ] = None,
    demo_minutes: Annotated[float, typer.Option(help="Minutes between demos; inf: none.")] = 10.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume a training; fail if there is none.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a stack or training of the same name.")
    ] = False,
    licence: Annotated[str, typer.Option(help="Licence of the weights, kept in the stack.")] = "",
    seed: SeedOption = 0,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    accelerator: Annotated[
        str, typer.Option(help="auto, cpu, gpu or another that Lightning knows.")
    ] = "auto",
) -> None:
    """Train a stack on your own tracks within a given time; the window then shows it under Stack.

    It fine-tunes the denoiser of --stack, then its student of few steps, then the finisher if tracks are stereo. If the
    training is interrupted, the same command continues it.
    """
    from jbdiff.train.own.command import OwnJob, train_own

    with in_one_line():
        if (hours is None) == (minutes is None):
            raise ValueError("give --hours or --minutes: the time for the whole training")
        check_numbers({"hours": hours, "minutes": minutes, "demo_minutes": demo_minutes, "seed": seed})
        total = minutes if minutes is not None else 60 * (hours or 0)
        job = OwnJob(
            folder,
            total,
            name,
            stack,
            bpm,
            demo_minutes,
            overwrite,
            resume,
            accelerator,
            threads,
            seed,
            licence,
        )
        train_own(job, typer.echo)


@app.callback()
def train() -> None:
    """Train on a folder of your own sounds: codec, denoiser, distill, finisher; then export a stack that plays.

    `own` is one command for all stages but the codec, and exports too. The commands that train also take
    their options from a TOML file, with --config. docs/training.md describes the whole way.
    """
