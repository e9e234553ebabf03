"""The shared preparation of all training jobs: sounds, latents, threads and seed, recorded sizes."""

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
    """Return training and held-out audio, cached beside the run.

    Sounds below `shortest` samples are left out, and `report` receives their names. Of stems, the training audio holds
    `mixes` mixes of each track, and the held-out audio one. Raises ValueError if no sound is long enough.
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
    """Return the clips of at least `shortest` samples; `report` receives the names of the others.

    Raises ValueError if no clip is left.
    """
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
    """Return the sizes that a run recorded beside its weights, or None if it recorded none."""
    path = weights.parent / "run.json"
    return dict(json.loads(path.read_text())[part]) if path.exists() else None


def settled(settings: RunSettings, seed: int) -> Path:
    """Set the run's threads and seed; return the folder of its caches."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(seed)
    return settings.out.parent / "cache"


def latent_clips(
    data: Path, heldout: Path | None, codec: BandCodec, cache: Path, mixes: int, shortest: int = 0
) -> tuple[Clips, Clips]:
    """Return training and held-out latents with their bars, cached beside the run.

    Bars come from descriptions, or are estimated from the latents. `data` may also hold packed latents
    (`train/latents/latent_pack.py`). `shortest`: samples.
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
    """Return the length of a training stretch in tokens: a context and as many windows as rows are continued over.

    It has at most `STRETCH_WINDOWS` windows. Nine in ten of the clips that are long enough for one window can fill it.
    `past`, `window`: tokens.
    """
    lengths = sorted(length for length in clips.lengths if length >= past + window)
    if not lengths:
        return past + window
    usual = lengths[len(lengths) // 10]
    return past + min(STRETCH_WINDOWS, (usual - past) // window) * window


def history_tokens(clips: Clips, past: int, window: int) -> int:
    """Return how many tokens before a window echoes may come from, at least `past`.

    It is eight windows, which are eight bars of slow music. It is less if nine in ten of the clips that are long enough
    for a context and two windows could not fill it. `past`, `window`: tokens.
    """
    lengths = sorted(length for length in clips.lengths if length >= past + 2 * window)
    if not lengths:
        return past
    usual = lengths[len(lengths) // 10]
    return max(past, min(HISTORY_WINDOWS, usual // window - 2) * window)
