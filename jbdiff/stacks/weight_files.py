"""Reading weight files without trusting them: safetensors, and PyTorch files as tensors only.

`torch.load` runs with `weights_only=True`, so a pickle that asks for anything but tensors and plain
values is refused before it runs. What cannot be read whole is refused too.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from jbdiff.untyped import JsonDict


class CheckpointError(RuntimeError):
    """A weight file that is missing, damaged, unsafe, or not what was asked for; says what to do."""


ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7z",
    b"\x28\xb5\x2f\xfd": "zstd",
}
SNIFFED = 512  # bytes


@dataclass(frozen=True)
class CheckpointFile:
    """Tensors of one file by name, the `module.` wrapper stripped, and its other plain values."""

    path: Path
    tensors: dict[str, Tensor]
    facts: JsonDict = field(default_factory=dict)

    def kind(self) -> str:
        """What the file holds, in words for a message."""
        names = self.tensors
        if any(name.startswith("diffusion_ema.") for name in names):
            return "a finisher (Dance Diffusion) checkpoint"
        if any(name.startswith("diffusion.net.blocks.") for name in names):
            level = self.level()
            return "a Jukebox Diffusion level checkpoint" + (
                f" of level {level}" if level is not None else ""
            )
        if any(name.startswith("encoders.") for name in names) and "bottleneck.level_blocks.0.k" in names:
            return "a Jukebox VQ-VAE"
        first = next(iter(names), "nothing")
        return f"{len(names)} tensors ({first}, ...)"

    def level(self) -> int | None:
        """The level in the file's own record of its training; None if it has none."""
        parameters = self.facts.get("hyper_parameters")
        level = parameters.get("level") if isinstance(parameters, Mapping) else None
        return level if isinstance(level, int) else None


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal. Raises OSError if it cannot be read."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def refuse_stand_in(path: Path) -> None:
    """Raise CheckpointError if the file holds something other than weights: a pointer, a web page, an archive."""
    with path.open("rb") as handle:
        head = handle.read(SNIFFED)
    if not head:
        raise CheckpointError(f"{path.name} is damaged: it is empty; fetch it again")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{path.name} is a Git LFS pointer, a short text in the place of the weights; run `git lfs pull` in "
            "its folder"
        )
    if text.startswith(b"<"):
        raise CheckpointError(
            f"{path.name} is a web page in the place of the weights; open the address in a browser, log in if it "
            "asks for that, and fetch the file itself"
        )
    for mark, kind in ARCHIVES.items():
        if head.startswith(mark):
            raise CheckpointError(f"{path.name} is a {kind} archive; unpack it first")
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        begins = head[:40].decode("ascii").splitlines()[0]
        raise CheckpointError(
            f"{path.name} is a text in the place of the weights ({begins!r}...); fetch it again"
        )


def read_checkpoint(path: Path) -> CheckpointFile:
    """All tensors of a safetensors or PyTorch file, on the CPU; PyTorch's are mapped, not copied.

    Raises CheckpointError for a missing, truncated, damaged or unsafe file.
    """
    if not path.is_file():
        raise CheckpointError(f"no file {path}; put the checkpoint there or correct the path")
    try:
        refuse_stand_in(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check who may read it") from error
    if path.suffix == ".safetensors":
        try:
            return CheckpointFile(path, load_file(path))
        except Exception as error:  # a damaged header can break the reader anywhere
            raise CheckpointError(
                f"{path.name} is no whole safetensors file ({_first_line(error)}); fetch it again"
            ) from error
    return _read_torch(path)


def _read_torch(path: Path) -> CheckpointFile:
    zipped = _check_records(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        # torch's own message advises to switch the check off, so it is not shown.
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is not None:
            raise CheckpointError(
                f"{path.name} is refused: it asks to run code while it is read ({asked[1]}); fetch it from a source "
                "that you trust, or have it saved as safetensors"
            ) from error
        raise CheckpointError(f"{path.name} is damaged, or no PyTorch file; fetch it again") from error
    except Exception as error:  # a damaged pickle can break the reader anywhere
        raise CheckpointError(
            f"{path.name} is cut short or damaged ({_first_line(error)}); fetch it again"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}, not named tensors; wrong file?")
    facts = {str(key): value for key, value in content.items() if not isinstance(value, Tensor)}
    named: Mapping[object, object] = content
    for wrapper in ("state_dict", "model"):  # Lightning's name, and the official VQ-VAE's
        if isinstance(content.get(wrapper), Mapping):
            named = facts.pop(wrapper)
            break
    tensors = {
        str(key).removeprefix("module."): value for key, value in named.items() if isinstance(value, Tensor)
    }
    if not tensors:
        raise CheckpointError(f"{path.name} holds no tensors; wrong file?")
    return CheckpointFile(path, tensors, facts)


def _check_records(path: Path) -> bool:
    """Return whether the file is a zip, as PyTorch's files are.

    Raises CheckpointError if a record differs from its CRC-32. Torch does not check it in mapped files.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            # PyTorch does not compress. Compressed or overlapping records could unpack without end.
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                raise CheckpointError(f"{path.name} is a zip archive, not a PyTorch file; unpack it first")
            if sum(record.file_size for record in records) > path.stat().st_size:
                raise CheckpointError(f"{path.name} is damaged: its records overlap; fetch it again")
            damaged = archive.testzip()
    except CheckpointError:
        raise
    except Exception as error:  # a damaged directory can break the reader anywhere
        raise CheckpointError(
            f"{path.name} is cut short or damaged ({_first_line(error)}); fetch it again"
        ) from error
    if damaged is not None:
        raise CheckpointError(f"{path.name} is damaged: {damaged} differs from its checksum; fetch it again")
    return True


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def check_fit(needed: Mapping[str, Tensor], tensors: Mapping[str, Tensor], what: str, source: str) -> None:
    """Raise CheckpointError if names or shapes of `tensors` `[...]` differ from `needed`.

    The message names the first difference of each kind.
    """
    missing = sorted(set(needed) - set(tensors))
    extra = sorted(set(tensors) - set(needed))
    wrong = [name for name in needed if name in tensors and needed[name].shape != tensors[name].shape]
    problems = []
    if missing:
        problems.append(f"it lacks {len(missing)} tensors, such as {missing[0]}")
    if extra:
        problems.append(f"it has {len(extra)} more than needed, such as {extra[0]}")
    if wrong:
        name = wrong[0]
        problems.append(
            f"{len(wrong)} have another shape, such as {name}: {list(tensors[name].shape)} "
            f"where {list(needed[name].shape)} is needed"
        )
    if problems:
        raise CheckpointError(
            f"{source} does not fit {what}: {'; '.join(problems)}. Choose the file of {what}, "
            "or a stack whose sizes are this file's"
        )


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], what: str, source: str) -> None:
    """Check names and shapes of `tensors` `[...]`, then put them into `module` as float32.

    Integer tensors keep their type. The tensors become the module's own (`assign`), so this also fills a module on the
    meta device. Raises CheckpointError if they do not fit. `what` and `source` are for the message.
    """
    own = module.state_dict()
    check_fit(own, tensors, what, source)
    for name, value in tensors.items():
        if own[name].is_floating_point() and not value.is_floating_point():
            raise CheckpointError(
                f"{source} does not fit {what}: {name} holds {str(value.dtype).removeprefix('torch.')} numbers where "
                f"{str(own[name].dtype).removeprefix('torch.')} is needed; fetch or export the file again"
            )
    filled = {
        name: value.float() if value.is_floating_point() else value.clone() for name, value in tensors.items()
    }
    module.load_state_dict(filled, strict=True, assign=True)
