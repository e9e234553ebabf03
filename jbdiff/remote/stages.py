"""The order for a slice, the preparation of its sounds, and the command words of each stage."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import tomlkit
import torch

from jbdiff.data.clips import Report, cache_about
from jbdiff.data.stems import find_tracks, is_stems, mix
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.remote.parcel import STATE, STATES, WEIGHTS, Parcel, Room, newest
from jbdiff.stacks.stack import load_stack
from jbdiff.train.jobs.codec import load_codec
from jbdiff.train.jobs.sounds import sound_clips
from jbdiff.train.latents.latent_pack import is_packed
from jbdiff.train.latents.latents import cache_latents
from jbdiff.untyped import JsonTable

# Batches for a GPU of 40 GB or more. On an H100 a step of the denoiser took .16 s with 32 windows and .21 s with 80,
# because the time goes into starting many small kernels from one processor core.
GPU = """
round-steps = 100
[codec]
batch = 48
[denoiser]
batch = 80
levels = 8
[finisher]
batch = 24
[distill]
batch = 48
"""
TOY = """
round-steps = 2
[codec]
batch = 2
seconds = 0.4
[codec.sizes]
decoder_channels = 8
decoder_blocks = 1
local_channels = 2
[denoiser]
batch = 2
levels = 2
[denoiser.sizes]
window_tokens = 16
context_tokens = 32
width = 16
depth = 1
heads = 2
[distill]
batch = 2
[distill.sizes]
rank = 2
[finisher]
batch = 2
seconds = 1.2
[finisher.sizes]
fine_channels = 2
width = 4
depth = 1
"""
SHARES = {"codec": 0.2, "denoiser": 0.45, "finisher": 0.1, "distill": 0.25}
MOST_MIXES, MIXING_SHARE = 8, 0.12  # most mixes of a track; share of the time for making mixes


@dataclass(frozen=True)
class Order:
    """The options of a slice.

    `packed` holds the folder `data`, and perhaps `heldout` and `state`, the parcel of the slice before. Runs are in
    `work`, where the next slice on the same machine finds them. `steps` ends each stage at that step.
    """

    packed: Path
    work: Path
    out: Path
    minutes: float
    stages: tuple[str, ...] = tuple(SHARES)
    accelerator: str = "gpu"
    toy: bool = False
    steps: int | None = None
    batch: int | None = None
    workers: int = 0
    threads: int = 1
    config: Path | None = None
    stack: str = "pocket"
    room: Room = field(default_factory=Room)

    @property
    def heldout(self) -> Path | None:
        """The folder of packed held-out sounds, or None if there is none."""
        folder = self.packed / "heldout"
        return folder if folder.is_dir() else None


def prepare(order: Order, seconds: float, report: Report) -> tuple[int, bool]:
    """Make mixes and the caches of sounds and latents for the stages.

    Returns the number of mixes of each track, and whether the stack has a finisher to start from. Raises ValueError if
    the packed data cannot train a stage of the order.
    """
    torch.set_num_threads(order.threads)
    if is_packed(order.packed / "data"):
        if unable := {"codec", "finisher"} & set(order.stages):
            raise ValueError(
                f"latents alone were packed, which do not train {' and '.join(sorted(unable))}: "
                "give --stages denoiser,distill, or pack stems"
            )
        return 1, False
    data, cache = order.packed / "data", order.work / "cache"
    mixes = affordable_mixes(order, data, seconds)
    sounds, heldout = sound_clips(data, order.heldout, cache, 44_100, mixes=mixes, report=report)
    if "finisher" in order.stages:
        sound_clips(data, order.heldout, cache / "stereo", 44_100, mixes=mixes, channels=2, report=report)
    if order.toy:
        return mixes, False
    stack = load_stack(order.stack)
    if {"denoiser", "distill"} & set(order.stages):
        found = newest(order.work, "codec")
        codec = load_codec(order.stack if found is None else found / WEIGHTS)
        cache_latents(sounds, codec, cache / "latents", report)
        cache_latents(heldout, codec, cache / "latents_heldout", report)
    return mixes, isinstance(stack.finisher, SpectralFinisher)


def affordable_mixes(order: Order, data: Path, seconds: float) -> int:
    """Return how many mixes of each track can be made in their share of the time, from the time that one mix takes.

    If mixes exist already, returns their number.
    """
    known = cache_about(order.work / "cache" / "audio")
    files = known.get("files", [])
    if known and files and Path(files[0][0]).is_relative_to(data):
        return int(known["mixes"])
    if not is_stems(data) or order.toy:
        return 1
    tracks = find_tracks(data)
    began = time.monotonic()
    mix(tracks[0], 1, tracks, 44_100)
    one = time.monotonic() - began
    copies = 2 if "finisher" in order.stages else 1
    # Threads share one interpreter, so they reach about half the speed of as many processors.
    workers = max(1.0, (os.cpu_count() or 1) / 2)
    return max(1, min(MOST_MIXES, int(MIXING_SHARE * seconds * workers / (one * copies * len(tracks)))))


def stage_words(
    order: Order, stage: str, mixes: int, finisher: bool, parcel: Parcel
) -> tuple[int, list[str]]:
    """Return the first step of a stage's training, and the words of its command.

    If the working folder has a saved state, the run continues from it. Otherwise it starts from the weights in that
    folder; without these, from the stack's weights, or from fresh weights at toy size.
    """
    work, run = order.work, order.work / stage
    resume = stage in STATES and (run / STATE).is_file()
    begun = newest(work, stage)
    if not resume:
        if begun == run:
            target = work / "before" / stage
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            run.rename(target)
            begun = target
        shutil.rmtree(run, ignore_errors=True)
    plan = work / f"{stage}.toml"
    plan.write_text(planned(order, stage, begun if resume else None), encoding="utf-8")
    words = [stage, "--config", str(plan), "--data", str(order.packed / "data"), "--out", str(run)]
    if order.heldout is not None:
        words += ["--heldout", str(order.heldout)]
    words += ["--mixes", str(mixes), "--threads", str(order.threads), "--accelerator", order.accelerator]
    words += ["--devices", "1", "--demo-minutes", "inf", "--stack", order.stack]
    words += ["--seed", str(parcel.slice)]  # other batches in every slice
    words += ["--no-bf16"] if order.accelerator == "cpu" else []
    words += ["--steps", str(order.steps)] if order.steps is not None else []
    codec = newest(work, "codec")
    if stage != "codec" and codec is not None:
        words += ["--codec-weights", str(codec / WEIGHTS)]
    denoiser = newest(work, "denoiser")
    if stage == "distill" and denoiser is not None:
        words += ["--denoiser-weights", str(denoiser / WEIGHTS)]
    if resume:
        past = [row.step for row in parcel.history if row.stage == stage and row.step]
        return (past[-1] if past else 0), [*words, "--resume"]
    if begun is not None:
        words += ["--start" if stage == "distill" else f"--{stage}-weights", str(begun / WEIGHTS)]
    elif not order.toy and stage != "distill" and (stage != "finisher" or finisher):
        words += ["--from-shipped"]
    return 0, words


def planned(order: Order, stage: str, going_on: Path | None) -> str:
    """Return the options of a stage as TOML. A run that is continued keeps its recorded sizes, which fit its state."""
    text = order.config.read_text(encoding="utf-8") if order.config else TOY if order.toy else GPU
    document = tomlkit.parse(text)
    table = document.setdefault(stage, tomlkit.table())
    if order.batch is not None:
        table["batch"] = order.batch
    if going_on is not None:
        run: JsonTable = json.loads((going_on / "run.json").read_text(encoding="utf-8"))
        # The width of the detail follows from the codec.
        sizes = {n: v for n, v in run[stage].items() if n not in ("kind", "detail") and v is not None}
        table["sizes"] = sizes
    return tomlkit.dumps(document)
