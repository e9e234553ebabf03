"""Choose the build of torch: the one for CUDA if the machine has an NVIDIA GPU, else the small one for the CPU.

On Linux the ordinary package contains the libraries of CUDA, 5 GB for a model of 23 MB. uv knows the address of the CPU
build. If it cannot be reached, pip installs the build of its own index, and prints the size before.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap_run import ROOT, Failed, own_environment, run, say

if TYPE_CHECKING:
    from bootstrap import Pip

WITHOUT_NVIDIA = "torch==2.13.0"
WITH_NVIDIA = "torch>=2.13.0"
UV = "uv==0.13.9"
# Short time-outs, so that a machine that only reaches its own package index does not wait long.
UV_SETTINGS = {
    "UV_HTTP_TIMEOUT": "60",
    "UV_HTTP_CONNECT_TIMEOUT": "10",
    "UV_HTTP_RETRIES": "1",
    "UV_SYSTEM_CERTS": "1",
}
CPU_SIZE = "about 0.2 GB to download, 0.8 GB on the disk"
CUDA_SIZE = "about 2.7 GB to download, 5 GB on the disk"
CUDA_BYTES = 6_000_000_000
NVIDIA_DRIVER = (Path("/proc/driver/nvidia/version"), Path("/sys/module/nvidia/version"))


def has_nvidia() -> bool:
    """Whether an NVIDIA driver answers on this machine."""
    tool = shutil.which("nvidia-smi")
    if tool is not None and subprocess.run([tool, "-L"], capture_output=True).returncode == 0:
        return True
    return any(path.exists() for path in NVIDIA_DRIVER)


def installed_version(python: Path) -> str:
    """The version of torch in the environment; empty if it has none."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    asked = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def pips_choice_needs_cuda(python: Path) -> bool | None:
    """Whether the build that pip would install needs CUDA's libraries; None if pip cannot say."""
    words = [
        "install",
        "--dry-run",
        "--no-deps",
        "--ignore-installed",
        "--quiet",
        "--no-user",
        "--report",
        "-",
    ]
    asked = subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", *words, WITHOUT_NVIDIA],
        capture_output=True,
        text=True,
        env=own_environment(),
        cwd=ROOT,
    )
    if asked.returncode != 0:
        return None
    try:
        needs = json.loads(asked.stdout)["install"][0]["metadata"].get("requires_dist", [])
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return any(name.startswith(("nvidia-", "cuda-")) and "extra ==" not in name for name in needs)


def install_torch(python: Path, pip: Pip) -> None:
    """Install torch if it is not installed yet. Raises Failed."""
    if index := os.environ.get("JBDIFF_TORCH_INDEX"):
        say("installing torch from JBDIFF_TORCH_INDEX")
        pip(["--index-url", index, WITHOUT_NVIDIA], "installing torch")
        return
    if has_nvidia():
        say(f"installing torch with CUDA, since there is an NVIDIA GPU: {CUDA_SIZE}")
        pip([WITH_NVIDIA], "installing torch")
        return
    there = installed_version(python).partition("+")[0] == WITHOUT_NVIDIA.partition("==")[2]
    if there or platform.system() != "Linux":
        pip([WITHOUT_NVIDIA], "installing torch")
        return
    needs_cuda = pips_choice_needs_cuda(python)
    if needs_cuda is False:
        say(f"installing torch's CPU build: {CPU_SIZE}")
        pip([WITHOUT_NVIDIA], "installing torch")
    elif not _with_uv(python, pip):
        _check_room(python)
        say(f"torch's CPU build cannot be reached from here: installing the ordinary one, {CUDA_SIZE}")
        say("(JBDIFF_TORCH_INDEX can name an index that has the CPU build)")
        pip([WITHOUT_NVIDIA], "installing torch")


def _with_uv(python: Path, pip: Pip) -> bool:
    """Install the CPU build with uv. Return False if uv or the build cannot be fetched."""
    say(f"installing torch's CPU build, since there is no NVIDIA GPU: {CPU_SIZE}")
    uv = python.with_name("uv.exe" if os.name == "nt" else "uv")
    try:
        pip([UV], "fetching uv, which knows where the CPU build lies")
        # Torch's dependencies are in requirements.txt, from pip's own index. The backend is not "auto": for GPUs of
        # other makers that installs builds as large, which nobody has tried with this instrument.
        run(
            [uv, "pip", "install", "--python", python, "--no-deps", "--torch-backend", "cpu", WITHOUT_NVIDIA],
            "installing torch",
            own_environment(UV_SETTINGS),
        )
    except Failed as error:
        reason = (error.said.splitlines() or [str(error)])[-1].strip()
        say(f"the CPU build could not be fetched: {reason.removeprefix('cause: ')[:120]}")
        return False
    finally:
        subprocess.run(
            [str(python), "-m", "pip", "uninstall", "-y", "-q", UV.partition("==")[0]],
            capture_output=True,
            env=own_environment(),
        )
    return True


def _check_room(python: Path) -> None:
    free = shutil.disk_usage(python.parent).free
    if free < CUDA_BYTES:
        raise Failed(
            f"the ordinary build of torch needs 5 GB, and the disk of {python.parent.parent} has {free / 1e9:.1f} GB "
            "free; free some space, or name an index with the CPU build in JBDIFF_TORCH_INDEX"
        )
