"""What a player does in the browser, turned into calls of the session. Thread: Qt's.

A call that the session refuses becomes the answer below the list.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QListView

from jbdiff_live.browse.entry import Entry, Kind
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.browser.answering import Answering
from jbdiff_live.ui.browser.lines import NameLine, SearchLine
from jbdiff_live.ui.browser.model import EntriesModel
from jbdiff_live.ui.takeview.trash import to_trash

HINT = "Type to search. Arrows choose. Ctrl+O: a file from elsewhere. Ctrl+P: panic. Esc closes."


class Deeds(Answering):
    """The deeds of the browser. The browser that inherits makes the parts below, and shows what came of a deed."""

    hint = HINT

    _transport: Transport
    _status: Status
    _all: Sequence[Entry]
    _named: Callable[[str], None] | None  # what the name that is typed is for
    model: EntriesModel
    list: QListView
    search: SearchLine
    name: NameLine

    @property
    @abstractmethod
    def chosen(self) -> Entry | None:
        """The chosen entry; None if there is none."""
        ...

    def load(self) -> None:
        """Load the chosen patch now; of a sound: let the music continue it; of a take: open its view."""
        entry = self.chosen
        if entry is None or not (entry.usable or entry.kind is Kind.TAKE):
            return
        if entry.kind is Kind.TAKE:
            self.open_take(entry)
        elif entry.kind is Kind.PATCH:
            self.do(lambda: self._transport.load_patch(entry.path), f"{entry.name} is loaded")
        else:
            self.do(
                lambda: self._transport.load_context_file(entry.path), f"the music continues {entry.name}"
            )

    def arm(self) -> None:
        """Load the chosen patch at the next bar, or take that back; of a sound: resample it; of a take: continue it."""
        entry = self.chosen
        if entry is None:
            return
        if entry.kind is Kind.TAKE:
            if entry.sound is not None:
                sound = entry.sound
                self.do(lambda: self._transport.load_context_file(sound), f"the music continues {entry.name}")
        elif entry.kind is Kind.SOUND:
            words = f"Resample starts from {entry.name}: turn it up to hear it"
            self.do(lambda: self._transport.load_init_file(entry.path), words)
        elif self.model.armed(entry):
            self.do(lambda: self._transport.arm_patch(None), "no patch is armed")
        else:
            self.do(lambda: self._transport.arm_patch(entry.path), f"{entry.name} loads at the next bar")

    def listen(self) -> None:
        """Play the sound of the entry, or end the one that plays."""
        entry = self.chosen
        if self._status.library.listening:
            self.do(lambda: self._transport.listen_to(None), "")
        elif entry is not None and entry.sound is not None:
            sound = entry.sound
            if entry.kind is Kind.TAKE:
                self.do(
                    lambda: self._transport.takes().listen((entry.path,), 0.0),
                    f"the output plays {entry.name}",
                )
            else:
                self.do(lambda: self._transport.listen_to(sound), f"the output plays {sound.name}")

    def mark(self) -> None:
        """Make the entry a favourite, or end that."""
        entry = self.chosen
        if entry is not None:
            words = f"{entry.name} is {'not a favourite any more' if entry.favourite else 'a favourite'}"
            self.do(lambda: self._transport.mark_favourite(entry.key, not entry.favourite), words)

    def rename(self) -> None:
        entry = self.chosen
        if entry is not None:
            self._ask_name(entry.name, "a new name", lambda name: self._rename(entry, name))

    def _rename(self, entry: Entry, name: str) -> None:
        if entry.kind is Kind.TAKE:
            self._transport.takes().rename(entry.path, name)
        else:
            self._transport.rename_patch(entry.path, name)

    def trash(self) -> None:
        """Move the patch into the folder trash, or the take into the system's trash, at the second press."""
        entry = self.chosen
        if entry is None:
            return
        if not self.trash_press.press():
            self.answer(f"once more within three seconds moves {entry.name} into the trash")
            self.look()
            return
        if entry.kind is Kind.TAKE:
            self.do(lambda: self._trash_take(entry.path), f"{entry.name} is in the trash of the system now")
            return
        self.do(lambda: self._transport.trash_patch(entry.path), f"{entry.name} is in the folder trash now")

    def _trash_take(self, folder: Path) -> None:
        takes = self._transport.takes()
        takes.let_go(folder)
        to_trash(folder)
        takes.gone(folder)

    @abstractmethod
    def open_take(self, entry: Entry) -> None:
        """Open the view of a take."""
        ...

    def save_own(self) -> None:
        self.do(self._transport.save_own_patch, f"{self._status.patch} is saved")

    def save_new(self) -> None:
        self._ask_name(self._free_name(), "a name for your patch", self._transport.save_patch_as)

    def go_back(self) -> None:
        """Go back to the saved patch."""
        self.do(self._transport.revert, f"{self._status.patch} is as its file has it")

    # ------------------------------------------------------------------ names and answers

    def _free_name(self) -> str:
        """Return a name for a copy of the patch that plays, which no own patch has."""
        taken = {entry.name for entry in self._all if not entry.factory and entry.kind is Kind.PATCH}
        base, count = self._status.patch or "untitled", 1
        name = base
        while name in taken:
            count += 1
            name = f"{base} {count}"
        return name

    def _ask_name(self, proposed: str, what: str, use: Callable[[str], None]) -> None:
        """Ask for a name in the place of the search line. Enter saves it, Esc cancels."""
        self._named = use
        self.search.hide()
        self.name.show()
        self.name.setText(proposed)
        self.name.selectAll()
        self.name.setFocus(Qt.FocusReason.OtherFocusReason)
        self.answer(f"Type {what}. Enter saves it, Esc cancels.")

    def _use_name(self) -> None:
        use, name = self._named, self.name.text().strip()
        if use is not None and self.do(lambda: use(name), f"{name} is in your folder"):
            self._end_name()
            self.search.clear()
            self.look()
            rows = [n for n, entry in enumerate(self.model.rows) if entry.name == name and not entry.factory]
            if rows:
                self.list.setCurrentIndex(self.model.index(rows[0]))

    def _end_name(self) -> None:
        self._named = None
        self.name.hide()
        self.search.show()
        self.search.setFocus(Qt.FocusReason.OtherFocusReason)
