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
    names = "\n".join(_name(folder) for folder in broken[:NAMED])
    more = f"\nand {len(broken) - NAMED} more" if len(broken) > NAMED else ""
    what = "a take" if len(broken) == 1 else f"{len(broken)} takes"
    return (
        f"The last time, a crash broke off {what}:\n\n{names}{more}\n\n"
        "Recover repairs sound and log. Later changes nothing and asks again at the next start."
    )


def _name(folder: Path) -> str:
    """Return the name of a take. The ring of always recording has takes inside, and may have the name of a take."""
    ring = any(folder.glob("*/take.json"))
    return f"{folder.name}: the last minutes, which are always recorded" if ring else folder.name


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
