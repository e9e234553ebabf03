"""Priorities. The instrument goes before other programs; inside it sound and knobs come first, then engine and loaders.

A late feeder is a hole in the sound.
Linux only: a thread gets real-time scheduling, or else a better nice value, if the user may have it. Root may, and the
`audio` group with the limits that JACK's packages set up. On other systems, threads that sleep most of the time already
go first. torch's threads have the nice value of the thread that starts them.

Many Linux kernels group processes by login session ("autogroup") and share the processor among the groups. A nice
value then only counts inside the group, and the group's own value in /proc/self/autogroup counts outside it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

REALTIME_PRIORITY = 5  # below JACK and the kernel's own sound threads
NICE = -11
AUTOGROUP = Path("/proc/self/autogroup")
GROUPING = Path("/proc/sys/kernel/sched_autogroup_enabled")
# When the process goes before other programs, the model's threads come this far behind its other threads, and still
# before other programs. The model's threads may take all cores. But the sound or a knob may wait for the interpreter's
# lock. The thread that holds the lock must then get a core first.
ENGINE_NICE = -7
LOADER_STEP = 12  # a fifteenth of the engine's share if both compete


@dataclass(frozen=True)
class Priority:
    """The priority of the process against other programs; a lower nice value goes first.

    `group` is the nice value of its session's group, None when the kernel does not group by session.
    """

    nice: int
    group: int | None = None

    @property
    def raised(self) -> bool:
        """True if the process goes before an ordinary program of another session."""
        return (self.nice if self.group is None else self.group) < 0

    @property
    def text(self) -> str:
        group = "" if self.group is None else f", session group {self.group}"
        return f"{'before other programs' if self.raised else 'as other programs'} (nice {self.nice}{group})"


def process_priority(autogroup: Path = AUTOGROUP, grouping: Path = GROUPING) -> Priority:
    """Return the priority that the process has now."""
    nice = os.getpriority(os.PRIO_PROCESS, os.getpid()) if hasattr(os, "getpriority") else 0
    return Priority(nice, _group_nice(autogroup, grouping))


def _group_nice(autogroup: Path, grouping: Path) -> int | None:
    """Return the nice value of the session's group. The file reads "/autogroup-123 nice 0"."""
    try:
        if grouping.read_text().strip() != "1":
            return None
        return int(autogroup.read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return None


def process_goes_first(autogroup: Path = AUTOGROUP, grouping: Path = GROUPING) -> Priority:
    """Let every thread that starts after this call go before other programs. Return the new priority.

    A feeder in real time is not enough. It waits for the interpreter's lock, and the thread that holds the lock may
    wait for a processor that another program has. Measured with both cores of a machine taken by other programs: the
    short ring ran dry once in 40 s without this call, and never with it. Call it on the main thread, before the other
    threads start. The session's group gets its old value back when the process ends, because a shell may live in it.
    """
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
    before = _group_nice(autogroup, grouping)
    if before is not None and before > NICE and _set_group_nice(autogroup, NICE):
        atexit.register(_set_group_nice, autogroup, before)
    return process_priority(autogroup, grouping)


def _set_group_nice(autogroup: Path, nice: int) -> bool:
    """Return True if the kernel took the value. It refuses users without the right, and two calls within 0.1 s."""
    try:
        autogroup.write_text(str(nice))
    except OSError:
        return False
    return True


def go_first() -> str:
    """Raise the priority of the calling thread, a feeder. Return the granted priority in a word."""
    if not hasattr(os, "sched_setscheduler"):
        return "normal"
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # a kernel may also lack it
        os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(REALTIME_PRIORITY))
        return "real time"
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, NICE)
        return "raised"
    return "normal"


def behind_sound() -> None:
    """Put the calling thread, the engine's, behind the sound. It calls this before it computes."""
    _stand(lambda nice: max(nice, ENGINE_NICE))


def behind_engine() -> None:
    """Put the calling thread, a loader's, behind the engine."""
    _stand(lambda nice: max(nice, ENGINE_NICE) + LOADER_STEP)


def _stand(wanted: Callable[[int], int]) -> None:
    if platform.system() != "Linux":
        return
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, wanted(os.getpriority(os.PRIO_PROCESS, thread)))
    except OSError:
        log.debug("this thread keeps its priority", exc_info=True)
