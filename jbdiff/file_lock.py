"""Lock an open file, so that one process at a time has what it stands for. The lock ends with the process."""

from __future__ import annotations

import sys
from typing import IO


def locked(file: IO[bytes]) -> bool:
    """Lock a file for this process until it closes it. Return False if another process has it. Never waits."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
