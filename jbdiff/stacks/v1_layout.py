"""Where each parameter of our modules lies in the first implementation's checkpoints.

The VQ-VAE's names are the official ones. The U-Net's are ours: the published file nests every depth
inside the one above and numbers everything, so this file spells the correspondence out.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from jbdiff.config import UNetConfig
from jbdiff.stacks.published import PUBLISHED
from jbdiff.stacks.weight_files import CheckpointError, CheckpointFile

# A level's file has the same tensors under these three prefixes; the first is read.
UNET_PREFIXES = ("diffusion.net.", "diffusion.diffusion.net.", "diffusion.sampler.net.")
VQVAE_PREFIX = "vqvae."
FINISHER_PREFIX = "diffusion_ema."
VQVAE_PARTS = ("encoders", "decoders", "bottleneck")

PUBLISHED_FILES = {file.name: file.role for file in PUBLISHED}

RESIDUAL = "block.blocks.0.blocks"  # inside a residual item: two (norm, activation, dropout, conv) groups


def unet_key_map(config: UNetConfig) -> dict[str, str]:
    """Our U-Net parameter names -> the checkpoint's, without prefix, for any sizes."""
    keys: dict[str, str] = {
        "time_embedding.weights": "blocks.0.weights",
        "null_context.weight": "blocks.2.blocks.0.blocks.0.weight",
    }
    _pair(keys, "time_embedding.to_out", "blocks.0.to_out")
    _pair(keys, "time_embedding.layer", "blocks.1.blocks.0.0")
    base = "blocks.2.blocks.1.net"
    for depth, items in enumerate(config.items):
        attends, crosses = bool(config.attentions[depth]), bool(config.cross_attentions[depth])
        position = 0
        ours, theirs = f"depths.{depth}", f"{base}.block.blocks"
        _pair(keys, f"{ours}.down", f"{theirs}.{position}.block")
        position += 1
        for index in range(items):
            position = _item(keys, f"{ours}.items_down.{index}", theirs, position, attends, crosses)
        inner = f"{theirs}.{position}"
        if depth + 1 < len(config.items):
            position += 1
        for index in range(items):
            position = _item(keys, f"{ours}.items_up.{index}", theirs, position, attends, crosses)
        _pair(keys, f"{ours}.up", f"{theirs}.{position}.block.1")
        _pair(keys, f"{ours}.skip_scale", f"{base}.skip.blocks.0.1")
        base = inner
    return keys


def unet_duplicate_keys() -> dict[str, str]:
    """Checkpoint keys that repeat another one: the time layer is one module under two names."""
    return {
        "blocks.1.blocks.1.0.weight": "blocks.1.blocks.0.0.weight",
        "blocks.1.blocks.1.0.bias": "blocks.1.blocks.0.0.bias",
    }


def _pair(keys: dict[str, str], ours: str, theirs: str) -> None:
    for part in ("weight", "bias"):
        keys[f"{ours}.{part}"] = f"{theirs}.{part}"


def _item(keys: dict[str, str], ours: str, theirs: str, position: int, attends: bool, crosses: bool) -> int:
    """Adds one item's keys; returns the position after it."""
    residual = f"{theirs}.{position}.{RESIDUAL}"
    for number, group in ((1, 0), (2, 1)):
        _pair(keys, f"{ours}.residual.norm{number}", f"{residual}.{group}.0")
        _pair(keys, f"{ours}.residual.conv{number}", f"{residual}.{group}.3")
    position += 1
    _pair(keys, f"{ours}.modulation.to_scale_shift", f"{theirs}.{position}.blocks.0.block.blocks.0.1")
    position += 1
    for name, present in (("attention", attends), ("cross_attention", crosses)):
        if not present:
            continue
        block = f"{theirs}.{position}.blocks.0.block"
        _pair(keys, f"{ours}.{name}.norm", f"{block}.norm")
        _pair(keys, f"{ours}.{name}.norm_context", f"{block}.norm_context")
        keys[f"{ours}.{name}.to_q.weight"] = f"{block}.to_q.weight"
        keys[f"{ours}.{name}.to_kv.weight"] = f"{block}.to_kv.weight"
        keys[f"{ours}.{name}.to_out.weight"] = f"{block}.attention.blocks.0.weight"
        position += 1
    return position


def unet_tensors(file: CheckpointFile, config: UNetConfig) -> dict[str, Tensor]:
    """Return the U-Net's tensors `[...]` of a level file under our names.

    Raises CheckpointError for another kind of file.
    """
    prefix = next((p for p in UNET_PREFIXES if any(name.startswith(p) for name in file.tensors)), None)
    if prefix is None or any(name.startswith("diffusion_ema.") for name in file.tensors):
        raise CheckpointError(
            f"{file.path.name} is {file.kind()}; a Jukebox Diffusion level checkpoint is needed "
            "(tensors named diffusion.net.*)"
        )
    theirs = {name[len(prefix) :]: t for name, t in file.tensors.items() if name.startswith(prefix)}
    for duplicate, original in unet_duplicate_keys().items():
        if duplicate in theirs and original in theirs:
            del theirs[duplicate]
    names = {their_name: our_name for our_name, their_name in unet_key_map(config).items()}
    return {names.get(name, name): tensor for name, tensor in theirs.items()}


def vqvae_tensors(file: CheckpointFile) -> dict[str, Tensor]:
    """Return the VQ-VAE's tensors `[...]` of an official file or of a level file, which holds a copy.

    Raises CheckpointError for another kind of file.
    """
    inside = {
        name.removeprefix(VQVAE_PREFIX): tensor
        for name, tensor in file.tensors.items()
        if name.startswith(VQVAE_PREFIX)
    }
    tensors = inside or file.tensors
    if "bottleneck.level_blocks.0.k" not in tensors:
        raise CheckpointError(f"{file.path.name} is {file.kind()}; a Jukebox VQ-VAE is needed")
    return {name: tensor for name, tensor in tensors.items() if name.split(".")[0] in VQVAE_PARTS}


def finisher_tensors(file: CheckpointFile) -> dict[str, Tensor]:
    """Return the averaged finisher's tensors `[...]` of a Dance Diffusion file. The file also holds the trained copy.

    Raises CheckpointError for another kind of file.
    """
    averaged = {
        name.removeprefix(FINISHER_PREFIX): tensor
        for name, tensor in file.tensors.items()
        if name.startswith(FINISHER_PREFIX)
    }
    if not averaged:
        raise CheckpointError(
            f"{file.path.name} is {file.kind()}; a finisher checkpoint is needed "
            f"(tensors named {FINISHER_PREFIX}*)"
        )
    return averaged


def v1_role(path: Path) -> str | None:
    """Role of a file of a v1 folder: "codec", "level2", ..., "finisher"; None if its name does not show it.

    The published names ("epoch=543-step=705000.ckpt") do not say, so those are known by name; others
    by a word such as "level1" or "vqvae" in theirs.
    """
    if path.name in PUBLISHED_FILES:
        return PUBLISHED_FILES[path.name]
    name = path.name.lower()
    if found := re.search(r"(?:level|lvl|layer)[_-]?([012])", name):
        return f"level{found.group(1)}"
    if "vqvae" in name:
        return "codec"
    return "finisher" if re.match(r"(dd|finisher|dance)", name) else None
