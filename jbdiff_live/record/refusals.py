"""Why the disk refuses a take or the ring of the last minutes, in words for the player. Threads: any."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
AGAIN = "choose LAST MINUTES in the settings (F4), or start the program again"


def take_refused(folder: Path, error: OSError) -> str:
    """Return the reason and the remedy for a take in this folder."""
    free = _free_bytes(folder)
    if error.errno in FULL or free == 0:
        return f"the disk of {folder} is full or takes no more; free some space; the take so far is kept"
    if error.errno in FORBIDDEN:
        return f"{folder} cannot be written to; choose another folder for takes"
    if (file := _file_in_the_way(folder)) is not None:
        return f"{file} is a file and no folder; move it away, or choose another folder for takes"
    if error.errno in (errno.ENOENT, errno.ENOTDIR) or free is None:
        return f"{folder} has gone; is the drive still connected? Choose another folder and record again"
    return f"{folder}: {error}; choose another folder and record again"


def ring_refused(folder: Path, error: OSError) -> str:
    """Return the reason and the remedy for the ring in this folder. The player cannot choose another folder."""
    if error.errno in FULL or _free_bytes(folder) == 0:
        return f"the disk of {folder} is full; free some space, then {AGAIN}"
    if error.errno in FORBIDDEN:
        return f"{folder} cannot be written to; allow it, then {AGAIN}"
    if (file := _file_in_the_way(folder)) is not None:
        return f"{file} is a file, where a folder must be; move it away, then {AGAIN}"
    return f"{folder}: {error.strerror or error}; check that folder, then {AGAIN}"


def _file_in_the_way(folder: Path) -> Path | None:
    """Return the file that stands where this folder, or one above it, must be; None if there is none."""
    for path in (folder, *folder.parents):
        try:
            if path.exists():
                return None if path.is_dir() else path
        except OSError:
            return None
    return None


def _free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the folder's disk; None if there is no folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
