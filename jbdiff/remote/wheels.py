"""Packages for a machine without network: wheels are gathered here and unpacked there, after its own packages.

It uses the standard library only, because it runs there before any package is installed.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

# Packages that training imports. It never imports pytorch-lightning, the second package with Lightning's code.
ROOTS = ("lightning", "soundfile", "soxr", "safetensors", "msgspec", "tomlkit", "typer", "rich")
NEVER = frozenset(("torch", "numpy", "pytorch-lightning", "setuptools"))
# pip compares these names literally: it finds a wheel for glibc 2.28 only under that name.
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in (35, 34, 31, 28, 27, 26, 24, 17)),
    *(f"manylinux{name}_x86_64" for name in ("2014", "2010", "1")),
)


def plain(name: str) -> str:
    """Return the normal form of a distribution's name, which is the same for all its spellings."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(roots: Iterable[str], python: str, never: Iterable[str] = NEVER) -> dict[str, str]:
    """Return these packages and their requirements on 64-bit Linux with this Python, in the versions installed here.

    Extras are left out, because training needs none. Raises ValueError if a package is not installed.
    """
    from packaging.requirements import Requirement

    where = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    where |= {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    where |= {
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    left, found, out = [plain(name) for name in roots], {}, {plain(name) for name in never}
    while left:
        name = left.pop()
        if name in found or name in out:
            continue
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise ValueError(
                f"{name} is not installed here, so its needs are not known: pip install -e '.[train]'"
            ) from error
        found[name] = package.version
        needs = [Requirement(line) for line in package.requires or ()]
        left += [plain(need.name) for need in needs if need.marker is None or need.marker.evaluate(where)]
    return found


def download(
    folder: Path, pythons: Sequence[str], also: Sequence[str] = (), roots: Sequence[str] = ROOTS
) -> list[Path]:
    """Download wheels of `roots`, `also` and their requirements, for 64-bit Linux and each of these Pythons ("3.12").

    Returns the paths. Raises RuntimeError with pip's message if a wheel cannot be found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for python in pythons:
        wanted = closure((*roots, *also), python, NEVER - {plain(name) for name in also})
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
        command += [word for name in PLATFORMS for word in ("--platform", name)]
        command += [
            "--dest",
            str(folder),
            *(f"{name}=={version}" for name, version in sorted(wanted.items())),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(
                f"pip found no wheels for Python {python}: {done.stderr.strip()[-1500:]}\n"
                "name other Pythons with --python, or put wheels there by hand and pack with --no-wheels"
            )
    return sorted(folder.glob("*.whl"))


def fits(wheel: Path, version: tuple[int, int]) -> bool:
    """Whether a wheel is for this Python and for 64-bit Linux or any machine."""
    pythons, abis, machines = (tags.split(".") for tags in wheel.stem.split("-")[-3:])
    if not any(machine == "any" or machine.endswith(platform.machine()) for machine in machines):
        return False
    own = f"cp{version[0]}{version[1]}"
    for python in pythons:
        if python in ("py3", f"py{version[0]}{version[1]}", own):
            return "none" in abis or "abi3" in abis or own in abis
        if "abi3" in abis and python.startswith("cp3") and int(python[3:]) <= version[1]:
            return True
    return False


def unpack_missing(wheels: Iterable[Path], site: Path, version: tuple[int, int] | None = None) -> list[str]:
    """Unpack the wheels of packages that this Python lacks into `site`, and return their names.

    Installed packages do not change. Unpacking is enough: a wheel is an archive of the installed files, and ours need
    nothing else. Raises ValueError if a package is missing and none of its wheels is for this Python.
    """
    version = version or (sys.version_info.major, sys.version_info.minor)
    packages: dict[str, list[Path]] = {}
    for wheel in sorted(wheels):
        packages.setdefault(plain(wheel.name.split("-")[0]), []).append(wheel)
    made = []
    for name, files in packages.items():
        if installed(name):
            continue
        fitting = [wheel for wheel in files if fits(wheel, version)]
        if not fitting:
            own = ".".join(map(str, version))
            raise ValueError(f"no wheel of {name} is for Python {own}; pack again with --python {own}")
        with zipfile.ZipFile(fitting[-1]) as archive:
            archive.extractall(site)
        made.append(name)
    return made


def installed(name: str) -> bool:
    """Whether this Python has a package of that name."""
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
