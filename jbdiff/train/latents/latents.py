"""Encodes a folder of sounds once. The denoiser trains on these latents and needs no audio."""

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

# tokens on each side of a stretch that are encoded and thrown away; more than the longest analysis window
EDGE = 64
STRETCH = 2048  # tokens encoded at a time
MOST_MEASURED = 3600.0  # seconds; more sound would not change the means
SAMPLE_TOKENS, MOST_SAMPLES = 64, 2000  # length and number of the stretches for statistics
FARTHEST_SEMITONES = 4
GAIN_DECIBELS = (-6.0, 3.0)


def fingerprint(analysis: BandAnalysis) -> str:
    """Return a hash of the analysis and its standardisation. It does not depend on the synthesis."""
    digest = hashlib.sha256()
    for name, tensor in sorted(analysis.state_dict().items()):
        digest.update(name.encode() + tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def level_parts(analysis: BandAnalysis, clip: NDArray[np.int16]) -> Iterator[Tensor]:
    """Yield the levels in dB `[tokens, channels]` of a sound `[frames]`, stretch by stretch.

    A rest below a token is cut.
    """
    hop = analysis.hop
    tokens = len(clip) // hop
    for start in range(0, tokens, STRETCH):
        left, right = max(0, start - EDGE), min(tokens, start + STRETCH + EDGE)
        audio = torch.from_numpy(as_float(clip[left * hop : right * hop]))
        with torch.no_grad():
            levels = analysis.decibels(audio[None])[0]
        yield levels[start - left : start - left + min(STRETCH, tokens - start)]


def as_float(clip: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return 16-bit audio `[n]` or `[n, channels]` as float32 in -1..1, in the same shape."""
    return clip.astype(np.float32) / np.float32(32768)


def measure_bands(clips: Clips, analysis: BandAnalysis) -> None:
    """Set the mean and the spread of each band to those of these sounds.

    If they are longer than `MOST_MEASURED`, evenly spread clips are measured. Raises ValueError if no sound is as long
    as a token.
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
    """Return the latents of every clip. The cache is used again if the standardisation and the clips are the same.

    If there are several processes, the first one encodes and the others wait.
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
    """All latents of some clips in the memory of a device, so that batches are cut there without a copy."""

    SHARE = 0.4  # of the free memory that they may take

    def __init__(self, clips: Clips) -> None:
        self._clips = clips
        self._latents: Tensor | None = None

    def on(self, device: torch.device) -> Tensor | None:
        """Return the latents `[total, channels]` on the device.

        Returns None for a CPU, or if they would take too much memory.
        """
        if device.type != "cuda":
            return None
        if (
            self._latents is None
            and self._clips.array.nbytes < self.SHARE * torch.cuda.mem_get_info(device)[0]
        ):
            self._latents = torch.from_numpy(np.asarray(self._clips.array)).to(device)
        return self._latents


def styles_of(clips: Clips, tokens: int, decibels: Tensor) -> tuple[Tensor, Tensor]:
    """Return styles `[n, STYLE_FEATURES]` and loudness `[n, MEANS]` of stretches spread over the clips.

    `decibels`: how many dB one unit of each band is.
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
    """Return the covariance `[patch * channels, patch * channels]`, about zero, of patches of latents.

    The denoiser's axes are made from it. Only the first `channels` channels count; `patch`: tokens.
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
    """Return stretches spread over the clips: their first `channels` channels and the rest, `[n, c, SAMPLE_TOKENS]`
    each.

    Raises ValueError if no clip is long enough.
    """
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
    """Return latents `[n, c]` with all `channels` channels of a codec; missing channels are 0, which is their mean."""
    return F.pad(latents, (0, channels - latents.shape[1]))


class Varied:
    """Varies latents `[n, channels]` for training: half of the time another key, and another level.

    `channels` may be all channels or the bands alone.
    """

    def __init__(self, analysis: BandAnalysis) -> None:
        self.mean, self.spread = analysis.mean.cpu().clone(), analysis.spread.cpu().clone()

    def __call__(self, latents: Tensor, rng: np.random.Generator) -> Tensor:
        """Return a varied copy `[n, channels]` of latents `[n, channels]`."""
        self.mean, self.spread = self.mean.to(latents), self.spread.to(latents)
        mean, spread = self.mean[: latents.shape[1]], self.spread[: latents.shape[1]]
        levels = latents * spread + mean
        if rng.random() < 0.5:
            levels = transposed(levels, int(rng.integers(-FARTHEST_SEMITONES, FARTHEST_SEMITONES + 1)))
        if rng.random() < 0.5:
            levels = (levels + float(rng.uniform(*GAIN_DECIBELS))).clamp_min(LOWEST_DECIBELS)
        return (levels - mean) / spread
