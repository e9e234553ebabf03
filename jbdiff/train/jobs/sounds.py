"""Read what every training job reads: sounds, latents, threads and seed, recorded results."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.data.clips import Clips, Report, cache_sounds
from jbdiff.train.latents.bars import with_bars
from jbdiff.train.latents.latent_pack import is_packed, unpacked
from jbdiff.train.latents.latents import (
    cache_latents,
)
from jbdiff.train.modules.rollouts import HISTORY_WINDOWS, STRETCH_WINDOWS
from jbdiff.train.run.run import RunSettings
from jbdiff.untyped import JsonDict


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


def recorded(weights: Path, part: str) -> JsonDict | None:
    """The sizes that the run of these weights wrote down beside them, if it did."""
    path = weights.parent / "run.json"
    return dict(json.loads(path.read_text())[part]) if path.exists() else None


def settled(settings: RunSettings, seed: int) -> Path:
    """Threads and seed as the run wants them; returns where its caches lie."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(seed)
    return settings.out.parent / "cache"


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
