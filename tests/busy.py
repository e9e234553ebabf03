"""How long this machine keeps a process waiting for a processor, measured beside a test by a process that does nothing.

For tests of sound in real time, marked `realtime`: on a machine that has other work they fail without a fault of ours.
What our own threads do to each other is not measured here, and is no excuse.
"""

from __future__ import annotations

import subprocess
import sys

# The sound server's period is 6 to 23 ms; a process that waits so long has missed several.
MOST_SECONDS = 0.05
WATCH = """
import os, select, sys, time
if hasattr(os, "setpriority"):
    os.setpriority(os.PRIO_PROCESS, 0, 0)
worst, pause = 0.0, 0.005
while True:
    began = time.monotonic()
    if select.select([sys.stdin], [], [], pause)[0]:
        break
    worst = max(worst, time.monotonic() - began - pause)
print(worst)
"""


class Watch:
    """Runs beside a test; `stop` tells the longest wait in seconds."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WATCH],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # A test before this one may have put this process before all others; the watch must not go first.
            start_new_session=True,
        )

    def stop(self) -> float:
        said, _ = self._process.communicate()
        return float(said)
