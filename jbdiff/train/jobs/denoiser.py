"""The training jobs behind the command line: from folders of sound to a Lightning run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import CHANNELS, QUARTERS
from jbdiff.config import POCKET, BandCodecConfig, DetailConfig, JointDenoiserConfig, denoiser_from_dict
from jbdiff.data.clips import AudioBatches, Clips, LatentBatches, Report, cache_sounds, drawn_from
from jbdiff.networks.detail import mean_of_sampling
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.stack import load_stack
from jbdiff.stacks.weight_files import load_into, read_checkpoint
from jbdiff.train.latents.bars import with_bars
from jbdiff.train.latents.latent_pack import is_packed, unpacked
from jbdiff.train.latents.latents import (
    Resident,
    Varied,
    as_float,
    cache_latents,
    covariance,
    measure_bands,
    split_latents,
    styles_of,
    widened,
)
from jbdiff.train.modules.codec import CodecTraining
from jbdiff.train.modules.denoiser import DenoiserTraining
from jbdiff.train.modules.rollouts import HISTORY_WINDOWS, STRETCH_WINDOWS
from jbdiff.train.run.run import Batches, RunSettings, fit, prepare_folder


@dataclass(frozen=True)
class CodecJob:
    """What to train a codec on, and how. `start`: a weights file, the name of a stack, or None for fresh."""

    data: Path
    heldout: Path | None
    batch: int
    seconds: float
    rate: float
    rivalry: bool
    start: Path | str | None
    seed: int
    bf16: bool


def sound_clips(
    data: Path,
    heldout: Path | None,
    cache: Path,
    sample_rate: int,
    shortest: int = 0,
    *,
    mixes: int = 1,
    channels: int = 1,
    report: Report = print,
) -> tuple[Clips, Clips]:
    """Training and held-out audio, cached beside the run; sounds below `shortest` samples are named and left out.

    Of stems the training audio holds so many mixes, held-out audio one.
    """

    def usable(folder: Path, name: str, count: int) -> Clips:
        clips = cache_sounds(folder, cache / name, sample_rate, report, mixes=count, channels=channels)
        return long_enough(clips, shortest, sample_rate, report)

    training = usable(data, "audio", mixes)
    if heldout is not None:
        return training, usable(heldout, "audio_heldout", 1)
    if len(training) == 1:
        report(f"one sound alone, {training.names[0]}: held-out figures are of the sound that is trained on")
    return training.split(0.05)


def long_enough(clips: Clips, shortest: int, sample_rate: int, report: Report = print) -> Clips:
    """The clips of at least `shortest` samples; names the others. Raises ValueError when none is left."""
    needed = shortest / sample_rate
    keep = [index for index, length in enumerate(clips.lengths) if length >= shortest]
    if not keep:
        longest = max(clips.lengths) / sample_rate
        raise ValueError(
            f"no sound is as long as the {needed:.2f} s that a step needs, the longest has {longest:.2f} s: "
            "add longer sounds, or train with shorter stretches or windows"
        )
    for name, length in zip(clips.names, clips.lengths, strict=True):
        if length < shortest:
            report(f"skipped: {name!r} is too short, {length / sample_rate:.2f} s of {needed:.2f} s needed")
    return clips.only(keep)


def recorded(weights: Path, part: str) -> dict[str, Any] | None:
    """The sizes that the run of these weights wrote down beside them, if it did."""
    path = weights.parent / "run.json"
    return dict(json.loads(path.read_text())[part]) if path.exists() else None


def load_codec(start: Path | str) -> BandCodec:
    """A band codec from a run's weights, or out of a stack."""
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
    """A codec of these sizes with the weights of another that may lack its detail, which is measured on `training`.

    The bands keep their statistics: denoisers that were trained on them still understand them. Raises ValueError
    where other sizes differ.
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
    """Runs a codec training to its end. Without sizes it takes those of what it starts from."""
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
    # The critic and the synthesis go backwards one after the other, each without the other's weights.
    fit(module, batches, settings, config.sample_rate, loose=job.rivalry)


def settled(settings: RunSettings, seed: int) -> Path:
    """Threads and seed as the run wants them; returns where its caches lie."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(seed)
    return settings.out.parent / "cache"


@dataclass(frozen=True)
class DenoiserJob:
    """What to train a denoiser on, and how. `codec`: a weights file or the name of a stack."""

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


def load_denoiser(start: Path | str) -> JointDenoiser:
    """A joint denoiser from a run's weights, or out of a stack."""
    if isinstance(start, Path):
        sizes = recorded(start, "denoiser")
        given = denoiser_from_dict(sizes) if sizes else POCKET.level(2).denoiser
        network = JointDenoiser(cast(JointDenoiserConfig, given))
        tensors = mean_of_sampling(read_checkpoint(start).tensors)
        load_into(network, tensors, "a denoiser of these sizes", start.name)
        return network
    network = load_stack(start).denoisers[2]
    if not isinstance(network, JointDenoiser):
        raise ValueError(f"stack {start!r} has no joint denoiser; only those are trained here")
    return network


def fitted(config: JointDenoiserConfig, codec: BandCodecConfig) -> JointDenoiserConfig:
    """These sizes for what this codec gives: its bands, and its detail where it has some."""
    channels = QUARTERS * codec.detail_bands
    detail = replace(config.detail or DetailConfig(), channels=channels) if channels else None
    return replace(config, latent_channels=CHANNELS, detail=detail)


def latent_clips(
    data: Path, heldout: Path | None, codec: BandCodec, cache: Path, mixes: int, shortest: int = 0
) -> tuple[Clips, Clips]:
    """Training and held-out latents, cached beside the run, with bars: as described, or estimated from the latents.

    `data` may also hold latents that were packed (`train/latents/latent_pack.py`).
    """
    if is_packed(data):
        return unpacked(data, codec, cache)
    sounds, held = sound_clips(data, heldout, cache, codec.sample_rate, shortest, mixes=mixes)
    rate = codec.sample_rate / codec.hop(2)

    def encoded(clips: Clips, name: str) -> Clips:
        latents = cache_latents(clips, codec, cache / name)
        return with_bars(latents, rate, cache / name, shortest // codec.hop(2))

    return encoded(sounds, "latents"), encoded(held, "latents_heldout")


def stretch_tokens(clips: Clips, past: int, window: int) -> int:
    """Tokens of a context and as many windows after it as rows are continued over and their style is taken from: as
    nine in ten of the clips have that are long enough for one.
    """
    lengths = sorted(length for length in clips.lengths if length >= past + window)
    if not lengths:
        return past + window
    usual = lengths[len(lengths) // 10]
    return past + min(STRETCH_WINDOWS, (usual - past) // window) * window


def history_tokens(clips: Clips, past: int, window: int) -> int:
    """Tokens before a window that echoes may come from: eight windows, which are eight bars of slow music, or what nine
    in ten of the clips have that are long enough for a context and two windows.
    """
    lengths = sorted(length for length in clips.lengths if length >= past + 2 * window)
    if not lengths:
        return past
    usual = lengths[len(lengths) // 10]
    return max(past, min(HISTORY_WINDOWS, usual // window - 2) * window)


def train_denoiser(
    settings: RunSettings,
    job: DenoiserJob,
    config: JointDenoiserConfig | None = None,
) -> None:
    """Runs a denoiser training to its end; its latents are as wide as the codec's."""
    if job.lines_only and job.start is None and not settings.resume:
        raise ValueError("--lines needs a trained denoiser: give --denoiser-weights or --from-shipped")
    codec = load_codec(job.codec)
    begun = load_denoiser(job.start) if job.start is not None and not settings.resume else None
    if config is None:
        config = begun.config if begun else cast(JointDenoiserConfig, POCKET.level(2).denoiser)
        # Weights without an anchor or echoes learn them on the way.
        new = not job.lines_only
        config = replace(config, anchor=config.anchor or new, echo_channels=config.echo_channels or 16 * new)
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
        config, settings.budget(), job.rate, job.levels, job.seed, job.bf16, job.lines_only, history
    )
    if not settings.resume:
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
            module.begin_anchor_with(*styles_of(training, stretch - history + past, decibels))
    level = POCKET.level(2)
    module.guidance, module.sampler_steps = level.guidance, level.steps
    demo = heldout.at_least(past + window).clip(0)[: past + 5 * window]
    module.show_with(codec, widened(torch.from_numpy(demo.astype(np.float32)), codec.latent_channels))
    vary, at_hand = Varied(codec.analysis), Resident(training)

    def draw(first: int, count: int) -> LatentBatches:
        # An anchor is of more than the window that is to be made: style would tell it too much.
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
