"""The way of files from the folder of work to their places: each whole, and none over a file of somebody else.

The folder of work lies beside the list (`LIST.rendering`). It has a folder for each request that is not done.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from jbdiff.batch.journal import Journal
from jbdiff.batch.paths import targets
from jbdiff.batch.request import BatchError, Outcome, Piece, Request, digest_of
from jbdiff.stacks.weight_files import file_sha256

KEY_LENGTH = 32
KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")


class Places:
    """Folders of work and places of one list. overwrite: files of somebody else may be replaced."""

    def __init__(self, work: Path, journal: Journal, overwrite: bool) -> None:
        self.work, self._journal, self._overwrite = work, journal, overwrite

    def folder(self, request: Request) -> Path:
        """Return the folder in which a request is made: another one for every change of the request."""
        content = {"request": request.digest, "file": self._journal.name(request)}
        return self.work / digest_of(content)[:KEY_LENGTH]

    def forget_others(self, requests: Iterable[Request]) -> None:
        """Remove what unfinished requests left that are in the list no more, and the whole folder if it is empty."""
        kept = {self.folder(request) for request in requests}
        if not self.work.is_dir():
            return
        for folder in self.work.iterdir():
            if KEY.fullmatch(folder.name) and folder not in kept:
                shutil.rmtree(folder)
        if not any(self.work.iterdir()):
            self.work.rmdir()

    def done(self, request: Request) -> bool:
        """Return whether a request is done. A move that was interrupted is finished first."""
        entry = self._journal.entry(request)
        if entry is None or entry.get("request") != request.digest:
            return False
        folder, known = self.folder(request), self._journal.hashes(request)
        missing = self._journal.changed(request)
        for name in missing:
            made, target = folder / name, request.out.parent / name
            if not made.is_file() or file_sha256(made) != known[name]:
                return False
            if target.exists() and not self._may_replace(request, target):
                return False
        for name in missing:
            _move(folder / name, request.out.parent / name)
        return True

    def check(self, request: Request) -> None:
        """Raise BatchError if a file of somebody else is at a place of the request."""
        for target in targets(request):
            if isinstance(request, Piece) and target.is_dir():
                raise BatchError(f"{target} is a folder; give another name")
            files = [file for file in target.rglob("*") if file.is_file()] if target.is_dir() else [target]
            if target.exists() and not all(self._may_replace(request, file) for file in files):
                raise BatchError(
                    f"{target} is there already, and this batch did not make it; give another name, or --overwrite to "
                    "replace it"
                )

    def place(self, request: Request, outcome: Outcome) -> None:
        """Move the files of a request to their places, and keep a record. Raises BatchError and OSError."""
        self.check(request)
        folder = self.folder(request)
        hashes = {name: file_sha256(folder / name) for name in outcome.files}
        self._journal.made(request, outcome, hashes)
        for name in outcome.files:
            _move(folder / name, request.out.parent / name)
        shutil.rmtree(folder)

    def _may_replace(self, request: Request, target: Path) -> bool:
        name = target.relative_to(request.out.parent).as_posix()
        return self._overwrite or self._journal.is_ours(request, name)


def _move(source: Path, target: Path) -> None:
    """Move a file, also to another disk. The target is the whole new file or the old one at every moment."""
    target.parent.mkdir(exist_ok=True, parents=True)  # the folder of a take, and those inside it
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        new = target.with_name(target.name + ".new")
        try:
            with source.open("rb") as old, new.open("wb") as file:
                shutil.copyfileobj(old, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            new.replace(target)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        source.unlink()
