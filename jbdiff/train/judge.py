"""Judges a stack by numbers and pictures: codec, denoiser, and how its own music holds up over a minute.

Rhythm is the highest peak of the onset strength's autocorrelation between 0.2 and 1 s; flatness is that of
the mean spectrum (near 0 tonal, near 1 noise).
"""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.checkpoints import Stack, load_stack
from jbdiff.data import Clips, LatentBatches, cache_sounds
from jbdiff.framecodec import FrameCodec
from jbdiff.guidance import GuidedModel
from jbdiff.sampling import sample_vddim
from jbdiff.schedules import alpha_beta
from jbdiff.train.latents import cache_latents
from jbdiff.train.losses import magnitude, spectral_loss
from jbdiff.train.pictures import write_spectrogram

Audio = NDArray[np.float32]


def figures(audio: Audio, sample_rate: int) -> dict[str, float]:
    """Level, crest, flatness and rhythm of mono audio `[frames]`."""
    size, hop = 1024, 256
    frames = np.lib.stride_tricks.sliding_window_view(audio, size)[::hop] * np.hanning(size)
    spectrum = np.abs(np.fft.rfft(frames, axis=1)) + 1e-7
    onset = np.maximum(0, np.diff(np.log(spectrum + 1e-3), axis=0)).mean(1)
    onset = onset - onset.mean()
    power = np.abs(np.fft.rfft(onset, 2 * len(onset))) ** 2
    correlation = np.fft.irfft(power)[: len(onset)]
    rate = sample_rate / hop
    part = correlation[int(0.2 * rate) : int(1.0 * rate)] / max(1e-9, float(correlation[0]))
    mean = (spectrum**2).mean(0)
    rms = float(np.sqrt((audio**2).mean()))
    return {
        "rms": rms,
        "crest": float(np.abs(audio).max()) / max(rms, 1e-9),
        "flatness": float(np.exp(np.log(mean).mean()) / mean.mean()),
        "rhythm": float(part.max()) if len(part) else 0.0,
    }


@torch.no_grad()
def judge_codec(codec: FrameCodec, clips: Clips, seconds: float = 10.0) -> dict[str, float]:
    """Means over held-out pieces: spectral loss, log-spectral error in dB, rhythm and flatness before and after."""
    rows = []
    for index in range(len(clips)):
        tokens = min(int(seconds * codec.sample_rate), clips.lengths[index]) // codec.hop(2)
        audio = torch.from_numpy(clips.clip(index)[: tokens * codec.hop(2)].astype(np.float32) / 32768)[
            None, None
        ]
        decoded = codec.decode(codec.encode(audio))
        a, b = (20 * torch.log10(magnitude(x[:, 0], 1024) + 1e-3) for x in (audio, decoded))
        before, after = (figures(x[0, 0].numpy(), codec.sample_rate) for x in (audio, decoded))
        errors = (spectral_loss(decoded, audio).item(), (a - b).abs().mean().item())
        rows.append((*errors, *(x[name] for name in ("rhythm", "flatness") for x in (before, after))))
    names: tuple[str, ...] = ("spectral_loss", "log_spectral_db", "rhythm_original", "rhythm_decoded")
    names += ("flatness_original", "flatness_decoded")
    return dict(zip(names, np.mean(rows, 0).tolist(), strict=True))


@torch.no_grad()
def judge_denoiser(stack: Stack, clips: Clips) -> dict[str, float]:
    """Held-out v-loss with the context, without it, and for the noisiest third of levels with it."""
    config = stack.config.level(2)
    batches = LatentBatches(clips, 32, config.window_tokens, config.context_tokens, 12345, 0, 4)
    losses: dict[str, list[float]] = {"v": [], "v_without_context": [], "v_noisy_third": []}
    for number in range(4):
        window, context = batches[number]
        generator = torch.Generator().manual_seed(number)
        noise = torch.randn(window.shape, generator=generator)
        sigma = (torch.arange(32) + 0.5) / 32
        alpha, beta = alpha_beta(sigma[:, None, None])
        for name, given in (("v", context), ("v_without_context", None)):
            v = stack.denoisers[2](alpha * window + beta * noise, sigma, given)
            rows = F.mse_loss(v, alpha * noise - beta * window, reduction="none").mean((1, 2))
            losses[name].append(rows.mean().item())
            if given is not None:
                losses["v_noisy_third"].append(rows[-11:].mean().item())
    return {name: float(np.mean(values)) for name, values in losses.items()}


@torch.no_grad()
def continue_latents(
    stack: Stack, context: Tensor | None, windows: int, steps: int, guidance: float, seed: int
) -> Tensor:
    """What the stack invents after a context `[n, c]` (or from nothing): `[windows * window, c]`."""
    config = stack.config.level(2)
    channels = stack.codec.latent_channels
    generator = torch.Generator().manual_seed(seed)
    past = None if context is None else context[None]
    made = []
    for _ in range(windows):
        model = GuidedModel(stack.denoisers[2], past, guidance)
        noise = torch.randn(1, channels, config.window_tokens, generator=generator)
        new = sample_vddim(model, noise, torch.linspace(1, 0, steps + 1)).transpose(1, 2)
        made.append(new)
        past = (new if past is None else torch.cat([past, new], 1))[:, -config.context_tokens :]
    return torch.cat(made, 1)[0]


def judge_stack(
    name: str, heldout: Path, out: Path, seconds: float, pieces: int, sweep: bool, threads: int
) -> dict[str, Any]:
    """Writes `figures.json`, WAV files and a picture to `out`; returns the figures."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    stack = load_stack(name)
    codec, level = stack.codec, stack.config.level(2)
    if not isinstance(codec, FrameCodec):
        raise ValueError(f"stack {name!r} has no frame codec; only those are judged here")
    rate = codec.sample_rate
    sounds = cache_sounds(heldout, out / "cache" / "audio", rate)
    latents = cache_latents(sounds, codec, out / "cache" / "latents", 1, 0).at_least(2 * level.context_tokens)
    pieces = min(pieces, len(latents))
    result: dict[str, Any] = {"codec": judge_codec(codec, sounds), "denoiser": judge_denoiser(stack, latents)}
    window_seconds = level.window_tokens * codec.hop(2) / rate
    windows = max(1, round(seconds / window_seconds))

    def hear(tokens: Tensor) -> Audio:
        with torch.no_grad():
            return codec.decode(tokens.T[None])[0, 0].numpy()

    def play(index: int, steps: int, guidance: float, count: int) -> Audio:
        context = torch.from_numpy(latents.clip(index)[: level.context_tokens].astype(np.float32))
        return hear(continue_latents(stack, context, count, steps, guidance, index))

    started = time.perf_counter()
    shown: dict[str, Audio] = {}
    for index in range(pieces):
        audio = play(index, level.steps, level.guidance, windows)
        decoded = hear(torch.from_numpy(latents.clip(index).astype(np.float32)))
        last = audio[-int(min(10.0, seconds / 2) * rate) :]
        result[f"piece{index}"] = {
            "heldout, decoded": figures(decoded, rate),
            "continuation": figures(audio, rate),
            "its last seconds": figures(last, rate),
        }
        soundfile.write(out / f"piece{index}.wav", np.clip(audio, -1, 1), rate)
        shown[f"piece {index}: held out, decoded"] = decoded[: 10 * rate]
        shown[f"piece {index}: continuation, first 10 s"] = audio[: 10 * rate]
        shown[f"piece {index}: continuation, last 10 s"] = last
    nothing = hear(continue_latents(stack, None, max(1, windows // 3), level.steps, level.guidance, 7))
    soundfile.write(out / "from_nothing.wav", np.clip(nothing, -1, 1), rate)
    result["from nothing"] = figures(nothing, rate)
    shown["from nothing"] = nothing[-10 * rate :]
    blocks = windows * pieces + max(1, windows // 3)
    result["seconds_per_window"] = (time.perf_counter() - started) / blocks
    write_spectrogram(out / "judge.png", shown, rate)
    if sweep:
        for steps, guidance in itertools.product((8, 12, 16), (1.0, 1.5, 2.0, 3.0)):
            rows = [figures(play(i, steps, guidance, max(1, windows // 3)), rate) for i in range(pieces)]
            result[f"steps {steps} guidance {guidance}"] = {
                key: float(np.mean([row[key] for row in rows])) for key in rows[0]
            }
    (out / "figures.json").write_text(json.dumps(result, indent=2))
    print(json.dumps(result, indent=2))
    return result
