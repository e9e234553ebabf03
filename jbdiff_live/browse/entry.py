"""What the browser shows: a patch, a sound or a take, and the state of the library. Frozen values. Any thread."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from jbdiff_live.browse.takes import TakeFacts


class Kind(Enum):
    PATCH = "patch"
    SOUND = "sound"
    TAKE = "take"


@dataclass(frozen=True)
class Entry:
    """A patch, a sound file or a take in the list.

    key: names it in the list of favourites, on every computer. factory: it comes with the instrument and is never
    written. sound: the file to listen to; None if there is none. problem: what is wrong with it, or empty. usable:
    False if a patch cannot be loaded at all. take: the facts of a take; its path is its folder.
    """

    key: str
    kind: Kind
    name: str
    path: Path
    factory: bool
    description: str = ""
    tags: tuple[str, ...] = ()
    program: int | None = None
    sound: Path | None = None
    problem: str = ""
    usable: bool = True
    favourite: bool = False
    take: TakeFacts | None = None

    @property
    def origin(self) -> str:
        return "factory" if self.factory else "own"

    def matches(self, text: str) -> bool:
        """Return True if every word of `text` is in the name, the sentence, a tag, or what it is."""
        words = (
            f"{self.name} {self.description} {' '.join(self.tags)} {self.kind.value} {self.origin} "
            f"{'favourite' if self.favourite else ''}"
        ).casefold()
        return all(word in words for word in text.casefold().split())


@dataclass(frozen=True)
class LibraryStatus:
    """armed: the patch that loads at the next bar, `armed_in` seconds from now; empty and None without one.

    listening: the sound that is played for listening; empty if none. problem: a fault that the player should read.
    """

    armed: str = ""
    armed_in: float | None = None
    listening: str = ""
    problem: str = ""
