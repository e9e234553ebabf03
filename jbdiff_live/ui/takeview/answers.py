"""How the take view asks for a text, and says what came of a wish. Thread: Qt's. Nothing blocks but the wish."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QLabel

from jbdiff_live.browse.takes import Mark, TakeFacts, TakeShelf
from jbdiff_live.ui.asking import REFUSALS, reason
from jbdiff_live.ui.browser.lines import NameLine
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.takeview.listen import Player
from jbdiff_live.ui.takeview.wave import WaveView
from jbdiff_live.ui.twice import Twice

HINT = "Click or ← → seek. Drag, or [ and ], choose a part. Wheel, + and - zoom, 0 shows all. Esc closes."


class Answering(QDialog):
    """The view that inherits makes the parts below, and shows what came of a wish."""

    shelf: TakeShelf
    facts: TakeFacts
    marks: list[Mark]
    player: Player
    wave: WaveView
    name: NameLine
    line: QLabel
    trash_press: Twice
    _named: Callable[[str], object] | None  # what the text that is typed is for

    @abstractmethod
    def look(self) -> None:
        """Show what the session has now."""
        ...

    @abstractmethod
    def read_list(self) -> None:
        """Ask the session for the list."""
        ...

    def ask(self, proposed: str, what: str, use: Callable[[str], object]) -> None:
        """Ask for a text in the place of the title. Enter takes it, Esc does not."""
        self._named = use
        self.name.show()
        self.name.setText(proposed)
        self.name.selectAll()
        self.name.setFocus(Qt.FocusReason.OtherFocusReason)
        self.answer(f"Type {what}. Enter takes it, Esc does not.")

    def use_name(self) -> None:
        use, text = self._named, self.name.text().strip()
        if use is not None and self.do(lambda: use(text), "it is kept"):
            self.end_name()

    def end_name(self) -> None:
        self._named = None
        self.name.hide()
        self.wave.setFocus(Qt.FocusReason.OtherFocusReason)

    def do(self, wish: Callable[[], object], words: str) -> bool:
        """Ask the session. What it refuses becomes the answer; else `words` are."""
        self.trash_press.forget()
        try:
            wish()
        except REFUSALS as error:
            self.refuse(reason(error))
            return False
        self.answer(words or HINT)
        self.read_list()
        self.look()
        return True

    def answer(self, words: str) -> None:
        self.line.setStyleSheet(f"color: {theme.DIM.name()};")
        self.line.setText(words)

    def refuse(self, why: str) -> None:
        self.line.setStyleSheet(f"color: {theme.CAUTION.name()};")
        self.line.setText(why)
