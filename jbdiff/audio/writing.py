"""Writing sound files: each whole or not at all, under any name, and with the remedy if the disk refuses. No torch."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import soundfile

# What to do about an error of the disk, by its number. An error that is not here speaks for itself.
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "this disk takes no file so large; choose another one, or make it in parts",
    errno.EROFS: "choose a folder that you may write to",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "the folder is gone, or takes no files; choose another one",
    errno.ENOTDIR: "the folder is gone, or takes no files; choose another one",
    errno.EEXIST: "remove it, or give another name",
    errno.ELOOP: "its links lead in a circle; give another name",
    errno.EIO: "the disk has a fault, or it was pulled out; choose another one",
    errno.EMFILE: "too many files are open; close other programs, or raise the limit (ulimit -n)",
}


def remedy(error: BaseException) -> str:
    """Return what to do about an error of the disk, as the end of a message, such as "; free some space"; else ""."""
    if isinstance(error, OSError) and error.errno in REMEDIES:
        return f"; {REMEDIES[error.errno]}"
    return ""


def sound_name(path: Path) -> str | bytes:
    """Return the path in a form that soundfile opens. It takes text only as UTF-8; other names need bytes."""
    return str(path) if os.name == "nt" else os.fsencode(path)


@contextmanager
def new_sound(path: Path, rate: int, channels: int, subtype: str) -> Iterator[soundfile.SoundFile]:
    """Open a WAV or FLAC file to write. It gets its name at the end: until then a file of that name stays as it is.

    After an error, also Ctrl-C, nothing of the new file is left. Raises OSError with the remedy.
    """
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        with soundfile.SoundFile(sound_name(new), "w", rate, channels, subtype) as sound:
            yield sound
        new.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        new.replace(path)
    except soundfile.LibsndfileError as error:  # libsndfile does not say which error of the system it was
        raise OSError(
            f"{path} cannot be written ({error.error_string}); is the disk full? Free some space"
        ) from error
    finally:
        new.unlink(missing_ok=True)


def _umask() -> int:
    """Return the bits that new files of this process lack. The system tells them only by changing them."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
