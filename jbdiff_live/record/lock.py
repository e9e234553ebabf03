"""The lock of a take that is being recorded. It ends with the process, however that ends.

On Linux and macOS it is the system's lock on the file of events. On Windows a take counts as being recorded if its
events or sound were written within the last seconds. No thread of its own.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from jbdiff_live.record.take import EVENTS, sound_files

RECENT_SECONDS = 5.0  # a take is written to at least once a second

if sys.platform != "win32":
    import fcntl

    def hold(file: int) -> None:
        """Lock an open file of events. A disk without locks, such as some network drives, is accepted."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return

    def is_recorded(folder: Path) -> bool:
        """Return True if a process records into this take now. OSError: there are no events."""
        with (folder / EVENTS).open("rb+") as events:
            try:
                fcntl.flock(events.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:
                return _written_lately(folder)
        return False

else:

    def hold(file: int) -> None:
        """Do nothing: the times of the files serve as lock."""

    def is_recorded(folder: Path) -> bool:
        """Return True if a process seems to record into this take now. OSError: there are no events."""
        return _written_lately(folder)


def _written_lately(folder: Path) -> bool:
    newest = max(path.stat().st_mtime for path in (folder / EVENTS, *sound_files(folder)))
    return time.time() - newest < RECENT_SECONDS
