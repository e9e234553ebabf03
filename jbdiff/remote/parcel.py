"""Parcels: the results of a slice of training on a rented machine, from which the next slice goes on.

A parcel is a flat folder of few, small files: the averaged weights of each stage in half precision
(`codec.safetensors`) and training states cut into parts (`denoiser.last.ckpt.000`). `slice.json` is written last. It
holds the descriptions of the runs, the checksum of every file, and the history of all slices. `unfold` turns a parcel
into run folders.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from jbdiff.stacks.weight_files import file_sha256
from jbdiff.untyped import JsonDict

MANIFEST, WEIGHTS, STATE = "slice.json", "weights.safetensors", "last.ckpt"
STAGES = ("codec", "denoiser", "finisher", "distill")
# Stages whose states are packed, the most important first. A distillation is never resumed from a state, because the
# state holds the teacher, and the denoiser has been trained further since.
STATES = ("denoiser", "codec", "finisher")
MIB = 1 << 20
AVERAGE = "average.network."


@dataclass(frozen=True)
class Room:
    """Limits of a parcel: number of files, bytes in all, bytes of a file."""

    files: int = 8
    bytes: int = 60 * MIB
    part_bytes: int = 15 * MIB


@dataclass(frozen=True)
class FileFacts:
    """Name, size in bytes and checksum of a file of a parcel."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StageFacts:
    """A stage in a parcel: its run.json, its weights, and the parts of its state if that is included.

    `teacher`: for a student, the checksum of the weights of its denoiser.
    """

    run: JsonDict
    weights: FileFacts
    state: tuple[FileFacts, ...] = ()
    teacher: str = ""


@dataclass(frozen=True)
class Row:
    """The history of one stage of a slice. `steps`: of this slice. `step`: since its state began."""

    slice: int
    stage: str
    outcome: str
    seconds: float
    step: int = 0
    steps: int = 0
    steps_a_second: float | None = None
    loss_first: float | None = None
    loss_last: float | None = None
    heldout_first: float | None = None
    heldout_last: float | None = None


@dataclass(frozen=True)
class Parcel:
    """Contents of `slice.json`.

    `slice`: number of the slice, from 1. `heard`: number of the collection's tracks that all slices were trained on.
    """

    slice: int = 0
    heard: int = 0
    commit: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    stages: dict[str, StageFacts] = field(default_factory=dict)
    history: tuple[Row, ...] = ()
    left_out: tuple[str, ...] = ()  # states for which there was no room


def read_parcel(folder: Path) -> Parcel:
    """Read the description of a parcel; an empty one if the folder has none. Raises ValueError if it is broken."""
    path = folder / MANIFEST
    if not path.is_file():
        return Parcel()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Parcel)
    except msgspec.MsgspecError as error:
        raise ValueError(
            f"{path}: {error}; fetch it again, or take the parcel of the slice before"
        ) from error


def write_parcel(folder: Path, parcel: Parcel) -> None:
    """Write the description of a parcel into its folder. The file is replaced as a whole."""
    partial = folder / f"{MANIFEST}.part"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(parcel), indent=1))
    os.replace(partial, folder / MANIFEST)


def facts(path: Path) -> FileFacts:
    """Return name, size and checksum of a file."""
    return FileFacts(path.name, path.stat().st_size, file_sha256(path))


def split(path: Path, folder: Path, name: str, part_bytes: int) -> tuple[FileFacts, ...]:
    """Cut a file into `name.000`, `name.001`, ... in `folder`, of at most `part_bytes` each; return their facts."""
    parts: list[FileFacts] = []
    with open(path, "rb") as source:
        while chunk := source.read(part_bytes):
            part = folder / f"{name}.{len(parts):03}"
            part.write_bytes(chunk)
            parts.append(facts(part))
    return tuple(parts)


def checked(folder: Path, wanted: FileFacts) -> Path:
    """Return the path of a parcel's file. Raises ValueError if it is missing or its checksum differs."""
    path = folder / wanted.file
    if not path.is_file():
        raise ValueError(f"no {wanted.file} in {str(folder)!r}; fetch the whole parcel again")
    if file_sha256(path) != wanted.sha256:
        raise ValueError(f"{path} is not what was sent, its checksum differs; fetch the parcel again")
    return path


def join(folder: Path, parts: Sequence[FileFacts], target: Path) -> None:
    """Put the parts of `split` together again.

    If a part is missing or damaged, raises ValueError and writes nothing.
    """
    sources = [checked(folder, part) for part in parts]
    partial = target.with_suffix(".part")
    with open(partial, "wb") as file:
        for source in sources:
            file.write(source.read_bytes())
    os.replace(partial, target)


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors `[...]` by name with floating-point ones in half precision, as in a stack."""
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in tensors.items()
    }


def slim(state: JsonDict) -> JsonDict:
    """Return a training state at a third of its size.

    It lacks the average, which a parcel has as weights, and the rows that are being continued. Weights are in half
    precision, the optimiser's moments in bfloat16.
    """
    own = {name: value for name, value in state["state_dict"].items() if not name.startswith(AVERAGE)}
    # bfloat16 has float32's range. Half precision cannot hold the squares of gradients, which are far too small.
    optimizers = [
        entry
        | {
            "state": {
                number: {
                    name: value.bfloat16() if isinstance(value, Tensor) and value.ndim else value
                    for name, value in moments.items()
                }
                for number, moments in entry["state"].items()
            }
        }
        for entry in state["optimizer_states"]
    ]
    # The state of the callbacks is left out: it only holds a folder of this machine.
    kept = {name: value for name, value in state.items() if name not in ("rollouts", "pieces", "callbacks")}
    return kept | {"state_dict": half(own), "optimizer_states": optimizers}


def whole(state: JsonDict, weights: dict[str, Tensor]) -> JsonDict:
    """Return a state of `slim` with the average `weights` `[...]` by name put back, so that a run can be resumed."""
    average = {f"{AVERAGE}{name}": value for name, value in weights.items()}
    return state | {"state_dict": state["state_dict"] | average}


def load_state(path: Path) -> JsonDict:
    """Load a training state to the CPU, as tensors and plain values only."""
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def newest(work: Path, stage: str) -> Path | None:
    """Return the folder with a stage's weights: that of its run, or that of its start if the run has none; or None."""
    for folder in (work / stage, work / "before" / stage):
        if (folder / WEIGHTS).is_file() and (folder / "run.json").is_file():
            return folder
    return None


def fold(work: Path, out: Path, parcel: Parcel, room: Room, states: bool = True) -> Parcel:
    """Write the parcel of a working folder's runs into `out`, in place of an older one; return it as written.

    Weights are always included. With `states`, states are included as far as there is room. Raises ValueError if the
    weights alone do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    stages: dict[str, StageFacts] = {}
    left_out: list[str] = []
    with tempfile.TemporaryDirectory(dir=work) as name:
        made = Path(name)
        for stage in STAGES:
            folder = newest(work, stage)
            if folder is None:
                continue
            path = made / f"{stage}.safetensors"
            save_file(half(load_file(folder / WEIGHTS)), path)
            run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            before = parcel.stages.get(stage)
            stages[stage] = StageFacts(run, facts(path), teacher=before.teacher if before else "")
        biggest = max((stage.weights.bytes for stage in stages.values()), default=0)
        used = sum(stage.weights.bytes for stage in stages.values())
        if biggest > room.part_bytes or used > room.bytes or len(stages) + 1 > room.files:
            raise ValueError(f"weights of {used / MIB:.1f} MiB do not fit into {room}; give more room")
        for stage in STATES if states else ():
            state = work / stage / STATE
            if stage not in stages or not state.is_file():
                continue
            small = made / "state"
            torch.save(slim(load_state(state)), small)
            size = small.stat().st_size
            files = len(list(made.iterdir())) - 1 + -(-size // room.part_bytes)
            if used + size > room.bytes or files + 1 > room.files:
                left_out.append(f"{stage}, {size / MIB:.1f} MiB")
            else:
                parts = split(small, made, f"{stage}.{STATE}", room.part_bytes)
                stages[stage] = replace(stages[stage], state=parts)
                used += size
            small.unlink()
        kept = {path.name for path in made.iterdir()}
        for path in made.iterdir():
            path.chmod(0o644)
            shutil.move(path, out / path.name)
    parcel = replace(parcel, stages=stages, left_out=tuple(left_out))
    write_parcel(out, parcel)
    for path in [*out.glob("*.safetensors"), *out.glob(f"*.{STATE}.*")]:
        if path.name not in kept:
            path.unlink()
    return parcel


def unfold(folder: Path, work: Path, states: bool = True) -> Parcel:
    """Turn a parcel into run folders `work/codec`, ..., with weights, run.json and the state if it is included.

    Raises ValueError if a file is missing or damaged.
    """
    parcel = read_parcel(folder)
    for stage, known in parcel.stages.items():
        run = work / stage
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        shutil.copyfile(checked(folder, known.weights), run / WEIGHTS)
        (run / "run.json").write_text(json.dumps(known.run, indent=2), encoding="utf-8")
        if known.state and states:
            join(folder, known.state, run / STATE)
            torch.save(whole(load_state(run / STATE), load_file(run / WEIGHTS)), run / STATE)
    return parcel


def copy_parcel(folder: Path, target: Path, states: bool) -> Parcel:
    """Copy a parcel's files into another folder and check them; the states only with `states`. Return the parcel."""
    parcel = read_parcel(folder)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if not states:
        parcel = replace(
            parcel, stages={name: replace(stage, state=()) for name, stage in parcel.stages.items()}
        )
    for stage in parcel.stages.values():
        for wanted in (stage.weights, *stage.state):
            shutil.copyfile(checked(folder, wanted), target / wanted.file)
    write_parcel(target, parcel)
    return parcel
