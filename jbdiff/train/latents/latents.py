"""Encodes a folder of sounds once: the denoiser trains on latents and never decodes a sample of audio."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.bands import LOWEST_DECIBELS, BandAnalysis, transposed
from jbdiff.data.clips import Clips, ClipWriter, Report, awaited_cache, cache_about, first_process, open_clips
from jbdiff.networks.anchor import measured_loudness, measured_style

EDGE = 64  # tokens encoded on either side of a stretch and thrown away; more than the longest window
STRETCH = 2048  # tokens encoded at a time
MOST_MEASURED = 3600.0  # seconds: means over an hour are as good as any
SAMPLE_TOKENS, MOST_SAMPLES = 64, 2000  # of latents that statistics are made from
FARTHEST_SEMITONES = 4
GAIN_DECIBELS = (-6.0, 3.0)


def fingerprint(analysis: BandAnalysis) -> str:
    """Changes when the standardisation does; the synthesis may change freely."""
    digest = hashlib.sha256()
    for name, tensor in sorted(analysis.state_dict().items()):
        digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def level_parts(analysis: BandAnalysis, clip: NDArray[np.int16]) -> Iterator[Tensor]:
    """A sound `[frames]` as stretches of levels in dB `[tokens, channels]`; what does not fill a token is cut."""
    hop = analysis.hop
    tokens = len(clip) // hop
    for start in range(0, tokens, STRETCH):
        left, right = max(0, start - EDGE), min(tokens, start + STRETCH + EDGE)
        audio = torch.from_numpy(as_float(clip[left * hop : right * hop]))
        with torch.no_grad():
            levels = analysis.decibels(audio[None])[0]
        yield levels[start - left : start - left + min(STRETCH, tokens - start)]


def as_float(clip: NDArray[np.int16]) -> NDArray[np.float32]:
    return clip.astype(np.float32) / np.float32(32768)


def measure_bands(clips: Clips, analysis: BandAnalysis) -> None:
    """Sets the mean and the spread of each band to those of these sounds, or of clips from all over them where they
    are longer than `MOST_MEASURED`.
    """
    total = torch.zeros(2, len(analysis.mean), dtype=torch.float64)
    count = 0
    every = max(1, round(sum(clips.lengths) / (MOST_MEASURED * analysis.rate)))
    for index in range(0, len(clips), every):
        for part in level_parts(analysis, clips.clip(index)):
            levels = part.double()
            total += torch.stack([levels.sum(0), levels.square().sum(0)])
            count += len(levels)
    if not count:
        raise ValueError("no sound is as long as one token")
    mean = total[0] / count
    analysis.standardise(mean.float(), (total[1] / count - mean**2).clamp_min(0).sqrt().float())


def cache_latents(clips: Clips, codec: BandCodec, cache: Path, report: Report = print) -> Clips:
    """Latents of every clip. Kept when the standardisation and the clips are the same.

    Of several processes the first one makes it, the others wait.
    """
    about = {"codec": fingerprint(codec.analysis), "names": list(clips.names), "lengths": list(clips.lengths)}
    if cache_about(cache) == about:
        return open_clips(cache)
    if not first_process():
        return awaited_cache(cache, about)
    analysis = codec.analysis.to("cpu")
    writer = ClipWriter(cache, "float16", (codec.latent_channels,))
    for index, name in enumerate(clips.names):
        parts = level_parts(analysis, clips.clip(index))
        writer.add_parts(name, (((part - analysis.mean) / analysis.spread).numpy() for part in parts))
    report(f"encoded {len(clips)} clips")
    return writer.finish(list(clips.skipped), **about)


class Resident:
    """All latents of some clips on a device of its own memory, where batches are cut without a copy from here."""

    SHARE = 0.4  # of the free memory that they may take

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        self._latents: Tensor | None = None

    def on(self, device: torch.device) -> Tensor | None:
        """`[total, channels]` there; None on a CPU, and where they would take too much room."""
        if device.type != "cuda":
            return None
        if (
            self._latents is None
            and self._clips.array.nbytes < self.SHARE * torch.cuda.mem_get_info(device)[0]
        ):
            self._latents = torch.from_numpy(np.asarray(self._clips.array)).to(device)
        return self._latents


def styles_of(clips: Clips, tokens: int, decibels: Tensor) -> tuple[Tensor, Tensor]:
    """Styles `[n, STYLE_FEATURES]` and loudness `[n, MEANS]` of stretches of so many tokens from all over the clips.
    `decibels` are those of one unit of each band.
    """
    styles, loudness = [], []
    for index in range(len(clips)):
        clip = clips.clip(index)
        for start in range(0, len(clip) - tokens + 1, tokens):
            part = torch.from_numpy(clip[start : start + tokens, : len(decibels)].astype(np.float32))[None]
            styles.append(measured_style(part))
            loudness.append(measured_loudness(part, decibels))
    return torch.cat(styles), torch.cat(loudness)


def covariance(clips: Clips, patch: int, channels: int) -> Tensor:
    """Of patches of the first `channels` of latents about zero, `[patch * channels] * 2`: what the denoiser's axes
    are made from.
    """
    width = patch * channels
    total, count = torch.zeros(width, width, dtype=torch.float64), 0
    for index in range(len(clips)):
        clip = clips.clip(index)
        for start in range(0, len(clip), STRETCH * patch):
            part = clip[start : start + STRETCH * patch, :channels]
            rows = torch.from_numpy(part[: len(part) // patch * patch].astype(np.float32)).reshape(-1, width)
            total += (rows.T @ rows).double()
            count += len(rows)
    return total / max(1, count)


def split_latents(clips: Clips, channels: int) -> tuple[Tensor, Tensor]:
    """Stretches from all over the clips, cut into the first `channels` and the rest, `[n, c, SAMPLE_TOKENS]` each."""
    parts = []
    every = max(SAMPLE_TOKENS, sum(clips.lengths) // MOST_SAMPLES)
    for index in range(len(clips)):
        clip = clips.clip(index)
        for start in range(0, len(clip) - SAMPLE_TOKENS + 1, every):
            parts.append(torch.from_numpy(clip[start : start + SAMPLE_TOKENS].astype(np.float32)).T)
    if not parts:
        raise ValueError(f"no clip is as long as {SAMPLE_TOKENS} tokens; add longer sounds")
    bands, detail = torch.stack(parts).split([channels, parts[0].shape[0] - channels], 1)
    return bands, detail


def widened(latents: Tensor, channels: int) -> Tensor:
    """Latents `[n, c]` with as many channels as a codec has; those that were not kept are at their mean."""
    return F.pad(latents, (0, channels - latents.shape[1]))


class Varied:
    """Another performance of the same latents `[n, channels]`, of all channels or the bands alone: half of the time in
    another key, or louder or softer.
    """

    def __init__(self, analysis: BandAnalysis) -> None:
        self.mean, self.spread = analysis.mean.cpu().clone(), analysis.spread.cpu().clone()

    def __call__(self, latents: Tensor, rng: np.random.Generator) -> Tensor:
        self.mean, self.spread = self.mean.to(latents), self.spread.to(latents)
        mean, spread = self.mean[: latents.shape[1]], self.spread[: latents.shape[1]]
        levels = latents * spread + mean
        if rng.random() < 0.5:
            levels = transposed(levels, int(rng.integers(-FARTHEST_SEMITONES, FARTHEST_SEMITONES + 1)))
        if rng.random() < 0.5:
            levels = (levels + float(rng.uniform(*GAIN_DECIBELS))).clamp_min(LOWEST_DECIBELS)
        return (levels - mean) / spread
