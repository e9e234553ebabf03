"""One training at a time writes into a folder, and a killed one lets the next one go on at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("lightning")

from jbdiff.train.cli import app
from jbdiff.train.run.alone import LOCK, alone

HOLDER = """
import os, sys
from pathlib import Path
from jbdiff.train.run.alone import alone
with alone(Path(sys.argv[1])):
    if len(sys.argv) > 2 and os.fork() == 0:  # a worker, which outlives its training
        print("held", flush=True)
        sys.stdin.read()
        os._exit(0)
    if len(sys.argv) == 2:
        print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Another process has the folder."""
    code = [sys.executable, "-c", HOLDER, str(folder), *options]
    with subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        yield other


def test_a_second_training_says_who_has_the_folder_and_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    (tmp_path / "data").mkdir()
    command = ["codec", "--data", str(tmp_path / "data"), "--out", str(out), "--steps", "1"]
    with held(out) as other:
        done = CliRunner().invoke(app, command)
        said = " ".join(done.output.split())
        assert done.exit_code == 1 and f"another training writes into {out} (process {other.pid} on " in said
        assert "wait for it, stop it with Ctrl-C, or give another folder for --out" in said
        assert [path.name for path in out.iterdir()] == [LOCK]
        other.kill()
    done = CliRunner().invoke(app, command)
    assert "another training" not in done.output and not (out / LOCK).exists()


def test_a_folder_that_only_a_lock_was_written_into_is_removed(tmp_path: Path) -> None:
    with alone(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).exists()
        with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"), alone(tmp_path / "run"):
            pass
        assert (tmp_path / "run" / LOCK).exists(), "it is the first one's"
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_a_worker_of_a_killed_training_does_not_keep_the_folder(tmp_path: Path) -> None:
    with held(tmp_path, "worker") as other:
        other.kill()
        other.wait()  # its worker still waits for the end of its input
        with alone(tmp_path):
            pass
