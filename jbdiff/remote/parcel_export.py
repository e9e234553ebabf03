"""Turns a parcel from a rented machine into a stack that plays."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from torch import nn

from jbdiff.data.clips import Report
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.remote.parcel import MANIFEST, WEIGHTS, Parcel, read_parcel, unfold
from jbdiff.stacks.kinds import PartConfig
from jbdiff.stacks.stack import load_stack
from jbdiff.train.jobs.codec import load_codec
from jbdiff.train.jobs.denoiser import load_denoiser
from jbdiff.train.jobs.export import POCKET_SOURCE, StackParts, export_stack
from jbdiff.train.run.callbacks import save_weights
from jbdiff.untyped import JsonTable

MOST_BYTES = 30_000_000


def export_parcel(
    source: Path, out: Path, name: str, licence: str = "", stack: str = "pocket", report: Report = print
) -> Path:
    """Write a stack from a parcel into `out`.

    A codec, denoiser or finisher that the parcel lacks comes from `stack`. A student is left out if it belongs to
    another denoiser than the parcel's. Raises ValueError if the parcel has nothing to export, or if the stack is larger
    than `MOST_BYTES`. `out` then stays as it was.
    """
    parcel = read_parcel(source)
    if not parcel.stages:
        raise ValueError(
            f"no trained stage in {str(source / MANIFEST)!r}; give the folder that a slice brought back"
        )
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        unfold(source, runs, states=False)
        add_missing(parcel, runs, stack)
        few = runs / "distill" / WEIGHTS
        if few.is_file() and not taught_by_this(parcel, stack):
            report(
                "the student is of an earlier denoiser and stays out; train it again: slice --stages distill"
            )
            few = runs / "nowhere"
        finisher = runs / "finisher" / WEIGHTS
        parts = StackParts(
            runs / "codec" / WEIGHTS,
            runs / "denoiser" / WEIGHTS,
            few if few.is_file() else None,
            finisher if finisher.is_file() else None,
        )
        facts: JsonTable = (
            POCKET_SOURCE if name == "pocket" and not licence else {"licence": licence or "not stated"}
        )
        made = export_stack(parts, runs / "stack", name, facts)
        size = sum(path.stat().st_size for path in made.iterdir())
        if size > MOST_BYTES:
            raise ValueError(
                f"the stack has {size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}; train smaller sizes"
            )
        return export_stack(parts, out, name, facts)


def add_missing(parcel: Parcel, runs: Path, stack: str) -> None:
    """Write run folders, with the weights of `stack`, for the stages that the parcel lacks."""

    def add(stage: str, network: nn.Module, config: PartConfig) -> None:
        (runs / stage).mkdir()
        save_weights(network, runs / stage / WEIGHTS)
        (runs / stage / "run.json").write_text(json.dumps({stage: asdict(config)}), encoding="utf-8")

    if "codec" not in parcel.stages:
        codec = load_codec(stack)
        add("codec", codec, codec.config)
    if "denoiser" not in parcel.stages:
        denoiser = load_denoiser(stack)
        add("denoiser", denoiser, denoiser.config)
    if "finisher" not in parcel.stages and isinstance(
        finisher := load_stack(stack).finisher, SpectralFinisher
    ):
        add("finisher", finisher, finisher.config)


def taught_by_this(parcel: Parcel, stack: str) -> bool:
    """Whether the student's teacher is the denoiser of this parcel, or of the stack if the parcel has no denoiser."""
    denoiser = parcel.stages.get("denoiser")
    return parcel.stages["distill"].teacher == (stack if denoiser is None else denoiser.weights.sha256)
