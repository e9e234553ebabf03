"""What hands do to the window itself: keys, views, full screen, sounds that are dropped on it. Thread: Qt's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import (
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QShowEvent,
)

from jbdiff_live.ui.overlay import DropZones
from jbdiff_live.ui.rows.files_row import open_folder
from jbdiff_live.ui.tiles.tile import Tile
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.wishes import PlayersWishes

MODIFIERS = (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_AltGr, Qt.Key.Key_Meta)


class Gestures(PlayersWishes):
    """The gestures of a window. The window that inherits makes the parts below."""

    zones: DropZones

    @property
    @abstractmethod
    def view(self) -> View:
        """The view that is shown."""
        ...

    @abstractmethod
    def show_view(self, number: int) -> None:
        """Show a view, by its number in `View`."""
        ...

    def deeds(self) -> dict[str, Callable[[str], None]]:
        """What each key of `keys.KEYS` does."""
        actions = ("panic", "reroll", "tap", "home", "advance", "write", "erase", "reset_context", "marker")
        deeds: dict[str, Callable[[str], None]] = {
            name: lambda _, name=name: self.trigger(name)  # type: ignore[misc]
            for name in actions
        }
        deeds |= {
            name: lambda _, name=name: self.jump(name)  # type: ignore[misc]
            for name in ("back", "far_back", "forward")
        }
        return {**deeds, **self.scenes.deeds()} | {
            "start_stop": lambda _: self.start_stop(),
            "record": lambda _: self.record(),
            "show_take": lambda _: self.show_take(),
            "keep": lambda _: self.keep(everything=False),
            "keep_all": lambda _: self.keep(everything=True),
            "escape": lambda _: self.escape(),
            "hold": lambda _: self.flip("hold"),
            "mute": lambda _: self.flip("mute"),
            "learn": lambda _: self.learn_focused(),
            "learn_row": lambda _: self.learn_row(),
            "unlearn": lambda _: self.await_control("unlearn", self._transport.unlearn),
            "locate": lambda _: self.await_control("locate", self._transport.locate),
            "bindings": lambda _: self.open_bindings(),
            "focus": lambda key: self.focus_number(int(key[-1])),
            "view": lambda key: self.show_view(int(key[-1]) - 2),
            "load_patch": lambda _: self.open_browser(),
            "save_patch": lambda _: self.files.save_patch(),
            "full_screen": lambda _: self.toggle_full_screen(),
            "show_keys": lambda _: self.toggle_keys(),
        }

    def show_take(self) -> None:
        """Open the folder of the newest take in the system's file browser."""
        self.asker.ask("show the take", self._open_take)

    def _open_take(self) -> None:
        folder = self.status.recorder.folder
        if folder is None:
            raise ValueError("no take was recorded since this start; press R")
        open_folder(folder)

    def keep(self, everything: bool) -> None:
        """Make a take of what was heard."""
        self.asker.ask("keep", self._transport.keep, everything)

    def focus_number(self, number: int) -> None:
        """Focus a knob of the view by its number, from 1."""
        found: list[Tile] = list[Tile](self.stage.rings) if self.view is View.STAGE else self.panel.numbered
        if number <= len(found) and self.view is not View.SETTINGS:
            found[number - 1].setFocus(Qt.FocusReason.ShortcutFocusReason)

    def toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def toggle_keys(self) -> None:
        self.keys.hide() if self.keys.isVisible() else self.keys.cover()

    # Drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            self.zones.cover()
            self.zones.aim(event.position().x())
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        self.zones.aim(event.position().x())
        event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.zones.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        role = self.zones.aim(event.position().x())
        self.zones.hide()
        files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.acceptProposedAction()
            self.files.load_sound(role, Path(files[0]))

    # Focus

    def changeEvent(self, event: QEvent) -> None:
        # After a dialog, Qt would give a window without a focus to its first knob, and the digits would type into it.
        # Not in `event`: Qt paints the whole window inside that, and with it in Python the thread that makes the blocks
        # would have to wait for the screen.
        super().changeEvent(event)
        activated = event.type() == QEvent.Type.ActivationChange and self.isActiveWindow()
        if activated and self.focusWidget() is None:
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)

    def showEvent(self, event: QShowEvent) -> None:
        # Qt would focus the first knob, and the number keys would type into it instead of choosing a knob.
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        super().showEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.text() == "?":
            self.toggle_keys()
        elif event.isAutoRepeat() or not self._press(event):
            super().keyPressEvent(event)

    def _press(self, event: QKeyEvent) -> bool:
        """Press a key that the window does not use itself. Return whether the player bound it to something."""
        if event.key() in MODIFIERS:
            return False
        key = QKeySequence(event.keyCombination()).toString()
        return bool(key) and self.asker.get("key", lambda: self._transport.press_key(key), False)
