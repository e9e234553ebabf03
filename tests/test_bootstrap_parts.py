"""The set-up of what it needs from elsewhere: libraries of the system, and torch."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from set_up_rig import command

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bootstrap
import bootstrap_run
import bootstrap_system
import bootstrap_torch
from bootstrap_run import Failed

SCRIPTS = Path(bootstrap.__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="written for the shells of Unix")
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def the_same_path_afterwards() -> Iterator[None]:
    before = os.environ["PATH"]
    yield
    os.environ["PATH"] = before


# ---------------------------------------------------------------------- libraries of the system

LOCKED = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (unattended-upgr)"


def test_apt_waits_for_whoever_is_installing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own waiting knows dpkg's lock alone, and not that of the package lists."""
    monkeypatch.setattr(bootstrap_system, "root_prefix", lambda: [])
    monkeypatch.setattr(bootstrap_system, "LOCK_LOOK_SECONDS", 0.0)
    log = tmp_path / "calls"
    command(
        tmp_path / "bin",
        "apt-get",
        f'echo "$@" >> {log}\n[ $(wc -l < {log}) -ge 4 ] || {{ echo "{LOCKED}"; exit 100; }}',
    )
    assert bootstrap_system.install_packages(["libx"])
    calls = log.read_text().splitlines()
    assert [words.split()[2] for words in calls] == ["update"] * 4 + ["install"]
    assert all(words.startswith("-o DPkg::Lock::Timeout=600") for words in calls)
    assert capsys.readouterr().out.count("another program is installing packages; waiting") == 1


def test_apts_own_waiting_is_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(
        tmp_path / "bin",
        "slow",
        'for n in 1 2 3; do printf "Waiting for cache lock: held by process 7... ${n}s\\r"; done',
    )
    bootstrap_run.run(["slow"], "installing")
    assert capsys.readouterr().out.count("waiting for it (held by process 7") == 1


def test_a_failed_apt_does_not_end_the_set_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The instrument plays into a file without PortAudio, and without a window without Qt's libraries."""
    monkeypatch.setattr(bootstrap_system, "root_prefix", lambda: [])
    command(tmp_path / "bin", "apt-get", 'echo "E: Unable to locate package libx"; exit 100')
    assert not bootstrap_system.install_packages(["libx"])
    said = capsys.readouterr().out
    assert "could not be installed (E: Unable to locate package libx); going on" in said
    assert "sudo apt-get install -y --no-install-recommends libx" in said


@pytest.mark.parametrize("answer", ["sudo: a password is required", "mallory is not in the sudoers file."])
def test_a_sudo_that_may_not_does_not_end_the_set_up(
    answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    command(tmp_path / "bin", "sudo", f'echo "{answer}" >&2; exit 1')
    command(tmp_path / "bin", "apt-get", f"touch {tmp_path / 'called'}")
    assert not bootstrap_system.install_packages(["libx"])
    assert "this user may not install them" in capsys.readouterr().out and not (tmp_path / "called").exists()
    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
    assert not bootstrap_system.install_packages(["libx"]), "it asked for a password, and refused"
    assert "going on without them" in capsys.readouterr().out


def test_libraries_that_cannot_be_had_are_asked_for_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A password prompt before every concert is one too many."""
    tried: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "missing_packages", lambda wanted: ["libx"])
    monkeypatch.setattr(bootstrap, "install_packages", lambda missing: tried.append(list(missing)))
    monkeypatch.setattr(bootstrap.platform, "system", lambda: "Linux")
    for _ in range(3):
        assert bootstrap.system_libraries(False, tmp_path) == ["libx"]
    assert tried == [["libx"]]
    assert capsys.readouterr().out.count("still without: libx") == 2


# ---------------------------------------------------------------------- torch


class TorchSteps:
    """What is installed, and what is said, in order; `uv_works` decides about the CPU build."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, needs_cuda: bool | None, uv_works: bool) -> None:
        self.steps: list[str] = []
        monkeypatch.delenv("JBDIFF_TORCH_INDEX", raising=False)
        monkeypatch.setattr(bootstrap_torch.platform, "system", lambda: "Linux")
        monkeypatch.setattr(bootstrap_torch, "has_nvidia", lambda: False)
        monkeypatch.setattr(bootstrap_torch, "installed_version", lambda python: "")
        monkeypatch.setattr(bootstrap_torch, "pips_choice_needs_cuda", lambda python: needs_cuda)
        monkeypatch.setattr(bootstrap_torch, "say", lambda text: self.steps.append(f"say {text}"))

        def run(command: Sequence[object], doing: str, env: dict[str, str]) -> None:
            self.steps.append(" ".join(map(str, command)))
            if not uv_works:
                raise Failed("no", "error: Request failed\n  cause: failed to lookup address information")

        monkeypatch.setattr(bootstrap_torch, "run", run)
        removed = subprocess.CompletedProcess([], 0)
        monkeypatch.setattr(bootstrap_torch.subprocess, "run", lambda *anything, **more: removed)

    def install(self, python: Path) -> str:
        bootstrap_torch.install_torch(
            python, lambda words, doing: self.steps.append(f"pip {' '.join(words)}")
        )
        return "\n".join(self.steps)


def test_without_an_nvidia_gpu_the_cpu_build_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Five gigabytes for a model of 23 MB otherwise."""
    steps = TorchSteps(monkeypatch, needs_cuda=True, uv_works=True)
    said = steps.install(tmp_path / "python")
    assert "0.2 GB to download" in said.splitlines()[0]
    assert f"uv pip install --python {tmp_path / 'python'} --no-deps --torch-backend cpu torch==" in said
    assert "pip torch" not in said


def test_where_the_cpu_build_cannot_be_reached_the_size_is_said_before_the_ordinary_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = TorchSteps(monkeypatch, needs_cuda=True, uv_works=False).install(tmp_path / "python").splitlines()
    assert said[-1] == f"pip {bootstrap_torch.WITHOUT_NVIDIA}"
    size = next(number for number, line in enumerate(said) if "5 GB on the disk" in line)
    assert size < len(said) - 1 and any("lookup address" in line for line in said[:size])


def test_where_pips_own_index_has_the_cpu_build_that_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = TorchSteps(monkeypatch, needs_cuda=False, uv_works=False).install(tmp_path / "python")
    assert said.splitlines()[-1] == f"pip {bootstrap_torch.WITHOUT_NVIDIA}" and "uv" not in said


def test_a_disk_without_room_is_named_before_the_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps = TorchSteps(monkeypatch, needs_cuda=True, uv_works=False)
    monkeypatch.setattr(
        bootstrap_torch.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 2_000_000_000})
    )
    with pytest.raises(Failed, match=r"needs 5 GB, and the disk of .* has 2\.0 GB free"):
        steps.install(tmp_path / "bin" / "python")
    assert f"pip {bootstrap_torch.WITHOUT_NVIDIA}" not in steps.steps


@pytest.mark.parametrize(
    ("needs", "answer"),
    [
        (["filelock", 'nvidia-cudnn-cu13==9; platform_system == "Linux"'], True),
        (["filelock", 'cuda-toolkit[cublas]==13; platform_system == "Linux"'], True),
        (["filelock", 'nvidia-thing; extra == "all"'], False),
        (None, None),
    ],
)
def test_pip_is_asked_which_build_it_would_take(
    needs: list[str] | None, answer: bool | None, tmp_path: Path
) -> None:
    import json

    report = {"install": [{"metadata": {"requires_dist": needs}}]}
    command(
        tmp_path / "bin", "python", "exit 1" if needs is None else f"cat <<'END'\n{json.dumps(report)}\nEND"
    )
    assert bootstrap_torch.pips_choice_needs_cuda(tmp_path / "bin" / "python") is answer


@pytest.mark.parametrize(("extras", "files"), [((), 1), (("train", "dev"), 2)], ids=["play", "test"])
def test_everything_that_the_project_needs_is_pinned(extras: tuple[str, ...], files: int) -> None:
    def names(lines: Iterable[str]) -> set[str]:
        found = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
        return {re.sub(r"[-_.]+", "-", name.group().lower()) for name in found if name}

    project = tomllib.loads((SCRIPTS.parent / "pyproject.toml").read_text())["project"]
    needed = [
        *project["dependencies"],
        *(one for extra in extras for one in project["optional-dependencies"][extra]),
    ]
    pinned = [(SCRIPTS / name).read_text() for name in ("requirements.txt", "requirements-test.txt")[:files]]
    missing = names(needed) - names("\n".join(pinned).splitlines()) - {"torch", "jbdiff-live"}
    assert not missing, (
        "torch is chosen by the set-up; everything else belongs into scripts/requirements*.txt"
    )
