"""Puts the calling thread before others, where the system lets it: a late feeder is a hole in the sound.

Called once by a feeder on itself. Linux only: real-time scheduling for those who may (root, or the `audio` group
with the limits that JACK's packages set up), else a better nice value, else nothing. Elsewhere threads that
sleep most of the time already go first.
"""

from __future__ import annotations

import contextlib
import os
import threading

REALTIME_PRIORITY = 5  # below JACK and the kernel's own sound threads
NICE = -11


def go_first() -> str:
    """Raises this thread's priority; says in a word what was granted."""
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
