"""How the take view asks for a text, and says what came of a wish. Thread: Qt's. Nothing blocks but the wish."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt

from jbdiff_live.browse.takes import Mark, TakeFacts, TakeShelf
from jbdiff_live.ui.browser.answering import Answering
from jbdiff_live.ui.browser.lines import NameLine
from jbdiff_live.ui.takeview.listen import Player
from jbdiff_live.ui.takeview.wave import WaveView

HINT = "Click or ← → seek. Drag, or [ and ], choose a part. Wheel, + and - zoom, 0 shows all. Esc closes."


class Asking(Answering):
    """The view that inherits makes the parts below, and shows what came of a wish."""

    hint = HINT

    shelf: TakeShelf
    facts: TakeFacts
    marks: list[Mark]
    player: Player
    wave: WaveView
    name: NameLine
    _named: Callable[[str], object] | None  # what the text that is typed is for

    def ask(self, proposed: str, what: str, use: Callable[[str], object]) -> None:
        """Ask for a text in the place of the title. Enter saves it, Esc cancels."""
        self._named = use
        self.name.show()
        self.name.setText(proposed)
        self.name.selectAll()
        self.name.setFocus(Qt.FocusReason.OtherFocusReason)
        self.answer(f"Type {what}. Enter saves it, Esc cancels.")

    def use_name(self) -> None:
        use, text = self._named, self.name.text().strip()
        if use is not None and self.do(lambda: use(text), "it is kept"):
            self.end_name()

    def end_name(self) -> None:
        self._named = None
        self.name.hide()
        self.wave.setFocus(Qt.FocusReason.OtherFocusReason)
