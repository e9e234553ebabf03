"""Where takes lie if the player names no folder: the platform's folder for music. Threads: any."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

log = logging.getLogger(__name__)

NAME = "jbdiff-live"
TAKE_FILES = {"heard": 1, "engine": 1, "both": 2, "stems": 3}  # what a take can have, and in how many sounds
TAKE_SOUNDS = tuple(TAKE_FILES)
MOST_MINUTES = 24 * 60.0  # of the ring of always recording
LEAST_MB, MOST_MB = 10.0, 1_000_000.0
LEAST_KEEP_MINUTES = 0.1
FRAME_BYTES = 8  # stereo, 32 bit; a mono stack's ring is only smaller
STATE_BYTES = 200_000  # a second of the ring: each 20 s have a state of the music, of 3.4 MB with pocket


@dataclass(frozen=True)
class AlwaysOptions:
    """`minutes` and `megabytes` limit the ring in `folder`. `keep_minutes` is the length of a kept take."""

    folder: Path
    minutes: float = 30.0
    megabytes: float = 1000.0
    keep_minutes: float = 5.0

    def seconds(self, sample_rate: int) -> float:
        """Return the seconds of sound that the ring holds when it is full."""
        return min(self.minutes * 60, self.megabytes * 1e6 / second_bytes(sample_rate))


def second_bytes(sample_rate: int) -> int:
    """Return the bytes that a second of the ring needs."""
    return FRAME_BYTES * sample_rate + STATE_BYTES


def always_options(minutes: float, megabytes: float, keep_minutes: float) -> AlwaysOptions | None:
    """Return the options of always recording; None if `minutes` is 0, or for a user without a home folder.

    ValueError: a number is out of range.
    """
    for number, low, high, what in (
        (minutes, 0.0, MOST_MINUTES, "minutes that are always recorded"),
        (megabytes, LEAST_MB, MOST_MB, "megabytes for them"),
        (keep_minutes, LEAST_KEEP_MINUTES, MOST_MINUTES, "minutes to keep"),
    ):
        if not low <= number <= high:
            raise ValueError(f"{number:g} {what}: give a number from {low:g} to {high:g}")
    folder = always_folder()
    return None if folder is None or not minutes else AlwaysOptions(folder, minutes, megabytes, keep_minutes)


def takes_folder() -> Path:
    """Return the folder for takes, such as `~/Music/jbdiff-live`. It may not exist yet.

    A user without a home folder gets `takes` in the folder where the program was started.
    """
    return _known(platformdirs.user_music_path, NAME) or Path("takes").absolute()


def always_folder() -> Path | None:
    """Return the folder for the sound that is always recorded, in the cache; None for a user without a home."""
    return _known(lambda: platformdirs.user_cache_path(NAME, appauthor=False), "always")


def _known(find: Callable[[], Path], name: str) -> Path | None:
    """Return a folder inside one of the platform's; None if the system does not know this user's home."""
    try:
        folder = find()
    except (RuntimeError, OSError, KeyError) as error:
        log.info("no folder of the platform: %s", error)
        return None
    # Without a home the path begins with "~" as it is, and a folder of that name would be made here.
    return folder / name if folder.is_absolute() else None
