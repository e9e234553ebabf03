"""Render a take again in a process of its own, and follow its progress. Thread: a job's. Blocks until it ends.

Both the music and the rendering need the processor. So the rendering waits while the music plays.

The process is `python -m jbdiff_live replay TAKE --progress json`. It writes one JSON object a line, such as
`{"done": 12, "of": 300, "seconds_left": 41.5}`. Other lines of its output are kept for the error.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from jbdiff.child import end_child
from jbdiff_live.record.shelf.jobs import ThreadJob
from jbdiff_live.shown import printable, shown
from jbdiff_live.system.behind import LOOK_SECONDS, BehindMusic, start_behind

PATIENCE_SECONDS = 5.0  # from the request to end until the process is killed
LAST_LINES = 3  # of the process's words, for the error
LONGEST_LINE = 4096
WAITS = "waits until the music stops"


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "jbdiff_live", "replay", str(folder), "--progress", "json"]


def render_again(
    job: ThreadJob, command: Sequence[str], plays: Callable[[], bool] = lambda: False
) -> tuple[str, Path | None]:
    """Run the command to its end. Return words for the player, and the file or folder that it names, if it does.

    plays: True while the music plays. A command that was ended for the music is run again: a replay goes on from its
    last state. RuntimeError if the command fails, with its last words.
    """
    while True:
        while plays():  # to load the model would cost the music as much as to render
            job.wait_for(WAITS)
            job.sleep(LOOK_SECONDS)
        job.wait_for("")
        process = start_behind(command)
        # A process that is stopped does not end, so it goes on as soon as the job is cancelled.
        behind = BehindMusic(
            process,
            lambda: plays() and not job.cancelled,
            lambda stopped: job.wait_for(WAITS if stopped else ""),
        )
        job.on_cancel = process.terminate
        try:
            status, said, result = _to_its_end(job, process)
        finally:
            behind.close()
            end_child(process, PATIENCE_SECONDS)
        if not status:
            return "the take is rendered again", result
        job.sleep(0)  # Cancelled, if that is why
        if not behind.gave_way:
            raise RuntimeError(f"the take was not rendered: {said or f'it ended with status {status}'}")


def _to_its_end(job: ThreadJob, process: subprocess.Popen[str]) -> tuple[int, str, Path | None]:
    """Follow a process to its end. Return its exit status, its last words, and what it made."""
    words: deque[str] = deque(maxlen=LAST_LINES)
    result: Path | None = None
    job.sleep(0)  # a cancel before this line found no process
    assert process.stdout is not None
    while line := process.stdout.readline(LONGEST_LINE):
        report = _report(line)
        if report is None:
            words.append(printable(shown(line.strip())))
            continue
        result = _made(report) or result
        _follow(job, report)
    return process.wait(), " ".join(word for word in words if word), result


def _report(line: str) -> dict[str, Any] | None:
    try:
        report = msgspec.json.decode(line.encode())
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
    return report if isinstance(report, dict) else None


def _follow(job: ThreadJob, report: dict[str, Any]) -> None:
    done, of, left = (report.get(name) for name in ("done", "of", "seconds_left"))
    if isinstance(done, int | float) and isinstance(of, int | float):
        job.step(done, of, float(left) if isinstance(left, int | float) else None)


def _made(report: dict[str, Any]) -> Path | None:
    """Return the file or folder that the process says it made."""
    made = next((report[name] for name in ("folder", "file", "path") if report.get(name)), None)
    return Path(made) if isinstance(made, str) else None
