"""Offers to recover takes that a crash broke off. "Recover" is the default; nothing is ever deleted.

Thread: Qt's. The question does not block: the instrument can be played while it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from jbdiff_live.ui.window import MainWindow

NAMED = 5  # takes whose names the question lists


def question(broken: Sequence[Path]) -> str:
    """Return the question in words."""
    names = "\n".join(folder.name for folder in broken[:NAMED])
    more = f"\nand {len(broken) - NAMED} more" if len(broken) > NAMED else ""
    what = "A take was" if len(broken) == 1 else f"{len(broken)} takes were"
    return (
        f"{what} broken off the last time:\n\n{names}{more}\n\n"
        "Recover makes the sound and the log whole again. Later leaves everything as it is and asks again."
    )


def offer_recovery(
    window: MainWindow, broken: Sequence[Path], recover: Callable[[], object]
) -> QMessageBox | None:
    """Ask if the broken takes shall be recovered. Does nothing and returns None if there are none."""
    if not broken:
        return None
    box = QMessageBox(QMessageBox.Icon.Question, "Recover takes?", question(broken), parent=window)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowModality(Qt.WindowModality.NonModal)
    yes = box.addButton("Recover", QMessageBox.ButtonRole.AcceptRole)
    box.addButton("Later", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(yes)
    box.accepted.connect(lambda: window.asker.ask("recover", recover))
    box.show()
    return box
