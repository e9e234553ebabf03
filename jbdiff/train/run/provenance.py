"""The origin of a run's weights, written beside them, so that the run can be identified and repeated."""

from __future__ import annotations

from pathlib import Path

import tomlkit

from jbdiff.data.digest import data_digest
from jbdiff.machine import commit
from jbdiff.untyped import JsonDict, JsonTable


def provenance(job: JsonTable) -> JsonDict:
    """Return the commit of this code and the hashes of the job's data.

    The commit ends with "-changed" if files differ from it, and is None outside a checkout.
    """
    folders = {name: job.get(name) for name in ("data", "heldout")}
    digests = {name: data_digest(Path(folder)) for name, folder in folders.items() if folder}
    return {"commit": commit(), "data_sha256": digests}


def config_toml(given: JsonTable, sizes: JsonTable | None) -> str:
    """Return the options of a command as TOML; with --config they repeat the command. Folders become absolute."""
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


def _plain(value: object) -> object:
    return str(value.resolve()) if isinstance(value, Path) else value
