"""The parts of a block, each as a call by itself with inputs of the right shapes; `bench.py` times them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from jbdiff.diffusion.schedules import linear_sigmas
from jbdiff.guidance import GuidedModel, JumpingModel, pulled_at
from jbdiff.machine import autocast
from jbdiff.networks.spectral_finisher import IMAGE_POINTS
from jbdiff.stream.cuda_graphs import decode_obstacle, recorder_for
from jbdiff.stream.level import LevelStage
from jbdiff.stream.spectral_finisher import SpectralStage
from jbdiff.stream.stream import BlockSettings, BlockStream


def copy_out(audio: Tensor) -> Any:
    """A block `[1, channels, frames]` as the instrument takes it: numpy float32 `[frames, channels]`."""
    return audio[0].float().cpu().numpy().T.copy()


def steps_of(stream: BlockStream, settings: BlockSettings) -> dict[str, int]:
    """Denoising steps that one window of each part takes."""
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
    """The noise levels of a window's steps, by what they cost: those of a student, with both branches, and with one."""
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
    """One part of a block: `run` is one call, of `moved_bytes` at the least."""

    name: str
    per_block: int  # calls a block; 0 where only an init or a context sound needs it
    run: Callable[[], object]
    moved_bytes: int
    recorded: bool  # whether a stream with `graphs` records it


def played_as(stream: BlockStream, part: Workload) -> Callable[[], object]:
    """The part's call as the stream makes it: recorded where the stream records it."""
    recorder = recorder_for(stream.device)
    if not stream.graphs or recorder is None or not part.recorded:
        return part.run
    return recorder(cast(Callable[[], Tensor], part.run))


def workloads(stream: BlockStream, settings: BlockSettings) -> list[Workload]:
    """Every part of a block of this stream with inputs of the right shapes, random values."""
    found: list[Workload] = []
    generator = torch.Generator().manual_seed(0)
    device, codec, steps = stream.device, stream.stack.codec, steps_of(stream, settings)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    for stage in stream.stages:
        level, name = stage.level, f"level {stage.level}"
        finer = level != stream.levels[0]
        windows, hop, channels = stage.windows, stream.geometry.hop(level), codec.latent_channels
        heard = stage.tokens + (stage.margin if finer else 0)
        sound = 0.1 * normal(1, 1, heard * hop)
        context = normal(1, stage.config.context_tokens, channels)
        x = normal(1, channels, stage.window)
        reach = stage.delay + stage.margin
        latents = normal(1, channels, reach + stage.tokens)

        sigmas = linear_sigmas(steps[name])
        quick = stage.denoise.quick
        dtype = stream.dtype if quick is None else torch.float32  # of autocast: what is compiled has its own

        def prepared(
            stage: LevelStage = stage,
            context: Tensor = context,
            sigmas: Tensor = sigmas,
            dtype: torch.dtype = dtype,
        ) -> GuidedModel | JumpingModel:
            with autocast(device, dtype):
                model, _ = stage.denoise.model(sigmas, context, quick=stage.denoise.quick)
            model.scale = stage.config.guidance
            return model

        model = prepared()

        def step(
            sigma: Tensor,
            model: GuidedModel | JumpingModel = model,
            x: Tensor = x,
            dtype: torch.dtype = dtype,
        ) -> Tensor:
            with autocast(device, dtype):
                return model(x, sigma.expand(1)).float()

        def encode(sound: Tensor = sound, level: int = level) -> Tensor:
            return codec.encode(sound, level)

        def decode(latents: Tensor = latents, level: int = level) -> Tensor:
            return codec.decode(latents, level).float()

        coded = _bytes(sound) + _bytes(sound) // hop * channels
        moved = coded + _weights(codec, "encoder", level)
        found.append(Workload(f"{name}: encode", 1 if finer else 0, encode, moved, finer))
        found.append(Workload(f"{name}: context", windows, prepared, 0, True))
        few = stage.denoise.plays_few(steps[name])
        network = (
            stream.stack.few[level] if few else stream.stack.denoisers[level] if quick is None else quick
        )
        moved = _bytes(*network.parameters(), *network.buffers()) + 2 * _bytes(x)
        for kind, places in step_kinds(stage, sigmas[:-1].to(device), few).items():
            run = partial(step, places[len(places) // 2])
            found.append(Workload(f"{name}: {kind} step", windows * len(places), run, moved, True))
        moved = _bytes(latents) + _bytes(latents) // channels * hop + _weights(codec, "decoder", level)
        recorded = decode_obstacle(codec) is None
        found.append(Workload(f"{name}: decode", 1, decode, moved, recorded))
    finisher = stream.finisher_stage
    if finisher is not None:
        net, dtype = finisher.net, torch.float32
        if isinstance(finisher, SpectralStage):
            inputs = normal(1, 1, finisher.left + finisher.piece), normal(1, 1, IMAGE_POINTS)
        else:
            inputs = normal(1, 2, finisher.config.window_samples), torch.full((1,), 0.5, device=device)
            dtype = finisher.dtype

        def finish() -> Tensor:
            with autocast(device, dtype):
                return net(*inputs).float()

        moved = _bytes(*net.parameters(), *net.buffers()) + 2 * _bytes(inputs[0])
        calls = finisher.pieces * steps["finisher"]
        found.append(Workload("finisher step", calls, finish, moved, not isinstance(finisher, SpectralStage)))
    block = normal(1, stream.channels, stream.block_frames)
    found.append(Workload("copy out", 1, lambda: copy_out(block), 2 * _bytes(block), False))
    return found


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _weights(codec: Any, side: str, level: int) -> int:
    """Bytes of one side of a codec: one for all levels, one a level, or else all it has."""
    module = getattr(codec, side, None)
    if module is None and hasattr(codec, f"{side}s"):
        module = getattr(codec, f"{side}s")[level]
    return _bytes(*(codec if module is None else module).parameters())
