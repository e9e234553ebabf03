"""The library of the session that is not there: one entry of each kind, and what the browser may ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jbdiff_live.browse.entry import Entry, Kind, LibraryStatus
from jbdiff_live.browse.listing import take_entry
from jbdiff_live.browse.takes import TakeShelf
from jbdiff_live.record.shelf.desk import TakeDesk
from jbdiff_live.status import Status


def demo_entries() -> list[Entry]:
    """Return a list with each kind of entry."""
    factory, own = Path("patches"), Path("mine")
    patch, sound = Kind.PATCH, Kind.SOUND
    words = "a house groove that walks: turn Noise for a quicker walk"
    broken = "mine/broken.toml, line 4: not TOML (Expected '=' after a key); mend that line: tempo"
    return [
        Entry("factory:first-light", patch, "first-light", factory / "first-light.toml", True, words,
              ("beat", "house", "wandering"), 12, factory / "sounds" / "light.ogg", favourite=True),
        Entry("factory:slow-glass", patch, "slow-glass", factory / "slow-glass.toml", True,
              "bright pads without drums: turn Brightness to open and close them", ("no beat", "slow", "bright"), 13,
              factory / "sounds" / "glass.ogg"),
        Entry("own:broken", patch, "broken", own / "broken.toml", False, problem=broken, usable=False),
        Entry("own:friday", patch, "friday", own / "friday.toml", False, "the long one", ("beat", "fast")),
        Entry("factory:sounds/light.ogg", sound, "light.ogg", factory / "sounds" / "light.ogg", True,
              "a sound that begins a factory patch", sound=factory / "sounds" / "light.ogg"),
    ]  # fmt: skip


class DemoLibrary(ABC):
    """The part of `DemoTransport` that the browser uses."""

    entries: list[Entry]
    state: Status
    shelf: TakeDesk | None = None  # the desk of takes, if there are any
    favourite_takes: frozenset[str] = frozenset()

    @abstractmethod
    def _note(self, *call: object) -> None: ...

    @abstractmethod
    def set_status(self, **parts: object) -> None: ...

    def library(self) -> Sequence[Entry]:
        found = () if self.shelf is None else self.shelf.list()
        return [*self.entries, *(take_entry(facts, self.favourite_takes) for facts in found)]

    def takes(self) -> TakeShelf:
        if self.shelf is None:
            raise RuntimeError("this demo has no takes")
        return self.shelf

    def mark_favourite(self, key: str, on: bool) -> None:
        self._note("mark_favourite", key, on)
        self.favourite_takes = self.favourite_takes | {key} if on else self.favourite_takes - {key}
        self.entries = [replace(e, favourite=on) if e.key == key else e for e in self.entries]

    def arm_patch(self, path: Path | None) -> None:
        self._note("arm_patch", path)
        armed = LibraryStatus() if path is None else LibraryStatus(path.stem, 1.4)
        self.set_status(library=armed)

    def listen_to(self, path: Path | None) -> None:
        self._note("listen_to", path)
        self.set_status(library=replace(self.state.library, listening="" if path is None else path.name))

    def save_own_patch(self) -> None:
        self._note("save_own_patch")

    def save_patch_as(self, name: str) -> None:
        self._note("save_patch_as", name)

    def rename_patch(self, path: Path, name: str) -> None:
        self._note("rename_patch", path, name)

    def trash_patch(self, path: Path) -> None:
        self._note("trash_patch", path)
        self.entries = [entry for entry in self.entries if entry.path != path]
