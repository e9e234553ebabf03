"""Prepare a machine to play or to test: virtual environment, pinned packages, system libraries.

Standard library only, because it runs before anything is installed. `scripts/play` and `scripts/test` use it. A stamp
in the environment makes the second start quick. If two of them run at once, one waits for the other.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import hashlib
import os
import platform
import shlex
import shutil
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bootstrap_run import ROOT, Failed, own_environment, run, say
from bootstrap_system import (
    PLAY_PACKAGES,
    TEST_PACKAGES,
    install_homebrew_packages,
    install_packages,
    line_for,
    missing_packages,
)
from bootstrap_torch import install_torch

WINDOWS = os.name == "nt"
OLDEST = (3, 11)
PARTS = ("bootstrap.py", "bootstrap_run.py", "bootstrap_system.py", "bootstrap_torch.py")
LOCK_LOOK_SECONDS = 1.0
# Certificates of the system, for a company's network whose certificate pip does not know.
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
DECLINED = (
    # a file in the environment: packages that could not be installed and are not tried again
    "system-packages-missing"
)


def right_python() -> None:
    """Start again under a Python that is new enough. Raises Failed with the version that is needed."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, *sys.argv])
    raise Failed(
        f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; this is {platform.python_version()}. "
        "Install one (Debian/Ubuntu: apt install python3.11 python3.11-venv; macOS: brew install python@3.12)."
    )


# ---------------------------------------------------------------------- where the environment lies


def environment_folder(root: Path = ROOT) -> Path:
    """Return the folder of the environment: `.venv` in the checkout, or a folder in the user's cache.

    The cache is used if the checkout is read-only, or if its path holds the character that separates paths. Python
    cannot make an environment in such a path.
    """
    if os.pathsep not in str(root) and _writable(root):
        return root / ".venv"
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return _cache_folder() / name / "venv"


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _cache_folder() -> Path:
    """Return a cache folder of this user. Raises Failed if there is none."""
    try:
        if WINDOWS:
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif platform.system() == "Darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "jbdiff-live"
        folder.mkdir(parents=True, exist_ok=True)
        if os.pathsep not in str(folder) and _writable(folder):
            return folder
    except (OSError, RuntimeError):  # no home folder, or one that cannot be written to
        pass_on = "no home folder of its own"
    else:
        pass_on = "a cache folder that cannot be used"
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"jbdiff-live-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    # Other users may write to the folder above. A folder of theirs with this name must not be used.
    if not WINDOWS and (not stat.S_ISDIR(about.st_mode) or about.st_uid != user or about.st_mode & 0o022):
        raise Failed(
            f"this user has {pass_on}, and {folder} belongs to another; set XDG_CACHE_HOME to a folder of yours"
        )
    return folder


def python_of(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if WINDOWS else "bin/python")


# ---------------------------------------------------------------------- one at a time


@contextlib.contextmanager
def only_one(environment: Path) -> Iterator[None]:
    """Wait until no other set-up works on this environment. The lock ends with the process that holds it."""
    path = environment.with_name(environment.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        say(f"no lock can be made beside the environment ({error.strerror}); do not set up twice at once")
        yield
        return
    with file:
        said = False
        while not _locked(file.fileno()):
            if not said:
                say(f"another set-up is at work on {environment}; waiting for it")
                said = True
            time.sleep(LOCK_LOOK_SECONDS)
        yield


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours now. On a file system without locks it counts as ours."""
    if WINDOWS:
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        say(f"this disk knows no locks ({error.strerror}); do not set up twice at once")
    return True


# ---------------------------------------------------------------------- the environment


def is_own(environment: Path) -> bool:
    """Whether the environment has its own Python with pip.

    Without `pyvenv.cfg` its Python works on the system's packages, and pip would install there.
    """
    python = python_of(environment)
    if not (environment / "pyvenv.cfg").is_file() or not python.exists():
        return False
    code = "import sys, pip; print(sys.prefix); print(sys.base_prefix)"
    asked = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True)
    prefixes = asked.stdout.splitlines()
    if asked.returncode != 0 or len(prefixes) != 2 or prefixes[0] == prefixes[1]:
        return False
    return os.path.realpath(prefixes[0]) == os.path.realpath(environment)


def make_environment(environment: Path) -> None:
    """Make a virtual environment with its own Python; a broken one is made anew. Raises Failed."""
    if is_own(environment):
        return
    if environment.is_symlink() or environment.is_file():
        environment.unlink()
    elif environment.exists():
        say(f"{environment} is broken; making it anew")
        shutil.rmtree(environment)
    say(f"making {environment.name} with Python {platform.python_version()}")
    try:
        import ensurepip  # noqa: F401 - Debian ships it in a package of its own
    except ImportError:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        if not install_packages([package]):
            raise Failed(f"Python's module venv is missing; install it: {line_for([package])}") from None
    run([sys.executable, "-m", "venv", environment], "making the environment", own_environment())
    if not is_own(environment):
        raise Failed(
            f"the Python in {environment} is not its own, so nothing is installed; remove that folder and try another "
            f"Python than {sys.executable}"
        )


class Pip:
    """`pip install` into one environment and nowhere else."""

    def __init__(self, environment: Path) -> None:
        self._environment = environment
        self._more: dict[str, str] = {}

    def __call__(self, words: Sequence[str], doing: str) -> None:
        """Run `pip install`. If pip does not know a certificate, it is tried again with the system's. Raises Failed."""
        if not is_own(self._environment):
            raise Failed(f"{self._environment} has been changed or removed meanwhile; start again")
        command = [
            python_of(self._environment),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-user",
        ]
        command += ["--progress-bar", "off", *words]
        try:
            run(command, doing, own_environment(self._more))
        except Failed as error:
            bundle = next(
                (path for path in (ssl.get_default_verify_paths().cafile, *BUNDLES) if _is_file(path)), None
            )
            if "CERTIFICATE_VERIFY_FAILED" not in error.said or bundle is None or "PIP_CERT" in self._more:
                raise
            say(f"pip does not know the network's certificate; trying those of the system ({bundle})")
            self._more["PIP_CERT"] = bundle
            run(command, doing, own_environment(self._more))


def _is_file(path: str | None) -> bool:
    return path is not None and Path(path).is_file()


def install_project(environment: Path, pip: Pip) -> None:
    """Install the checkout itself, so that its code runs from where it is.

    pip writes files beside it. If the checkout is read-only, a line in the environment and two commands do the same.
    """
    if environment.parent == ROOT and _writable(ROOT):
        pip(["--no-deps", "--no-build-isolation", "-e", str(ROOT)], "installing jbdiff-live")
        return
    python = python_of(environment)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    asked = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=True)
    (Path(asked.stdout.strip()) / "jbdiff_live_checkout.pth").write_bytes(os.fsencode(ROOT) + b"\n")
    for command, module in (("jbdiff", "jbdiff"), ("jbdiff-live", "jbdiff_live")):
        if WINDOWS:
            (python.parent / f"{command}.cmd").write_text(f'@"{python}" -m {module} %*\n', encoding="utf-8")
            continue
        launcher = python.parent / command
        launcher.write_text(
            f'#!/bin/sh\nexec {shlex.quote(str(python))} -m {module} "$@"\n', encoding="utf-8"
        )
        launcher.chmod(0o755)


def check_packages(environment: Path) -> None:
    """Raise Failed if the packages are not in the environment. Settings of pip can install them elsewhere."""
    code = "import torch, numpy, soundfile, jbdiff_live; print(torch.__file__); print(numpy.__file__)"
    asked = subprocess.run(
        [str(python_of(environment)), "-c", code],
        capture_output=True,
        text=True,
        env=own_environment(),
        cwd=environment,
    )
    inside = os.path.realpath(environment)
    if asked.returncode != 0 or not all(
        os.path.realpath(p).startswith(inside) for p in asked.stdout.splitlines()
    ):
        reason = (asked.stderr.strip().splitlines() or ["they lie outside of it"])[-1]
        raise Failed(
            f"the packages cannot be used from {environment} ({reason}); look for `target` or `prefix` in `pip config "
            f"list`, remove {environment}, and start again"
        )


# ---------------------------------------------------------------------- all of it


def stamp_text(requirements: Sequence[Path], environment: Path) -> str:
    digest = hashlib.sha256()
    for path in (*requirements, ROOT / "pyproject.toml", *(ROOT / "scripts" / name for name in PARTS)):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} {platform.python_version()} {environment}"


def ready(test: bool = False) -> Path:
    """Install everything that is missing; return the environment's Python.

    It takes well under a second if nothing is new. Raises SystemExit with the reason and the remedy.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that is not UTF-8 must not end the program
    try:
        return _ready(test)
    except Failed as error:
        raise SystemExit(f"jbdiff-live: {error}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemExit(f"jbdiff-live: the set-up failed: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit("jbdiff-live: stopped; the same command goes on from here") from None


def _ready(test: bool) -> Path:
    right_python()
    environment = environment_folder()
    # An environment in the checkout is also used by users who may not write there.
    for there in (ROOT / ".venv", environment):
        if is_ready(there, test):
            system_libraries(test, there)
            return python_of(there)
    lacking = system_libraries(test, environment)
    with only_one(environment):
        if not is_ready(environment, test):  # the other set-up may have finished it
            requirements = requirement_files(test)
            make_environment(environment)
            for old in environment.glob("ready-to-*"):
                old.unlink()
            pip = Pip(environment)
            install_torch(python_of(environment), pip)
            say("installing the other packages")
            pip([word for path in requirements for word in ("-r", str(path))], "installing packages")
            install_project(environment, pip)
            check_packages(environment)
            (environment / DECLINED).write_text(" ".join(lacking))
            # An environment that is ready to test is also ready to play.
            for kind in (False, True) if test else (False,):
                stamp_file(environment, kind).write_text(stamp_text(requirement_files(kind), environment))
            say("ready")
    return python_of(environment)


def requirement_files(test: bool) -> list[Path]:
    names = ("requirements.txt", "requirements-test.txt") if test else ("requirements.txt",)
    return [ROOT / "scripts" / name for name in names]


def stamp_file(environment: Path, test: bool) -> Path:
    """Return the path of the stamp that marks an environment as ready."""
    return environment / ("ready-to-test" if test else "ready-to-play")


def is_ready(environment: Path, test: bool) -> bool:
    """Whether everything of exactly these requirements is installed in the environment."""
    if not python_of(environment).exists() or not (environment / "pyvenv.cfg").is_file():
        return False
    try:
        return stamp_file(environment, test).read_text() == stamp_text(requirement_files(test), environment)
    except OSError:
        return False


def system_libraries(test: bool, environment: Path) -> list[str]:
    """Install missing libraries of the system, once. Return those that are still missing."""
    if platform.system() == "Darwin":
        install_homebrew_packages(test)
    if platform.system() != "Linux":
        return []
    wanted = [*PLAY_PACKAGES, *(TEST_PACKAGES if test else [])]
    missing = missing_packages(wanted)
    declined = environment / DECLINED
    known = declined.read_text().split() if declined.is_file() else []
    if missing and not set(missing) <= set(known):
        install_packages(missing)
        missing = missing_packages(wanted)
        if declined.parent.is_dir() and missing:
            with contextlib.suppress(OSError):  # a read-only environment: the next start tries again
                declined.write_text(" ".join(missing))
    elif missing:
        say(f"still without: {' '.join(missing)}")
    if not test and ctypes.util.find_library("portaudio") is None:
        say("PortAudio was not found: the instrument will play into a file instead of a sound device")
    return missing
