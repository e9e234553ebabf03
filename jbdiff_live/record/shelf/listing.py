"""List the takes of a folder, newest first. A take that cannot be read is listed with its reason, and hides no other.

Threads: any one at a time; `Takes` keeps what it read. Blocks on the disk: an unchanged `take.json` is not read again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from jbdiff_live.browse.takes import Level, TakeFacts
from jbdiff_live.record.picture import PICTURE
from jbdiff_live.record.shelf.notes import RECORDED, fixed, own_marks
from jbdiff_live.record.take import INFO, Take, TakeError, open_take
from jbdiff_live.shown import shown

log = logging.getLogger(__name__)


class Takes:
    """Looks into the folder anew at each `list`, and into each take only after it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, bool], TakeFacts]] = {}

    def list(self, parent: Path) -> tuple[TakeFacts, ...]:
        """Return the takes in `parent`. A folder that does not exist has none."""
        try:
            folders = [path.parent for path in parent.glob(f"*/{INFO}")]
        except OSError as error:
            log.warning("takes in %s cannot be listed: %s", parent, error)
            return ()
        found = [self.facts(folder) for folder in folders if not folder.name.startswith(".")]
        self._known = {folder: self._known[folder] for folder in folders if folder in self._known}
        return tuple(sorted(found, key=lambda facts: (facts.started, facts.folder.name), reverse=True))

    def facts(self, folder: Path) -> TakeFacts:
        """Return the facts of one take. What cannot be read becomes its problem."""
        try:
            found = (folder / INFO).stat()
            stamp = found.st_mtime_ns, found.st_size, (folder / PICTURE).exists()
            known = self._known.get(folder)
            if known is not None and known[0] == stamp:
                return known[1]
            take = open_take(folder)
            facts = _facts(take)
        except (TakeError, OSError) as error:
            return TakeFacts(folder, shown(folder.name), problem=shown(str(error)), fixed="it cannot be read")
        if facts.fixed:  # that ends without a change of the file
            self._known.pop(folder, None)
        else:
            self._known[folder] = stamp, facts
        return facts


def _facts(take: Take) -> TakeFacts:
    info, picture = take.info, take.folder / PICTURE
    why = fixed(take)
    facts = TakeFacts(
        folder=take.folder,
        name=shown(info.title or take.folder.name),
        started=shown(info.started),
        rate=info.sample_rate,
        patch=shown(info.patch),
        stack=shown(info.stack),
        tags=tuple(map(shown, info.tags)),
        marks=own_marks(take),
        level=_level(info.level),
        picture=picture if picture.exists() else None,
        sound=take.audio[0] if take.audio else None,
        fixed=why,
        recorded=why == RECORDED,
        problem=shown(info.problem),
    )
    try:
        return replace(facts, frames=info.frames or take.frames)
    except TakeError as error:
        return replace(facts, problem=shown(str(error)))


def _level(kept: dict[str, float | None] | None) -> Level | None:
    """Return a level as `take.json` keeps it; None if it is not measured."""
    peak = None if kept is None else kept.get("peak_db")
    return None if kept is None or peak is None else Level(kept.get("lufs"), peak)
