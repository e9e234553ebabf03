"""Which thread goes first: the instrument before other programs, then sound and knobs, the engine, and loaders.

A late feeder is a hole in the sound.

Linux only: real-time scheduling for those who may (root, or the `audio` group with the limits that JACK's
packages set up), else a better nice value, else nothing. Elsewhere threads that sleep most of the time already
go first. The threads that torch computes with have the nice value of the thread that they are started by.

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
# When the process goes before other programs, the model's threads go this far behind its other threads, and still
# before other programs. The model's threads may take all cores. A thread that holds the interpreter's lock, which the
# sound or a knob may be waiting for, has to get a core before them.
ENGINE_NICE = -7
LOADER_STEP = 12  # a fifteenth of the engine's share where both compete


@dataclass(frozen=True)
class Priority:
    """What the process has against other programs; a lower nice value goes first.

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
    """The nice value of the session's group; the file reads "/autogroup-123 nice 0"."""
    try:
        if grouping.read_text().strip() != "1":
            return None
        return int(autogroup.read_text().split()[-1])
    except (OSError, ValueError, IndexError):
        return None


def process_goes_first(autogroup: Path = AUTOGROUP, grouping: Path = GROUPING) -> Priority:
    """Put every thread that starts after this call before other programs; return what was got.

    A feeder in real time is not enough: it waits for the interpreter's lock, and whichever thread holds that may
    itself be waiting for a processor that another program has. With both cores of a machine taken by others the
    short ring ran dry once in 40 s without this, and not at all with it. Call it on the main thread, before others.
    The session's group gets its old value back when the process ends: a shell may live in it.
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
    """Called by a feeder on itself: raises this thread's priority; says in a word what was granted."""
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
    """Called by the engine's thread on itself, before it computes."""
    _stand(lambda nice: max(nice, ENGINE_NICE))


def behind_engine() -> None:
    """Called by the loader's thread on itself."""
    _stand(lambda nice: max(nice, ENGINE_NICE) + LOADER_STEP)


def _stand(wanted: Callable[[int], int]) -> None:
    if platform.system() != "Linux":
        return
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, wanted(os.getpriority(os.PRIO_PROCESS, thread)))
    except OSError:
        log.debug("this thread keeps its priority", exc_info=True)
