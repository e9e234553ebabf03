"""What a slice of training on a rented machine brings back, and how the next one takes it up again.

A parcel is a flat folder of few, small files: the averaged weights of each stage in half precision
(`codec.safetensors`), training states cut into parts (`denoiser.last.ckpt.000`), and `slice.json`, written last, with
what the runs wrote down about themselves, the checksum of every file, and the history of all slices. `unfold` makes
run folders of it.
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
# Whose state is worth its room, first to last. A distillation never goes on from a state: that holds its teacher as
# it was, and the denoiser has moved on since.
STATES = ("denoiser", "codec", "finisher")
MIB = 1 << 20
AVERAGE = "average.network."


@dataclass(frozen=True)
class Room:
    """What may come back: files, bytes in all, bytes a file."""

    files: int = 8
    bytes: int = 60 * MIB
    part_bytes: int = 15 * MIB


@dataclass(frozen=True)
class FileFacts:
    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StageFacts:
    """A stage in a parcel: its run.json, its weights, the parts of its state if that came along, and of a student the
    checksum of the denoiser's weights that taught it.
    """

    run: JsonDict
    weights: FileFacts
    state: tuple[FileFacts, ...] = ()
    teacher: str = ""


@dataclass(frozen=True)
class Row:
    """How a stage of a slice went. `steps` are of this slice, `step` counts from where its state began."""

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

    slice: number of the slice, from 1. heard: tracks of the collection that all slices together were trained on.
    """

    slice: int = 0
    heard: int = 0
    commit: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    stages: dict[str, StageFacts] = field(default_factory=dict)
    history: tuple[Row, ...] = ()
    left_out: tuple[str, ...] = ()  # states that found no room


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
    partial = folder / f"{MANIFEST}.part"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(parcel), indent=1))
    os.replace(partial, folder / MANIFEST)


def facts(path: Path) -> FileFacts:
    return FileFacts(path.name, path.stat().st_size, file_sha256(path))


def split(path: Path, folder: Path, name: str, part_bytes: int) -> tuple[FileFacts, ...]:
    """A file as `name.000`, `name.001`, ... in `folder`."""
    parts: list[FileFacts] = []
    with open(path, "rb") as source:
        while chunk := source.read(part_bytes):
            part = folder / f"{name}.{len(parts):03}"
            part.write_bytes(chunk)
            parts.append(facts(part))
    return tuple(parts)


def checked(folder: Path, wanted: FileFacts) -> Path:
    """A parcel's file. Raises ValueError if it is missing or another than was sent."""
    path = folder / wanted.file
    if not path.is_file():
        raise ValueError(f"no {wanted.file} in {str(folder)!r}; fetch the whole parcel again")
    if file_sha256(path) != wanted.sha256:
        raise ValueError(f"{path} is not what was sent, its checksum differs; fetch the parcel again")
    return path


def join(folder: Path, parts: Sequence[FileFacts], target: Path) -> None:
    """The file that `split` cut. Raises ValueError if a part is missing or damaged; then nothing is written."""
    sources = [checked(folder, part) for part in parts]
    partial = target.with_suffix(".part")
    with open(partial, "wb") as file:
        for source in sources:
            file.write(source.read_bytes())
    os.replace(partial, target)


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors in half precision, as a stack holds them."""
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in tensors.items()
    }


def slim(state: JsonDict) -> JsonDict:
    """A training state at a third of its size: without the average, which comes as weights, and without the rows that
    were being continued; weights in half precision, the optimiser's moments in bfloat16.
    """
    own = {name: value for name, value in state["state_dict"].items() if not name.startswith(AVERAGE)}
    # In bfloat16, which has float32's range: squares of gradients are far below what a half can hold.
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
    # Callbacks know nothing but the folder of their machine.
    kept = {name: value for name, value in state.items() if name not in ("rollouts", "pieces", "callbacks")}
    return kept | {"state_dict": half(own), "optimizer_states": optimizers}


def whole(state: JsonDict, weights: dict[str, Tensor]) -> JsonDict:
    """What `slim` made, with the average back: a state that a run goes on from."""
    average = {f"{AVERAGE}{name}": value for name, value in weights.items()}
    return state | {"state_dict": state["state_dict"] | average}


def load_state(path: Path) -> JsonDict:
    """A training state on the CPU, as tensors and plain values only."""
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def newest(work: Path, stage: str) -> Path | None:
    """The folder with a stage's weights: that of its own run, or, where that got nowhere, what it began from."""
    for folder in (work / stage, work / "before" / stage):
        if (folder / WEIGHTS).is_file() and (folder / "run.json").is_file():
            return folder
    return None


def fold(work: Path, out: Path, parcel: Parcel, room: Room, states: bool = True) -> Parcel:
    """Writes the parcel of a working folder's runs into `out`, in place of the one there; returns it as written.

    Weights always; states, if they are wanted, as far as there is room. Raises ValueError if not even the weights
    fit.
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
    """Run folders `work/codec`, ... of a parcel, with weights, run.json and, where it came along, the state.

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
    """A parcel's files, whole and checked, in another folder; without the states unless they are wanted."""
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
