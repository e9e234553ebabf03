"""Run `jbdiff render`: read the list, make what is not done, place the files, and say how it went."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from jbdiff.audio.writing import remedy
from jbdiff.batch.board import Board
from jbdiff.batch.journal import Journal
from jbdiff.batch.listing import BatchList, read_list
from jbdiff.batch.places import Places
from jbdiff.batch.pool import Died, Event, Finished, Pool, ProcessPool, Progress
from jbdiff.batch.request import BatchError, Outcome, Request
from jbdiff.batch.resources import plan_workers, this_machine, worker_bytes

TRIES = 2  # of a request whose process dies


@dataclass(frozen=True)
class BatchJob:
    """The arguments of one call of `jbdiff render`. jobs: None for the usual number. ray: address of a cluster."""

    path: Path
    jobs: int | None = None
    device: str = "cpu"
    ray: str | None = None
    overwrite: bool = False


@dataclass
class Summary:
    """How a batch went, in numbers. failures: file and reason."""

    made: int = 0
    there: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)  # machines whose arithmetic may differ

    def lines(self) -> list[str]:
        """Return the summary for the user."""
        parts = [f"{self.made} made", f"{self.there} done before", f"{len(self.failures)} failed"]
        lines = [", ".join(parts)]
        if len(self.kinds) > 1:
            lines.append(
                f"made by {len(self.kinds)} kinds of machines, which round differently: {'; '.join(sorted(self.kinds))}"
            )
        return lines + [f"failed: {name}: {reason}" for name, reason in self.failures]


PoolFor = Callable[[BatchJob, BatchList, Sequence[Request], Callable[[str], None]], Pool]


def run_batch(job: BatchJob, console: Console, pool_for: PoolFor | None = None) -> Summary:
    """Make every request of a list that is not done. Return how it went.

    pool_for: makes the pool of workers, given what is to be made. Raises BatchError with the remedy if the list, the
    disk or the cluster refuses, and if the user stops it.
    """
    try:
        listed = read_list(job.path, job.device)
    except OSError as error:
        raise BatchError(f"{error}{remedy(error)}") from error
    journal = Journal(job.path.with_suffix(".rendered.jsonl"))
    try:
        places = Places(job.path.with_suffix(".rendering"), journal, job.overwrite)
        waiting = [request for request in listed.requests if not places.done(request)]
        for request in waiting:
            places.check(request)
        places.forget_others(waiting)
        summary = Summary(there=len(listed.requests) - len(waiting))
        if waiting:
            _Batch(waiting, journal, places, summary).run(
                console, lambda say: (pool_for or usual_pool)(job, listed, waiting, say)
            )
            places.forget_others(request for request in waiting if not _is_done(journal, request))
        return summary
    except OSError as error:
        raise BatchError(f"{error}{remedy(error)}") from error
    finally:
        journal.close()


def _is_done(journal: Journal, request: Request) -> bool:
    entry = journal.entry(request)
    return entry is not None and entry.get("request") == request.digest


def usual_pool(
    job: BatchJob, listed: BatchList, waiting: Sequence[Request], say: Callable[[str], None]
) -> Pool:
    """Return the pool that a job asks for, and say which it is."""
    need = worker_bytes(listed.stacks)
    if job.ray is not None:
        from jbdiff.batch.ray_pool import RayPool

        pool: Pool = RayPool(job.ray, job.jobs, job.device, need, takes=listed.takes > 0)
        say(f"{len(waiting)} to make; {pool.workers} at once on Ray ({job.ray})")
        return pool
    workers = plan_workers(this_machine(job.device), job.device, job.jobs, len(waiting), need)
    if job.device not in ("cpu", "cuda"):  # these are known already, and torch need not be loaded here
        _check_device(job.device)
    say(f"{len(waiting)} to make; worker processes: {len(workers.devices)} ({workers.why})")
    return ProcessPool(workers.devices, workers.environments)


def _check_device(device: str) -> None:
    from jbdiff.machine import DeviceError, usable_device

    try:
        usable_device(device)
    except DeviceError as error:
        raise BatchError(str(error)) from error


class _Batch:
    """The loop over the events of a pool."""

    def __init__(
        self, requests: Sequence[Request], journal: Journal, places: Places, summary: Summary
    ) -> None:
        self._requests, self._journal, self._places, self._summary = requests, journal, places, summary
        self._waiting = deque(range(len(requests)))
        self._open: set[int] = set()
        self._tries = [0] * len(requests)

    def run(self, console: Console, pool_for: Callable[[Callable[[str], None]], Pool]) -> None:
        """Make all requests. Raises BatchError if the user stops it."""
        with Board(console, [request.seconds for request in self._requests]) as board:
            try:
                pool = pool_for(board.say)
                try:
                    self._work(pool, board)
                finally:
                    pool.close()
            except KeyboardInterrupt as stop:
                left = len(self._waiting) + len(self._open)
                raise BatchError(f"stopped, {left} are left; the same command goes on from here") from stop

    def _work(self, pool: Pool, board: Board) -> None:
        while self._waiting or self._open:
            while self._waiting and pool.room():
                number = self._waiting.popleft()
                self._open.add(number)
                request = self._requests[number]
                pool.start(number, request, self._places.folder(request))
                board.progress(number, request.out.name, 0.0)
            for event in pool.wait():
                self._event(event, board)

    def _event(self, event: Event, board: Board) -> None:
        request = self._requests[event.number]
        name = request.out.name
        if isinstance(event, Progress):
            board.progress(event.number, name, min(1.0, event.done / max(1, event.of)))
            return
        self._open.discard(event.number)
        if isinstance(event, Finished):
            self._finished(event.number, event.outcome, board)
            return
        assert isinstance(event, Died)
        self._tries[event.number] += 1
        if self._tries[event.number] < TRIES:
            board.say(f"{name}: {event.reason}; it is tried once more")
            self._waiting.appendleft(event.number)
        else:
            self._failed(event.number, f"{event.reason}; it was tried {TRIES} times", board)

    def _finished(self, number: int, outcome: Outcome, board: Board) -> None:
        request = self._requests[number]
        for note in outcome.notes:
            board.say(note)
        error = outcome.error
        if not error:
            try:
                self._places.place(request, outcome)
            except (BatchError, OSError) as problem:
                error = str(problem)
        if error:
            self._failed(number, error, board)
            return
        self._summary.made += 1
        self._summary.kinds.add(_kind(outcome))
        board.ended(number, f"{request.out.name}: {outcome.said}, took {outcome.seconds:.1f} s")

    def _failed(self, number: int, error: str, board: Board) -> None:
        request = self._requests[number]
        self._summary.failures.append((request.out.name, error))
        self._journal.failed(request, error)
        board.ended(number, f"{request.out.name}: failed: {error}")


def _kind(outcome: Outcome) -> str:
    """Return what decides on the rounding of samples: two pieces of the same kind are the same everywhere."""
    facts = outcome.machine
    return f"{facts.get('gpu') or facts.get('cpu')} ({facts.get('capability')}), torch {facts.get('torch')}"
