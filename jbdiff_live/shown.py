"""Names that can be shown and written: bytes of a file name that are not text become replacement characters."""

from __future__ import annotations

import os
from pathlib import Path


def shown(name: str | Path) -> str:
    """Return a name that every window, file and console can hold."""
    if os.name == "nt":  # names are text there
        return str(name)
    try:
        return os.fsencode(name).decode("utf-8", "replace")
    except UnicodeEncodeError:  # half a character that no file name can have
        return str(name).encode("utf-8", "replace").decode()
