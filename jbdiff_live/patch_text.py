"""Read the text of a patch or a controller's map, whatever it holds: plain values, or an error with a remedy.

Threads: any; blocks on the disk, for a quarter of a megabyte at most.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from jbdiff.plain_toml import MOST_DIGITS as MOST_DIGITS
from jbdiff.plain_toml import Kind, read_text_file, read_toml_file

PATCH = Kind("a patch", depth=4)

T = TypeVar("T")


class PatchError(ValueError):
    """A patch cannot be read or written. The text names the file, the place in it, and the remedy."""


def read_text(path: Path) -> str:
    """Return the text of a patch, with single line feeds.

    PatchError if it is no file, cannot be read, is too large, or is no text.
    """
    return _read(read_text_file, path)


def read_plain(path: Path) -> dict[str, object]:
    """Return the content of a patch file as plain values. PatchError names the line that is not TOML."""
    return _read(read_toml_file, path)


def _read(read: Callable[[Path, Kind], T], path: Path) -> T:
    if "\0" in str(path):
        raise PatchError(f"{str(path)!r}: is no path; check it")
    try:
        return read(path, PATCH)
    except OSError as error:
        raise PatchError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeError as error:  # a name that the system's file names cannot hold
        raise PatchError(f"{str(path)!r}: is no path ({error}); check it") from error
    except ValueError as error:
        raise PatchError(str(error)) from error
