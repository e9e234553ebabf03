"""Real worker processes: the same samples as in one process, workers and whole batches that are killed, resources."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from batch_rig import run, sounds, ten, write_list
from rich.console import Console

from jbdiff.batch.command import BatchJob, run_batch
from jbdiff.batch.pool import Event, ProcessPool, Progress
from jbdiff.batch.request import BatchError
from jbdiff.batch.resources import GPUS, Machine, plan_workers
from jbdiff.batch.work import ENVIRONMENT

GIB = 2**30


class KillingPool(ProcessPool):
    """Kills the first worker that has begun a piece."""

    killed = 0

    def wait(self) -> list[Event]:
        events = super().wait()
        begun = [event.number for event in events if isinstance(event, Progress)]
        for worker in [worker for worker in self._running if worker.number in begun and not self.killed]:
            self.killed = worker.process.pid or 0
            worker.process.kill()
        return events


def test_two_workers_make_the_samples_of_one_process_though_one_is_killed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    run(ten(tmp_path / "one"))
    pool, said = KillingPool(["cpu"] * 2, [ENVIRONMENT] * 2), StringIO()
    summary = run_batch(BatchJob(ten(tmp_path / "two")), Console(file=said, width=200), lambda *_: pool)
    assert (summary.made, summary.failures) == (10, []), said.getvalue()
    assert pool.killed and "probably because memory ran out" in said.getvalue()
    assert sounds(tmp_path / "two") == sounds(tmp_path / "one")


# The command, whose main process says when a worker reports the first step.
SAYS_WHEN_IT_WORKS = """
import sys
from jbdiff.batch.board import Board
from jbdiff.__main__ import main

plain = Board.progress

def progress(self, number, name, share):
    plain(self, number, name, share)
    if share:
        print("it works", flush=True)

if __name__ == "__main__":
    Board.progress = progress
    main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_command_leaves_whole_files_and_no_process(tmp_path: Path, how: signal.Signals) -> None:
    path = write_list(tmp_path, '[[piece]]\nname = "a"\nseconds = 600\n')
    script = tmp_path / "program.py"
    script.write_text(SAYS_WHEN_IT_WORKS)
    going = subprocess.Popen(
        [sys.executable, script, "render", path, "--jobs", "1"], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    assert going.stdout is not None
    assert any("it works" in line for line in going.stdout), "it ended before"
    going.send_signal(how)
    # The pipe closes when the last process that holds it has ended: the worker too.
    said, _ = going.communicate(timeout=900)
    assert not (tmp_path / "a.wav").exists()
    if how is signal.SIGINT:
        assert going.returncode == 1 and "stopped, 1 are left; the same command goes on" in said, said
    partial = list((tmp_path / "night.rendering").glob("*/a.wav.partial/render.json"))
    assert len(partial) == 1


@pytest.mark.parametrize(
    ("machine", "device", "jobs", "requests", "count", "why"),
    [
        (Machine(8, 64 * GIB), "cpu", None, 100, 8, "one a core"),
        (Machine(8, 64 * GIB), "cpu", None, 3, 3, "one a core"),
        (Machine(8, 7 * GIB), "cpu", None, 100, 3, "memory has room for 3"),
        (Machine(8, 1 * GIB), "cpu", None, 100, 1, "memory has room for 1"),
        (Machine(8, None), "cpu", None, 100, 8, "one a core"),
        (Machine(8, 7 * GIB), "cpu", 5, 100, 5, "--jobs"),
        (Machine(8, 64 * GIB), "mps", None, 100, 1, "one on mps"),
        (Machine(8, 64 * GIB, ("0", "1")), "cuda", None, 100, 2, "one a GPU"),
        (Machine(8, 64 * GIB, ("0", "1")), "cuda:1", None, 100, 1, "the GPU that was named"),
    ],
)
def test_as_many_workers_as_cores_memory_or_gpus(
    machine: Machine, device: str, jobs: int | None, requests: int, count: int, why: str
) -> None:
    workers = plan_workers(machine, device, jobs, requests, 2 * GIB)
    assert (len(workers.devices), workers.why) == (count, why)
    assert all(environment["OMP_NUM_THREADS"] == "1" for environment in workers.environments)


def test_each_worker_sees_one_gpu() -> None:
    machine = Machine(8, 64 * GIB, ("GPU-a", "GPU-b"))
    workers = plan_workers(machine, "cuda", 3, 9, 2 * GIB)
    seen: Sequence[str] = [environment[GPUS] for environment in workers.environments]
    assert seen == ["GPU-a", "GPU-b", "GPU-a"] and set(workers.devices) == {"cuda"}


def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BatchError, match="no CUDA device is there; leave out --device"):
        plan_workers(Machine(8, 64 * GIB), "cuda", None, 9, 2 * GIB)
