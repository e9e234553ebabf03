"""The player's favourites, in one file of the configuration folder: `favourites = ["factory:drift", "own:mine"]`.

Threads: any one at a time. Blocks on the disk. A file that cannot be read is kept, and never written over.
"""

from __future__ import annotations

import logging
from pathlib import Path

import tomlkit

from jbdiff_live.patch import PatchError
from jbdiff_live.patch_text import read_plain
from jbdiff_live.system.files import replace_file

log = logging.getLogger(__name__)

KEY = "favourites"


class Favourites:
    """path: the file; None for a user without folders: favourites then last until the end of the program."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.keys: frozenset[str] = frozenset()
        self.problem = ""  # why the file cannot be read, and the remedy
        if path is not None and path.exists():
            self.keys = self._read(path)

    def _read(self, path: Path) -> frozenset[str]:
        try:
            content = read_plain(path)
            keys = content.get(KEY, [])
            if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                raise PatchError(f'{path}: {KEY}: needs a list of names, such as ["factory:drift"]')
        except PatchError as error:
            log.warning("favourites: %s", error)
            self.problem = f"favourites are not read: {error}; mend the file, or delete it"
            return frozenset()
        return frozenset(keys)

    def mark(self, key: str, on: bool) -> None:
        """Make a thing a favourite, or end that. PatchError if the file cannot be read or written."""
        if self.problem:
            raise PatchError(self.problem)
        keys = self.keys | {key} if on else self.keys - {key}
        self.put(keys)

    def rename(self, old: str, new: str | None) -> None:
        """Let a favourite follow its file: `new` is its new key, or None if the file is gone."""
        if old in self.keys and not self.problem:
            self.put(self.keys - {old} | ({new} if new else set()))

    def put(self, keys: frozenset[str]) -> None:
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, tomlkit.dumps({KEY: sorted(keys)}))
            except OSError as error:
                raise PatchError(
                    f"{self._path}: cannot be written ({error.strerror}); free some space, or check the folder's "
                    "permissions"
                ) from error
        self.keys = keys
