"""Ways to carry out one stage of a slice: as a process that can be ended, or in this one, for tests and debuggers."""

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
KILL_SECONDS = 3.0  # from asking a process to end until it is made to


def as_process(words: Sequence[str], seconds: float, limit: float, log: Path) -> str:
    """`jbdiff train` with these words for so many seconds, those of starting counted in; ended with all its workers
    at the limit. Its output goes into `log`.
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
    """Ends a process and what it has started, if any of it still runs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # all of it is over
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_SECONDS)


def in_this_process(words: Sequence[str], seconds: float, limit: float, log: Path) -> str:
    """The same without an end by force."""
    until = time.time() + seconds
    with (
        open(log, "w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        try:
            return FAILED if train(words, until) else DONE
        except Exception:  # what breaks off a stage is a line of its slice, as with a process
            traceback.print_exc()
            return FAILED


def train(words: Sequence[str], until: float) -> int:
    """`jbdiff train` with these words until a time of the day, in seconds since 1970. Returns its exit status."""
    import jbdiff.train.jobs.denoiser  # noqa: F401 - takes seconds, which are none of the minutes of training
    from jbdiff.train.cli import app

    minutes = max(0.001, (until - time.time()) / 60)
    return int(app([*words, "--minutes", f"{minutes:.4f}"], standalone_mode=False) or 0)


if __name__ == "__main__":
    raise SystemExit(train(sys.argv[2:], float(sys.argv[1])))
