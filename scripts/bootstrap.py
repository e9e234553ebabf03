"""Makes a machine ready to play or to test: virtual environment, pinned packages, system libraries.

Standard library only, because it runs before anything is installed. Used by `scripts/play` and
`scripts/test`; a stamp in the environment makes the second start take no time.
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import platform
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
WINDOWS = os.name == "nt"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
OLDEST = (3, 11)
TORCH_WITHOUT_NVIDIA = "torch==2.13.0"
TORCH_WITH_NVIDIA = "torch>=2.13.0"

# Debian and Ubuntu packages: what PortAudio and Qt load at run time ...
PLAY_PACKAGES = (
    "libportaudio2 libasound2-plugins libegl1 libgl1 libxkbcommon0 libxkbcommon-x11-0 libdbus-1-3 "
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-image0 libxcb-render-util0 "
    "libxcb-xinerama0 libfontconfig1 fonts-dejavu-core"
).split()
# ... and the real sound, MIDI and screen servers that the tests play through.
TEST_PACKAGES = "jackd2 libjack-jackd2-0 pulseaudio pulseaudio-utils xvfb xauth sox ffmpeg".split()


def say(text: str) -> None:
    print(f"jbdiff-live: {text}", flush=True)


def run(command: Sequence[str | Path], doing: str, env: dict[str, str] | None = None) -> None:
    """Runs a command, shows what it prints, and says that it still lives when it is silent.

    Raises SystemExit with the command and its last lines when it fails.
    """
    words = [str(word) for word in command]
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        cwd=ROOT,
    )
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    began = time.monotonic()
    last: list[str] = []
    while True:
        try:
            line = lines.get(timeout=4.0)
        except queue.Empty:
            say(f"{doing} ... {time.monotonic() - began:.0f} s")
            continue
        if line is None:
            break
        last = [*last[-14:], line]
        if line.startswith(
            ("Collecting", "Downloading", "Installing", "Get:", "Setting up", "  Downloading")
        ):
            print("   " + line[:110], flush=True)
    if process.wait() != 0:
        print("\n".join(last), file=sys.stderr)
        raise SystemExit(
            f"jbdiff-live: {doing} failed ({process.returncode}). The command was:\n  {' '.join(words)}"
        )


def right_python() -> None:
    """Starts again under a Python that is new enough, or says which one is needed."""
    if sys.version_info >= OLDEST:
        return
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, *sys.argv])
    raise SystemExit(
        f"jbdiff-live needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {platform.python_version()}. "
        "Install one (Debian/Ubuntu: apt install python3.11 python3.11-venv; macOS: brew install python@3.12)."
    )


def missing_system_packages(wanted: Sequence[str]) -> list[str]:
    """Debian packages of `wanted` that are not installed; empty on other systems."""
    if not shutil.which("dpkg-query"):
        return []
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted],
        capture_output=True,
        text=True,
    )
    installed = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def install_system_packages(wanted: Sequence[str]) -> None:
    """Installs missing Debian packages as root or through sudo; else prints the line that would."""
    missing = missing_system_packages(wanted)
    if not missing:
        return
    prefix: list[str] = []
    if os.geteuid() != 0:
        sudo = shutil.which("sudo")
        can = sudo and (
            sys.stdin.isatty() or subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0
        )
        if not can:
            say(
                "some system libraries are missing; sound or window may not open. The line that installs them:"
            )
            print(f"   sudo apt-get install -y --no-install-recommends {' '.join(missing)}", flush=True)
            return
        prefix = [str(sudo)]
    say(f"installing system packages: {' '.join(missing)}")
    noninteractive = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive"]
    if "jackd2" in missing:  # its installer asks a question; the answer "no" changes nothing on the machine
        answer = "jackd2 jackd/tweak_rt_limits boolean false\n"
        subprocess.run([*prefix, "debconf-set-selections"], input=answer, text=True, check=False)
    run([*prefix, "apt-get", "update"], "reading the package lists")
    run(
        [*noninteractive, "apt-get", "install", "-y", "--no-install-recommends", *missing],
        "installing libraries",
    )


def install_homebrew_packages(test: bool) -> None:
    """macOS: the wheels bring PortAudio and Qt along; the tests want the servers of Homebrew."""
    wanted = ["ffmpeg", "sox"] if test else []
    brew = shutil.which("brew")
    for name in wanted:
        if shutil.which(name) is None:
            if brew is None:
                say(f"{name} is missing; install Homebrew, then: brew install {name}")
            else:
                run([brew, "install", name], f"installing {name}")


def has_nvidia() -> bool:
    """Whether an NVIDIA driver answers on this machine."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True).returncode == 0


def stamp_text(requirements: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in (*requirements, ROOT / "pyproject.toml", Path(__file__)):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} {platform.python_version()} {VENV}"


def make_environment() -> None:
    if (
        PYTHON.exists()
        and subprocess.run([str(PYTHON), "-c", "import pip"], capture_output=True).returncode == 0
    ):
        return
    say(f"making {VENV.name} with Python {platform.python_version()}")
    try:
        import ensurepip  # noqa: F401 - Debian ships it in a package of its own
    except ImportError:
        install_system_packages([f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"])
    if VENV.exists():
        shutil.rmtree(VENV)
    run([sys.executable, "-m", "venv", VENV], "making the environment")


def ready(test: bool = False) -> Path:
    """Everything in place; returns the environment's Python. Takes well under a second when nothing is new."""
    right_python()
    if platform.system() == "Linux":
        install_system_packages([*PLAY_PACKAGES, *(TEST_PACKAGES if test else [])])
        if not test and ctypes.util.find_library("portaudio") is None:
            say("PortAudio was not found: the instrument will play into a file instead of a sound device")
    elif platform.system() == "Darwin":
        install_homebrew_packages(test)
    requirements = [ROOT / "scripts" / "requirements.txt"]
    if test:
        requirements.append(ROOT / "scripts" / "requirements-test.txt")
    stamp = VENV / ("ready-to-test" if test else "ready-to-play")
    expected = stamp_text(requirements)
    if stamp.exists() and stamp.read_text() == expected and PYTHON.exists():
        return PYTHON
    make_environment()
    pip: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    nvidia = has_nvidia()
    torch = TORCH_WITH_NVIDIA if nvidia else TORCH_WITHOUT_NVIDIA
    index = os.environ.get("JBDIFF_TORCH_INDEX")
    say(f"installing {torch} ({'NVIDIA GPU found' if nvidia else 'no NVIDIA GPU'})")
    run([*pip, *(["--index-url", index] if index else []), torch], "installing torch")
    say("installing the other packages")
    run([*pip, *(word for path in requirements for word in ("-r", path))], "installing packages")
    run([*pip, "--no-deps", "--no-build-isolation", "-e", ROOT], "installing jbdiff-live")
    stamp.write_text(expected)
    say("ready")
    return PYTHON
