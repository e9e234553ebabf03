"""The sound files for context and init: the requested one, the playing one, and the reason of a failure.

Threads: `load`, `wait` belong to the session; `came` and `refused` to the thread that reads files. Any thread may
read the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore
from jbdiff_live.shown import shown


class Sound(Protocol):
    """A sound file that was read."""

    @property
    def path(self) -> Path: ...

    @property
    def note(self) -> str:
        """The changes of the sound: resampled, cut; empty if there are none."""
        ...


class Reader(Protocol):
    """A reader of sound files during the music."""

    def read(self, role: str, path: Path, asked_by: str = "") -> None: ...
    def wanted(self, role: str) -> Path | None: ...
    def wait_for_errors(self) -> list[Exception]: ...


S = TypeVar("S", bound=Sound)


class SoundDesk(Generic[S]):
    """`take` holds, for each role that the generator can play, the function that gives it a sound."""

    def __init__(
        self,
        take: Mapping[str, Callable[[S], object]],
        reader: Reader,
        store: ParameterStore,
        say: Callable[[str], None],
    ) -> None:
        self._take = take
        self._reader = reader
        self._store = store
        self._say = say
        self._files = {"context": "", "init": ""}
        self._problems = {"context": "", "init": ""}
        self._by_hand = {"context": True, "init": True}  # the player asked, and not a patch

    # ------------------------------------------------------------------ session's thread

    def takes(self, role: str) -> bool:
        """Return True if the generator plays a file of this role."""
        return role in self._take

    def load(self, role: str, path: Path, asked_by: str = "") -> None:
        """Begin to read a file. Returns at once. ValueError if the generator takes no file of this role."""
        if not self.takes(role):
            raise ValueError(f"this generator takes no {role} file")
        self._problems[role] = ""
        self._by_hand[role] = not asked_by
        self._say(f"{role}: reading {shown(path.name)}")
        self._reader.read(role, path, asked_by)

    def forget_problem(self, role: str) -> None:
        self._problems[role] = ""

    def wait(self) -> None:
        """Wait for the files that are being read. Raises the reason when a file cannot be used."""
        for error in self._reader.wait_for_errors():
            raise error

    # ------------------------------------------------------------------ any thread

    def playing(self, role: str) -> str:
        """The path of the file that plays; empty if there is none."""
        return self._files[role]

    def wanted(self, role: str) -> str:
        """The path of the file that is being read, or else of the one that plays; empty if there is none."""
        coming = self._reader.wanted(role)
        return self._files[role] if coming is None else str(coming)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems.values())

    # ------------------------------------------------------------------ reader's thread

    def came(self, role: str, source: S) -> None:
        """Give a file that was read to the generator. The next block plays from it."""
        self._take[role](source)
        self._files[role] = str(source.path)
        note = f"{role}: {shown(source.path.name)}" + (f" ({source.note})" if source.note else "")
        if role == "context":
            self._say(f"{note}; the next block continues it")
        else:
            if self._by_hand[role]:  # the values of a patch say which source it wants
                self._store.set("init_source", BY_NAME["init_source"].parse("file"), Origin.SESSION)
            self._say(f"{note}; turn Resample up to hear it")

    def refused(self, role: str, words: str) -> None:
        """Record that a file cannot be used. The file before it plays on."""
        self._problems[role] = shown(words)
        self._say("")  # it is not being read any more
