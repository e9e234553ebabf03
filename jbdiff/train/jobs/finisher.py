"""The training job of `jbdiff train finisher`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import SpectralFinisherConfig
from jbdiff.data.clips import AudioBatches, drawn_from
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.stacks.stack import load_stack
from jbdiff.stacks.weight_files import load_into, read_checkpoint
from jbdiff.train.jobs.codec import load_codec
from jbdiff.train.jobs.denoiser import load_denoiser
from jbdiff.train.jobs.sounds import recorded, settled, sound_clips
from jbdiff.train.latents.latents import as_float
from jbdiff.train.modules.finisher import EDGE, FinisherTraining
from jbdiff.train.run.run import Batches, RunSettings, fit, prepare_folder


@dataclass(frozen=True)
class FinisherJob:
    """The options of a finisher training. `codec`, `denoiser`, `start`: a weights file or the name of a stack.

    The finisher learns from decodes of the codec. If the denoiser fits the codec, its detail network makes the detail
    of the decodes. `start` None: fresh weights. `batch`: stretches a step, of `seconds` each. `rate`: highest learning
    rate.
    """

    data: Path
    heldout: Path | None
    codec: Path | str
    denoiser: Path | str
    start: Path | str | None
    batch: int
    seconds: float
    rate: float
    seed: int
    bf16: bool


def load_finisher(start: Path | str) -> SpectralFinisher:
    """Load a spectral finisher from the weights of a run or from a stack. Raises ValueError if the stack has none."""
    if isinstance(start, Path):
        sizes = recorded(start, "finisher")
        network = SpectralFinisher(SpectralFinisherConfig(**sizes) if sizes else SpectralFinisherConfig())
        load_into(network, read_checkpoint(start).tensors, "a finisher of these sizes", start.name)
        return network
    found = load_stack(start).finisher
    if not isinstance(found, SpectralFinisher):
        raise ValueError(f"stack {start!r} has no spectral finisher; only those are trained here")
    return found


def train_finisher(settings: RunSettings, job: FinisherJob) -> None:
    """Run a finisher training to its end. Mono sounds are used too: the finisher learns to leave them mono."""
    codec = load_codec(job.codec)
    begun = load_finisher(job.start) if job.start is not None and not settings.resume else None
    config = settings.sized(begun.config if begun else SpectralFinisherConfig())
    prepare_folder(settings, {"kind": "finisher", "job": asdict(job), "finisher": asdict(config)})
    cache = settled(settings, job.seed) / "stereo"
    hop = codec.config.hop_length
    samples = round(job.seconds * config.sample_rate / hop) * hop
    if samples < 4 * EDGE * hop:
        raise ValueError(
            f"{job.seconds} s is too short to judge; give --seconds {4 * EDGE * hop / 44_100:.2f}"
        )
    training, heldout = sound_clips(
        job.data,
        job.heldout,
        cache,
        config.sample_rate,
        drawn_from(samples),
        mixes=settings.mixes,
        channels=2,
    )
    detail = load_denoiser(job.denoiser).detail
    if detail is not None and CHANNELS + detail.config.channels != codec.latent_channels:
        detail = None
    if detail is not None:
        detail = detail.eval().requires_grad_(False)
    module = FinisherTraining(config, codec, settings.budget(), job.rate, job.seed, job.bf16, detail)
    if begun is not None:
        module.adopt(begun)
    whole = min(heldout.lengths[0], 6 * config.sample_rate) // hop * hop
    module.demo_audio = torch.from_numpy(as_float(heldout.clip(0)[:whole])).T[None]
    batches = Batches(
        lambda first, count: AudioBatches(training, job.batch, samples, job.seed, first, count),
        lambda first, count: AudioBatches(heldout, job.batch, samples, 12345, first, count),
        settings.round_steps,
        validations=4,
    )
    fit(module, batches, settings, config.sample_rate, clip=1.0)
