"""Train the codec: from folders of sound to a Lightning run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import POCKET, BandCodecConfig
from jbdiff.data.clips import AudioBatches, Clips, drawn_from
from jbdiff.stacks.stack import load_stack
from jbdiff.stacks.weight_files import load_into, read_checkpoint
from jbdiff.train.jobs.sounds import (
    recorded,
    settled,
    sound_clips,
)
from jbdiff.train.latents.latents import (
    as_float,
    measure_bands,
)
from jbdiff.train.modules.codec import CodecTraining
from jbdiff.train.run.run import Batches, RunSettings, fit, prepare_folder


@dataclass(frozen=True)
class CodecJob:
    """The options of a codec training. `start`: a weights file, the name of a stack, or None for fresh weights.

    `batch`: stretches a step. `seconds`: length of a stretch. `rate`: highest learning rate. `rivalry`: train against a
    discriminator too.
    """

    data: Path
    heldout: Path | None
    batch: int
    seconds: float
    rate: float
    rivalry: bool
    start: Path | str | None
    seed: int
    bf16: bool


def load_codec(start: Path | str) -> BandCodec:
    """Load a band codec from the weights of a run or from a stack. Raises ValueError if the stack has no band codec."""
    if isinstance(start, Path):
        sizes = recorded(start, "codec")
        codec = BandCodec(BandCodecConfig(**sizes) if sizes else cast(BandCodecConfig, POCKET.codec))
        load_into(codec, read_checkpoint(start).tensors, "a codec of these sizes", start.name)
        return codec.eval()
    stack = load_stack(start)
    if not isinstance(stack.codec, BandCodec):
        raise ValueError(f"stack {start!r} has no band codec; only those are trained here")
    return stack.codec


def grown(codec: BandCodec, config: BandCodecConfig, training: Clips) -> BandCodec:
    """Return a codec of the sizes `config` with the weights of `codec`.

    If `codec` has no detail and `config` has, the statistics of the detail are measured on `training`. The bands keep
    their statistics, so that denoisers that were trained on them still fit. Raises ValueError if other sizes differ.
    """
    if config == codec.config:
        return codec
    new = BandCodec(config)
    own, old = new.state_dict(), codec.state_dict()
    if own.keys() != old.keys() or any(
        own[name].shape != value.shape for name, value in old.items() if not name.startswith("analysis.")
    ):
        raise ValueError(
            "the codec to start from has other sizes than this run; only detail and rounds may be added"
        )
    measure_bands(training, new.analysis)
    for name, value in old.items():
        if name.startswith("analysis."):
            own[name][:CHANNELS] = value[:CHANNELS]
        else:
            own[name] = value
    new.load_state_dict(own)
    return new


def train_codec(settings: RunSettings, job: CodecJob, config: BandCodecConfig | None = None) -> None:
    """Run a codec training to its end. If `config` is None, the sizes are those of the codec that it starts from."""
    started = None if job.start is None or settings.resume else load_codec(job.start)
    if config is None:
        config = settings.sized(started.config if started else cast(BandCodecConfig, POCKET.codec))
    prepare_folder(settings, {"kind": "codec", "job": asdict(job), "codec": asdict(config)})
    cache = settled(settings, job.seed)
    samples = round(job.seconds * config.sample_rate / config.hop_length) * config.hop_length
    training, heldout = sound_clips(
        job.data, job.heldout, cache, config.sample_rate, drawn_from(samples), mixes=settings.mixes
    )
    module = CodecTraining(config, settings.budget(), job.rate, job.rivalry, job.seed, job.bf16)
    if started is not None:
        module.adopt(grown(started, config, training))
    elif not settings.resume:
        fresh = BandCodec(config)
        measure_bands(training, fresh.analysis)
        module.adopt(fresh)
    demo = heldout.clip(0)[: 6 * config.sample_rate // config.hop_length * config.hop_length]
    whole = len(demo) // config.hop_length * config.hop_length
    module.demo_audio = torch.from_numpy(as_float(demo[:whole]))[None, None]
    batches = Batches(
        lambda first, count: AudioBatches(training, job.batch, samples, job.seed, first, count),
        lambda first, count: AudioBatches(heldout, job.batch, samples, 12345, first, count),
        settings.round_steps,
        validations=3,
    )
    # Discriminator and synthesis have separate backward passes, and neither uses the other's weights.
    fit(module, batches, settings, config.sample_rate, loose=job.rivalry)
