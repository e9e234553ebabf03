"""Files of the player's own: written whole or not at all, and read only if they are files."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path


def plain_file(path: Path) -> Path:
    """Return the path. OSError: it is something else than a file. A pipe waits for ever, and a device has no end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return path


def replace_file(path: Path, text: str) -> None:
    """Write beside the file and rename, so that a crash leaves the old file or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(name, path)
    except (OSError, UnicodeEncodeError):
        Path(name).unlink(missing_ok=True)
        raise
