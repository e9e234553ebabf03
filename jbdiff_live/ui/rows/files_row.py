"""The row of the settings view about files: folders to open and to choose, and what a take records.

Thread: Qt's. A dialog runs its own loop over Qt's events.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QWidget

from jbdiff_live.parameters import Parameter, TakesEffect
from jbdiff_live.shown import shown
from jbdiff_live.status import RecorderStatus, Status, Transport
from jbdiff_live.system.takes_folder import TAKE_SOUNDS, second_bytes
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.grey.words import grey_entry
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.rows.ring_menu import RingMenu
from jbdiff_live.ui.rows.transport_bar import room_left
from jbdiff_live.ui.tiles.strips import WindowChoice


def open_folder(folder: Path) -> None:
    """Open a folder in the system's file browser. ValueError: it is not there, or no program opens it."""
    if not folder.is_dir():
        raise ValueError(f"the folder is not there yet: {shown(folder)}")
    if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))):
        raise ValueError(f"this system has no program that opens folders: {shown(folder)}")


class FilesRow(QWidget):
    """other_patches: told that own patches are in another folder now."""

    def __init__(self, transport: Transport, asker: Asker, other_patches: Callable[[], object]) -> None:
        super().__init__()
        self._transport = transport
        self._asker = asker
        self._other_patches = other_patches
        self._ring = RingMenu(self, transport, asker)
        self._recorder = RecorderStatus()
        self.takes = Picker("TAKES", self._fill_takes)
        self.patches = Picker("OWN PATCHES", self._fill_patches)
        self.sounds = Picker("SOUNDS", self._fill_sounds)
        self.always = Picker("LAST MINUTES", self._fill_always)
        self.sound = WindowChoice(
            Parameter(
                "take_sound", "A take has", 0, len(TAKE_SOUNDS) - 1, 0, TakesEffect.NOW, choices=TAKE_SOUNDS,
                help="heard: what you hear, with Gain, Mute and limiter. engine: before them. both: two files. "
                "stems: both, and the dry input",
            )
        )  # fmt: skip
        self.sound.set_asked.connect(self._choose_sound)
        self.order = (self.takes, self.sound, self.always, self.patches, self.sounds)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for widget in self.order:
            row.addWidget(widget, 1)

    def show_status(self, status: Status) -> None:
        recorder = self._recorder = status.recorder
        left = room_left(recorder.seconds_left)
        self.takes.show_value(_brief(recorder.takes), left)
        self.sound.show_value(float(TAKE_SOUNDS.index(recorder.sound)), None)
        self.patches.show_value(_brief(self._folder("own")))
        self.sounds.show_value(_brief(self._folder("sounds")))
        self._ring.show(recorder.always)
        minutes = recorder.always_seconds / 60
        full = "" if recorder.always is None else f"{minutes:.0f} of {recorder.always.minutes:.0f} min"
        bytes_ = recorder.always_seconds * second_bytes(status.sample_rate)
        megabytes = f"{bytes_ / 1e6:.0f} MB" if full else ""
        self.always.show_value(full or "off", megabytes)

    def _folder(self, kind: str) -> Path | None:
        return self._asker.get("folder", lambda: self._transport.folder(kind), None)

    # ------------------------------------------------------------------ menus

    def _fill_takes(self, menu: QMenu) -> None:
        takes = self._recorder.takes
        self._add_folder(menu, takes)
        choose = menu.addAction("Choose another folder…")
        choose.triggered.connect(lambda: self._choose("takes", takes, self._transport.choose_takes_folder))

    def _fill_patches(self, menu: QMenu) -> None:
        own = self._folder("own")
        self._add_folder(menu, own)
        choose = menu.addAction("Choose another folder…")
        choose.triggered.connect(lambda: self._choose("own patches", own, self._choose_own))
        menu.addAction("Ctrl+O shows the patches").setEnabled(False)

    def _fill_sounds(self, menu: QMenu) -> None:
        sounds = self._folder("sounds")
        self._add_folder(menu, sounds)
        choose = menu.addAction("Choose where the dialogs for sounds begin…")
        choose.triggered.connect(
            lambda: self._choose(
                "sounds", sounds, lambda folder: self._transport.keep_folder("sounds", folder)
            )
        )

    def _fill_always(self, menu: QMenu) -> None:
        always = self._recorder.always
        if always is None:
            menu.addAction("off: the last minutes are lost").setEnabled(False)
        else:
            most = f"at most {always.minutes:g} min or {always.megabytes:g} MB; J keeps {always.keep_minutes:g} min"
            menu.addAction(most).setEnabled(False)
            self._add_folder(menu, always.folder)
        self._ring.fill(menu, always is not None)

    def _add_folder(self, menu: QMenu, folder: Path | None) -> None:
        """The path, and an entry that opens it."""
        path = "none is chosen" if folder is None else shown(folder)
        menu.addAction(path.replace("&", "&&")).setEnabled(False)
        menu.addSeparator()
        entry = menu.addAction("Open the folder")
        grey_entry(entry, "" if folder is not None else "there is none")
        if folder is not None:
            entry.triggered.connect(lambda: self._asker.ask("open the folder", open_folder, folder))

    # ------------------------------------------------------------------ choices

    def _choose(self, what: str, present: Path | None, put: Callable[[Path], object]) -> None:
        start = str(present) if present is not None and present.is_dir() else ""
        chosen = QFileDialog.getExistingDirectory(self.window(), f"A folder for {what}", start)
        if chosen:
            self._asker.ask(f"folder for {what}", put, Path(chosen))

    def _choose_own(self, folder: Path) -> None:
        self._transport.choose_own_patches(folder)
        self._other_patches()

    def _choose_sound(self, _name: str, value: float) -> None:
        self._asker.ask("what a take has", self._transport.choose_take_sound, TAKE_SOUNDS[int(value)])


def _brief(folder: Path | None) -> str:
    """The last two parts of a path."""
    return "" if folder is None else shown(Path(*folder.parts[-2:]))
