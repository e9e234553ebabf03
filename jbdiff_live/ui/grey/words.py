"""Says why a control is grey, in a place that every player gets to.

A tooltip needs a mouse, and the keyboard cannot reach a grey button. So the reason also stands in words: in the text of
a menu's entry, and in a line of a dialog that Tab reaches and a screen reader reads.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QPushButton

from jbdiff_live.ui.drawing import theme


def grey_entry(entry: QAction, why: str) -> None:
    """Grey an entry of a menu that was just made, and write the reason behind its text. Empty: it can be chosen."""
    entry.setEnabled(not why)
    if why:
        entry.setText(f"{entry.text()}: {why}")


def grey_button(button: QPushButton, why: str) -> None:
    """Grey a button, with the reason in its tooltip and its description. Empty: it can be pressed."""
    button.setEnabled(not why)
    button.setToolTip(why)
    button.setAccessibleDescription(why)


class WhyGrey(QLabel):
    """A line that gives the reason of each grey button. It is hidden if no button is grey."""

    def __init__(self) -> None:
        super().__init__()
        self.setFont(theme.font(13))
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.wear()
        self.hide()

    def wear(self) -> None:
        """Take the colours that the window wears now."""
        self.setStyleSheet(
            f"QLabel {{ color: {theme.DIM.name()}; }} QLabel:focus {{ color: {theme.TEXT.name()}; "
            f"border: 2px solid {theme.ACCENT.name()}; border-radius: 4px; }}"
        )

    def show_reasons(self, reasons: Iterable[tuple[str, str]]) -> None:
        """Show the reasons. Each pair is a button's name and its reason; the reason is empty if it can be pressed.

        Buttons with the same reason stand together.
        """
        names: dict[str, list[str]] = {}
        for name, why in reasons:
            if why:
                names.setdefault(why, []).append(name)
        self.setText("  ".join(f"{', '.join(called)}: {why}." for why, called in names.items()))
        self.setVisible(bool(names))
