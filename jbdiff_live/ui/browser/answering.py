"""A dialog that asks the session, and says what came of it. Thread: Qt's. Nothing blocks but the wish."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from PySide6.QtWidgets import QDialog, QLabel

from jbdiff_live.ui.asking import REFUSALS, reason
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.twice import Twice


class Answering(QDialog):
    """The dialog that inherits makes the parts below. hint: stands in the line if there is nothing to say."""

    hint: str
    line: QLabel
    trash_press: Twice

    @abstractmethod
    def look(self) -> None:
        """Show what the session has now."""
        ...

    @abstractmethod
    def read_list(self) -> None:
        """Ask the session for the list."""
        ...

    def do(self, wish: Callable[[], object], words: str) -> bool:
        """Ask the session. What it refuses becomes the answer; else `words` are."""
        self.trash_press.forget()
        try:
            wish()
        except REFUSALS as error:
            self.refuse(reason(error))
            return False
        self.answer(words or self.hint)
        self.read_list()
        self.look()
        return True

    def answer(self, words: str) -> None:
        self.line.setStyleSheet(f"color: {theme.DIM.name()};")
        self.line.setText(words)

    def refuse(self, why: str) -> None:
        self.line.setStyleSheet(f"color: {theme.CAUTION.name()};")
        self.line.setText(why)
