"""Puts the instrument before other programs, where the system lets it: a late feeder is a hole in the sound.

Linux only: real-time scheduling for those who may (root, or the `audio` group with the limits that JACK's
packages set up), else a better nice value, else nothing. Elsewhere threads that sleep most of the time already
go first.
"""

from __future__ import annotations

import contextlib
import os
import threading

REALTIME_PRIORITY = 5  # below JACK and the kernel's own sound threads
NICE = -11


def process_goes_first() -> bool:
    """Puts every thread that starts after this call before other programs; False where that is not allowed.

    A feeder in real time is not enough: it waits for the interpreter's lock, and whichever thread holds that may
    itself be waiting for a processor that another program has. With both cores of a machine taken by others the
    short ring ran dry once in 40 s without this, and not at all with it. Call it on the main thread, before others.
    """
    if not hasattr(os, "setpriority"):
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    except PermissionError:
        return False
    return True


def go_first() -> str:
    """Called by a feeder on itself: raises this thread's priority; says in a word what was granted."""
    if not hasattr(os, "sched_setscheduler"):
        return "normal"
    thread = threading.get_native_id()
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(REALTIME_PRIORITY))
        return "real time"
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, thread, NICE)
        return "raised"
    return "normal"
