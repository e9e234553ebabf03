"""Worker processes on this machine. One owner thread; each worker makes one request after the other.

A worker that ends by itself (out of memory, a crash in a library) is an event, and no end of the batch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from jbdiff.batch.request import Outcome, Request

END_SECONDS = 15.0  # for a worker to end when it is asked to
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Progress:
    """A request went on: `done` of `of` steps."""

    number: int
    done: int
    of: int


@dataclass(frozen=True)
class Finished:
    """A request ended, well or not."""

    number: int
    outcome: Outcome


@dataclass(frozen=True)
class Died:
    """The process that made a request ended before the request did."""

    number: int
    reason: str


Event = Progress | Finished | Died


class Pool(Protocol):
    """Makes requests somewhere else. Not thread-safe."""

    workers: int  # how many requests are made at once

    def room(self) -> bool:
        """Return whether `start` may be called."""
        ...

    def start(self, number: int, request: Request, folder: Path) -> None:
        """Begin a request. number: its name in events. folder: where its files will lie when it has finished."""
        ...

    def wait(self) -> list[Event]:
        """Wait until something happens, half a second at most, and return it."""
        ...

    def close(self) -> None:
        """End all work. What was begun can be continued later."""
        ...


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    place: tuple[str, Mapping[str, str]]  # device and environment
    number: int | None = None  # of the request that it makes


class ProcessPool:
    """Processes on this machine, started when they are needed.

    devices: the torch device of each worker; environments: variables that are set in each before torch is imported.
    """

    def __init__(self, devices: Sequence[str], environments: Sequence[Mapping[str, str]]) -> None:
        self.workers = len(devices)
        self._free = list(zip(devices, environments, strict=True))
        self._running: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")  # torch does not survive a fork

    def room(self) -> bool:
        """Return whether a worker is idle, or may be started."""
        return bool(self._free) or any(worker.number is None for worker in self._running)

    def start(self, number: int, request: Request, folder: Path) -> None:
        """Send a request to an idle worker, or to a new one."""
        idle = next((worker for worker in self._running if worker.number is None), None) or self._new()
        idle.number = number
        with contextlib.suppress(OSError):  # it has ended; `wait` says so
            idle.connection.send((request, folder))

    def wait(self) -> list[Event]:
        """Wait for messages and ends of workers, half a second at most."""
        ready = wait([worker.connection for worker in self._running], POLL_SECONDS)
        events: list[Event] = []
        for worker in [worker for worker in self._running if worker.connection in ready]:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                events += self._ended(worker)
                continue
            assert worker.number is not None
            if isinstance(message, Outcome):
                events.append(Finished(worker.number, message))
                worker.number = None
            else:
                events.append(Progress(worker.number, *message))
        return events

    def close(self) -> None:
        """Ask all workers to end, and end those that do not."""
        for worker in self._running:
            worker.process.terminate()
        for worker in self._running:
            worker.process.join(END_SECONDS)
            self._kill(worker)
        self._running.clear()

    def _new(self) -> _Worker:
        from jbdiff.batch.worker import work

        place = self._free.pop(0)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, *place), daemon=True, name="jbdiff render")
        process.start()
        theirs.close()  # so that the end of the process closes the pipe
        worker = _Worker(process, ours, place)
        self._running.append(worker)
        return worker

    def _ended(self, worker: _Worker) -> list[Event]:
        worker.process.join(END_SECONDS)
        self._kill(worker)
        self._running.remove(worker)
        self._free.append(worker.place)
        return [] if worker.number is None else [Died(worker.number, _why(worker.process.exitcode))]

    def _kill(self, worker: _Worker) -> None:
        """End a worker and everything that it started."""
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        if hasattr(os, "killpg") and worker.process.pid is not None:
            with contextlib.suppress(OSError):  # nothing of the group is left
                os.killpg(worker.process.pid, signal.SIGKILL)
        worker.connection.close()


def _why(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if name == "SIGKILL":
            return "its process was killed, probably because memory ran out; fewer --jobs need less"
        return f"its process ended by {name}"
    return f"its process ended with code {code}"
