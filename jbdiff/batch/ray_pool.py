"""The same requests on a Ray cluster. Ray chooses the machine; inputs go there, and finished files come back.

Ray is an extra: it is imported when a pool is made. Its workers get this package from here, so that all of them run the
same code; each machine needs Python and the libraries only.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import jbdiff
from jbdiff.batch.parcels import Bundle, Bytes, Packer, at_machine, machine_folder
from jbdiff.batch.places import KEY_LENGTH
from jbdiff.batch.pool import POLL_SECONDS, Died, Event, Finished, Progress
from jbdiff.batch.request import BatchError, Outcome, Request, digest_of
from jbdiff.batch.work import ENVIRONMENT, make

LOCAL = "local"  # the address that starts a cluster on this machine
Ref = Any  # a handle of Ray; its type cannot be named without importing Ray
CANCEL_SECONDS = 10.0  # for tasks to close their files


class Reports:
    """An actor of the cluster: progress of all requests, until the main process takes it."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[int, int]] = {}

    def put(self, number: int, done: int, of: int) -> None:
        """Keep the progress of a request; only the last one counts."""
        self._kept[number] = (done, of)

    def take(self) -> dict[int, tuple[int, int]]:
        """Return what came since the last call."""
        kept, self._kept = self._kept, {}
        return kept


def remote_make(
    number: int, request: Request, key: str, bundles: Mapping[str, Bundle], reports: Ref, device: str
) -> tuple[Outcome, list[tuple[str, Bytes]]]:
    """Make a request on a machine of the cluster. Return how it went, and the names and bytes of its files.

    key: name of its folder of work. What an interrupted run left on this machine is continued.
    """
    import ray

    def report(done: int, of: int) -> None:
        reports.put.remote(number, done, of)

    try:
        root = machine_folder()
        folder = root / "work" / key
        outcome = make(at_machine(request, bundles, root, ray.get), folder, report, device)
        if outcome.error:
            return outcome, []
        content = [(name, np.fromfile(folder / name, np.uint8)) for name in outcome.files]
        shutil.rmtree(folder)
    except (BatchError, OSError) as error:
        return Outcome(error=str(error)), []
    return outcome, content


@dataclass(frozen=True)
class _Flying:
    """A task of the cluster that has not ended. folder: where its files will lie here."""

    number: int
    folder: Path


class RayPool:
    """Tasks on a Ray cluster. address: "local" starts a cluster on this machine, with `jobs` cores.

    need: bytes of memory that one task takes. takes: whether the instrument's package is needed too. Raises BatchError
    if Ray is missing or the cluster cannot be reached.
    """

    def __init__(self, address: str, jobs: int | None, device: str, need: int, takes: bool = False) -> None:
        self._ray = _ray()
        self._device, self._jobs = device, jobs
        self._resource = "GPU" if device.startswith("cuda") else "CPU"
        _connect(self._ray, address, jobs, takes)
        try:
            self.workers = self._places()
            options: dict[str, Any] = {"num_cpus": 1, "max_retries": 0, "memory": min(need, self._memory())}
            if self._resource == "GPU":
                if not self._ray.cluster_resources().get("GPU"):
                    raise BatchError("the cluster has no GPU; leave out --device")
                options["num_gpus"] = 1
            self._make = self._ray.remote(**options)(remote_make)
            self._reports = self._ray.remote(num_cpus=0)(Reports).remote()
            self._packer = Packer(self._ray.put)
            self._flying: dict[Ref, _Flying] = {}
        except BaseException:
            self._ray.shutdown()
            raise

    def room(self) -> bool:
        """Return whether the cluster has a place for one more task. Machines that join later count too."""
        return len(self._flying) < self._places()

    def start(self, number: int, request: Request, folder: Path) -> None:
        """Send a request to the cluster, and with it what it reads."""
        key = digest_of({"folder": str(folder.resolve()), "host": platform.node()})[:KEY_LENGTH]
        bundles = self._packer.bundles(request)
        ref = self._make.remote(number, request, key, bundles, self._reports, self._device)
        self._flying[ref] = _Flying(number, folder)

    def wait(self) -> list[Event]:
        """Wait for the end of a task, half a second at most. Return ends and progress."""
        ended, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=POLL_SECONDS, fetch_local=False)
        events: list[Event] = []
        for number, (done, of) in self._ray.get(self._reports.take.remote()).items():
            if any(task.number == number for task in self._flying.values()):
                events.append(Progress(number, done, of))
        return events + [self._ended(ref, self._flying.pop(ref)) for ref in ended]

    def close(self) -> None:
        """Interrupt all tasks, which close their files, and leave the cluster. A local one ends."""
        refs = list(self._flying)
        for ref in refs:
            self._ray.cancel(ref)
        if refs:
            self._ray.wait(refs, num_returns=len(refs), timeout=CANCEL_SECONDS)
        self._ray.shutdown()

    def _ended(self, ref: Ref, task: _Flying) -> Event:
        errors = self._ray.exceptions
        gone = (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
        )
        try:
            outcome, content = self._ray.get(ref)
        except gone as error:
            return Died(task.number, f"its process on the cluster ended ({_first_line(error)})")
        except errors.RayError as error:
            return Finished(task.number, Outcome(error=_last_line(error)))
        try:
            task.folder.mkdir(parents=True, exist_ok=True)
            for name, data in content:
                (task.folder / name).parent.mkdir(parents=True, exist_ok=True)
                data.tofile(task.folder / name)
        except OSError as error:
            outcome = Outcome(error=f"{error}; free some space, the same command makes it again")
        return Finished(task.number, outcome)

    def _places(self) -> int:
        return self._jobs or max(1, int(self._ray.cluster_resources().get(self._resource, 1)))

    def _memory(self) -> int:
        """Return the most memory that one machine of the cluster gives to a task, in bytes."""
        return int(
            max(
                (node["Resources"].get("memory", 0) for node in self._ray.nodes() if node["Alive"]), default=0
            )
        )


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.exceptions")
    except ModuleNotFoundError as error:
        raise BatchError(f"--ray needs {error.name}; install jbdiff-live with its [ray] extra") from error
    return ray


def _connect(ray: ModuleType, address: str, jobs: int | None, takes: bool) -> None:
    """Start or join a cluster whose workers run this package, with one thread each."""
    packages = [str(Path(jbdiff.__file__).parent)]
    if takes:
        found = importlib.util.find_spec("jbdiff_live")
        if found is None or found.origin is None:
            raise BatchError(
                "takes need the instrument, and jbdiff_live is not installed here; install jbdiff-live"
            )
        packages.append(str(Path(found.origin).parent))
    local: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": packages, "env_vars": ENVIRONMENT, "excludes": ["__pycache__"]},
            log_to_driver=False,
            logging_level="ERROR",
            **local,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = _first_line(error)
        if address == LOCAL:
            raise BatchError(
                f"Ray cannot start here: {reason}; leave out --ray to use this machine"
            ) from error
        raise BatchError(
            f"no Ray cluster at {address!r} ({reason}); start one there with `ray start --head`, or take --ray "
            "local. If the cluster asks for a token, set RAY_AUTH_MODE=token"
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _last_line(error: Exception) -> str:
    return next(
        (line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__
    )
