"""The session as it is kept: take a moment of it, and bring a kept one back.

Threads: `look` runs on the keeper's thread and only reads. The command line's thread calls the rest. `place` and
`folders` are swapped whole, by the window's thread. May block on the disk to read a patch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from msgspec import structs

from jbdiff_live.clock import Clock
from jbdiff_live.desks.history import History
from jbdiff_live.desks.patch_desk import PatchDesk
from jbdiff_live.desks.patch_state import PatchState
from jbdiff_live.kept.content import Content, Folders, Ports, WindowPlace
from jbdiff_live.kept.keeper import Keeper
from jbdiff_live.kept.patch_part import Played, part_of
from jbdiff_live.kept.words import StartWords
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore
from jbdiff_live.patch import Patch, load_patch
from jbdiff_live.patch_text import PatchError
from jbdiff_live.shown import shown
from jbdiff_live.system.patch_folders import user_patches_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SessionMoment:
    """References to everything that is kept, all of it immutable. See `jbdiff_live.kept.keeper.Moment`."""

    state: PatchState  # with the values of all parameters
    init: str
    ports: Ports
    folders: Folders
    place: WindowPlace | None

    def same_music(self, other: object) -> bool:
        return isinstance(other, SessionMoment) and replace(self, place=None) == replace(other, place=None)

    def content(self) -> Content:
        state = self.state
        patch = replace(
            state.patch,
            values={name: BY_NAME[name].plain(value) for name, value in state.values.items()},
            bindings=state.bindings,
            lfos=state.lfos,
            scenes=state.scenes.scenes,
            choice=state.choice,
            context=Path(state.context) if state.context else None,
        )
        played = Played(patch, state.path, state.scenes.active, self.init)
        return Content(part_of(played), self.ports, self.place, self.folders)


class Sounds(Protocol):
    """The part of the desk of sound files that a session uses."""

    def takes(self, role: str) -> bool: ...
    def wanted(self, role: str) -> str: ...
    def load(self, role: str, path: Path, asked_by: str = "") -> None: ...
    def wait(self) -> None: ...


class SessionDesk:
    """`ports` gives the devices and ports as they are chosen now."""

    def __init__(
        self,
        store: ParameterStore,
        patches: PatchDesk,
        sounds: Sounds,
        history: History,
        ports: Callable[[], Ports],
        clock: Clock,
        usual_own: Callable[[], Path | None] = user_patches_folder,
    ) -> None:
        """usual_own: the folder of own patches if the player has chosen none; None for a user without a home."""
        self._usual_own = usual_own
        self._store = store
        self._patches = patches
        self._sounds = sounds
        self._history = history
        self._ports = ports
        self._words = StartWords(clock)
        self.say = self._words.say
        self.keeper: Keeper | None = None  # None: this session is not kept
        self.folders = Folders()
        self.place: WindowPlace | None = None

    def message(self, plays: bool) -> str:
        """Return what the player should read about the session now; empty if there is nothing. Any thread."""
        problem = "" if self.keeper is None else self.keeper.problem
        return "; ".join(text for text in (self._words.newest(plays), problem) if text)

    def folder(self, kind: str) -> Path | None:
        """Return the folder for "patches", "takes", "sounds" or "own"; None if none was chosen, or it is gone.

        "own", for own patches, is the usual folder then.
        """
        chosen = getattr(self.folders, kind)
        if chosen and Path(chosen).is_dir():
            return Path(chosen)
        return self._usual_own() if kind == "own" else None

    def keep_folder(self, kind: str, folder: Path) -> None:
        """Keep a folder for "patches", "takes", "sounds" or "own"."""
        self.folders = structs.replace(self.folders, **{kind: shown(folder.absolute())})

    def put_place(self, place: WindowPlace) -> None:
        """Take the place of the window. The window's thread."""
        self.place = place

    def look(self) -> SessionMoment:
        """Take the session at this moment. During a comparison with the saved patch, the player's own knobs count."""
        state = self._patches.state(BY_NAME)
        own = self._history.aside
        if own is not None:
            lfos = state.lfos if own.lfos is None else own.lfos
            state = replace(state, values={**state.values, **own.values}, lfos=lfos)
        return SessionMoment(state, self._sounds.wanted("init"), self._ports(), self.folders, self.place)

    def resume(self, played: Played) -> None:
        """Play a kept patch again, with its unsaved changes. Music is not started. Waits until its sounds are read.

        What is missing is said: a patch file that is gone, here; a sound file, by the desk of sounds.
        """
        base = self._base(played)
        file = None if base is played.patch or played.file is None else played.file.resolve()
        self._patches.resume(base, file, played.patch, played.scenes)
        if played.init and self._sounds.takes("init"):
            self._sounds.load("init", Path(played.init), "the session")
        self._sounds.wait()
        source = played.patch.numbers.get("init_source")
        if source is not None:  # a file that was read has chosen itself
            self._store.set("init_source", source, Origin.SESSION)

    def _base(self, played: Played) -> Patch:
        """Return the saved patch that the played one differs from; the played one if its file is gone."""
        if played.file is None:
            return played.patch
        try:
            return load_patch(played.file)
        except (PatchError, OSError) as error:
            log.info("the session's patch", exc_info=error)
            self.say(
                f"Patch {played.patch.name} plays as you left it, but its file cannot be read: {error}. "
                "Save it again with Ctrl+S."
            )
            return played.patch
