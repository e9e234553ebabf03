"""Patches and sound files: the patch menu, the dialogs, and what happens to the file that was chosen.

Thread: Qt's. A dialog runs its own loop over Qt's events: the window goes on polling below it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker

log = logging.getLogger(__name__)

AUDIO_FILES = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3", ".opus", ".w64", ".caf", ".au")


def _home() -> Path:
    """Where a dialog begins: the home folder, or the present one for a user without a home."""
    try:
        return Path.home()
    except RuntimeError:
        return Path.cwd()


class FileDesk:
    """Asks for files over `window` and hands them to the session; `look` shows the outcome at once."""

    def __init__(
        self,
        window: QWidget,
        transport: Transport,
        asker: Asker,
        look: Callable[[], None],
        open_browser: Callable[[], None] = lambda: None,
    ) -> None:
        self._window = window
        self._transport = transport
        self._asker = asker
        self._look = look
        self._open_browser = open_browser
        self._order: list[tuple[str, Path, str]] | None = None  # name, path, and the whole path as text
        self._order_for = ""

    def _status(self) -> Status:
        return self._asker.get("status", self._transport.status, Status())

    def _patch_folder(self) -> Path:
        """Return the folder of the player's own patches, and make it if it is missing. It is where dialogs begin."""
        folder = self._kept("own")
        if folder is None:
            return _home()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            log.info("no folder for own patches: %s", error)
            return _home()
        return folder

    def _kept(self, kind: str) -> Path | None:
        """Return the session's folder for "patches" or "sounds", where the last dialog ended, or for "own" patches."""
        return self._asker.get("folder", lambda: self._transport.folder(kind), None)

    def _keep(self, kind: str, chosen: str) -> None:
        self._transport.keep_folder(kind, Path(chosen).parent)

    def forget_list(self) -> None:
        """Read the list of patches again when it is needed."""
        self._order = None

    def following(self, status: Status) -> tuple[str, Path] | None:
        """Return name and path of the patch after the one that plays, around the end of the list; None without one.

        The list is read again when another patch plays.
        """
        if self._order_for != status.patch_file or self._order is None:
            self._order_for = status.patch_file
            self._order = [(name, path, str(path.resolve())) for name, path in self._patches().items()]
        order = self._order
        here = next((n for n, (_, _, whole) in enumerate(order) if whole == status.patch_file), -1)
        if not order or (len(order) == 1 and here == 0):
            return None
        name, path, _ = order[(here + 1) % len(order)]
        return name, path

    def load_following(self) -> None:
        """Load the patch after the one that plays."""
        found = self.following(self._status())
        if found is not None:
            self.load_patch(found[1])

    def _patches(self) -> Mapping[str, Path]:
        none: Mapping[str, Path] = {}
        return self._asker.get("list patches", self._transport.patches, none)

    def fill_patches(self, menu: QMenu) -> None:
        known = self._patches()
        self._order = None
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
        menu.addAction("Browser…\tCtrl+O").triggered.connect(self._open_browser)
        menu.addAction("Load a file…").triggered.connect(self.browse_patch)
        menu.addAction("Save as…\tCtrl+S").triggered.connect(self.save_patch)

    def load_patch(self, path: Path) -> None:
        self._asker.ask("load patch", self._transport.load_patch, path)
        self._look()

    def browse_patch(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self._window,
            "Load a patch",
            str(self._kept("patches") or self._patch_folder()),
            "Patches (*.toml)",
        )
        if chosen:
            self._keep("patches", chosen)
            self.load_patch(Path(chosen))

    def save_patch(self) -> None:
        proposed = (
            self._kept("patches") or self._patch_folder()
        ) / f"{self._status().patch or 'untitled'}.toml"
        chosen, _ = QFileDialog.getSaveFileName(
            self._window, "Save the patch", str(proposed), "Patches (*.toml)"
        )
        if chosen:
            self._keep("patches", chosen)
            path = Path(chosen)
            path = path if path.suffix else path.with_suffix(".toml")
            self._asker.ask("save patch", self._transport.save_patch, path, path.stem)
            self._order = None
            self._look()

    def browse_sound(self, role: str) -> None:
        """Ask for a sound file for "context" or "init"."""
        present = self._status().context_file if role == "context" else self._status().init_file
        folder = str(self._kept("sounds") or (Path(present).parent if present else _home()))
        kinds = f"Sound (*{' *'.join(AUDIO_FILES)});;All files (*)"
        chosen, _ = QFileDialog.getOpenFileName(self._window, f"A sound for {role}", folder, kinds)
        if chosen:
            self._keep("sounds", chosen)
            self.load_sound(role, Path(chosen))

    def load_sound(self, role: str, path: Path) -> None:
        load = self._transport.load_context_file if role == "context" else self._transport.load_init_file
        self._asker.ask(f"{role} file", load, path)
        self._look()
