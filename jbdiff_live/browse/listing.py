"""List the patches and sounds that there are. A file that cannot be read is listed with its reason, and hides no other.

Threads: any one at a time; `Library` keeps what it read. Blocks on the disk: an unchanged file is not read again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jbdiff_live.browse.entry import Entry, Kind
from jbdiff_live.browse.takes import TakeFacts
from jbdiff_live.patch import PatchError, factory_patches, load_patch, own_patches
from jbdiff_live.shown import shown
from jbdiff_live.system.patch_folders import FACTORY, factory_folder

log = logging.getLogger(__name__)

SOUNDS = "sounds"  # folder of sounds beside the patches
OWN = "own:"  # before the name of a file of the player's own
TAKE = "take:"  # before the name of a take's folder
SOUND_FILES = frozenset({".wav", ".flac", ".ogg", ".opus", ".aif", ".aiff", ".mp3", ".w64", ".caf", ".au"})


class Library:
    """Reads the folders anew at each `entries`, and each file only after it has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], Entry]] = {}

    def entries(self, own_folder: Path | None, favourites: frozenset[str]) -> tuple[Entry, ...]:
        """Return the factory's patches, the player's own, then sounds; each group by name."""
        found = [
            *(self._patch(path, True) for path in factory_patches().values()),
            *(self._patch(path, False) for path in own_patches(own_folder).values()),
            *_sounds(factory_folder(), True),
            *_sounds(own_folder, False),
        ]
        self._known = {path: kept for path, kept in self._known.items() if path in {e.path for e in found}}
        return tuple(replace(entry, favourite=entry.key in favourites) for entry in found)

    def _patch(self, path: Path, factory: bool) -> Entry:
        key = f"{FACTORY if factory else OWN}{shown(path.stem)}"
        try:
            facts = path.stat()
        except OSError as error:
            return Entry(
                key, Kind.PATCH, shown(path.stem), path, factory, problem=shown(str(error)), usable=False
            )
        stamp = facts.st_mtime_ns, facts.st_size
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            known = self._known[path] = stamp, _read(key, path, factory)
        return known[1]


def _read(key: str, path: Path, factory: bool) -> Entry:
    name = shown(path.stem)
    try:
        patch = load_patch(path)
    except PatchError as error:
        log.info("patch %s: %s", path, error)
        return Entry(key, Kind.PATCH, name, path, factory, problem=shown(str(error)), usable=False)
    missing = [sound for sound in (patch.context, patch.init) if sound is not None and not sound.is_file()]
    problem = f"its sound is missing: {shown(missing[0])}" if missing else ""
    sound = patch.context or patch.init
    return Entry(
        key, Kind.PATCH, name, path, factory, shown(patch.description), tuple(map(shown, patch.tags)),
        patch.program, None if sound in missing else sound, problem,
    )  # fmt: skip


def _sounds(folder: Path | None, factory: bool) -> Iterator[Entry]:
    """Yield the sounds beside the patches of a folder. Hidden files and folders are left out."""
    if folder is None:
        return
    try:
        files = sorted((folder / SOUNDS).iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("sounds in %s cannot be listed: %s", folder, error)
        return
    for path in files:
        if path.suffix.lower() in SOUND_FILES and path.is_file() and not path.name.startswith("."):
            name = shown(path.name)
            key = f"{FACTORY if factory else OWN}{SOUNDS}/{name}"
            where = "begins a factory patch" if factory else "in your folder of sounds"
            yield Entry(
                key,
                Kind.SOUND,
                name,
                path,
                factory,
                f"a sound that {where}" if factory else where,
                sound=path,
            )


def take_entry(facts: TakeFacts, favourites: frozenset[str]) -> Entry:
    """Return a take as an entry of the list."""
    key = f"{TAKE}{shown(facts.folder.name)}"
    return Entry(
        key, Kind.TAKE, facts.name, facts.folder, False, facts.text, facts.tags, None, facts.sound, facts.problem,
        facts.sound is not None and facts.frames > 0, key in favourites, facts,
    )  # fmt: skip
