"""The training job of `jbdiff train distill`: a student of a denoiser that needs few steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from jbdiff.config import POCKET, FewStepsConfig
from jbdiff.data.clips import LatentBatches
from jbdiff.networks.few_steps import Additions
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.weight_files import load_into, read_checkpoint
from jbdiff.train.jobs.codec import load_codec
from jbdiff.train.jobs.denoiser import load_denoiser
from jbdiff.train.jobs.sounds import history_tokens, latent_clips, recorded, stretch_tokens
from jbdiff.train.latents.latents import Resident, Varied, widened
from jbdiff.train.modules.distil import DistilTraining
from jbdiff.train.run.run import Batches, RunSettings, fit, prepare_folder

# A step takes seconds, so a round ends about once a minute: it saves the state and checks the time.
ROUND_STEPS = 25


@dataclass(frozen=True)
class DistilJob:
    """The options of a distillation. `denoiser` and `codec`: a weights file or the name of a stack.

    `start`: weights of an earlier run of this command. They may come from an earlier state of the denoiser; most of the
    training is then done. `batch`: windows a step. `rate`: highest learning rate.
    """

    data: Path
    heldout: Path | None
    codec: Path | str
    denoiser: Path | str
    start: Path | None
    batch: int
    rate: float
    seed: int
    bf16: bool


def load_additions(start: Path, denoiser: JointDenoiser) -> Additions:
    """Load the additions of a run for their denoiser. Raises CheckpointError if they do not fit it."""
    sizes = recorded(start, "distill")
    if sizes is not None:
        sizes["guidance"] = tuple(sizes["guidance"])
    additions = Additions(denoiser, FewStepsConfig(**sizes) if sizes else FewStepsConfig())
    # Additions of a denoiser without anchor or echoes have no weights for these. They start from fresh ones, which add
    # 0.
    own = additions.state_dict()
    fresh = {
        name: value for name, value in own.items() if name.split(".", 1)[1].startswith(("anchor/", "echo_"))
    }
    load_into(additions, fresh | read_checkpoint(start).tensors, "the student of this denoiser", start.name)
    return additions


def train_distil(settings: RunSettings, job: DistilJob, few: FewStepsConfig | None = None) -> None:
    """Run a distillation to its end; `weights.safetensors` then holds the additions alone.

    A run that is resumed has the denoiser in its own state. Of the job's denoiser it only uses the sizes. Raises
    ValueError if denoiser and codec do not belong together.
    """
    codec, denoiser = load_codec(job.codec), load_denoiser(job.denoiser)
    if denoiser.config.all_channels != codec.latent_channels:
        raise ValueError(
            f"the denoiser works on {denoiser.config.all_channels} channels, the codec gives "
            f"{codec.latent_channels}; distil runs that belong together"
        )
    # The detail is computed from the bands, so the student does not need to learn it.
    bands = denoiser.without_detail()
    config = bands.config
    begun = None if job.start is None or settings.resume else load_additions(job.start, bands)
    few = few or (begun.config if begun is not None else FewStepsConfig())
    settings = replace(settings, round_steps=min(settings.round_steps, ROUND_STEPS))
    prepare_folder(
        settings, {"kind": "distill", "job": asdict(job), "denoiser": asdict(config), "distill": asdict(few)}
    )
    torch.set_num_threads(settings.threads)
    torch.manual_seed(job.seed)
    cache = settings.out.parent / "cache"
    training, heldout = latent_clips(job.data, job.heldout, codec, cache, settings.mixes)
    window, past = config.window_tokens, config.context_tokens
    history = history_tokens(training, past, window) if config.echo_channels else past
    module = DistilTraining(config, few, settings.budget(), job.rate, job.seed, job.bf16, history)
    if not settings.resume:
        module.adopt(bands)
        if begun is not None:
            module.go_on_from(begun)
    module.guidance = POCKET.level(2).guidance
    demo = heldout.at_least(past + window).clip(0)[: past + 5 * window]
    shown = widened(torch.from_numpy(demo.astype(np.float32)), codec.latent_channels)
    module.show_with(codec, shown, denoiser)
    vary = Varied(codec.analysis)
    length = stretch_tokens(training, history, window)
    at_hand = Resident(training)
    batches = Batches(
        lambda first, count: LatentBatches(
            training, job.batch, length, job.seed, first, count, vary, at_hand.on(module.device)
        ),
        lambda first, count: LatentBatches(heldout, 8, history + window, 12345, first, count),
        settings.round_steps,
        validations=1,
    )
    fit(module, batches, settings, codec.sample_rate, clip=1.0)
