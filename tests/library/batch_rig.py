"""A list of pieces beside a small stack, and a pool that makes them in the test's own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from small_stacks import write_small_stack

from jbdiff.batch.command import BatchJob, Summary, run_batch
from jbdiff.batch.pool import Event, Finished, Progress
from jbdiff.batch.request import Request
from jbdiff.batch.work import make

DEFAULTS = """
format = 1
[defaults]
stack = "./small"
levels = "2"
finisher = false
steps = 1
seconds = 0.5
"""

_STACK: dict[str, bytes] = {}  # the small stack's files, made once


def write_list(folder: Path, pieces: str, head: str = DEFAULTS) -> Path:
    """Write a list, beside a small stack of random weights; return its path."""
    if not (folder / "small").is_dir():
        if not _STACK:
            write_small_stack(folder / "small")
            _STACK.update({file.name: file.read_bytes() for file in (folder / "small").iterdir()})
        (folder / "small").mkdir(exist_ok=True)
        for name, content in _STACK.items():
            (folder / "small" / name).write_bytes(content)
    path = folder / "night.toml"
    path.write_text(head + pieces)
    return path


def ten(folder: Path) -> Path:
    """Write a list of ten pieces: seeds, noise, a context, another level, stems."""
    rng = np.random.default_rng(0)
    soundfile.write(folder / "before.wav", 0.2 * rng.standard_normal(30_000), 44_100)
    pieces = [f'[[piece]]\nname = "p{n}"\nseed = {n}\n' for n in range(5)]
    pieces += [
        '[[piece]]\nname = "walk"\nnoise_step = 0.8\n',
        '[[piece]]\nname = "after"\ncontext = "before.wav"\n',
        '[[piece]]\nname = "finer"\nlevels = [2, 1]\nstems = true\n[piece.level1]\nsteps = 1\n',
        '[[piece]]\nname = "wide"\nfinisher = true\nfinisher_steps = 1\nseconds = 0.2\nout = "wide.flac"\n',
        '[[piece]]\nname = "again"\ninit = "before.wav"\nresample = 0.4\nsteps = 2\n',
    ]
    return write_list(folder, "\n".join(pieces))


@dataclass
class HerePool:
    """Makes requests in this process, one at a time. before: called with each request, and may raise."""

    before: Callable[[Request], object] = lambda request: None
    workers: int = 1
    made: list[str] = field(default_factory=list)
    closed: bool = False
    _events: list[Event] = field(default_factory=list)

    def room(self) -> bool:
        return not self._events

    def start(self, number: int, request: Request, folder: Path) -> None:
        self.before(request)
        self.made.append(request.out.name)
        outcome = make(request, folder, lambda done, of: self._events.append(Progress(number, done, of)))
        self._events.append(Finished(number, outcome))

    def wait(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self.closed = True


@dataclass
class Run:
    """One run of a list: its summary, what it printed, and the pool."""

    summary: Summary
    output: str
    pool: HerePool


def run(path: Path, pool: HerePool | None = None, *, terminal: bool = False, overwrite: bool = False) -> Run:
    """Make a list in this process."""
    pool, text = pool or HerePool(), StringIO()
    console = Console(file=text, force_terminal=terminal, width=200, markup=False, highlight=False)
    summary = run_batch(BatchJob(path, overwrite=overwrite), console, lambda *_: pool)
    return Run(summary, text.getvalue(), pool)


def sounds(folder: Path) -> dict[str, bytes]:
    """Return every sound of a folder that a list has made, by name."""
    found = sorted(path for path in folder.iterdir() if path.suffix in (".wav", ".flac"))
    return {path.name: path.read_bytes() for path in found if path.name != "before.wav"}
