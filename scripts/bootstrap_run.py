"""Shared by all steps of the set-up: messages, and commands that show their progress.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SILENT_SECONDS = 4.0
SHOWN = ("Collecting", "Downloading", "Installing", "Get:", "Setting up")
LOCK_WORDS = "Waiting for cache lock"
# Settings of pip and Python that would install packages, or look for them, outside of the environment.
ASTRAY = ("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER")


class Failed(Exception):
    """A step that failed. `said`: the last lines of the command's output."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


def say(text: str) -> None:
    print(f"jbdiff-live: {text}", flush=True)


def own_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables for a command that works inside the environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ASTRAY}
    return {**kept, "PIP_USER": "0", "PYTHONNOUSERSITE": "1", **(more or {})}


def run(command: Sequence[str | Path], doing: str, env: Mapping[str, str] | None = None) -> None:
    """Run a command and show its output; while it is silent, print the time that it has taken.

    Raises Failed with the command and its last lines if it fails or cannot be started.
    """
    words = [str(word) for word in command]
    try:
        process = subprocess.Popen(
            words,
            stdin=None if sys.stdin is not None and sys.stdin.isatty() else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=None if env is None else dict(env),
            cwd=ROOT,
        )
    except OSError as error:
        raise Failed(f"{doing} failed: {words[0]} cannot be started ({error.strerror})") from error
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    began = time.monotonic()
    last: list[str] = []
    waits = False
    while True:
        try:
            line = lines.get(timeout=SILENT_SECONDS)
        except queue.Empty:
            say(f"{doing} ... {time.monotonic() - began:.0f} s")
            continue
        if line is None:
            break
        if line.startswith(LOCK_WORDS):
            if not waits:
                say(
                    f"another program is installing packages; waiting for it ({line[len(LOCK_WORDS) + 2 :][:90]})"
                )
            waits = True
            continue
        last = [*last[-14:], line]
        if line.lstrip().startswith(SHOWN):
            print("   " + line[:110], flush=True)
    if process.wait() != 0:
        said = "\n".join(last)
        raise Failed(
            f"{doing} failed ({process.returncode}). The command was:\n  {' '.join(words)}\nIts last lines:\n{said}",
            said,
        )
