"""Takes that were broken off: by a crash, a kill or a power cut. They are found and made whole; nothing is deleted.

Threads: any; blocks on the disk.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from jbdiff_live.record.lock import is_recorded
from jbdiff_live.record.take import EVENTS, INFO, SOUNDS, Take, TakeError, open_take, sound_files
from jbdiff_live.record.wav import repair
from jbdiff_live.record.writer import write_info
from jbdiff_live.system.files import plain_file

log = logging.getLogger(__name__)

TAIL_BYTES = 1 << 20  # the last whole line of events lies within


def broken_takes(parent: Path) -> list[Path]:
    """Return the folders of the takes in `parent` that were broken off, oldest first. A take in work is none."""
    try:
        folders = sorted(path.parent for path in parent.glob(f"*/{INFO}"))
    except OSError as error:
        log.info("%s: %s", parent, error)
        return []
    return [folder for folder in folders if _is_broken(folder)]


def _is_broken(folder: Path) -> bool:
    try:
        info = open_take(folder).info
        whole = info.closed_cleanly or info.problem or info.recovered
        return not whole and not is_recorded(folder)
    except (TakeError, OSError) as error:
        log.info("%s: %s", folder, error)
        return False


def repair_take(folder: Path) -> Take:
    """Make a broken take whole, and return it. TakeError names what cannot be read; nothing is lost by trying.

    A torn last frame and a torn last line of events are cut off.
    """
    try:
        for stem in SOUNDS:
            for path in sound_files(folder, stem):
                repair(path)
        _cut_torn_line(folder / EVENTS)
        take = open_take(folder)
        write_info(folder, msgspec.structs.replace(take.info, frames=take.frames, recovered=True))
    except (OSError, ValueError) as error:
        raise TakeError(
            f"{folder}: {error}; the files stay as they are, copy the folder before you try more"
        ) from error
    return open_take(folder)


def _cut_torn_line(path: Path) -> None:
    with plain_file(path).open("rb+") as events:
        length = events.seek(0, os.SEEK_END)
        start = max(0, length - TAIL_BYTES)
        events.seek(start)
        tail = events.read()
        if not tail.endswith(b"\n"):
            events.truncate(start + tail.rfind(b"\n") + 1)
