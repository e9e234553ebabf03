"""Where a run's weights come from: what is written beside them, so that the run can be told apart and repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from jbdiff.audio.files import find_sounds
from jbdiff.machine import commit

SAMPLE = 1 << 16  # bytes looked at in each place of a file


def data_digest(folder: Path) -> str:
    """SHA-256 over names, sizes, and the beginning, middle and end of every sound under a folder.

    Reading all of a large collection would take longer than many a run.
    """
    digest = hashlib.sha256()
    for path in find_sounds(folder):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with open(path, "rb") as file:
            for place in sorted({0, max(0, size // 2 - SAMPLE // 2), max(0, size - SAMPLE)}):
                file.seek(place)
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()


def provenance(job: Mapping[str, Any]) -> dict[str, Any]:
    """The commit of this code ("-changed" behind it where files differ; None outside a checkout) and the data."""
    folders = {name: job.get(name) for name in ("data", "heldout")}
    digests = {name: data_digest(Path(folder)) for name, folder in folders.items() if folder}
    return {"commit": commit(), "data_sha256": digests}


def config_toml(given: Mapping[str, Any], sizes: Mapping[str, Any] | None) -> str:
    """The options of a command as the TOML file that repeats it with --config. Folders become absolute."""
    document = tomlkit.document()
    for name, value in given.items():
        if value is not None and value != []:
            plain = [_plain(item) for item in value] if isinstance(value, list | tuple) else _plain(value)
            document.add(name.replace("_", "-"), tomlkit.item(plain))
    if sizes:
        table = tomlkit.table()
        for name, value in sizes.items():
            if name != "kind" and value is not None:
                table.add(name, list(value) if isinstance(value, tuple) else value)
        document.add("sizes", table)
    return tomlkit.dumps(document)


def _plain(value: Any) -> Any:
    return str(value.resolve()) if isinstance(value, Path) else value
