"""Drag and drop in the take view: a handle to drag the take or its part from, and the two places to drop a sound on.

Thread: Qt's. Making the file of a part may take a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl, Signal
from PySide6.QtGui import QDrag, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QMouseEvent
from PySide6.QtWidgets import QApplication, QLabel

from jbdiff_live.ui.browser.detail import Action
from jbdiff_live.ui.drawing import theme


def sound_data(path: Path) -> QMimeData:
    """Return a sound file as what is dragged."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path.absolute()))])
    return data


class Slot(Action):
    """A button on which a sound can be dropped."""

    dropped = Signal(object)  # Path

    def __init__(self, text: str, key: str) -> None:
        super().__init__(text, key)
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            self.setStyleSheet(
                f"background: {theme.ACCENT_DEEP.name()}; border: 2px solid {theme.ACCENT.name()};"
            )
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.setStyleSheet("")

    def dropEvent(self, event: QDropEvent) -> None:
        self.setStyleSheet("")
        files = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.acceptProposedAction()
            self.dropped.emit(Path(files[0]))


class Grip(QLabel):
    """What is dragged. file: returns the sound file, or None after it has said why there is none."""

    def __init__(self, file: Callable[[], Path | None]) -> None:
        super().__init__("⠿ drag")
        self._file = file
        self._pressed: QPoint | None = None
        self.setFont(theme.font(13))
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self.setAccessibleName("Drag handle")
        self.setToolTip(
            "Drag the take, or its chosen part, to Continue, Resample, the window, or another program"
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed = event.position().toPoint()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._pressed = None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        begun = self._pressed
        if begun is None:
            return
        if (event.position().toPoint() - begun).manhattanLength() >= QApplication.startDragDistance():
            self._pressed = None
            path = self._file()
            if path is not None:
                drag = QDrag(self)
                drag.setMimeData(sound_data(path))
                drag.exec(Qt.DropAction.CopyAction)
