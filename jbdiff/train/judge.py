"""Judges a stack by numbers and pictures: codec, denoiser, how its own music holds up, and what its knobs do.

Everything that plays is a `BlockStream` with the settings of the instrument, so that what is judged is what is heard.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.bandcodec import BandCodec
from jbdiff.checkpoints import Stack, load_stack
from jbdiff.data import Clips, LatentBatches, cache_sounds
from jbdiff.noise import NoiseStyle
from jbdiff.schedules import alpha_beta
from jbdiff.stream import BlockSettings, BlockStream
from jbdiff.train.latents import as_float, cache_latents
from jbdiff.train.measures import compare, describe, mean_of, mel_distance
from jbdiff.train.pictures import write_spectrogram

OPUS_KILOBITS = (24, 48)


def excerpt(clips: Clips, index: int, codec: BandCodec, seconds: float) -> Tensor:
    """The middle of a held-out piece, a whole number of tokens `[n]`."""
    hop = codec.hop(2)
    count = min(int(seconds * codec.sample_rate), clips.lengths[index]) // hop * hop
    start = (clips.lengths[index] - count) // 2
    return torch.from_numpy(as_float(clips.clip(index)[start : start + count]))


@torch.no_grad()
def judge_codec(codec: BandCodec, clips: Clips, seconds: float = 10.0) -> dict[str, float]:
    """Means over held-out pieces of `measures.compare`."""
    rows = []
    for index in range(len(clips)):
        audio = excerpt(clips, index, codec, seconds)
        decoded = codec.decode(codec.encode(audio[None, None]))[0, 0]
        rows.append(compare(audio, decoded, codec.sample_rate))
    return mean_of(rows)


def judge_opus(codec: BandCodec, clips: Clips, kilobits: int, seconds: float = 10.0) -> dict[str, float]:
    """The same of Opus (mono), for scale; needs `opusenc` and `opusdec` of opus-tools."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        plain, packed, back = (str(Path(folder) / name) for name in ("a.wav", "a.opus", "b.wav"))
        for index in range(len(clips)):
            audio = excerpt(clips, index, codec, seconds)
            soundfile.write(plain, audio.numpy(), codec.sample_rate)
            subprocess.run(["opusenc", "--quiet", "--bitrate", str(kilobits), plain, packed], check=True)
            subprocess.run(["opusdec", "--quiet", "--rate", str(codec.sample_rate), packed, back], check=True)
            decoded = torch.from_numpy(soundfile.read(back, dtype="float32", always_2d=True)[0].mean(1))
            count = min(len(audio), len(decoded))
            rows.append(compare(audio[:count], decoded[:count], codec.sample_rate))
    return mean_of(rows)


@torch.no_grad()
def judge_denoiser(stack: Stack, clips: Clips) -> dict[str, float]:
    """Held-out v-loss with the context, without it, and both for the noisiest third of levels."""
    config = stack.config.level(2)
    past = config.context_tokens
    batches = LatentBatches(clips, 32, past + config.window_tokens, 12345, 0, 4)
    losses: dict[str, list[float]] = {}
    for number in range(4):
        stretch = batches[number]
        context, window = stretch[:, :past], stretch[:, past:].transpose(1, 2)
        noise = torch.randn(window.shape, generator=torch.Generator().manual_seed(number))
        sigma = (torch.arange(32) + 0.5) / 32
        alpha, beta = alpha_beta(sigma[:, None, None])
        for name, given in (("v", context), ("v_without_context", None)):
            v = stack.denoisers[2](alpha * window + beta * noise, sigma, given)
            rows = F.mse_loss(v, alpha * noise - beta * window, reduction="none").mean((1, 2))
            losses.setdefault(name, []).append(rows.mean().item())
            losses.setdefault(name + ", noisy third", []).append(rows[-11:].mean().item())
    return {name: float(np.mean(values)) for name, values in losses.items()}


def play(
    stack: Stack, context: Tensor | None, blocks: int, settings: BlockSettings, init: Tensor | None = None
) -> Tensor:
    """What the instrument plays after a context `[n]`, or after nothing: `[blocks * block_frames]`, without the
    silence that it opens with.
    """
    stream = BlockStream(stack)
    if context is not None:
        stream.set_context(context[None, None])
    given = None if init is None else init[None, None, : stream.block_frames]
    audio = torch.cat([stream.step(settings, init=given).audio for _ in range(blocks)], 2)
    return audio[0, 0, stream.latency_frames :].clone()


def judge_knobs(stack: Stack, context: Tensor, other: Tensor, blocks: int = 3) -> dict[str, float]:
    """Mel distance in dB between what is played with plain settings, and with one knob moved.

    "nothing" moved is 0; "another context" says how far apart two pieces are.
    """
    plain = BlockSettings(
        seed=1, guidance=stack.config.level(2).guidance, noise_style=NoiseStyle.WALK, noise_step=0.3
    )
    start = play(stack, context, blocks, plain)

    def moved(settings: BlockSettings, init: Tensor | None = None, past: Tensor = context) -> float:
        return mel_distance(start, play(stack, past, blocks, settings, init), stack.config.sample_rate)

    return {
        "nothing": moved(plain),
        "noise step 0": moved(replace(plain, noise_step=0.0)),
        "noise step 1": moved(replace(plain, noise_step=1.0)),
        "seed": moved(replace(plain, seed=2)),
        "guidance 1": moved(replace(plain, guidance=1.0)),
        "guidance 3": moved(replace(plain, guidance=3.0)),
        "resample 0.5 of another piece": moved(replace(plain, resample=0.5), other),
        "resample 0.8 of another piece": moved(replace(plain, resample=0.8), other),
        "another context": moved(plain, past=other),
    }


def judge_stack(
    name: str, heldout: Path, out: Path, seconds: float, pieces: int, sweep: bool, threads: int
) -> dict[str, Any]:
    """Writes `figures.json`, WAV files and a picture to `out`; returns the figures."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    stack = load_stack(name)
    codec, level = stack.codec, stack.config.level(2)
    if not isinstance(codec, BandCodec):
        raise ValueError(f"stack {name!r} has no band codec; only those are judged here")
    rate, window = codec.sample_rate, level.window_tokens * codec.hop(2)
    sounds = cache_sounds(heldout, out / "cache" / "audio", rate).at_least(4 * window)
    latents = cache_latents(sounds, codec, out / "cache" / "latents")
    pieces = min(pieces, len(sounds))
    result: dict[str, Any] = {"codec": judge_codec(codec, sounds)}
    if shutil.which("opusenc"):
        for kilobits in OPUS_KILOBITS:
            result[f"opus, {kilobits} kb/s"] = judge_opus(codec, sounds, kilobits)
    result["denoiser"] = judge_denoiser(stack, latents)
    blocks = max(1, math.ceil(seconds * rate / window))
    plain = BlockSettings(seed=1, guidance=level.guidance)
    contexts = [excerpt(sounds, i, codec, level.context_tokens * codec.hop(2) / rate) for i in range(pieces)]
    shown, started = {}, time.perf_counter()
    for index, context in enumerate(contexts):
        original = excerpt(sounds, index, codec, seconds)
        audio = play(stack, context, blocks, plain)
        last = audio[-int(min(10.0, seconds / 2) * rate) :]
        result[f"piece {index}"] = {
            "held out": describe(original, rate),
            "continuation": describe(audio, rate),
            "its last seconds": describe(last, rate),
        }
        soundfile.write(out / f"piece{index}.wav", audio.clamp(-1, 1).numpy(), rate)
        shown[f"piece {index}: held out"] = original[: 10 * rate].numpy()
        shown[f"piece {index}: continuation, first 10 s"] = audio[: 10 * rate].numpy()
        shown[f"piece {index}: continuation, last 10 s"] = last.numpy()
    few = max(1, blocks // 3)
    nothing = play(stack, None, few, plain)
    result["seconds_per_window"] = (time.perf_counter() - started) / (blocks * pieces + few)
    soundfile.write(out / "from_nothing.wav", nothing.clamp(-1, 1).numpy(), rate)
    result["from nothing"] = describe(nothing, rate)
    shown["from nothing"] = nothing[-10 * rate :].numpy()
    write_spectrogram(out / "judge.png", shown, rate)
    result["mel distance when one knob moves"] = judge_knobs(stack, contexts[0], contexts[-1])
    if sweep:
        for steps in (8, 12, 16):
            for guidance in (1.0, 1.5, 2.0, 3.0):
                tried = replace(plain, steps=steps, guidance=guidance)
                rows = [describe(play(stack, context, few, tried), rate) for context in contexts]
                result[f"steps {steps} guidance {guidance}"] = mean_of(rows)
    (out / "figures.json").write_text(json.dumps(result, indent=2))
    print(json.dumps(result, indent=2))
    return result
