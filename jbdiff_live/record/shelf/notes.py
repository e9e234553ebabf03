"""What the player adds to a closed take: title, tags, marks, measured level; and its name. All of it is in `take.json`.

Threads: any. Blocks on the disk. The sound and the log are never touched. `take.json` is replaced whole,
and facts that a later version wrote stay in it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from jbdiff_live.browse.takes import Level, Mark
from jbdiff_live.record.events import MarkerEvent, PlaceEvent
from jbdiff_live.record.lock import is_recorded
from jbdiff_live.record.take import INFO, Take, TakeError, open_take
from jbdiff_live.shown import shown
from jbdiff_live.system.file_names import plain_name
from jbdiff_live.system.files import replace_file

# The window's thread and the one that measures levels may change the same file: each must see what the other wrote.
_writing = threading.Lock()
MOST_TAGS, LONGEST_TAG = 20, 40
MOST_MARKS = 1000
RECORDED = "it is being recorded; stop the recording first"


def fixed(take: Take) -> str:
    """Return why a take cannot be changed now; empty if it can."""
    if take.info.closed_cleanly or take.info.recovered:
        return ""
    try:
        if is_recorded(take.folder):
            return RECORDED
    except OSError as error:
        return f"its log cannot be read ({error.strerror}); check the folder"
    return "it was broken off; recover it at the next start first" if not take.info.problem else ""


def _refuse_if_fixed(take: Take) -> None:
    why = fixed(take)
    if why:
        raise TakeError(f"{shown(take.folder.name)}: {why}")


def change(folder: Path, **fields: Any) -> None:  # Any: JSON values
    """Put fields into `take.json`. TakeError: the take is being recorded, or cannot be read. OSError: the disk."""
    with _writing:
        _refuse_if_fixed(open_take(folder))
        path = folder / INFO
        content = msgspec.json.decode(path.read_bytes())
        content.update(fields)
        replace_file(path, msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")


def set_tags(folder: Path, tags: Sequence[str]) -> None:
    """Keep these tags, each once. ValueError if there are too many, or one is too long."""
    clean = list(dict.fromkeys(" ".join(tag.split()) for tag in tags))
    clean = [tag for tag in clean if tag]
    if len(clean) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in clean):
        raise ValueError(f"a take has at most {MOST_TAGS} tags of {LONGEST_TAG} letters; leave some out")
    if not all(tag.isprintable() for tag in clean):
        raise ValueError("a tag cannot hold control characters; leave them out")
    change(folder, tags=clean)


def set_marks(folder: Path, marks: Sequence[Mark]) -> None:
    """Keep these marks. The logged ones among them lie in the log already and are left out."""
    own = sorted({mark for mark in marks if not mark.logged})
    if len(own) > MOST_MARKS:
        raise ValueError(f"a take has at most {MOST_MARKS} marks; remove some first")
    change(folder, marks=[{"at": mark.at, "name": mark.name} for mark in own])


def set_level(folder: Path, level: Level) -> None:
    change(folder, level={"lufs": level.lufs, "peak_db": level.peak_db})


def rename(folder: Path, name: str) -> Path:
    """Give a take another name: its folder's and its title. Return the new folder.

    ValueError: some system's file cannot have the name, or another take has it. TakeError: the take is being recorded.
    """
    name = plain_name(name, "a take")
    _refuse_if_fixed(open_take(folder))
    new = folder.with_name(name)
    # On a disk that ignores capitals, "Mine" and "mine" are one folder.
    if new.exists() and not new.samefile(folder):
        raise ValueError(f"there is a folder {name!r} already; choose another name")
    change(folder, title=name)
    folder.rename(new)
    return new


def all_marks(take: Take) -> tuple[Mark, ...]:
    """Return the logged marks and those that were set later, in order. Reads the whole log."""
    frames, places = [], []
    for event in take.events():
        if isinstance(event, MarkerEvent):
            frames.append(event)
        elif isinstance(event, PlaceEvent):
            places.append(event)
    logged = [Mark(take.position_in(places, event.frame), f"{event.number}", True) for event in frames]
    return tuple(sorted([*logged, *own_marks(take)]))


def own_marks(take: Take) -> tuple[Mark, ...]:
    """Return the marks that were set after the recording."""
    return tuple(sorted(Mark(max(0, mark.at), shown(mark.name)) for mark in take.info.marks))
