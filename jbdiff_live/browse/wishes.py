"""The window's requests about patches and sounds in the browser. Each is passed on to the desk. No state of its own.

Thread: the window's, or the command line's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jbdiff_live.browse.desk import LibraryDesk
from jbdiff_live.browse.entry import Entry


class LibraryWishes:
    """The part of `jbdiff_live.status.Transport` about the library. A subclass makes `library_desk`."""

    library_desk: LibraryDesk

    def library(self) -> Sequence[Entry]:
        return self.library_desk.entries()

    def mark_favourite(self, key: str, on: bool) -> None:
        self.library_desk.mark(key, on)

    def arm_patch(self, path: Path | None) -> None:
        self.library_desk.arm(path)

    def listen_to(self, path: Path | None) -> None:
        self.library_desk.listen(path)

    def save_own_patch(self) -> None:
        self.library_desk.save()

    def save_patch_as(self, name: str) -> None:
        self.library_desk.save_as(name)

    def rename_patch(self, path: Path, name: str) -> None:
        self.library_desk.rename(path, name)

    def trash_patch(self, path: Path) -> None:
        self.library_desk.trash(path)
