"""Paths of a list: relative to its folder, each file made once, and no file that is read is ever replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from jbdiff.batch.request import BatchError, Piece, Request
from jbdiff.out_path import link_problem
from jbdiff.untyped import JsonTable

SUFFIX = ".wav"


class KeyProblem(ValueError):
    """A key that cannot be used. `key` is its name."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def at_folder(key: str, value: str, folder: Path) -> Path:
    """Return a path of the list, relative to its folder, with `~` as the home folder. Raises KeyProblem."""
    try:
        return _real(folder) / Path(value).expanduser()
    except (RuntimeError, ValueError) as error:
        raise KeyProblem(key, f"{key} = {value[:200]!r}: {error}; write the whole path") from error


def out_file(table: JsonTable, folder: Path) -> Path:
    """Return the file that a piece makes: `out`, or `name` with .wav behind it. Raises KeyProblem."""
    return _out(table, folder, SUFFIX)


def out_folder(table: JsonTable, folder: Path) -> Path:
    """Return the folder that a take makes: `out`, or `name`. Raises KeyProblem."""
    return _out(table, folder, "")


def _out(table: JsonTable, folder: Path, suffix: str) -> Path:
    name, out = table.get("name"), table.get("out")
    for key, value in (("name", name), ("out", out)):
        if value is not None and (not isinstance(value, str) or not value.strip() or "\0" in value):
            raise KeyProblem(key, f'{key} = {value!r}; write a text such as "dawn"')
    if name is not None and Path(name).name != name:
        raise KeyProblem("name", f"name = {name!r} leads to another folder; write that into out")
    if name is not None and not name.strip("."):
        raise KeyProblem("name", f'name = {name!r} has no letter; write a text such as "dawn"')
    if out is not None:
        return at_folder("out", out, folder)
    if name is None:
        raise KeyProblem("", f'a table without a name; add name = "dawn", which makes dawn{suffix}')
    return at_folder("name", name + suffix, folder)


def _real(path: Path) -> Path:
    """Return the path without links. Links that lead in a circle stay, for whoever opens the file."""
    return Path(os.path.realpath(path))


def targets(request: Request) -> list[Path]:
    """Return the places of all files of a request."""
    return [request.out.parent / name for name in request.targets]


def check_places(entries: Sequence[tuple[str, Request]]) -> None:
    """Raise BatchError if two requests make the same file, or one would replace a file that is read.

    A folder that is not there is made with the first file in it. A file in the place of a folder is an error.
    entries: place in the list, such as "LIST.toml, line 12", and request. Names that differ in capital letters alone
    are the same file on some systems.
    """
    read = {_real(path) for _, request in entries for files in request.inputs().values() for path in files}
    made: dict[str, str] = {}
    for place, request in entries:
        above = next(folder for folder in request.out.parents if folder.exists())
        if not above.is_dir():
            raise BatchError(f"{place}: {above} is a file; give another folder for {request.out.name}")
        for target in targets(request):
            key = str(_real(target)).casefold()
            if key in made:
                raise BatchError(f"{place}: {target} is also made by {made[key]}; give each its own name")
            made[key] = place
            if _real(target) in read or _same_file(target, read):
                raise BatchError(
                    f"{place}: {target} is read by an entry of the list; give another name for the sound that is made"
                )
            if any(_real(target) in path.parents for path in read):
                raise BatchError(
                    f"{place}: {target} has files that an entry of the list reads; give another name"
                )
            if problem := link_problem(target):
                raise BatchError(f"{place}: {problem}")
            if isinstance(request, Piece) and target.is_dir():
                raise BatchError(f"{place}: {target} is a folder; give another name")


def _same_file(target: Path, read: Iterable[Path]) -> bool:
    """Return whether the target is a hard link to a file that is read."""
    return target.exists() and any(path.exists() and target.samefile(path) for path in read)
