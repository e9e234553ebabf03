"""The two lines of text of the browser: the search, and the name that is asked for. Thread: Qt's. Nothing blocks."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QListView

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.keys import ENTER


class SearchLine(QLineEdit):
    """Searches while a person types. Keys that mean the list go on to it; Enter and Esc are the dialog's."""

    def __init__(self, view: QListView) -> None:
        super().__init__()
        self._view = view
        self.setFont(theme.font(16))
        self.setClearButtonEnabled(True)
        self.setPlaceholderText("Search: a name, a tag, a word; own, favourite, sound, take")
        self.setAccessibleName("Search patches, sounds and takes")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        moves = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
        if event.key() in moves:
            self._view.keyPressEvent(event)
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        elif event.key() in ENTER:
            event.ignore()  # the dialog loads
        else:
            super().keyPressEvent(event)


class NameLine(QLineEdit):
    """Asks for a name, and is hidden otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.setFont(theme.font(16))
        self.setMaxLength(60)
        self.setAccessibleName("Name")
        self.hide()
