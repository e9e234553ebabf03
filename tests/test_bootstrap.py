"""The set-up before anything is there: broken environments, two at once, no rights, no network, odd folders."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pip
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bootstrap
import bootstrap_run
import bootstrap_system
import bootstrap_torch
from bootstrap_run import Failed

SCRIPTS = Path(bootstrap.__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="written for the shells of Unix")
PATIENCE = 120.0


def quick_environment(folder: Path) -> None:
    """A virtual environment with the pip of this one, which takes no time to make."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "lib" / version / "site-packages" / "pip").symlink_to(Path(pip.__file__).parent)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Environments that were made, quickly."""
    folders: list[Path] = []

    def run(command: Sequence[str | Path], doing: str, env: object = None) -> None:
        assert command[1:3] == ["-m", "venv"], command
        folders.append(Path(command[3]))
        quick_environment(Path(command[3]))

    monkeypatch.setattr(bootstrap, "run", run)
    return folders


def command(folder: Path, name: str, text: str) -> None:
    """A command that stands before the system's own on PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    if str(folder) not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(autouse=True)
def the_same_path_afterwards() -> Iterator[None]:
    before = os.environ["PATH"]
    yield
    os.environ["PATH"] = before


# ---------------------------------------------------------------------- the environment is its own


def test_an_environment_without_its_description_is_the_systems_python_and_is_made_anew(
    made: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One set-up removed what another was making; pip then installed into the system."""
    environment = tmp_path / ".venv"
    quick_environment(environment)
    assert bootstrap.is_own(environment)
    bootstrap.make_environment(environment)
    assert made == [], "a good one is kept"
    (environment / "pyvenv.cfg").unlink()
    assert not bootstrap.is_own(environment)
    bootstrap.make_environment(environment)
    assert made == [environment] and bootstrap.is_own(environment)
    assert "is broken; making it anew" in capsys.readouterr().out


def _no_python(environment: Path) -> None:
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to("/nowhere/python")


def _no_pip(environment: Path) -> None:
    next(environment.glob("lib/*/site-packages/pip")).unlink()


def _a_file(environment: Path) -> None:
    import shutil

    shutil.rmtree(environment)
    environment.write_text("")


def _a_link(environment: Path) -> None:
    environment.rename(environment.with_name("elsewhere"))
    environment.symlink_to(environment.with_name("nowhere"))


@pytest.mark.parametrize("damage", [_no_python, _no_pip, _a_file, _a_link])
def test_every_broken_environment_is_made_anew(
    damage: Callable[[Path], None], made: list[Path], tmp_path: Path
) -> None:
    environment = tmp_path / ".venv"
    quick_environment(environment)
    damage(environment)
    bootstrap.make_environment(environment)
    assert made == [environment] and bootstrap.is_own(environment)


def test_nothing_is_installed_where_the_python_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "run", lambda *anything: pytest.fail("pip ran"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(Failed, match="start again"):
        bootstrap.Pip(tmp_path)(["anything"], "installing")


def tiny_wheel(folder: Path) -> Path:
    """A package of one module."""
    path = folder / "tinything-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tinything.py", "HERE = 1\n")
        wheel.writestr(
            "tinything-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n"
        )
        wheel.writestr(
            "tinything-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tinything-1.0.dist-info/RECORD", "")
    return path


def test_a_pip_that_is_set_to_the_user_installs_into_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`user = true` in pip.conf and PIP_USER=1 end in an error about --user; other variables lead astray."""
    quick_environment(tmp_path / ".venv")
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    for name, value in {"PIP_CONFIG_FILE": tmp_path / "pip.conf", "PIP_USER": 1, "PIP_TARGET": tmp_path / "astray",
                        "PYTHONPATH": tmp_path / "other", "PYTHONUSERBASE": tmp_path / "base",
                        "HOME": tmp_path}.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    bootstrap.Pip(tmp_path / ".venv")(["--no-index", str(tiny_wheel(tmp_path))], "installing")
    found = list(tmp_path.rglob("tinything.py"))
    assert len(found) == 1 and found[0].is_relative_to(tmp_path / ".venv"), found


def test_certificates_of_the_system_are_tried_where_pip_knows_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quick_environment(tmp_path / ".venv")
    (tmp_path / "bundle.crt").write_text("")
    calls: list[str | None] = []

    def run(command: Sequence[object], doing: str, env: dict[str, str]) -> None:
        calls.append(env.get("PIP_CERT"))
        if len(calls) == 1:
            raise Failed(
                "no", "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] ...'))"
            )

    monkeypatch.delenv("PIP_CERT", raising=False)
    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(bootstrap, "BUNDLES", (str(tmp_path / "bundle.crt"),))
    monkeypatch.setattr(
        bootstrap.ssl, "get_default_verify_paths", lambda: type("Paths", (), {"cafile": None})
    )
    install = bootstrap.Pip(tmp_path / ".venv")
    install(["x"], "installing")
    install(["y"], "installing")
    assert calls == [None, str(tmp_path / "bundle.crt"), str(tmp_path / "bundle.crt")]


# ---------------------------------------------------------------------- two at once


def test_two_set_ups_wait_for_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    waiting, inside = threading.Event(), threading.Event()
    monkeypatch.setattr(bootstrap, "LOCK_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(bootstrap, "say", lambda text: waiting.set() if "waiting for it" in text else None)
    order: list[str] = []

    def second() -> None:
        with bootstrap.only_one(tmp_path / ".venv"):
            order.append("second")
            inside.set()

    thread = threading.Thread(target=second)
    with bootstrap.only_one(tmp_path / ".venv"):
        thread.start()
        assert waiting.wait(PATIENCE) and not inside.is_set()
        order.append("first")
    thread.join(PATIENCE)
    assert order == ["first", "second"]


def test_a_set_up_that_was_killed_holds_no_lock(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import bootstrap; from pathlib import Path\n"
        f"with bootstrap.only_one(Path({str(tmp_path / '.venv')!r})):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with (tmp_path / ".venv.lock").open("a+b") as file:
            assert not bootstrap._locked(file.fileno())
    finally:
        holder.kill()
        holder.communicate()
    with bootstrap.only_one(tmp_path / ".venv"), (tmp_path / ".venv.lock").open("a+b") as file:
        assert not bootstrap._locked(file.fileno())


def test_who_waited_for_another_set_up_does_not_set_up_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = iter([False, False, True])  # asked of the checkout, of the folder, and behind the lock
    monkeypatch.setattr(bootstrap, "environment_folder", lambda: tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "is_ready", lambda environment, test: next(answers))
    monkeypatch.setattr(bootstrap, "system_libraries", lambda test, environment: [])
    monkeypatch.setattr(bootstrap, "make_environment", lambda environment: pytest.fail("made again"))
    assert bootstrap.ready() == bootstrap.python_of(tmp_path / ".venv")


# ---------------------------------------------------------------------- where it can be


def test_a_colon_in_the_path_puts_the_environment_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Python refuses to make one there."""
    checkout = tmp_path / "music: takes 1"
    checkout.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = bootstrap.environment_folder(checkout)
    assert folder.is_relative_to(tmp_path / "cache") and os.pathsep not in str(folder)
    assert folder != bootstrap.environment_folder(tmp_path / "music: takes 2"), "each checkout has its own"
    assert bootstrap.environment_folder(tmp_path) == tmp_path / ".venv"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "checkout"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("root writes everywhere, and may not mount here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_checkout_that_cannot_be_written_to_has_its_environment_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read_only: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert bootstrap.environment_folder(read_only).is_relative_to(tmp_path / "cache")


def test_without_a_home_the_environment_is_in_a_folder_of_this_user_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(bootstrap.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = bootstrap._cache_folder()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)  # anybody may have put a Python there
    with pytest.raises(Failed, match="belongs to another; set XDG_CACHE_HOME"):
        bootstrap._cache_folder()


def test_a_checkout_that_pip_cannot_write_to_is_run_as_it_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout = tmp_path / "music: takes"
    for package in ("jbdiff", "jbdiff_live"):
        (checkout / package).mkdir(parents=True)
        (checkout / package / "__init__.py").write_text("")
        (checkout / package / "__main__.py").write_text("import sys; print(__file__, sys.argv[1:])")
    monkeypatch.setattr(bootstrap, "ROOT", checkout)
    environment = tmp_path / "an environment"
    quick_environment(environment)
    bootstrap.install_project(environment, lambda *words: pytest.fail("pip would write beside the checkout"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for name, package in (("jbdiff", "jbdiff"), ("jbdiff-live", "jbdiff_live")):
        launcher = environment / "bin" / name
        done = subprocess.run([launcher, "a b"], capture_output=True, text=True, cwd=tmp_path, env=env)
        assert done.stdout.strip() == f"{checkout / package / '__main__.py'} ['a b']", done.stderr


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


# ---------------------------------------------------------------------- what a person reads


def test_what_fails_is_one_message_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(test: bool) -> Path:
        raise Failed("installing torch failed (1). The command was:\n  pip install")

    monkeypatch.setattr(bootstrap, "_ready", failing)
    with pytest.raises(SystemExit, match="jbdiff-live: installing torch failed"):
        bootstrap.ready()


def test_a_command_that_is_not_there_is_a_failed_step() -> None:
    with pytest.raises(Failed, match="cannot be started"):
        bootstrap_run.run(["/nowhere/at-all"], "installing")
