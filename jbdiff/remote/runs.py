"""Two ways to run one stage of a slice: in a process of its own, or in this process, for tests and debuggers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from jbdiff.remote.slices import DONE, FAILED, STOPPED

ROOT = Path(__file__).resolve().parent.parent.parent
KILL_SECONDS = 3.0  # time between asking a process to end and killing it


def as_process(words: Sequence[str], seconds: float, limit: float, log: Path) -> str:
    """Run `jbdiff train` with these words as a process for `seconds` seconds, including its start.

    At `limit` seconds the process and its workers are ended by force. Its output goes into `log`. Returns DONE, STOPPED
    or FAILED.
    """
    paths = [str(ROOT), *(path for path in sys.path if path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "jbdiff.remote.runs", str(time.time() + seconds), *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            return DONE if process.wait(max(0.0, limit)) == 0 else FAILED
        except subprocess.TimeoutExpired:
            return STOPPED
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all processes that it has started, if they still run."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # all of them have ended already
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)


def in_this_process(words: Sequence[str], seconds: float, limit: float, log: Path) -> str:
    """Run `jbdiff train` in this process; there is no end by force. Returns DONE or FAILED."""
    until = time.time() + seconds
    with (
        open(log, "w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        try:
            return FAILED if train(words, until) else DONE
        except Exception:  # a stage that fails becomes a row of the slice, as with a process
            traceback.print_exc()
            return FAILED


def train(words: Sequence[str], until: float) -> int:
    """Run `jbdiff train` with these words until a time in seconds since 1970. Return its exit status."""
    # The import takes seconds, which must not count as minutes of training.
    import jbdiff.train.jobs.denoiser  # noqa: F401
    from jbdiff.train.cli import app

    minutes = max(0.001, (until - time.time()) / 60)
    return int(app([*words, "--minutes", f"{minutes:.4f}"], standalone_mode=False) or 0)


if __name__ == "__main__":
    raise SystemExit(train(sys.argv[2:], float(sys.argv[1])))
