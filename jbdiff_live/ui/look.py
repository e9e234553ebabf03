"""How the window looks: dark or light, the size of its letters, safe colours; and the file that keeps it.

The file is `look.toml` in the player's configuration folder. `load_look` and `save_look` are all that knows it, so that
another home for the settings needs no more than these two. Thread: Qt's. A small file is read once and written at each
choice.
"""

from __future__ import annotations

import logging
import tomllib
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path

from jbdiff_live.system.files import replace_file
from jbdiff_live.system.patch_folders import user_file

log = logging.getLogger(__name__)

FILE = "look.toml"


class Size(Enum):
    """The size of the letters. The value is the factor."""

    USUAL = 1.0
    LARGE = 1.15
    LARGEST = 1.3


@dataclass(frozen=True)
class Look:
    """light: dark letters on a light ground. size: see `Size`. safe: colours that need no red-green eye."""

    light: bool = False
    size: Size = Size.USUAL
    safe: bool = False


def look_file() -> Path | None:
    """Return the path of the file. It may not exist yet. None: the user has no home folder."""
    return user_file(FILE)


def load_look(path: Path | None) -> Look:
    """Return the look that a file keeps. A file that is missing or cannot be read gives the usual look."""
    if path is None or not path.exists():
        return Look()
    try:
        kept = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        unknown = set(kept) - {field.name for field in fields(Look)}
        if unknown or not all(isinstance(kept.get(name, False), bool) for name in ("light", "safe")):
            raise ValueError(f"needs light and safe as true or false, and size; it has {kept}")
        size = Size[str(kept.get("size", Size.USUAL.name)).upper()]
        return Look(kept.get("light", False), size, kept.get("safe", False))
    except (OSError, ValueError, KeyError) as error:
        log.warning("%s is not used: %s", path, error)
        return Look()


def save_look(look: Look, path: Path | None) -> None:
    """Keep a look. OSError if the file cannot be written; path None keeps nothing."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = asdict(look)
    lines = [f"{name} = {str(facts[name]).lower()}" for name in ("light", "safe")]
    lines.append(f'size = "{look.size.name.lower()}"')
    replace_file(path, "\n".join(lines) + "\n")
