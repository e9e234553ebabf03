"""Whether a take is being recorded: its file of events is locked as long as it is. No thread of its own.

On a disk without locks a take counts as being recorded if its events or sound were written within the last seconds.
"""

from __future__ import annotations

import time
from pathlib import Path

from jbdiff.file_lock import NoLocksError, is_locked
from jbdiff_live.record.take import EVENTS, sound_files

RECENT_SECONDS = 5.0  # a take is written to at least once a second


def is_recorded(folder: Path) -> bool:
    """Return True if a recorder writes into this take now. OSError: there are no events."""
    try:
        return is_locked(folder / EVENTS)
    except NoLocksError:
        return _written_lately(folder)


def _written_lately(folder: Path) -> bool:
    newest = max(path.stat().st_mtime for path in (folder / EVENTS, *sound_files(folder)))
    return time.time() - newest < RECENT_SECONDS
