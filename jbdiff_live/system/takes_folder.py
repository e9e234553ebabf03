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


@dataclass(frozen=True)
class AlwaysOptions:
    """`minutes` and `megabytes` limit the ring in `folder`. `keep_minutes` is the length of a kept take."""

    folder: Path
    minutes: float = 30.0
    megabytes: float = 1000.0
    keep_minutes: float = 5.0


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
