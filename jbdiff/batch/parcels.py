"""Files on their way to another machine: what a request reads, by content, and a folder there that keeps it.

A machine of a cluster keeps inputs and unfinished pieces in a folder of the user's below the temporary folder. A stack
is sent to a machine once. A request that comes to the same machine again goes on from where it was.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jbdiff.batch.request import BatchError, Request, Take
from jbdiff.stacks.weight_files import file_sha256

FOLDER = "JBDIFF_RENDER_FOLDER"  # a variable of the environment: the folder on a machine of a cluster
Bytes = NDArray[np.uint8]
Ref = Any  # a handle of Ray for bytes that are elsewhere; Ray's type cannot be named without importing it


@dataclass(frozen=True)
class Bundle:
    """Files that lie in one folder, or below it. files: name and handle of the bytes of each.

    key: hash of names and contents. name: of the folder, which is the name of a stack of original v1 files.
    """

    key: str
    name: str
    files: tuple[tuple[str, Ref], ...]

    def unpacked(self, root: Path, get: Callable[[Ref], Bytes]) -> Path:
        """Return a folder below `root` with the files, and fetch them if it is not there yet.

        Several processes may do so at once: each writes a folder of its own, and the first one to be whole stays.
        """
        folder = root / self.key
        if folder.is_dir():
            return folder / self.name
        root.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f"{self.key[:16]}.", dir=root))
        try:
            for name, ref in self.files:
                (new / self.name / name).parent.mkdir(exist_ok=True, parents=True)
                get(ref).tofile(new / self.name / name)
            new.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
        return folder / self.name


class Packer:
    """Makes bundles of the inputs of requests. Equal files are sent once. put: hands bytes over to the cluster."""

    def __init__(self, put: Callable[[Bytes], Ref]) -> None:
        self._put = put
        self._known: dict[tuple[Path, ...], Bundle] = {}

    def bundles(self, request: Request) -> dict[str, Bundle]:
        """Return the inputs of a request by role."""
        roots = {"take": request.folder} if isinstance(request, Take) else {}
        return {
            role: self._bundle(files, roots.get(role, files[0].parent))
            for role, files in request.inputs().items()
        }

    def _bundle(self, files: tuple[Path, ...], root: Path) -> Bundle:
        if files not in self._known:
            names = [path.relative_to(root).as_posix() for path in files]
            hashes = [(name, file_sha256(path)) for name, path in zip(names, files, strict=True)]
            key = hashlib.sha256(repr((root.name, hashes)).encode("utf-8", "surrogateescape")).hexdigest()
            refs = [self._put(np.fromfile(path, np.uint8)) for path in files]
            self._known[files] = Bundle(key, root.name, tuple(zip(names, refs, strict=True)))
        return self._known[files]


def at_machine(
    request: Request, bundles: Mapping[str, Bundle], root: Path, get: Callable[[Ref], Bytes]
) -> Request:
    """Return the request with its inputs in folders of this machine."""
    return request.moved({role: bundle.unpacked(root / "inputs", get) for role, bundle in bundles.items()})


def machine_folder() -> Path:
    """Return the folder of this user on this machine, or that of the environment.

    Raises BatchError if somebody else owns it.
    """
    usual = Path(tempfile.gettempdir()) / f"jbdiff-render-{getpass.getuser()}"
    folder = Path(os.environ.get(FOLDER) or usual)
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise BatchError(f"{folder} belongs to another user; set {FOLDER} to a folder of yours")
    return folder
