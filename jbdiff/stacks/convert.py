"""Convert original checkpoints, or a stack of ours, to a stack folder: one safetensors file a part, each tensor once.

Files are mapped and written tensor by tensor. So the conversion needs about the memory of the tensors that are kept:
1.2 GB for a Lightning finisher file of 1.8 GB. If a file is refused, nothing is left on the disk.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from jbdiff.config import V1, StackConfig, stack_to_dict
from jbdiff.networks.few_steps import Additions
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.out_path import folder_problem
from jbdiff.stacks.kinds import PartConfig, build, part_tensors, skeleton
from jbdiff.stacks.published import PUBLISHED
from jbdiff.stacks.stack import CONFIG_NAME, FORMAT, check_level, few_role, read_manifest, stack_roles
from jbdiff.stacks.v1_layout import VQVAE_PREFIX, v1_role
from jbdiff.stacks.weight_files import (
    CheckpointError,
    CheckpointFile,
    check_fit,
    file_sha256,
    read_checkpoint,
)
from jbdiff.untyped import JsonDict

SUFFIXES = (".ckpt", ".tar", ".pth", ".pt", ".safetensors")
ROLES = ("codec", "level2", "level1", "level0", "finisher")
DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


@dataclass(frozen=True)
class Plan:
    """The file of every role, and the sizes that the files must have."""

    config: StackConfig
    files: Mapping[str, Path]
    sha256: Mapping[str, str] = field(default_factory=dict)  # hashes of the files, from a stack description


def plan(sources: Sequence[Path], roles: Mapping[str, Path], config: StackConfig = V1) -> Plan:
    """Find the role of every source; `roles` sets some of them.

    A source is a file or a folder of files. A folder with a stack description has its own sizes. `config` gives the
    sizes of the others. Raises CheckpointError if a role is unclear or taken twice, or if no level remains to play.
    """
    found: dict[str, Path] = {}
    recorded: dict[str, str] = {}

    def take(role: str, path: Path) -> None:
        if role in found and found[role] != path:
            raise CheckpointError(f"two files for {role}: {found[role]} and {path}; give one of them")
        found[role] = path

    for source in sources:
        if not source.exists():
            raise CheckpointError(f"no file or folder {source}; correct the path")
        if (source / CONFIG_NAME).is_file():
            manifest = read_manifest(source)
            config = manifest.config
            for role, entry in manifest.entries.items():
                take(role, entry.path)
                if entry.sha256 is not None:
                    recorded[role] = entry.sha256
            continue
        files = sorted(p for p in source.iterdir() if p.suffix in SUFFIXES) if source.is_dir() else [source]
        if not files:
            raise CheckpointError(f"{source} holds no checkpoint ({', '.join(SUFFIXES)})")
        for path in files:
            if path in roles.values():
                continue
            take(v1_role(path) or _role_by_content(path), path)
    for role, path in roles.items():
        if not path.is_file():
            raise CheckpointError(f"no file {path} for {role}; put it there or correct the path")
        recorded.pop(role, None)
        found[role] = path
    levels = tuple(level for level in config.levels if f"level{level.level}" in found)
    if not levels:
        raise CheckpointError(
            f"found {', '.join(sorted(found)) or 'nothing'}; a stack needs at least one level's checkpoint"
        )
    # Every level file carries the VQ-VAE along, so the official file is optional.
    found.setdefault("codec", found[f"level{levels[0].level}"])
    finisher = config.finisher if "finisher" in found else None
    return Plan(dataclasses.replace(config, levels=levels, finisher=finisher), found, recorded)


def convert(
    what: Plan,
    folder: Path,
    *,
    name: str | None = None,
    dtype: torch.dtype = torch.float32,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write a stack that `load_stack` reads, with floating-point weights in `dtype`. Return its folder.

    `config.json` gets every file's SHA-256, and under "source" the name and SHA-256 of the file it came from.
    Raises CheckpointError if a file is damaged, unsafe, of another kind, level or size, or holds values that are not
    finite. It also does so if the folder is in use already. Nothing is written then.
    """
    if problem := folder_problem(folder):
        raise CheckpointError(problem)
    config = dataclasses.replace(what.config, name=name or folder.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))  # a name that nobody has
    partial.chmod(0o755)
    try:
        _write_parts(what, config, partial, dtype, report)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return folder


def _write_parts(
    what: Plan, config: StackConfig, folder: Path, dtype: torch.dtype, report: Callable[[str], None]
) -> None:
    """Write one file a part and the description of the stack into an empty folder."""
    files: dict[str, dict[str, str]] = {}
    source: dict[str, str | dict[str, str]] = {"layout": "converted"}
    hashes: dict[Path, str] = {}
    codebooks: dict[str, Tensor] = {}
    for role in stack_roles(config):
        path = what.files[role]
        if not path.is_file():
            raise CheckpointError(f"no file {path} for {role}; put it there or correct the path")
        if path not in hashes:
            hashes[path] = file_sha256(path)
        if what.sha256.get(role, hashes[path]) != hashes[path]:
            raise CheckpointError(f"{path.name} ({role}) has changed since it was recorded; fetch it again")
        _check_published(path, hashes[path], role, set(what.files.values()))
        file = read_checkpoint(path)
        tensors = _fitting(config, role, file)
        _compare_codebooks(codebooks, role, file, tensors, report)
        target = folder / f"{role}.safetensors"
        write_tensors(target, tensors, dtype, path.name)
        files[role] = {"file": target.name, "sha256": file_sha256(target)}
        source[role] = {"file": path.name, "sha256": hashes[path]}
        count = sum(tensor.numel() for tensor in tensors.values())
        report(
            f"{role}: {path.name}, {len(tensors)} tensors, {count:,} values, {target.stat().st_size:,} bytes"
        )
    content = {
        "format": FORMAT,
        "name": config.name,
        "stack": stack_to_dict(config),
        "files": files,
        "source": source,
    }
    (folder / CONFIG_NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype, source: str = "") -> None:
    """Write tensors `[...]` as a safetensors file, one in memory at a time; floating-point tensors become `dtype`.

    The library's own `save_file` turns the whole set into bytes first. Raises CheckpointError at a value that
    is not finite, in the file or after rounding to `dtype`.
    """
    header: JsonDict = {}
    end = 0
    for key, tensor in tensors.items():
        stored = dtype if tensor.is_floating_point() else tensor.dtype
        begin, end = end, end + tensor.numel() * stored.itemsize
        header[key] = {
            "dtype": DTYPE_NAMES[stored],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data begin at a multiple of 8
    with path.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        for key, tensor in tensors.items():
            values = tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype)
            if not bool(torch.isfinite(values).all()):
                raise CheckpointError(
                    f"{source or path.name}: {key} has values that are not finite as {dtype}; "
                    "the file is damaged, or needs a wider type (float32)"
                )
            handle.write(values.contiguous().reshape(-1).view(torch.uint8).numpy().data)


def _fitting(config: StackConfig, role: str, file: CheckpointFile) -> dict[str, Tensor]:
    """A file's tensors for `role` under our names, checked against the sizes of `config`."""
    what = f"{role} of stack {config.name!r}"
    for level in config.levels:
        if level.few is not None and role == few_role(level.level):
            denoiser = build(level.denoiser)
            assert isinstance(denoiser, JointDenoiser)
            needed = Additions(denoiser, level.few).state_dict()
            check_fit(needed, file.tensors, what, file.path.name)
            return {key: file.tensors[key] for key in needed}
    part: PartConfig
    if role == "codec":
        part = config.codec
    elif role == "finisher":
        assert config.finisher is not None
        part = config.finisher
    else:
        level = config.level(int(role.removeprefix("level")))
        check_level(file, level.level)
        part = level.denoiser
    needed = skeleton(part).state_dict()
    tensors = part_tensors(file, part)
    check_fit(needed, tensors, what, file.path.name)
    return {key: tensors[key] for key in needed}


def _role_by_content(path: Path) -> str:
    """Find the role of a file from its content, because its name does not show it."""
    file = read_checkpoint(path)
    if "bottleneck.level_blocks.0.k" in file.tensors:
        return "codec"
    if (
        any(key.startswith("diffusion_ema.") for key in file.tensors)
        or "timestep_embed.weight" in file.tensors
    ):
        return "finisher"
    level = file.level()
    if level is not None:
        return f"level{level}"
    raise CheckpointError(
        f"{path.name} is {file.kind()}, and neither its name nor its content shows its role; "
        f"give it by the option of its role ({', '.join(ROLES)})"
    )


def _check_published(path: Path, sha256: str, role: str, given: set[Path]) -> None:
    """Refuse a published file under the name of another role. Level files have one size, so only the hash differs."""
    for known in PUBLISHED:
        codec_inside = role == "codec" and known.role.startswith("level")
        if known.sha256 == sha256 and known.role != role and not codec_inside:
            raise CheckpointError(
                f"{path.name} is the published file of {known.role}, and {role} is needed; "
                "check which file carries which name"
            )


def _compare_codebooks(
    seen: dict[str, Tensor],
    role: str,
    file: CheckpointFile,
    tensors: Mapping[str, Tensor],
    report: Callable[[str], None],
) -> None:
    """Report a level that was trained with another codec than the stack's. It would play, but sound bad."""
    key = "bottleneck.level_blocks.0.k"
    if role == "codec" and key in tensors:
        seen["codec"] = tensors[key]
    inside = file.tensors.get(VQVAE_PREFIX + key)
    if role != "codec" and inside is not None and "codec" in seen and not torch.equal(inside, seen["codec"]):
        report(f"[warning] {file.path.name} was trained with another VQ-VAE than this stack's codec")
