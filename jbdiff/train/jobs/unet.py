"""The training job of `jbdiff train denoiser --level N` for stacks of U-Nets, and the export of its result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from jbdiff.codecs.vqvae import VQVAE
from jbdiff.config import V1, LevelConfig, StackConfig, UNetConfig
from jbdiff.data.clips import AudioBatches, drawn_from
from jbdiff.networks.unet import UNet
from jbdiff.stacks.stack import Stack, known_stacks, load_stack, read_manifest, save_stack
from jbdiff.stacks.weight_files import load_into, read_checkpoint
from jbdiff.train.jobs.sounds import recorded, settled, sound_clips
from jbdiff.train.latents.latents import as_float
from jbdiff.train.modules.unet import DEMO_WINDOWS, UNetTraining, unet_config
from jbdiff.train.run.run import Batches, RunSettings, fit, prepare_folder
from jbdiff.untyped import JsonDict


@dataclass(frozen=True)
class UNetJob:
    """The options of a U-Net training. `stack` gives the codec and the sizes.

    With `go_on`, training starts from the stack's weights; with `start`, from the weights file of a run. `batch`:
    windows a step. `rate`: highest learning rate.
    """

    data: Path
    heldout: Path | None
    stack: str
    level: int
    batch: int
    rate: float
    start: Path | None
    go_on: bool
    seed: int
    bf16: bool


def is_unet(stack: str) -> bool:
    """Whether the levels of a stack are U-Nets. `stack`: name or folder; only its description is read."""
    folder = Path(stack) if Path(stack).is_dir() else known_stacks().get(stack)
    config = read_manifest(folder).config if folder is not None else load_stack(stack).config
    return all(isinstance(level.denoiser, UNetConfig) for level in config.levels)


def with_level(config: StackConfig, level: LevelConfig) -> StackConfig:
    """Return the stack's configuration with this level in place of its own, coarsest level first."""
    levels = [own for own in config.levels if own.level != level.level] + [level]
    return replace(config, levels=tuple(sorted(levels, key=lambda one: -one.level)))


def train_unet(settings: RunSettings, job: UNetJob) -> None:
    """Run the training of one level to its end. Raises ValueError if the stack has no VQ-VAE or lacks the level."""
    stack = load_stack(job.stack)
    own = [level for level in stack.config.levels if level.level == job.level]
    level = own[0] if own else V1.level(job.level)
    sizes = recorded(job.start, "denoiser") if job.start is not None else None
    given = UNetConfig(**listed(sizes)) if sizes else unet_config(level)
    level = replace(level, denoiser=settings.sized(given))
    config = with_level(stack.config, level)
    about = {"kind": "denoiser", "level": job.level, "job": asdict(job), "denoiser": asdict(level.denoiser)}
    prepare_folder(settings, about)
    cache = settled(settings, job.seed)
    if not isinstance(stack.codec, VQVAE):
        raise ValueError(f"stack {job.stack!r} has no VQ-VAE; levels of U-Nets are trained with one")
    module = UNetTraining(stack.codec, config, job.level, settings.budget(), job.rate, job.seed, job.bf16)
    samples = module.past + module.window
    rate = config.sample_rate
    training, heldout = sound_clips(
        job.data, job.heldout, cache, rate, drawn_from(samples), mixes=settings.mixes
    )
    if not settings.resume and (job.start is not None or job.go_on):
        module.adopt(_beginning(stack, level, job))
    piece = heldout.clip(0)[: module.past + DEMO_WINDOWS * module.window]
    whole = module.past + (len(piece) - module.past) // module.window * module.window
    module.demo_audio = torch.from_numpy(as_float(piece[:whole]))[None, None]
    batches = Batches(
        lambda first, count: AudioBatches(training, job.batch, samples, job.seed, first, count),
        lambda first, count: AudioBatches(heldout, 8, samples, 12345, first, count),
        settings.round_steps,
        validations=2,
    )
    fit(module, batches, settings, rate, clip=1.0)


def _beginning(stack: Stack, level: LevelConfig, job: UNetJob) -> UNet:
    if job.start is not None:
        return load_level(job.start, unet_config(level))
    if job.level not in stack.denoisers:
        raise ValueError(
            f"stack {job.stack!r} has no level {job.level} to start from; leave --from-shipped out"
        )
    network = stack.denoisers[job.level]
    assert isinstance(network, UNet)
    return network


def load_level(weights: Path, config: UNetConfig) -> UNet:
    """Load the U-Net of a run. Raises CheckpointError if the weights do not have these sizes."""
    network = UNet(config)
    load_into(network, read_checkpoint(weights).tensors, "this level", weights.name)
    return network


def listed(sizes: JsonDict) -> JsonDict:
    """Return sizes from a JSON file with lists turned into tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in sizes.items()}


def put_into_stack(base: str, weights: Sequence[Path], out: Path, name: str, source: JsonDict) -> Path:
    """Write the stack `base` with the newly trained levels into `out`, and return the folder.

    `weights`: weights files of U-Net runs. Raises ValueError if one is of another kind.
    """
    stack = load_stack(base)
    config, denoisers = replace(stack.config, name=name), dict(stack.denoisers)
    for path in weights:
        about_path = path.parent / "run.json"
        about = json.loads(about_path.read_text()) if about_path.exists() else {}
        if about.get("kind") != "denoiser" or about.get("denoiser", {}).get("kind") != "unet":
            raise ValueError(f"{path} is no U-Net level: its run.json does not say so; give a run's weights")
        number = int(about["level"])
        own = [level for level in config.levels if level.level == number]
        sizes = UNetConfig(**listed(about["denoiser"]))
        config = with_level(config, replace(own[0] if own else V1.level(number), denoiser=sizes))
        denoisers[number] = load_level(path, sizes)
    described = dict(stack.source) | source
    return save_stack(out, config, stack.codec, denoisers, described, finisher=stack.finisher)
