"""All maps of controllers: those that come with the instrument, and the player's own, one file each.

Threads: `load` and `write` block on the disk and run on the session's threads. `find`, `put` and `keep` use only
memory; the control map's lock protects them.

The player's own map of a controller counts before a ready one. A controller without a map gets an empty one, which is
saved from the first learned control on.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from jbdiff_live.control.controller_map import ControllerMap, MapError, read_map, write_map
from jbdiff_live.control.names import KEYBOARD, OSC_SENDERS, matches, model

log = logging.getLogger(__name__)

NO_MIDI = frozenset({KEYBOARD, OSC_SENDERS})
READY_MAPS = Path(__file__).resolve().parent / "maps"


class MapShelf:
    """`folder` holds the player's own maps; None saves nothing. `ready` holds those of the instrument."""

    def __init__(self, folder: Path | None, ready: Path = READY_MAPS) -> None:
        self._folder = folder
        self._ready_folder = ready
        self._own: list[ControllerMap] = []
        self._ready: list[ControllerMap] = []
        self._chosen: dict[str, ControllerMap] = {}  # by model
        self._unsaved: set[str] = set()
        self.problems: tuple[str, ...] = ()  # the problems of the files; replaced as a whole

    def load(self) -> None:
        """Read all files. A file that cannot be used is named in `problems` and put aside; the others still count."""
        problems: list[str] = []
        self._ready = self._read(self._ready_folder, problems, own=False)
        self._own = self._read(self._folder, problems, own=True) if self._folder is not None else []
        self._chosen = {name: m for name, m in self._chosen.items() if name in self._unsaved}
        self.problems = tuple(problems)

    def find(self, device: str) -> ControllerMap:
        """Return the map of an input. If several fit: the longest name first, and the player's before a ready one."""
        name = model(device)
        if name not in self._chosen:
            self._chosen[name] = self._fitting(name) or ControllerMap(name, (name,))
        return self._chosen[name]

    @property
    def own(self) -> tuple[ControllerMap, ...]:
        """The player's own maps that are in files, as they are now."""
        chosen = [m for m in self._chosen.values() if m.path is not None and m.path.parent == self._folder]
        return tuple({m.path: m for m in (*self._own, *chosen)}.values())

    def put(self, device: str, new: ControllerMap) -> None:
        """Use another map for an input from now on; `write` saves it."""
        name = model(device)
        self._chosen[name] = new
        self._unsaved.add(name)

    @property
    def unsaved(self) -> dict[str, ControllerMap]:
        """Return the maps that are not in a file yet, by model."""
        return {name: self._chosen[name] for name in self._unsaved}

    def write(self, maps: Mapping[str, ControllerMap]) -> list[tuple[str, ControllerMap, Path]]:
        """Write each map into its file. Return the written ones, for `keep`. Blocks on the disk.

        If the disk refuses a map, `problems` names it, and the map stays in use.
        """
        written = []
        for name, new in maps.items() if self._folder is not None else ():
            path = (
                new.path
                if new.path is not None and new.path.parent == self._folder
                else self._free_path(name)
            )
            words = f"the map of {name} is not kept"
            self.problems = tuple(text for text in self.problems if not text.startswith(words))
            try:
                write_map(path, new)
            except (OSError, MapError) as error:
                log.warning("%s: %s", words, error)
                reason = error.strerror if isinstance(error, OSError) else error
                self.problems += (
                    f"{words} ({path}: {reason}); free some space or check the folder's permissions",
                )
            else:
                written.append((name, new, path))
        return written

    def keep(self, written: Iterable[tuple[str, ControllerMap, Path]]) -> None:
        """Note which maps are in their files now. A map that changed meanwhile is written again."""
        for name, new, path in written:
            if self._chosen.get(name) is new:
                self._chosen[name] = replace(new, path=path)
                self._unsaved.discard(name)

    def _fitting(self, name: str) -> ControllerMap | None:
        # A ready map is for a MIDI controller. "computer keyboard" would fit that of any keyboard with keys to play.
        for maps in (self._own,) if name in NO_MIDI else (self._own, self._ready):
            fitting = [(len(part), m) for m in maps for part in m.inputs if matches(name, (part,))]
            if fitting:
                return max(fitting, key=lambda pair: pair[0])[1]
        return None

    def _read(self, folder: Path, problems: list[str], own: bool) -> list[ControllerMap]:
        found = []
        for path in sorted(folder.glob("*.toml")):
            try:
                new, wrong = read_map(path)
            except MapError as error:
                problems.append(f"{error}; {self._put_aside(path) if own else 'install jbdiff-live again'}")
                continue
            problems += wrong
            found.append(new)
        return found

    @staticmethod
    def _put_aside(path: Path) -> str:
        """Rename a file so that a new map does not overwrite it. Return the result, in words."""
        aside = path.with_suffix(".toml.unreadable")
        count = 1
        while aside.exists():
            count += 1
            aside = path.with_suffix(f".toml.unreadable{count}")
        try:
            path.rename(aside)
        except OSError as error:
            return f"it stays where it is ({error.strerror})"
        return f"it is kept as {aside.name}: mend it and rename it back"

    def _free_path(self, name: str) -> Path:
        assert self._folder is not None
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "controller"
        path, count = self._folder / f"{stem}.toml", 1
        while path.exists():
            count += 1
            path = self._folder / f"{stem}-{count}.toml"
        return path
