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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from jbdiff.config import (
    V1,
    AnyFinisherConfig,
    BandCodecConfig,
    CodecConfig,
    DenoiserConfig,
    JointDenoiserConfig,
    LevelConfig,
    SpectralFinisherConfig,
    StackConfig,
    UNetConfig,
    VQVAEConfig,
    stack_from_dict,
    stack_to_dict,
)
from jbdiff.networks.channels_last import Compiler, has_token_form, token_major
from jbdiff.networks.detail import mean_of_sampling
from jbdiff.stacks.v1_layout import finisher_tensors, unet_tensors, v1_role, vqvae_tensors
from jbdiff.stacks.weight_files import (
    CheckpointError,
    CheckpointFile,
    file_sha256,
    load_into,
    read_checkpoint,
    refuse_stand_in,
)

__all__ = ["CheckpointError", "Stack", "known_stacks", "load_stack", "save_stack", "user_directory"]

log = logging.getLogger(__name__)

FORMAT = 1
CONFIG_NAME = "config.json"


@dataclass(frozen=True)
class Stack:
    """A loaded stack. `identity` names exactly these weights and sizes: a saved stream asks for it."""

    config: StackConfig
    codec: Any  # a `jbdiff.codecs.codec.Codec` that is also an nn.Module
    denoisers: Mapping[int, Any]  # level -> a `jbdiff.guidance.Denoiser` that is also an nn.Module
    identity: str
    finisher: Any | None = None  # a `jbdiff.networks.dance_finisher.Finisher` or a `SpectralFinisher`
    folder: Path | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    few: Mapping[int, Any] = field(default_factory=dict)  # level -> its `JointDenoiser` of few steps
    # Networks in the form that streams play them in where they are compiled: made by the first that asks.
    compiled: dict[tuple[nn.Module, torch.dtype], nn.Module] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def levels(self) -> tuple[int, ...]:
        """Loaded levels, coarsest first."""
        return tuple(sorted(self.denoisers, reverse=True))

    def to(self, device: torch.device | str) -> Stack:
        """Moves the modules in place and returns the same stack."""
        for module in [*self.modules(), *self.compiled.values()]:
            module.to(device)
        return self

    def modules(self) -> list[nn.Module]:
        """The codec, the denoisers, their students of few steps, and the finisher, if there is one."""
        modules = [self.codec, *self.denoisers.values(), *self.few.values()]
        return modules if self.finisher is None else [*modules, self.finisher]

    def compiled_network(self, net: Any, dtype: torch.dtype, compiler: Compiler) -> nn.Module | None:
        """A denoiser or finisher of this stack with channels innermost and compiled; None where there is no such form
        of it (`networks/channels_last.py`).
        """
        if not has_token_form(net):
            return None
        if (net, dtype) not in self.compiled:
            quick = token_major(net, dtype)
            compiler(quick)
            self.compiled[net, dtype] = quick
        return self.compiled[net, dtype]


@dataclass(frozen=True)
class _Entry:
    """One file of a stack, and its recorded SHA-256 where there is one."""

    path: Path
    sha256: str | None


@dataclass(frozen=True)
class Manifest:
    """A stack's sizes and the file of every role, not yet opened."""

    config: StackConfig
    entries: dict[str, _Entry]
    source: dict[str, Any]


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
    """Reads, verifies and builds a stack, by name or by folder, in evaluation mode and float32.

    Raises CheckpointError when it is unknown, incomplete, changed since its hashes were written, or
    does not fit its own sizes.
    """
    folder = _find(name_or_path)
    manifest = read_manifest(folder)
    digest = hashlib.sha256(json.dumps(stack_to_dict(manifest.config), sort_keys=True).encode())
    files: dict[Path, CheckpointFile] = {}
    for role, entry in sorted(manifest.entries.items()):
        actual = _verified_sha256(role, entry)
        digest.update(f"{role}={actual}".encode())
        if entry.path not in files:
            files[entry.path] = read_checkpoint(entry.path)

    codec = build_codec(manifest.config.codec)
    source = files[manifest.entries["codec"].path]
    tensors = vqvae_tensors(source) if isinstance(manifest.config.codec, VQVAEConfig) else source.tensors
    load_into(codec, tensors, f"the codec of stack {manifest.config.name!r}", source.path.name)

    denoisers: dict[int, nn.Module] = {}
    few: dict[int, nn.Module] = {}
    for level in manifest.config.levels:
        denoisers[level.level] = _load_denoiser(
            level, files[manifest.entries[f"level{level.level}"].path], manifest.config.name
        )
        if level.few is not None:
            few[level.level] = _load_few(
                level, denoisers[level.level], files[manifest.entries[few_role(level.level)].path]
            )
    finisher = (
        _load_finisher(manifest.config, files[manifest.entries["finisher"].path])
        if ("finisher" in manifest.entries)
        else None
    )
    stack = Stack(
        manifest.config, codec, denoisers, digest.hexdigest(), finisher, folder, manifest.source, few
    )
    for module in stack.modules():
        module.eval().requires_grad_(False)
    return stack.to(device)


def save_stack(
    folder: Path,
    config: StackConfig,
    codec: nn.Module,
    denoisers: Mapping[int, nn.Module],
    source: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
    finisher: nn.Module | None = None,
    few: Mapping[int, nn.Module] | None = None,
) -> Path:
    """Writes a stack that `load_stack` reads; floating-point weights in `dtype`. Returns the folder.

    `few` are what makes students of few steps, level by level: `fewsteps.Additions`, not merged networks.

    Raises ValueError when the modules are not those that `config` names.
    """
    files: dict[str, dict[str, str]] = {}
    modules = {"codec": codec} | {f"level{level}": net for level, net in denoisers.items()}
    modules |= {few_role(level): additions for level, additions in (few or {}).items()}
    if finisher is not None:
        modules["finisher"] = finisher
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


def build_codec(config: CodecConfig) -> nn.Module:
    """A codec of these sizes with fresh weights."""
    if isinstance(config, BandCodecConfig):
        from jbdiff.codecs.band_codec import BandCodec

        return BandCodec(config)
    from jbdiff.codecs.vqvae import VQVAE

    return VQVAE(config)


def build_denoiser(config: DenoiserConfig) -> nn.Module:
    """A denoiser of these sizes with fresh weights."""
    if isinstance(config, JointDenoiserConfig):
        from jbdiff.networks.joint_denoiser import JointDenoiser

        return JointDenoiser(config)
    from jbdiff.networks.unet import UNet

    return UNet(config)


def build_finisher(config: AnyFinisherConfig) -> nn.Module:
    """A finisher of these sizes with fresh weights."""
    if isinstance(config, SpectralFinisherConfig):
        from jbdiff.networks.spectral_finisher import SpectralFinisher

        return SpectralFinisher(config)
    from jbdiff.networks.dance_finisher import Finisher

    return Finisher(config)


def _load_denoiser(level: LevelConfig, file: CheckpointFile, stack_name: str) -> nn.Module:
    said = file.level()
    if said is not None and said != level.level:
        raise CheckpointError(
            f"{file.path.name} says it is level {said}, and level {level.level} is needed; "
            "check which file carries which name"
        )
    what = f"level {level.level} of stack {stack_name!r}"
    config = level.denoiser
    if isinstance(config, UNetConfig):
        # Fresh weights of a full-size U-Net take seconds to draw and would be thrown away.
        with torch.device("meta"):
            net = build_denoiser(config)
        own = file.path.suffix == ".safetensors" and "time_embedding.weights" in file.tensors
        tensors = file.tensors if own else unet_tensors(file, config)
    else:
        net, tensors = build_denoiser(config), mean_of_sampling(file.tensors)
    load_into(net, tensors, what, file.path.name)
    return net


def _load_few(level: LevelConfig, denoiser: nn.Module, file: CheckpointFile) -> nn.Module:
    from jbdiff.networks.few_steps import Additions, merge
    from jbdiff.networks.joint_denoiser import JointDenoiser

    assert level.few is not None
    if not isinstance(denoiser, JointDenoiser):
        raise CheckpointError(
            f"level {level.level} has a student of few steps, and a denoiser that can have none; "
            "take the student out of the stack's description"
        )
    additions = Additions(denoiser, level.few)
    load_into(additions, file.tensors, f"the student of level {level.level}", file.path.name)
    return merge(denoiser, additions)


def _load_finisher(config: StackConfig, file: CheckpointFile) -> nn.Module:
    what, name = f"the finisher of stack {config.name!r}", file.path.name
    assert config.finisher is not None
    if isinstance(config.finisher, SpectralFinisherConfig):
        small = build_finisher(config.finisher)
        load_into(small, file.tensors, what, name)
        return small
    # Fresh weights of a full-size finisher take seconds to draw and would be thrown away.
    with torch.device("meta"):
        net = build_finisher(config.finisher)
    own = file.path.suffix == ".safetensors" and "timestep_embed.weight" in file.tensors
    load_into(net, file.tensors if own else finisher_tensors(file), what, name)
    return net


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()


def _find(name_or_path: str | Path) -> Path:
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
    """What a stack's folder says it holds. Raises CheckpointError when it says nothing that can be read."""
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
    """A file of the folder itself: a description may not point elsewhere on the disk."""
    if Path(name).name != name:
        raise CheckpointError(f"file name {name!r} in {folder} leads out of the folder; refused")
    return folder / name


def few_role(level: int) -> str:
    """The part that makes a level's student of few steps out of its denoiser."""
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
