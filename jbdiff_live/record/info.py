"""The facts of a session as `TakeInfo`: text that any file can hold, and paths as seen from the take. No thread."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from jbdiff_live.block import Block
from jbdiff_live.record.take import TakeInfo
from jbdiff_live.shown import shown

KNOWN = ("app_version", "patch", "stack", "stack_identity", "weights_licence", "values", "seed")
FILES = ("context_file", "init_file")


def take_info(
    sample_rate: int,
    channels: int,
    folder: Path,
    start_frame: int,
    facts: Mapping[str, object],
    blocks: tuple[Block, ...],
    sound: str,
) -> TakeInfo:
    """Return the facts of a take inside `folder` that begins at the session's `start_frame`.

    facts: those of `KNOWN` have their own places; the rest goes to `details`. blocks: those that the take begins with.
    sound: as `TakeInfo.sound`.
    """
    info = {key: _shown(fact) for key, fact in facts.items()}
    info |= {key: _relative(info[key], folder) for key in FILES if key in info}
    values = dict(info.get("values", {}))
    seed = info.get("seed", blocks[0].snapshot["seed"] if blocks else values.get("seed"))
    details = {key: value for key, value in info.items() if key not in KNOWN}
    return TakeInfo(
        sample_rate=sample_rate,
        channels=channels,
        start_frame=start_frame,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        seed=None if seed is None else int(seed),
        values=values,
        details=msgspec.to_builtins(details, enc_hook=str),
        app_version=str(info.get("app_version", "")),
        patch=str(info.get("patch", "")),
        stack=str(info.get("stack", "")),
        stack_identity=str(info.get("stack_identity", "")),
        sound=sound,
        weights_licence=str(info.get("weights_licence", "")),
    )


def _shown(value: object) -> Any:  # Any: facts of all kinds, which end as JSON
    """Return the same facts, with text that can be written to any file."""
    if isinstance(value, str | Path):
        return shown(value)
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    return value


def _relative(path: str, parent: Path) -> str:
    """Return the path of a file as seen from a take inside `parent`, so that both can move together."""
    if not os.path.isabs(path):
        return path
    try:
        return os.path.relpath(path, parent.absolute() / "take")
    except ValueError:  # another drive of Windows
        return path
