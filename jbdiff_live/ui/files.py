"""Patches and sound files: the patch menu, the dialogs, and what happens to the file that was chosen.

Thread: Qt's. A dialog runs its own loop over Qt's events: the window goes on polling below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker

AUDIO_FILES = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3", ".opus", ".w64", ".caf", ".au")


def _home() -> Path:
    """Where a dialog begins: the home folder, or the present one for a user without a home."""
    try:
        return Path.home()
    except RuntimeError:
        return Path.cwd()


class FileDesk:
    """Asks for files over `window` and hands them to the session; `look` shows the outcome at once."""

    def __init__(self, window: QWidget, transport: Transport, asker: Asker, look: Callable[[], None]) -> None:
        self._window = window
        self._transport = transport
        self._asker = asker
        self._look = look

    def _status(self) -> Status:
        return self._asker.get("status", self._transport.status, Status())

    def _patch_folder(self) -> Path:
        return next((path.parent for path in self._patches().values()), _home())

    def _patches(self) -> Mapping[str, Path]:
        none: Mapping[str, Path] = {}
        return self._asker.get("list patches", self._transport.patches, none)

    def fill_patches(self, menu: QMenu) -> None:
        known = self._patches()
        if not known:
            menu.addAction("no patch found").setEnabled(False)
        nothing: Mapping[str, int] = {}
        programs = self._asker.get("list programs", self._transport.patch_programs, nothing)
        for name, path in known.items():
            program = f"\tprogram {programs[name]}" if name in programs else ""
            entry = menu.addAction(f"{name.replace('&', '&&')}{program}")
            entry.setCheckable(True)
            entry.setChecked(name == self._status().patch)
            entry.triggered.connect(lambda _=False, path=path: self.load_patch(path))
        menu.addSeparator()
        menu.addAction("Load a file…\tCtrl+O").triggered.connect(self.browse_patch)
        menu.addAction("Save as…\tCtrl+S").triggered.connect(self.save_patch)

    def load_patch(self, path: Path) -> None:
        self._asker.ask("load patch", self._transport.load_patch, path)
        self._look()

    def browse_patch(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self._window, "Load a patch", str(self._patch_folder()), "Patches (*.toml)"
        )
        if chosen:
            self.load_patch(Path(chosen))

    def save_patch(self) -> None:
        proposed = self._patch_folder() / f"{self._status().patch or 'untitled'}.toml"
        chosen, _ = QFileDialog.getSaveFileName(
            self._window, "Save the patch", str(proposed), "Patches (*.toml)"
        )
        if chosen:
            path = Path(chosen)
            path = path if path.suffix else path.with_suffix(".toml")
            self._asker.ask("save patch", self._transport.save_patch, path, path.stem)
            self._look()

    def browse_sound(self, role: str) -> None:
        """Ask for a sound file for "context" or "init"."""
        present = self._status().context_file if role == "context" else self._status().init_file
        folder = str(Path(present).parent) if present else str(_home())
        kinds = f"Sound (*{' *'.join(AUDIO_FILES)});;All files (*)"
        chosen, _ = QFileDialog.getOpenFileName(self._window, f"A sound for {role}", folder, kinds)
        if chosen:
            self.load_sound(role, Path(chosen))

    def load_sound(self, role: str, path: Path) -> None:
        load = self._transport.load_context_file if role == "context" else self._transport.load_init_file
        self._asker.ask(f"{role} file", load, path)
        self._look()
