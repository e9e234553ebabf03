"""The session file on the disk: its lock, the mark of a start that has not arrived, and files that are kept aside.

Beside `last.json` lie `last.lock`, which is locked while a program keeps this session, and `last.starting`. That one is
there from the moment a start reads the session until its window or first sound; a start that crashed leaves it over.

Threads: the command line's reads and locks, the keeper's writes. Never both at a time. Blocks on the disk.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from jbdiff.file_lock import FileLock
from jbdiff_live.kept.content import MOST_BYTES, Content, SessionError, decode, encode
from jbdiff_live.system.files import replace_file

log = logging.getLogger(__name__)

HEAD, HEAD_BYTES = b'"app_version"', 200  # each session has this word near its beginning
MOST_ASIDE = 20  # files that are kept aside; the oldest make room


class SessionFile:
    """One session file. stamp: gives the time for the names of files that are kept aside."""

    def __init__(
        self,
        path: Path,
        app_version: str,
        stamp: Callable[[], str] = lambda: time.strftime("%Y-%m-%d-%H%M%S"),
    ) -> None:
        self.path = path
        self._app_version = app_version
        self._stamp = stamp
        self._lock = FileLock(path.with_suffix(".lock"))

    @property
    def _mark(self) -> Path:
        return self.path.with_suffix(".starting")

    @property
    def is_ours(self) -> bool:
        """False if the file is there and no jbdiff-live wrote it, whole or damaged. True if it cannot be read."""
        try:
            if not self.path.exists():
                return True
            if not self.path.is_file():
                return False
            with self.path.open("rb") as file:
                beginning = file.read(HEAD_BYTES)
        except OSError:
            return True
        return not beginning.strip() or HEAD in beginning

    # ------------------------------------------------------------------ one program at a time

    def lock(self) -> bool:
        """Lock the session for this program. Return False if another program keeps it. OSError: no file can be made.

        The system unlocks it when the program ends, however it ends. A disk that has no locks counts as unlocked.
        """
        if self._lock.held:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._lock.take():
            return False
        for left in self.path.parent.glob(f".{self.path.name}.*"):  # a crash in the middle of saving
            left.unlink(missing_ok=True)
        return True

    def unlock(self) -> None:
        self._lock.release()

    # ------------------------------------------------------------------ a start that crashed

    @property
    def crashed(self) -> bool:
        """True if the last start with this session did not come as far as a window or first sound."""
        return self._mark.exists()

    def begin(self) -> None:
        """Record that a start reads this session now. The mark is on the disk before this returns."""
        with self._mark.open("w", encoding="utf-8") as file:
            file.write(f"{self._stamp()} process {os.getpid()}\n")
            file.flush()
            os.fsync(file.fileno())

    def arrived(self) -> None:
        """Record that the start came as far as a window or first sound."""
        try:
            self._mark.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be removed: %s", self._mark, error)

    # ------------------------------------------------------------------ reading and writing

    def read(self) -> tuple[Content, list[str]] | None:
        """Return the content and the parts that it lacks, as `decode`. None: there is no session yet.

        SessionError: it cannot be used.
        """
        try:
            if not self.path.is_file():
                if not self.path.exists():
                    return None
                raise SessionError("it is no file")
            with self.path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise SessionError(f"it cannot be read ({error.strerror})") from error
        return decode(data)

    def write(self, content: Content) -> None:
        """Write the session, whole or not at all. OSError, UnicodeEncodeError: it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self.path, encode(content, self._app_version))

    def put_aside(self, why: str) -> Path | None:
        """Rename the file, so that a new session does not overwrite it. Return its new path; None if it stays.

        why: a word for the new name, such as "unreadable". Only the newest `MOST_ASIDE` are kept.
        """
        stem = f"{self.path.stem}-{why}-{self._stamp()}"
        new = self.path.with_name(f"{stem}.json")
        count = 1
        while new.exists():
            count += 1
            new = self.path.with_name(f"{stem}-{count}.json")
        try:
            self.path.rename(new)
        except OSError as error:
            log.warning("%s cannot be renamed: %s", self.path, error)
            return None
        self._make_room(why)
        return new

    def _make_room(self, why: str) -> None:
        aside = [path for path in self.path.parent.glob(f"{self.path.stem}-{why}-*.json") if path.is_file()]
        aside.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in aside[:-MOST_ASIDE]:
            path.unlink(missing_ok=True)
