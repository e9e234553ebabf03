"""The walls of the design, tested: who may import whom, and that importing does nothing."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Library -> the only places that may import it. Everything else of both packages may not.
TERRITORY = {
    "torch": (
        "jbdiff/",
        "jbdiff_live/engine/voices/voice.py",
        "jbdiff_live/engine/voices/torch_setup.py",
    ),
    "sounddevice": ("jbdiff_live/audio/",),
    "rtmixer": ("jbdiff_live/audio/",),
    "mido": ("jbdiff_live/control/",),
    "rtmidi": ("jbdiff_live/control/",),
    "pythonosc": ("jbdiff_live/control/",),
    "PySide6": ("jbdiff_live/ui/",),
    "pyqtgraph": ("jbdiff_live/ui/takeview/",),  # imported when a take is opened
    "lightning": ("jbdiff/train/",),
    "ray": ("jbdiff/batch/ray_pool.py",),
    # Patches, maps and edits of a take are read with one file of the library, which needs no torch (see below). The
    # take browser ends a child process with another. Both programs begin with the same few lines, lock files alike, and
    # check `--out` alike.
    "jbdiff": (
        "jbdiff/",
        "jbdiff_live/__main__.py",
        "jbdiff_live/start/command.py",
        "jbdiff_live/engine/",
        "jbdiff_live/patch_text.py",
        "jbdiff_live/record/shelf/again.py",
        "jbdiff_live/record/always.py",
        "jbdiff_live/record/lock.py",
        "jbdiff_live/record/writer.py",
        "jbdiff_live/replay/edits.py",
        "jbdiff_live/replay/render.py",
        "jbdiff_live/replay/work.py",
        "jbdiff_live/kept/file.py",
    ),
    "jbdiff_live": ("jbdiff_live/",),
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it, by its first name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_import_contracts_hold() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("library", sorted(TERRITORY))
def test_library_stays_in_its_territory(library: str) -> None:
    places = TERRITORY[library]
    trespassers = []
    for package in ("jbdiff", "jbdiff_live"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if library in imports(path) and not name.startswith(places):
                trespassers.append(name)
    assert not trespassers


# They join the threads' folders.
ROOTS = (
    "__init__.py", "links.py", "reports.py", "session.py", "start/command.py", "start/loopback.py",
    "start/port_options.py", "wishes.py",
)  # fmt: skip
FOLDERS = ("audio", "control", "engine", "record", "ui")
JOINERS = ("replay",)  # folders that do, on a thread of their own


def shared_files() -> list[Path]:
    """Every file of the instrument outside the threads' folders, but for those that join them."""
    files = sorted((ROOT / "jbdiff_live").rglob("*.py"))
    inside = [path.relative_to(ROOT / "jbdiff_live").as_posix() for path in files]
    return [
        path
        for path, name in zip(files, inside, strict=True)
        if name not in ROOTS and name.split("/")[0] not in (*FOLDERS, *JOINERS)
    ]


@pytest.mark.parametrize("path", shared_files(), ids=lambda p: p.relative_to(ROOT / "jbdiff_live").as_posix())
def test_a_shared_file_imports_no_threads_folder(path: Path) -> None:
    """Two threads share it: it may know neither of them."""
    modules: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            modules += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    parts = [module.split(".") for module in modules]
    assert not [part for part in parts if part[0] == "jbdiff_live" and part[1:2] and part[1] in FOLDERS]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_window_never_pulls_in_torch_or_devices() -> None:
    code = (
        "import sys, jbdiff_live.ui.app, jbdiff_live.ui.window\n"
        "print([n for n in ('torch', 'jbdiff', 'sounddevice', 'rtmixer', 'mido', 'rtmidi') if n in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_a_patch_is_read_with_one_small_file_of_the_library() -> None:
    code = (
        "import sys, jbdiff_live.patch\n"
        "print('torch' in sys.modules, sorted(n for n in sys.modules if n.startswith('jbdiff.')))"
    )
    assert run_python(code) == "False ['jbdiff.plain_toml', 'jbdiff.untyped']"


def test_importing_the_whole_instrument_starts_nothing() -> None:
    code = (
        "import pkgutil, importlib, threading, sys, jbdiff_live\n"
        "for m in pkgutil.walk_packages(jbdiff_live.__path__, 'jbdiff_live.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "print(threading.active_count(), 'torch' in sys.modules, 'sounddevice' in sys.modules)"
    )
    assert run_python(code) == "1 False False"


def test_help_answers_without_the_heavy_libraries() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom jbdiff_live.start.command import app\n"
        "r = CliRunner().invoke(app, ['--help'])\n"
        "print(r.exit_code, '--headless' in r.output, 'torch' in sys.modules, 'PySide6' in sys.modules)"
    )
    assert run_python(code) == "0 True False False"


def scripts() -> list[Path]:
    """Those in Python, without the packages among them."""
    files = [path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file()]
    return [
        path
        for path in files
        if path.suffix == ".py" or path.read_text().startswith("#!/usr/bin/env python3")
    ]


@pytest.mark.parametrize("script", scripts(), ids=lambda path: path.name)
def test_what_a_script_imports_of_ours_is_there(script: Path) -> None:
    """Scripts are run rarely, and nothing else would tell that a name has moved."""
    lacking = []
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "jbdiff",
            "jbdiff_live",
        ):
            module = importlib.import_module(str(node.module))
            for name in (alias.name for alias in node.names):
                if (
                    not hasattr(module, name)
                    and importlib.util.find_spec(f"{module.__name__}.{name}") is None
                ):
                    lacking.append(f"{module.__name__}.{name}")
    assert not lacking
