"""Files of the player's own patches: names that a file may have, renaming, and the trash.

Threads: any. Blocks on the disk. The trash is the folder `trash` beside the patches, so that nothing is lost.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jbdiff_live.patch import PatchError, load_patch, save_patch
from jbdiff_live.system.file_names import plain_name

TRASH = "trash"


def file_name(name: str) -> str:
    """Return the file name of a patch. PatchError if some system's file cannot have the name."""
    try:
        return f"{plain_name(name, 'a patch')}.toml"
    except ValueError as error:
        raise PatchError(str(error)) from error


def rename_file(path: Path, name: str) -> Path:
    """Give a patch another name, in its file and as its file's name. Return the new path.

    PatchError: another patch has the name, the name is unusable, or the disk refuses. A file that cannot be read is
    renamed as it is.
    """
    new = path.with_name(file_name(name))
    # On a disk that ignores capitals, "Mine" and "mine" are one file, and may replace each other.
    if new.exists() and not new.samefile(path):
        raise PatchError(f"there is a patch {new.stem!r} already; choose another name")
    try:
        path.rename(new)
    except OSError as error:
        raise PatchError(
            f"{path}: cannot be renamed ({error.strerror}); check the folder's permissions"
        ) from error
    try:
        patch = load_patch(new)
    except PatchError:
        return new
    save_patch(new, replace(patch, name=new.stem))
    return new


def trash_file(path: Path) -> Path:
    """Move a patch into the trash. Return its path there. PatchError if the disk refuses."""
    folder = path.parent / TRASH
    new, count = folder / path.name, 1
    try:
        folder.mkdir(exist_ok=True)
        while new.exists():
            count += 1
            new = folder / f"{path.stem} {count}{path.suffix}"
        path.rename(new)
    except OSError as error:
        raise PatchError(
            f"{path}: cannot be moved to the trash ({error.strerror}); check the folder's permissions"
        ) from error
    return new
