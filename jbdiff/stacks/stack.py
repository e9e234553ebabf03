"""Find, verify, load and save stacks: a codec and its denoisers, with everything needed to run them.

A stack is a folder. Its `config.json` holds sizes, file names and their SHA-256:

    {"format": 1, "name": "pocket", "stack": {...}, "files": {"codec": {"file": ..., "sha256": ...},
     "level2": {...}}, "source": {...}}

Shipped stacks lie beside this file under `weights/`; others under `user_directory()`. A folder of the
original v1 files works without a `config.json`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from jbdiff.codecs.codec import Codec
from jbdiff.config import V1, FewStepsConfig, LevelConfig, StackConfig, stack_from_dict, stack_to_dict
from jbdiff.networks.channels_last import Compiler, TokenFinisher
from jbdiff.networks.compiled import CompiledNetworks
from jbdiff.networks.denoiser import Denoiser
from jbdiff.networks.few_steps import Additions, merge
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.kinds import FinisherNetwork, PartConfig, part_tensors, skeleton
from jbdiff.stacks.sizes import check_sizes
from jbdiff.stacks.v1_layout import v1_role
from jbdiff.stacks.weight_files import (
    CheckpointError,
    CheckpointFile,
    file_sha256,
    load_into,
    read_checkpoint,
    refuse_stand_in,
)
from jbdiff.untyped import JsonDict, JsonTable

__all__ = ["CheckpointError", "Stack", "known_stacks", "load_stack", "save_stack", "user_directory"]

log = logging.getLogger(__name__)

FORMAT = 1
CONFIG_NAME = "config.json"


@dataclass(frozen=True)
class Stack:
    """A loaded stack. `identity` is a hash of weights and sizes; a saved stream fits only a stack of its identity."""

    config: StackConfig
    codec: Codec
    denoisers: Mapping[int, Denoiser]  # level -> its denoiser
    identity: str
    finisher: FinisherNetwork | None = None
    folder: Path | None = None
    source: JsonTable = field(default_factory=dict)  # JSON: where the files come from
    few: Mapping[int, JointDenoiser] = field(default_factory=dict)  # level -> its student of few steps
    compiled: CompiledNetworks = field(default_factory=CompiledNetworks, compare=False, repr=False)

    @property
    def levels(self) -> tuple[int, ...]:
        """Loaded levels, coarsest first."""
        return tuple(sorted(self.denoisers, reverse=True))

    def to(self, device: torch.device | str) -> Stack:
        """Move the modules in place and return the same stack.

        Modules that are on the device already stay untouched: other streams may be reading them on other threads.
        """
        for module in [*self.modules(), *self.compiled.networks()]:
            _move(module, torch.device(device))
        return self

    def modules(self) -> list[nn.Module]:
        """The codec, the denoisers, their students of few steps, and the finisher, if there is one."""
        parts = [self.codec, *self.denoisers.values(), *self.few.values()]
        if self.finisher is not None:
            parts.append(self.finisher)
        return [cast(nn.Module, part) for part in parts]  # the protocols leave out what only torch calls

    def compiled_denoiser(self, level: int, dtype: torch.dtype, compiler: Compiler) -> Denoiser | None:
        """A level's denoiser, compiled and with weights in `dtype`; None if it has no such form.

        See `networks/channels_last.py`.
        """
        return cast(Denoiser | None, self.compiled.of(self.denoisers[level], dtype, compiler))

    def compiled_finisher(self, dtype: torch.dtype, compiler: Compiler) -> TokenFinisher | None:
        """The finisher, compiled and with weights in `dtype`; None if it has no such form."""
        return cast(TokenFinisher | None, self.compiled.of(self.finisher, dtype, compiler))


def _move(module: nn.Module, device: torch.device) -> None:
    tensors = [*module.parameters(), *module.buffers()]
    here = torch.empty(0, device=device).device  # "cuda" names the present one of several
    if any(tensor.device != here for tensor in tensors):
        module.to(device)


@dataclass(frozen=True)
class _Entry:
    """One file of a stack, and its recorded SHA-256, or None."""

    path: Path
    sha256: str | None


@dataclass(frozen=True)
class Manifest:
    """A stack's sizes and the file of every role, not yet opened."""

    config: StackConfig
    entries: dict[str, _Entry]
    source: JsonDict


def user_directory() -> Path:
    """Where a player's own stacks live: `$JBDIFF_HOME`, or the platform's folder for data.

    Raises CheckpointError if neither is known.
    """
    try:
        if home := os.environ.get("JBDIFF_HOME"):
            return Path(home).expanduser()
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "jbdiff"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / "jbdiff"
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "jbdiff"
    except RuntimeError as error:  # a user without an entry in the system's list of users
        raise CheckpointError(
            "this user has no home folder; name a folder for stacks in JBDIFF_HOME, or give the folder itself"
        ) from error


def known_stacks() -> dict[str, Path]:
    """Every stack that can be loaded by name -> its folder. A player's own wins over a shipped one.

    A folder that cannot be read hides no other.
    """
    roots = [Path(__file__).parent.parent / "weights"]
    try:
        roots.append(user_directory())
    except CheckpointError as error:
        log.info("no stacks of your own: %s", error)
    found: dict[str, Path] = {}
    for root in roots:
        for folder in _folders(root):
            try:
                if (folder / CONFIG_NAME).is_file() or any(_v1_candidates(folder)):
                    found[folder.name] = folder
            except OSError as error:
                log.warning("stack %s cannot be read: %s", folder, error)
    return found


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(folder for folder in root.iterdir() if folder.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        log.warning("stacks in %s cannot be listed: %s", root, error)
        return []


def load_stack(name_or_path: str | Path, device: torch.device | str = "cpu") -> Stack:
    """Read, verify and build a stack, by name or by folder, in evaluation mode and float32.

    Raises CheckpointError when it is unknown, incomplete, changed since its hashes were written, or
    does not fit its own sizes.
    """
    folder = find_folder(name_or_path)
    manifest = read_manifest(folder)
    identity = verified_identity(manifest)
    files = {
        path: read_checkpoint(path) for path in {entry.path: None for entry in manifest.entries.values()}
    }

    def of(role: str) -> CheckpointFile:
        return files[manifest.entries[role].path]

    config, name = manifest.config, f"of stack {manifest.config.name!r}"
    codec = cast(Codec, _loaded(of("codec"), config.codec, f"the codec {name}"))
    denoisers: dict[int, Denoiser] = {}
    few: dict[int, JointDenoiser] = {}
    for level in config.levels:
        number, file = level.level, of(f"level{level.level}")
        check_level(file, number)
        denoisers[number] = cast(Denoiser, _loaded(file, level.denoiser, f"level {number} {name}"))
        if level.few is not None:
            few[number] = _load_few(level, level.few, denoisers[number], of(few_role(number)))
    finisher: FinisherNetwork | None = None
    if config.finisher is not None:
        finisher = cast(FinisherNetwork, _loaded(of("finisher"), config.finisher, f"the finisher {name}"))
    stack = Stack(config, codec, denoisers, identity, finisher, folder, manifest.source, few)
    for module in stack.modules():
        module.eval().requires_grad_(False)
    return stack.to(device)


def with_finisher_of(stack: Stack, other: Stack) -> Stack:
    """Return a stack that plays with the finisher of another. Raises ValueError if the other has none that fits."""
    if other.finisher is None:
        raise ValueError(
            f"stack {other.config.name!r} has no finisher; name a stack that has one, or leave it out"
        )
    if other.config.sample_rate != stack.config.sample_rate:
        raise ValueError(
            f"the finisher of {other.config.name!r} runs at {other.config.sample_rate} Hz, the stack "
            f"{stack.config.name!r} at {stack.config.sample_rate} Hz; name another stack"
        )
    config = replace(stack.config, finisher=other.config.finisher)
    identity = stack.identity if stack.identity == other.identity else f"{stack.identity}+{other.identity}"
    return replace(
        stack, config=config, finisher=other.finisher, identity=identity, compiled=CompiledNetworks()
    )


def save_stack(
    folder: Path,
    config: StackConfig,
    codec: Codec,
    denoisers: Mapping[int, Denoiser],
    source: JsonTable | None = None,
    dtype: torch.dtype = torch.float16,
    finisher: FinisherNetwork | None = None,
    few: Mapping[int, Additions] | None = None,
) -> Path:
    """Write a stack that `load_stack` reads, with floating-point weights in `dtype`. Return its folder.

    few: the additions of the student of each level (`few_steps.Additions`), not merged networks.

    Raises ValueError if the modules are not those that `config` names.
    """
    files: dict[str, dict[str, str]] = {}
    parts: dict[str, object] = {"codec": codec} | {f"level{level}": net for level, net in denoisers.items()}
    parts |= {few_role(level): additions for level, additions in (few or {}).items()}
    if finisher is not None:
        parts["finisher"] = finisher
    modules = {role: cast(nn.Module, part) for role, part in parts.items()}
    if set(modules) != set(stack_roles(config)):
        raise ValueError(f"stack {config.name!r} has {stack_roles(config)}, and {sorted(modules)} were given")
    folder.mkdir(parents=True, exist_ok=True)
    for role, module in modules.items():
        path = folder / f"{role}.safetensors"
        save_file({name: _stored(tensor, dtype) for name, tensor in module.state_dict().items()}, path)
        files[role] = {"file": path.name, "sha256": file_sha256(path)}
    content = {
        "format": FORMAT,
        "name": config.name,
        "stack": stack_to_dict(config),
        "files": files,
        "source": dict(source or {}),
    }
    (folder / CONFIG_NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return folder


def check_level(file: CheckpointFile, level: int) -> None:
    """Raise CheckpointError if a file says that it is another level's."""
    said = file.level()
    if said is not None and said != level:
        raise CheckpointError(
            f"{file.path.name} says it is level {said}, and level {level} is needed; "
            "check which file carries which name"
        )


def _loaded(file: CheckpointFile, config: PartConfig, what: str) -> nn.Module:
    """A network with the weights of a file. what: its name in errors."""
    net = skeleton(config)
    load_into(net, part_tensors(file, config), what, file.path.name)
    return net


def _load_few(
    level: LevelConfig, few: FewStepsConfig, denoiser: Denoiser, file: CheckpointFile
) -> JointDenoiser:
    if not isinstance(denoiser, JointDenoiser):
        raise CheckpointError(
            f"level {level.level} has a student of few steps, and a denoiser that can have none; "
            "take the student out of the stack's description"
        )
    additions = Additions(denoiser, few)
    load_into(additions, file.tensors, f"the student of level {level.level}", file.path.name)
    return merge(denoiser, additions)


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()


def find_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a stack, by name or by folder. Raises CheckpointError if there is none."""
    path = Path(name_or_path)
    try:
        path = path.expanduser()
        if path.is_dir():
            return path
    except (
        RuntimeError,
        OSError,
        ValueError,
    ) as error:  # no home for "~", a name that is too long or has a zero byte
        raise CheckpointError(
            f"no stack {str(name_or_path)[:200]!r} ({error}); give a folder that exists"
        ) from error
    known = known_stacks()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    try:
        own = f"Give a folder, or put one into {user_directory()}"
    except CheckpointError:
        own = "Give a folder"
    raise CheckpointError(f"no stack {str(name_or_path)!r}; known: {', '.join(known) or 'none'}. {own}")


def read_manifest(folder: Path) -> Manifest:
    """Read the description of a stack's folder. Raises CheckpointError if the folder has none that can be read."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        return _v1_manifest(folder)
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if content["format"] != FORMAT:
            raise CheckpointError(
                f"{path} has format {content['format']!r}; this version reads {FORMAT}. Update jbdiff"
            )
        config = stack_from_dict(content["stack"])
        check_sizes(config)
        entries = {
            str(role): _Entry(_inside(folder, entry["file"]), str(entry["sha256"]))
            for role, entry in content["files"].items()
        }
        source = dict(content.get("source", {}))
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
        OverflowError,
        OSError,
    ) as error:
        raise CheckpointError(f"{path} is no stack description: {error!r}; restore or remove it") from error
    for role in stack_roles(config):
        if role not in entries:
            raise CheckpointError(f"{path} names no file for {role}; it names: {', '.join(entries)}")
    return Manifest(config, {role: entries[role] for role in stack_roles(config)}, source)


def _inside(folder: Path, name: str) -> Path:
    """Path of a file in the folder itself. A description may not name files elsewhere on the disk."""
    if Path(name).name != name:
        raise CheckpointError(f"file name {name!r} in {folder} leads out of the folder; refused")
    return folder / name


def few_role(level: int) -> str:
    """Name of the part with the additions that turn a level's denoiser into its student of few steps."""
    return f"level{level}_few"


def stack_roles(config: StackConfig) -> list[str]:
    """The parts a stack has a file for: "codec", "level2", ..., "level2_few", "finisher"."""
    levels = [f"level{level.level}" for level in config.levels]
    levels += [few_role(level.level) for level in config.levels if level.few is not None]
    return ["codec", *levels] + (["finisher"] if config.finisher is not None else [])


def _v1_candidates(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files of a folder that look like original ones, with their role."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".ckpt", ".tar", ".pth", ".pt") and (role := v1_role(path)) is not None:
            yield role, path


def _v1_files(folder: Path) -> dict[str, Path]:
    """The original files in a folder, by role; one file a role."""
    found: dict[str, Path] = {}
    for role, path in _v1_candidates(folder):
        if role in found:
            raise CheckpointError(f"{folder} has two files for {role}: {found[role].name} and {path.name}")
        found[role] = path
    return found


def _v1_manifest(folder: Path) -> Manifest:
    """A folder of original files: the levels that are there, at v1's published sizes."""
    files = _v1_files(folder)
    levels = tuple(level for level in V1.levels if f"level{level.level}" in files)
    if not levels:
        raise CheckpointError(
            f"{folder} has neither a {CONFIG_NAME} nor a v1 level checkpoint "
            "(a published name, or one with 'level2' in it)"
        )
    # Every level file carries the VQ-VAE along, so the official file is optional.
    codec = files.get("codec", files[f"level{levels[0].level}"])
    finisher = V1.finisher if "finisher" in files else None
    config = StackConfig(name=folder.name, codec=V1.codec, levels=levels, finisher=finisher)
    files["codec"] = codec
    entries = {role: _Entry(files[role], None) for role in stack_roles(config)}
    return Manifest(config, entries, {"layout": "v1"})


def verified_identity(manifest: Manifest) -> str:
    """Return the hash of sizes and weights. Raises CheckpointError if a file is missing or has changed."""
    digest = hashlib.sha256(json.dumps(stack_to_dict(manifest.config), sort_keys=True).encode())
    for role, entry in sorted(manifest.entries.items()):
        digest.update(f"{role}={_verified_sha256(role, entry)}".encode())
    return digest.hexdigest()


def _verified_sha256(role: str, entry: _Entry) -> str:
    if not entry.path.is_file():
        raise CheckpointError(f"{entry.path} is missing ({role}); put it back or fetch the stack again")
    actual = file_sha256(entry.path)
    if entry.sha256 is not None and actual != entry.sha256:
        refuse_stand_in(entry.path)
        raise CheckpointError(
            f"{entry.path.name} ({role}) has changed since it was recorded: SHA-256 {actual[:12]}..., "
            f"expected {entry.sha256[:12]}...; fetch the stack again"
        )
    return actual
