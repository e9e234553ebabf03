"""Asks what to do with a learned control that moves something else already: replace that, keep both, or cancel.

Thread: Qt's. The menu does not block; closing it cancels.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, QPoint, QTimer
from PySide6.QtWidgets import QMenu, QWidget

from jbdiff_live.control_view import LearnQuestion
from jbdiff_live.status import Transport
from jbdiff_live.ui.asking import Asker

ENTRIES = (("Replace", "replace"), ("Keep both", "both"), ("Cancel", "cancel"))


class QuestionMenu(QObject):
    """Shows each new question once, beside the tile that was learned."""

    def __init__(self, window: QWidget, transport: Transport, asker: Asker) -> None:
        super().__init__(window)
        self._window = window
        self._transport = transport
        self._asker = asker
        self._shown: LearnQuestion | None = None
        self.menu: QMenu | None = None

    def show(self, question: LearnQuestion | None, tile: QWidget | None) -> None:
        """Call it with every status; nothing happens while the question is the same."""
        if question == self._shown:
            return
        self._shown = question
        if question is None:
            return
        menu = self.menu = QMenu(self._window)
        menu.addAction(question.text).setEnabled(False)
        for text, how in ENTRIES:
            menu.addAction(text).triggered.connect(lambda _=False, how=how: self._answer(how))
        menu.aboutToHide.connect(lambda: QTimer.singleShot(0, self._closed))
        place = tile if tile is not None else self._window
        menu.popup(place.mapToGlobal(QPoint(place.width() // 2, place.height() // 2)))

    def _answer(self, how: str) -> None:
        self._shown = None
        self._asker.ask("learn", self._transport.answer_learning, how)

    def _closed(self) -> None:
        """After a choice, or without one."""
        menu, self.menu = self.menu, None
        if menu is not None:
            menu.deleteLater()
        if self._shown is not None:
            self._answer("cancel")
