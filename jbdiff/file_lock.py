"""Lock a file, so that one process at a time has what it stands for. The lock ends with the process, however it ends.

The lock is advisory: it keeps nobody from reading or writing. No thread of its own. Blocks on the disk for a moment.
The instrument uses it too, so this file imports nothing that takes long to import.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

LOCKED_BYTE = 0x7FFF_FFFF  # on Windows a locked byte cannot be read, so one is locked that no small file has


class NoLocksError(OSError):
    """The disk has no locks, as some network drives."""


def lock(file: int) -> bool:
    """Lock an open file, by its descriptor. Return False if another open file has the lock. Never waits.

    NoLocksError: the disk has no locks.
    """
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise NoLocksError(error.errno, error.strerror) from error
    return True


def lock_or_share(file: int) -> bool:
    """As `lock`, but on a disk without locks return True: the program goes on as if it had the lock."""
    try:
        return lock(file)
    except NoLocksError as error:
        log.info("the disk has no locks: %s", error)
        return True


def is_locked(path: Path) -> bool:
    """Return True if the file is locked. NoLocksError as `lock`. OSError: it cannot be opened."""
    with path.open("rb+") as file:
        return not lock(file.fileno())


def is_at(file: IO[bytes], path: Path) -> bool:
    """Return True if an open file is still the one at this path, and was not removed or replaced."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class FileLock:
    """The lock of a file that exists for nothing else. It is made when it is missing. `release` leaves it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        """True from `take` to `release`."""
        return self._file is not None

    def take(self) -> bool:
        """Lock the file, and make it first if it is missing. Return False if another process has the lock.

        On a disk without locks return True. OSError: no file can be made.
        """
        if self._file is not None:
            return True
        while True:
            file = self._path.open("ab")
            if not lock_or_share(file.fileno()):
                file.close()
                return False
            if is_at(file, self._path):
                self._file = file
                return True
            file.close()  # whoever had the lock has just removed the file

    def release(self) -> None:
        """Unlock the file. Does nothing if it is not locked."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # a drive that was pulled
                file.close()


def _lock(file: int) -> None:
    if sys.platform == "win32":
        place = os.lseek(file, 0, os.SEEK_CUR)
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, place, os.SEEK_SET)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
