"""Quick environments and commands of one's own, for tests of the set-up."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

import pip


def quick_environment(folder: Path) -> None:
    """A virtual environment with the pip of this one, which takes no time to make."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "lib" / version / "site-packages" / "pip").symlink_to(Path(pip.__file__).parent)


def command(folder: Path, name: str, text: str) -> None:
    """A command that stands before the system's own on PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    if str(folder) not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
