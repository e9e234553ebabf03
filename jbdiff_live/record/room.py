"""The room that is left for takes on their disk, in seconds of one sound.

Thread: one at a time; the session's. `seconds_left` asks the system at most every five seconds.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

SAMPLE_BYTES = 4  # float32
ASK_SECONDS = 5.0
WARN_SECONDS = 600.0  # of sound: time enough to end a piece, or to free some space


def nearly_full(seconds: float | None) -> str:
    """Return a warning if the disk has room for few seconds more of the take, else an empty text."""
    if seconds is None or seconds > WARN_SECONDS:
        return ""
    return f"the disk has room for {seconds / 60:.0f} more minutes of the take; free some space"


class TakeRoom:
    """The room in `folder`, which need not exist yet: the nearest folder above it counts."""

    def __init__(self, folder: Path, sample_rate: int, channels: int, now: Callable[[], float]) -> None:
        self._folder = folder
        self._bytes_a_second = sample_rate * channels * SAMPLE_BYTES
        self._now = now
        self._asked_at = float("-inf")
        self._left: float | None = None

    def move(self, folder: Path) -> None:
        """Measure another folder from now on."""
        self._folder, self._asked_at = folder, float("-inf")

    def seconds_left(self) -> float | None:
        """Return the seconds of sound that the disk has room for; None if the system does not say."""
        if self._now() - self._asked_at >= ASK_SECONDS:
            self._asked_at = self._now()
            self._left = self._ask()
        return self._left

    def _ask(self) -> float | None:
        for folder in (self._folder, *self._folder.absolute().parents):
            try:
                return shutil.disk_usage(folder).free / self._bytes_a_second
            except FileNotFoundError:
                continue
            except OSError:
                return None
        return None
