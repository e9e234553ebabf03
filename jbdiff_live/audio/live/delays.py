"""The measured delays from an output to an input, kept in the user's configuration. Session's thread, and the command.

The file `loopback.toml` has one table for each output, and in it a line for each input.
"""

from __future__ import annotations

import logging
import re
import tomllib
from pathlib import Path

import tomlkit

from jbdiff_live.system.files import replace_file

log = logging.getLogger(__name__)

LOOPBACK = "loopback.toml"  # the file, in the folder of the player's own
LONGEST_SECONDS = 2.0
_RESAMPLED = re.compile(r" \(\d+ Hz resampled to \d+\)$")


class Delays:
    """The delays, read when the object is made. `path` None keeps them in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seconds: dict[tuple[str, str], float] = {}
        if path is None or not path.exists():
            return
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
            for output, inputs in tables.items():
                for name, seconds in inputs.items():
                    if not 0.0 <= abs(float(seconds)) <= LONGEST_SECONDS:
                        raise ValueError(f"{seconds} seconds")
                    self._seconds[output, name] = float(seconds)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            log.warning("%s cannot be read (%s); measure again with --measure-loopback", path, error)

    def of(self, output: str, name: str) -> float | None:
        """Return the delay in seconds from an output to an input, by their names; None if it was never measured.

        An output's name may go on with the words about its rate, as in `AudioStatus.device`.
        """
        return self._seconds.get((_bare(output), name))

    def keep(self, output: str, name: str, seconds: float) -> None:
        """Keep a measured delay. OSError if the file cannot be written."""
        self._seconds[_bare(output), name] = seconds
        if self._path is None:
            return
        document = tomlkit.document()
        document.add(
            tomlkit.comment("Seconds by which each input comes late; written by --measure-loopback.")
        )
        for (out, came), value in sorted(self._seconds.items()):
            document.setdefault(out, tomlkit.table())[came] = round(value, 6)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, tomlkit.dumps(document))


def _bare(output: str) -> str:
    return _RESAMPLED.sub("", output)
