"""What a player does in the take view, turned into calls of the session. Thread: Qt's.

A call that the session refuses becomes the answer at the bottom of the view.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QMenu

from jbdiff_live.browse.entry import Entry, Kind
from jbdiff_live.browse.takes import ExportWish, TakeFacts
from jbdiff_live.status import Transport
from jbdiff_live.ui.asking import REFUSALS, reason
from jbdiff_live.ui.takeview.export_dialog import ExportDialog
from jbdiff_live.ui.takeview.marks import MarkDeeds
from jbdiff_live.ui.takeview.slots import Slot
from jbdiff_live.ui.takeview.trash import to_trash

LISTED = 15  # takes in the menu of those to compare with


class TakeDeeds(MarkDeeds):
    """The deeds. The view that inherits makes the parts below, and shows what came of a deed."""

    _transport: Transport
    entry: Entry
    context: Slot
    init: Slot

    @abstractmethod
    def show_take(self, folder: Path) -> None:
        """Show a take from now on."""
        ...

    # ------------------------------------------------------------------ as context or init

    def sound_file(self) -> Path | None:
        """Return the take's sound, or that of the chosen part. None after the answer says why there is none."""
        part = self.wave.part
        rate, folder = self.facts.rate, self.facts.folder
        if part is None:
            if self.facts.sound is None:
                self.refuse("the take has no sound")
            return self.facts.sound
        try:
            return self.shelf.piece(folder, round(part[0] * rate), round(part[1] * rate))
        except REFUSALS as error:
            self.refuse(reason(error))
            return None

    def use(self, role: str, path: Path | None = None) -> None:
        """Let the music continue a sound ("context"), or resample it ("init"). None: the take or its chosen part."""
        path = path or self.sound_file()
        if path is None:
            return
        if role == "context":
            self.do(lambda: self._transport.load_context_file(path), f"the music continues {path.name}")
        else:
            words = f"Resample starts from {path.name}: turn it up to hear it"
            self.do(lambda: self._transport.load_init_file(path), words)

    # ------------------------------------------------------------------ the take

    def rename(self) -> None:
        self.ask(self.facts.name, "a new name", self._rename)

    def _rename(self, name: str) -> None:
        self.player.stop()
        self.wave_closed()
        try:
            folder = self.shelf.rename(self.facts.folder, name)
        except REFUSALS:
            self.show_take(self.facts.folder)
            raise
        self.show_take(folder)

    @abstractmethod
    def wave_closed(self) -> None:
        """Close the files of the wave, so that the folder can move."""
        ...

    def tag(self) -> None:
        words = "tags, with commas between them"
        self.ask(
            ", ".join(self.facts.tags),
            words,
            lambda text: self.shelf.tag(self.facts.folder, text.split(",")),
        )

    def mark_favourite(self) -> None:
        entry = self.entry
        words = f"{entry.name} is {'no favourite any more' if entry.favourite else 'a favourite'}"
        self.do(lambda: self._transport.mark_favourite(entry.key, not entry.favourite), words)

    def open_folder(self) -> None:
        folder = self.facts.folder
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
            self.refuse(f"this system has no program that opens folders; the take lies in {folder}")

    def trash(self) -> None:
        """Move the take into the system's trash, at the second press."""
        if not self.trash_press.press():
            self.answer(f"once more within three seconds moves {self.facts.name} into the trash")
            self.look()
            return
        folder = self.facts.folder
        self.player.stop()
        self.wave_closed()
        try:
            self.shelf.let_go(folder)
            to_trash(folder)
        except REFUSALS as error:
            self.show_take(folder)
            self.refuse(reason(error))
            return
        self.shelf.gone(folder)
        self.done(0)

    # ------------------------------------------------------------------ jobs

    def trim(self) -> None:
        """Make a take of the chosen part."""
        part, rate = self.wave.part, self.facts.rate
        if part is None:
            self.refuse("choose a part first: drag over the wave, or press [ and ]")
            return
        begin, end = (round(seconds * rate) for seconds in part)
        self.do(lambda: self.shelf.trim(self.facts.folder, begin, end), "the original stays as it is")

    def export(self) -> None:
        """Ask how and where, and export."""
        part, rate = self.wave.part, self.facts.rate
        dialog = ExportDialog(self, part is not None, self.facts.level)
        if not dialog.exec():
            return
        chosen = dialog.chosen
        folder = self._transport.folder("sounds") or self.facts.folder.parent
        proposed = str(folder / f"{self.facts.name}{chosen.format.suffix}")
        path, _ = QFileDialog.getSaveFileName(
            self, "Export the take", proposed, f"Sound (*{chosen.format.suffix})"
        )
        if not path:
            return
        file = Path(path)
        file = file if file.suffix else file.with_suffix(chosen.format.suffix)
        begin, end = (0.0, None) if part is None or not chosen.part else part
        wish = ExportWish(
            file,
            chosen.format,
            chosen.lufs,
            begin=round(begin * rate),
            end=None if end is None else round(end * rate),
        )
        self.do(lambda: self.shelf.export(self.facts.folder, wish), "")

    def pack(self) -> None:
        """Turn the take's sound into FLAC."""
        self.do(lambda: self.shelf.pack(self.facts.folder), "")

    def render_again(self) -> None:
        self.do(lambda: self.shelf.render_again(self.facts.folder), "")

    def cancel_job(self) -> None:
        job = self.shelf.job
        if job is not None and not job.state.ended:
            job.cancel()
        else:
            self.refuse("nothing is being done that could be cancelled")

    # ------------------------------------------------------------------ comparing

    def choose_other(self) -> None:
        """Show the menu of the takes that can be compared with this one."""
        menu = QMenu(self)
        entries = [e for e in self._transport.library() if e.kind is Kind.TAKE and e.usable]
        others = [e for e in entries if e.path != self.facts.folder][:LISTED]
        if self.player.other is not None:
            menu.addAction("Compare no more").triggered.connect(lambda: self.compare(None))
        for entry in others:
            action = menu.addAction(f"{entry.name}  {entry.description}".replace("&", "&&"))
            action.triggered.connect(lambda _=False, entry=entry: self.compare(entry.take))
        if not others:
            menu.addAction("there is no other take").setEnabled(False)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.mapToGlobal(self.rect().center()))

    @abstractmethod
    def compare(self, other: TakeFacts | None) -> None:
        """Show and play another take beside this one. None ends that."""
        ...
