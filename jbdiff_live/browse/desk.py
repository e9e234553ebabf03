"""What a player does with patches, sounds and takes from the browser: list, mark, arm, listen, save, rename, trash.

Threads: the window's and the command line's; `load_armed` runs on the thread of program changes. May block on the disk.
Any thread may read `status`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from jbdiff_live.beat.held_functions import ARMED_PATCH, HeldFunction
from jbdiff_live.beat.line import Unit
from jbdiff_live.browse.entry import Entry, LibraryStatus
from jbdiff_live.browse.favourites import Favourites
from jbdiff_live.browse.listing import OWN, TAKE, Library, take_entry
from jbdiff_live.browse.own_files import TRASH, file_name, rename_file, trash_file
from jbdiff_live.browse.takes import MUSIC_PLAYS, TakeFacts
from jbdiff_live.patch import PatchError, factory_patches
from jbdiff_live.shown import shown


class Patches(Protocol):
    """The part of the patch desk that is used here. `path` is that of the patch that plays."""

    problem: str

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    def load(self, path: Path, asked_at: float | None = None, hold: Unit | None = None) -> None: ...
    def save(self, path: Path, name: str) -> None: ...
    def moved(self, old: Path, new: Path) -> None: ...


class Waiting(Protocol):
    """The functions that wait for a bar: `HeldFunctions`."""

    @property
    def waiting(self) -> tuple[HeldFunction, ...]: ...
    def take_back(self, name: str) -> None: ...


class Listening(Protocol):
    """What plays a sound for listening: `audio.audition.Audition`."""

    problem: str

    @property
    def playing(self) -> str: ...
    def play(self, path: Path) -> None: ...
    def stop(self) -> None: ...


class LibraryDesk:
    """hold: lets ARMED_PATCH wait for the next bar; an empty answer says that it cannot wait.

    own_folder: of the player's own patches. favourites: the file of favourites. Both None for a user without folders.
    """

    def __init__(
        self,
        patches: Patches,
        audition: Listening,
        functions: Waiting,
        hold: Callable[[str, Unit], str],
        plays: Callable[[], bool],
        now: Callable[[], float],
        say: Callable[[str], None],
        own_folder: Callable[[], Path | None],
        favourites: Path | None,
        takes: Callable[[], Iterable[TakeFacts]] = tuple,
    ) -> None:
        """takes: lists the takes, newest first."""
        self._patches = patches
        self._audition = audition
        self._functions = functions
        self._hold = hold
        self._plays = plays
        self._now = now
        self._say = say
        self._own_folder = own_folder
        self._favourites = Favourites(favourites)
        self._takes = takes
        self._library = Library()
        self._lock = threading.Lock()  # for the two above
        self._armed: Path | None = None  # counts only while ARMED_PATCH waits

    # ------------------------------------------------------------------ the list

    def entries(self) -> tuple[Entry, ...]:
        takes = list(self._takes())
        with self._lock:
            favourites = self._favourites.keys
            found = self._library.entries(self._own_folder(), favourites)
        return (*found, *(take_entry(facts, favourites) for facts in takes))

    def mark(self, key: str, on: bool) -> None:
        """Make a patch or sound a favourite, or end that. PatchError if the file of favourites cannot be used."""
        with self._lock:
            self._favourites.mark(key, on)

    def take_moved(self, old: Path, new: Path | None) -> None:
        """Let a favourite follow its take: `new` is its new folder, or None if it is in the trash."""
        with self._lock:
            self._favourites.rename(
                f"{TAKE}{shown(old.name)}", None if new is None else f"{TAKE}{shown(new.name)}"
            )

    def status(self) -> LibraryStatus:
        due = next((held.due for held in self._functions.waiting if held.name == ARMED_PATCH), None)
        armed = self._armed
        problem = self._audition.problem or self._favourites.problem
        if due is None or armed is None:
            return LibraryStatus("", None, self._audition.playing, problem)
        return LibraryStatus(shown(armed.stem), max(0.0, due - self._now()), self._audition.playing, problem)

    # ------------------------------------------------------------------ the next bar

    def arm(self, path: Path | None) -> None:
        """Load a patch at the next bar. None takes it back. ValueError without a bar to wait for."""
        if path is None:
            self._functions.take_back(ARMED_PATCH)
            self._say("no patch is armed")
            return
        self._armed = path
        answer = self._hold(ARMED_PATCH, Unit.BAR)
        if not answer:
            raise ValueError("no clock runs, so there is no bar to wait for; load the patch now")
        self._say(f"patch {shown(path.stem)}: {answer}")

    def load_armed(self) -> None:
        """Load the patch that was armed. What is wrong with it becomes a problem that the player sees."""
        path = self._armed
        if path is None:
            return
        try:
            self._patches.load(path, hold=Unit.OFF)  # it has waited for its bar
        except (PatchError, OSError) as error:
            self._patches.problem = f"the armed patch: {shown(str(error))}"

    # ------------------------------------------------------------------ listening

    def listen(self, path: Path | None) -> None:
        """Play a sound file through the output, for listening. None ends it.

        RuntimeError while the music plays: the audience would hear it.
        """
        if path is None:
            self._audition.stop()
        elif self._plays():
            raise RuntimeError(f"{MUSIC_PLAYS}, or arm the patch")
        else:
            self._audition.play(path)

    # ------------------------------------------------------------------ files

    def save(self) -> None:
        """Write the patch that plays into its own file. PatchError if it has none, or is the factory's."""
        path = self._patches.path
        if path is None:
            raise PatchError("the patch has no file yet; save it as a new one")
        self._patches.save(path, self._patches.name)

    def save_as(self, name: str) -> None:
        """Write the patch that plays into a new file of the player's own. PatchError if the name is taken."""
        folder = self._folder()
        path = folder / file_name(name)
        if path.exists():
            raise PatchError(f"there is a patch {path.stem!r} already; choose another name")
        self._patches.save(path, path.stem)

    def rename(self, path: Path, name: str) -> None:
        """Give an own patch another name. PatchError if it is the factory's, or the name is taken."""
        self._must_be_own(path)
        new = rename_file(path, name)
        self._patches.moved(path, new)
        with self._lock:
            self._favourites.rename(f"{OWN}{shown(path.stem)}", f"{OWN}{shown(new.stem)}")
        self._say(f"patch {shown(path.stem)} is {shown(new.stem)} now")

    def trash(self, path: Path) -> None:
        """Move an own patch into the trash. If it plays, it plays on. PatchError if it is the factory's."""
        self._must_be_own(path)
        new = trash_file(path)
        with self._lock:
            self._favourites.rename(f"{OWN}{shown(path.stem)}", None)
        self._say(f"patch {shown(path.stem)} is in the folder {TRASH} now: {shown(new)}")

    def _must_be_own(self, path: Path) -> None:
        if any(path.resolve() == factory.resolve() for factory in factory_patches().values()):
            raise PatchError(
                f"{path.stem} comes with the instrument and stays as it is; save it as your own first"
            )
        if path.parent.resolve() != self._folder().resolve():
            raise PatchError(f"{path} is not in your folder of patches; move it there first")

    def _folder(self) -> Path:
        folder = self._own_folder()
        if folder is None:
            raise PatchError("this user has no home folder; save the patch with the file dialog")
        return folder
