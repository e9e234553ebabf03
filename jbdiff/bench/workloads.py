"""The parts of a block, each as a single call with inputs of the right shapes; `measure.py` times them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.codec import Codec
from jbdiff.diffusion.schedules import linear_sigmas
from jbdiff.guidance import GuidedModel, JumpingModel, pulled_at
from jbdiff.machine import autocast
from jbdiff.networks.denoiser import Denoiser
from jbdiff.stream.cuda_graphs import decode_obstacle, recorder_for
from jbdiff.stream.finisher import FinisherStage
from jbdiff.stream.level import LevelStage
from jbdiff.stream.stream import BlockSettings, BlockStream


def copy_out(audio: Tensor) -> NDArray[np.float32]:
    """Return a block `[1, channels, frames]` as the instrument takes it: numpy float32 `[frames, channels]`."""
    copied: NDArray[np.float32] = audio[0].float().cpu().numpy().T.copy()
    return copied


def steps_of(stream: BlockStream, settings: BlockSettings) -> dict[str, int]:
    """Return the denoising steps for one window of each part, by name."""
    found = {}
    first, *finer = stream.stages
    found[f"level {first.level}"] = first.invented_steps(settings)
    for stage in finer:
        found[f"level {stage.level}"] = stage.steps(settings) // stage.windows
    finisher = stream.finisher_stage
    if finisher is not None:
        found["finisher"] = finisher.steps(settings.finisher) // finisher.pieces
    return found


def step_kinds(stage: LevelStage, sigmas: Tensor, few: bool) -> dict[str, Tensor]:
    """Group the sigmas `[steps]` of a window by the cost of their step: student, two branches ("guided"), one branch.

    Returns a tensor `[k]` for each kind that occurs.
    """
    if few:
        return {"student": sigmas}
    interval = stage.config.guidance_interval
    if interval is None or sigmas.device.type != "cpu":
        return {"guided": sigmas}
    inside = pulled_at(interval, sigmas)
    kinds = {"guided": sigmas[inside], "unguided": sigmas[~inside]}
    return {kind: places for kind, places in kinds.items() if len(places)}


@dataclass(frozen=True)
class Workload:
    """One part of a block. `run` is one call, which moves at least `moved_bytes` bytes."""

    name: str
    per_block: int  # calls a block; 0 if only an init or a context sound needs the part
    run: Callable[[], object]
    moved_bytes: int
    recorded: bool  # whether a stream with `graphs` records it


def played_as(stream: BlockStream, part: Workload) -> Callable[[], object]:
    """Return the part's call as the stream makes it: recorded, if the stream records this part."""
    recorder = recorder_for(stream.device)
    if not stream.graphs or recorder is None or not part.recorded:
        return part.run
    return recorder(cast(Callable[[], Tensor], part.run))


Normal = Callable[..., Tensor]  # shape -> random values on the stream's device


def workloads(stream: BlockStream, settings: BlockSettings) -> list[Workload]:
    """Return every part of a block of this stream, with random inputs of the right shapes."""
    generator = torch.Generator().manual_seed(0)
    steps = steps_of(stream, settings)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(stream.device)

    found: list[Workload] = []
    for stage in stream.stages:
        found += level_workloads(stream, stage, steps[f"level {stage.level}"], normal)
    if stream.finisher_stage is not None:
        found.append(finisher_workload(stream.finisher_stage, stream.device, steps["finisher"], normal))
    block = normal(1, stream.channels, stream.block_frames)
    found.append(Workload("copy out", 1, lambda: copy_out(block), 2 * _bytes(block), False))
    return found


def level_workloads(stream: BlockStream, stage: LevelStage, steps: int, normal: Normal) -> list[Workload]:
    """Return the parts of one level: encode, context, steps and decode. `steps`: of one window."""
    codec, level, name = stream.stack.codec, stage.level, f"level {stage.level}"
    finer = level != stream.levels[0]
    hop, channels = stream.geometry.hop(level), codec.latent_channels
    sound = 0.1 * normal(1, 1, (stage.tokens + (stage.margin if finer else 0)) * hop)
    context = normal(1, stage.config.context_tokens, channels)
    x = normal(1, stage.sizes.channels, stage.window)  # a denoiser works on the bands alone, without detail
    latents = normal(1, channels, stage.delay + stage.margin + stage.tokens)
    coded = _bytes(sound) + _bytes(sound) // hop * channels
    moved = coded + _weights(codec, "encoder", level)
    found = [
        Workload(f"{name}: encode", 1 if finer else 0, lambda: codec.encode(sound, level), moved, finer),
        *step_workloads(stream, stage, steps, context, x),
    ]
    moved = _bytes(latents) + _bytes(latents) // channels * hop + _weights(codec, "decoder", level)
    recorded = decode_obstacle(codec) is None
    run = partial(_decode, codec, latents, level, stage.adds_detail)
    found.append(Workload(f"{name}: decode", 1, run, moved, recorded))
    return found


def step_workloads(
    stream: BlockStream, stage: LevelStage, steps: int, context: Tensor, x: Tensor
) -> list[Workload]:
    """Return the parts of one window: prepare the context `[1, n, c]`, and each kind of step on x `[1, c, window]`."""
    device, level, name = stream.device, stage.level, f"level {stage.level}"
    sigmas, quick = linear_sigmas(steps), stage.denoise.quick
    # type of autocast; a compiled network has its own type
    dtype = stream.dtype if quick is None else torch.float32

    def prepared() -> GuidedModel | JumpingModel:
        with autocast(device, dtype):
            model, _ = stage.denoise.model(sigmas, context, quick=quick)
        model.scale = stage.config.guidance
        return model

    model = prepared()

    def step(sigma: Tensor) -> Tensor:
        with autocast(device, dtype):
            return model(x, sigma.expand(1)).float()

    few = stage.denoise.plays_few(steps)
    network: nn.Module | Denoiser = stream.stack.denoisers[level] if quick is None else quick
    if few:
        network = stream.stack.few[level]
    moved = _bytes(*network.parameters(), *network.buffers()) + 2 * _bytes(x)
    found = [Workload(f"{name}: context", stage.windows, prepared, 0, True)]
    for kind, places in step_kinds(stage, sigmas[:-1].to(device), few).items():
        run = partial(step, places[len(places) // 2])
        found.append(Workload(f"{name}: {kind} step", stage.windows * len(places), run, moved, True))
    return found


def finisher_workload(finisher: FinisherStage, device: torch.device, steps: int, normal: Normal) -> Workload:
    """Return one network call of the finisher. It needs `steps` calls for each piece of a block."""
    net, inputs = finisher.net, finisher.example(normal)

    def finish() -> Tensor:
        with autocast(device, finisher.dtype):
            finished: Tensor = net(*inputs).float()
        return finished

    moved = _bytes(*net.parameters(), *net.buffers()) + 2 * _bytes(inputs[0])
    return Workload("finisher step", finisher.pieces * steps, finish, moved, finisher.sampled)


def _decode(codec: Codec, latents: Tensor, level: int, mean_detail: bool) -> Tensor:
    if mean_detail and isinstance(codec, BandCodec):
        return codec.decode(latents, level, mean_detail=True).float()
    return codec.decode(latents, level).float()


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _weights(codec: Codec, side: str, level: int) -> int:
    """Return the bytes of one side of a codec: this level's encoder or decoder, or all if they are not separate."""
    modules = getattr(codec, f"{side}s", None)
    part = codec if modules is None else cast(nn.ModuleList, modules)[level]
    return _bytes(*part.parameters())
