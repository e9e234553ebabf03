"""Writes a stack folder from the results of runs: fp16 safetensors and their description."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from jbdiff.config import POCKET, JointDenoiserConfig
from jbdiff.networks.few_steps import Additions
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.out_path import link_problem
from jbdiff.stacks.stack import CONFIG_NAME, CheckpointError, read_manifest, save_stack
from jbdiff.train.jobs.codec import load_codec
from jbdiff.train.jobs.denoiser import fitted, load_denoiser
from jbdiff.train.jobs.distil import load_additions
from jbdiff.train.jobs.finisher import load_finisher
from jbdiff.untyped import JsonDict, JsonTable

POCKET_SOURCE: JsonDict = {
    "licence": "CC0-1.0",
    "data": "ten hours of stems rendered by scripts/render_data, seeds 1000 to 1224 (codec and finisher: these), "
    "3000 to 3149, 7000 to 7167, 20000 to 20143 and 40000 to 40047; held out: 9000 to 9023, 29000 to 29011, "
    "49000 to 49003",
    "sources": {
        "sonic-pi-samples": "CC0 one-shots and loops, without loop_amen, loop_amen_full and loop_breakbeat",
        "fluid-soundfont-gm": "FluidR3 GM by Frank Wen, MIT",
        "Faust patches and synthetic drums": "scripts/render_data, written for this project",
    },
}


@dataclass(frozen=True)
class StackParts:
    """The parts of a new stack: files weights.safetensors of runs. Codec and finisher may also be the name of a stack.

    If `denoiser` is None, the stack gets an untrained denoiser, to try a codec out. `few` (the student) and `finisher`
    may be None.
    """

    codec: Path | str
    denoiser: Path | None = None
    few: Path | None = None
    finisher: Path | str | None = None


def files_of_stack(out: Path) -> frozenset[str]:
    """Return the names of the weights of the stack in a folder; none if the folder is empty or not there.

    Raises ValueError if the folder holds anything else, such as a run: its files would be lost.
    """
    if problem := link_problem(out):
        raise ValueError(problem)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return frozenset()
    try:
        if not (out / CONFIG_NAME).is_file():
            raise CheckpointError(f"no {CONFIG_NAME}")
        return frozenset(entry.path.name for entry in read_manifest(out).entries.values())
    except CheckpointError as error:
        raise ValueError(f"{out} holds something else than a stack ({error}); give a new folder") from error


def export_stack(parts: StackParts, out: Path, name: str, source: JsonTable) -> Path:
    """Write a stack into `out` and return `out`.

    Each file is replaced as a whole, and the description comes last. `load_stack` refuses a folder that is only half
    replaced. Raises ValueError or CheckpointError if parts do not belong together, or if `out` holds something else.
    """
    before = files_of_stack(out)
    codec = load_codec(parts.codec)
    level = POCKET.level(2)
    if parts.denoiser is None:
        denoiser = JointDenoiser(fitted(cast(JointDenoiserConfig, level.denoiser), codec.config))
    else:
        denoiser = load_denoiser(parts.denoiser)
    if denoiser.config.all_channels != codec.latent_channels:
        raise ValueError(
            f"the denoiser works on {denoiser.config.all_channels} channels, the codec gives "
            f"{codec.latent_channels}; export runs that belong together"
        )
    level = replace(level, denoiser=denoiser.config, window_tokens=denoiser.config.window_tokens, few=None)
    few: dict[int, Additions] = {}
    if parts.few is not None:
        additions = load_additions(parts.few, denoiser)
        few[2], level = additions, replace(level, few=additions.config)
    finisher = None if parts.finisher is None else load_finisher(parts.finisher)
    stack = replace(
        POCKET,
        name=name,
        codec=codec.config,
        levels=(level,),
        finisher=None if finisher is None else finisher.config,
    )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        made = save_stack(
            Path(folder), stack, codec, {2: denoiser}, source, finisher=finisher, few=few or None
        )
        files = sorted(made.iterdir(), key=lambda path: path.suffix == ".json")
        for file in files:
            file.chmod(0o644)
            os.replace(file, out / file.name)
        kept = {file.name for file in files}
        for old in before - kept:
            (out / old).unlink(missing_ok=True)
    return out
