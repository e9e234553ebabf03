"""How both programs begin: in a folder that is gone, with closed streams, and with Ctrl-C before they are loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the shell is another one there")


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "HOME": str(folder)}
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    ("program", "arguments"),
    [("jbdiff", "sample --out x.wav --seconds 0.1"), ("jbdiff_live", "--headless --device null --seconds 1")],
)
def test_a_folder_that_is_gone_is_named_with_the_remedy(program: str, arguments: str, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = run(tmp_path, f'cd gone && rmdir ../gone && exec "$PYTHON" -m {program} {arguments}')
    assert done.returncode == 2 and "change to another one, such as cd ~" in done.stderr, done.stderr


@pytest.mark.parametrize("command", ["jbdiff info", "jbdiff_live --list"])
def test_a_closed_output_is_no_error(command: str, tmp_path: Path) -> None:
    done = run(tmp_path, f'exec "$PYTHON" -m {command} >&- <&-')
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    "program",
    [
        "-m jbdiff",
        "-m jbdiff_live",
        "-c 'from jbdiff_live.__main__ import main; main()'",
    ],  # the last: the command
)
def test_ctrl_c_while_libraries_load_ends_without_a_traceback(program: str, tmp_path: Path) -> None:
    """The signal comes from inside the first import of the command line, so that no clock decides."""
    signalled = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored\n"
    )
    (tmp_path / "typer.py").write_text(signalled + "os.kill(os.getpid(), signal.SIGINT)\n")
    done = run(tmp_path, f'PYTHONPATH="{tmp_path}:$PYTHONPATH" exec "$PYTHON" {program} --help')
    assert done.returncode == 130 and not done.stderr, done.stderr
