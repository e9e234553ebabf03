"""Names that can be shown and written: bytes of a file name that are not text become replacement characters."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Control characters of ASCII and Latin-1. A terminal obeys some of them: colours, cursor moves, a cleared screen.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def shown(name: str | Path) -> str:
    """Return a name that every window, file and console can hold."""
    if os.name == "nt":  # names are text there
        return str(name)
    try:
        return os.fsencode(name).decode("utf-8", "replace")
    except UnicodeEncodeError:  # half a character that no file name can have
        return str(name).encode("utf-8", "replace").decode()


def printable(text: str) -> str:
    """Return a line of text that a terminal prints and does not obey: without control characters."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
