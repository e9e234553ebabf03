"""Train level 2, the denoiser: from folders of sound to a Lightning run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS, QUARTERS
from jbdiff.config import POCKET, BandCodecConfig, DetailConfig, JointDenoiserConfig, denoiser_from_dict
from jbdiff.data.clips import Clips, LatentBatches
from jbdiff.networks.detail import mean_of_sampling
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.stack import load_stack
from jbdiff.stacks.weight_files import load_into, read_checkpoint
from jbdiff.train.jobs.codec import load_codec
from jbdiff.train.jobs.sounds import (
    history_tokens,
    latent_clips,
    recorded,
    settled,
    stretch_tokens,
)
from jbdiff.train.latents.latents import (
    Resident,
    Varied,
    covariance,
    split_latents,
    styles_of,
    widened,
)
from jbdiff.train.modules.denoiser import DenoiserTraining
from jbdiff.train.run.run import Batches, RunSettings, fit, prepare_folder


@dataclass(frozen=True)
class DenoiserJob:
    """The options of a denoiser training. `codec`, `start`: a weights file or the name of a stack.

    `batch`: windows a step. `levels`: noise levels of each window. `rate`: highest learning rate. `lines_only`: train
    the last convolution only. `plan_only`: train the inputs of a plan only.
    """

    data: Path
    heldout: Path | None
    codec: Path | str
    batch: int
    levels: int
    rate: float
    start: Path | str | None
    seed: int
    bf16: bool
    lines_only: bool = False
    plan_only: bool = False


def load_denoiser(start: Path | str) -> JointDenoiser:
    """Load a joint denoiser from the weights of a run or from a stack. Raises ValueError if the stack has none."""
    if isinstance(start, Path):
        sizes = recorded(start, "denoiser")
        given = denoiser_from_dict(sizes) if sizes else POCKET.level(2).denoiser
        network = JointDenoiser(cast(JointDenoiserConfig, given))
        tensors = mean_of_sampling(read_checkpoint(start).tensors)
        load_into(network, tensors, "a denoiser of these sizes", start.name)
        return network
    shipped = load_stack(start).denoisers[2]
    if not isinstance(shipped, JointDenoiser):
        raise ValueError(f"stack {start!r} has no joint denoiser; only those are trained here")
    return shipped


def fitted(config: JointDenoiserConfig, codec: BandCodecConfig) -> JointDenoiserConfig:
    """Return the sizes changed to fit a codec: to its bands, and to its detail if it has one."""
    channels = QUARTERS * codec.detail_bands
    detail = replace(config.detail or DetailConfig(), channels=channels) if channels else None
    return replace(config, latent_channels=CHANNELS, detail=detail)


def _check(job: DenoiserJob, resumed: bool) -> None:
    """Raise ValueError if a job is to train a part that needs trained weights and has none, or two parts at once."""
    for wanted, option in ((job.lines_only, "--lines"), (job.plan_only, "--plan-inputs")):
        if wanted and job.start is None and not resumed:
            raise ValueError(f"{option} needs a trained denoiser: give --denoiser-weights or --from-shipped")
    if job.plan_only and job.lines_only:
        raise ValueError("--lines and --plan-inputs train different parts; give one of them")


def train_denoiser(
    settings: RunSettings,
    job: DenoiserJob,
    config: JointDenoiserConfig | None = None,
) -> None:
    """Run a denoiser training to its end. Latents have as many channels as the codec's."""
    _check(job, settings.resume)
    codec = load_codec(job.codec)
    begun = load_denoiser(job.start) if job.start is not None and not settings.resume else None
    if config is None:
        config = begun.config if begun else cast(JointDenoiserConfig, POCKET.level(2).denoiser)
        # Weights without an anchor or echoes learn these during the training.
        new = not job.lines_only
        config = replace(config, anchor=config.anchor or new, echo_channels=config.echo_channels or 16 * new)
        config = replace(config, plan=config.plan or job.plan_only)
        config = settings.sized(config)
    config = fitted(config, codec.config)
    about = {"kind": "denoiser", "level": 2, "job": asdict(job), "denoiser": asdict(config)}
    prepare_folder(settings, about)
    cache = settled(settings, job.seed)
    window, past = config.window_tokens, config.context_tokens
    shortest = (past + window) * codec.hop(2)
    training, heldout = latent_clips(job.data, job.heldout, codec, cache, settings.mixes, shortest)
    history = history_tokens(training, past, window) if config.echo_channels else past
    stretch = stretch_tokens(training, history, window)
    module = DenoiserTraining(
        config,
        settings.budget(),
        job.rate,
        job.levels,
        job.seed,
        job.bf16,
        job.lines_only,
        history,
        job.plan_only,
    )
    if not settings.resume:
        _begin(module, begun, training, codec, stretch - history + past)
    level = POCKET.level(2)
    module.guidance, module.sampler_steps = level.guidance, level.steps
    demo = heldout.at_least(past + window).clip(0)[: past + 5 * window]
    module.show_with(codec, widened(torch.from_numpy(demo.astype(np.float32)), codec.latent_channels))
    vary, at_hand = Varied(codec.analysis), Resident(training)

    def draw(first: int, count: int) -> LatentBatches:
        # An anchor is measured over more than the window. The style of the window alone would reveal too much of it.
        length = stretch if module.rolling or config.anchor else history + window
        return LatentBatches(
            training, job.batch, length, job.seed, first, count, vary, at_hand.on(module.device)
        )

    batches = Batches(
        draw,
        lambda first, count: LatentBatches(heldout, 16, history + window, 12345, first, count),
        settings.round_steps,
        validations=4,
    )
    fit(module, batches, settings, codec.sample_rate, clip=1.0)


def _begin(
    module: DenoiserTraining, begun: JointDenoiser | None, training: Clips, codec: BandCodec, anchored: int
) -> None:
    """Put weights or statistics into a network before its first step.

    `begun`: trained weights to start from; None starts from statistics of the latents. `anchored`: tokens of music over
    which an anchor is measured. Raises ValueError if the latents lack the detail that the network has to learn.
    """
    config = module.config
    if begun is not None:
        module.adopt(begun)
    else:
        module.begin_with(covariance(training, config.patch, config.latent_channels))
    if config.detail is not None and (begun is None or begun.detail is None):
        if training.array.shape[1] < config.all_channels:
            raise ValueError(
                "packed latents have no detail to learn from: give --denoiser-weights or --from-shipped of a "
                "denoiser that has learnt it"
            )
        module.begin_detail_with(*split_latents(training, config.latent_channels))
    if config.anchor and (begun is None or begun.anchor is None):
        decibels = codec.analysis.spread[: config.latent_channels]
        module.begin_anchor_with(*styles_of(training, anchored, decibels))
