"""The record of a batch beside its list, one JSON object a line: what was made, from which request, by which machine.

    {"program": "jbdiff render", "format": 1}
    {"made": "dawn.wav", "request": "<SHA-256>", "stack": "<identity>", "files": {"dawn.wav": "<SHA-256>"}, ...}

A request is done if the last line of its file has its digest, and all files are still those of that line. A line is on
the disk before its files move to their places. So a batch that was killed in between can finish the move.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import jbdiff
from jbdiff.batch.request import BatchError, Outcome, Piece, Request
from jbdiff.batch.work import THREADS
from jbdiff.file_lock import lock_or_share
from jbdiff.stacks.weight_files import file_sha256
from jbdiff.untyped import JsonDict, JsonTable

PROGRAM, FORMAT = "jbdiff render", 1


class Journal:
    """The journal of one list, open for one command at a time. Not thread-safe.

    Raises BatchError if the file is no journal, or if another command works at the list.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: dict[str, JsonDict] = {}
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise BatchError(
                f"{path} cannot be written ({error.strerror}); put the list into a folder of yours"
            ) from error
        try:
            if not lock_or_share(self._file.fileno()):
                raise BatchError(
                    f"another command renders this list; wait for it, or stop it ({path} is in use)"
                )
            self._read()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file, and let other commands have it."""
        self._file.close()

    def entry(self, request: Request) -> JsonTable | None:
        """Return the last line about the file of a request, or None."""
        return self._made.get(self.name(request))

    def hashes(self, request: Request) -> Mapping[str, str]:
        """Return the SHA-256 of each file of the request's last line, by name."""
        return _hashes(self.entry(request), "files")

    def changed(self, request: Request) -> list[str]:
        """Return the names of files of the request's last line that are missing or were changed since."""
        return [
            name for name, known in self.hashes(request).items() if _hash(request.out.parent / name) != known
        ]

    def is_ours(self, request: Request, name: str) -> bool:
        """Return whether the file of this name, beside the sound of a request, is as this batch has made it."""
        entry = self.entry(request)
        known = {_hashes(entry, "files").get(name), _hashes(entry, "replaces").get(name)} - {None}
        return bool(known) and _hash(request.out.parent / name) in known

    def made(self, request: Request, outcome: Outcome, hashes: Mapping[str, str]) -> None:
        """Write that a request was made, before its files move to their places. hashes: SHA-256 by name.

        A killed command leaves the files that were there before. So their hashes are kept too.
        """
        before = {name: _hash(request.out.parent / name) for name in hashes}
        line: JsonDict = {
            "made": self.name(request),
            "request": request.digest,
            "stack": request.identity if isinstance(request, Piece) else None,
            "files": dict(hashes),
            "replaces": {name: known for name, known in before.items() if known is not None},
            "seconds_taken": round(outcome.seconds, 3),
            "threads": THREADS,
            "machine": dict(outcome.machine),
            "version": jbdiff.__version__,
            "at": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        self._write(line)
        self._made[line["made"]] = line

    def failed(self, request: Request, error: str) -> None:
        """Write that a request failed. Earlier files of it stay known."""
        self._write({"failed": self.name(request), "request": request.digest, "error": error})

    def name(self, request: Request) -> str:
        """Return the path of a request's sound, relative to the list's folder if it is inside."""
        folder = self.path.parent.resolve()
        out = request.out
        return out.relative_to(folder).as_posix() if out.is_relative_to(folder) else str(out)

    def _read(self) -> None:
        self._file.seek(0)
        lines = self._file.read().split(b"\n")
        if lines == [b""]:
            self._write({"program": PROGRAM, "format": FORMAT})
            return
        head = _parsed(lines[0])
        if head.get("program") != PROGRAM:
            raise BatchError(f"{self.path} is in the way: the batch keeps its record there; move it")
        if head.get("format") != FORMAT:
            raise BatchError(
                f"{self.path} has format {head.get('format')!r}; this version reads {FORMAT}. Update jbdiff, or move "
                "the file to render everything again"
            )
        for line in lines[1:]:
            entry = _parsed(line)  # the last line of a command that was killed may be half a line
            if isinstance(entry.get("made"), str):
                self._made[entry["made"]] = entry
        if lines[-1]:
            self._file.write(b"\n")

    def _write(self, line: JsonTable) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _parsed(line: bytes) -> JsonDict:
    """Return the object of a line; an empty one if it has none."""
    try:
        content = json.loads(line)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _hashes(entry: JsonTable | None, key: str) -> Mapping[str, str]:
    files = {} if entry is None else entry.get(key, {})
    return {str(k): str(v) for k, v in files.items()} if isinstance(files, dict) else {}


def _hash(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None if it cannot be read."""
    try:
        return file_sha256(path)
    except OSError:
        return None
