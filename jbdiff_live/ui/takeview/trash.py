"""The system's trash. Thread: Qt's; blocks on the disk. Nothing is deleted if there is no trash."""

from __future__ import annotations

import contextlib
from pathlib import Path

from PySide6.QtCore import QFile, QStandardPaths

from jbdiff_live.shown import shown


def to_trash(folder: Path) -> None:
    """Move a folder into the system's trash. OSError if the system refuses; the folder then stays where it is."""
    # On Linux the trash lies in this folder, which a new account may not have. Qt does not make it.
    data = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    with contextlib.suppress(OSError):  # without it Qt may still find a trash on the take's own disk
        Path(data).mkdir(parents=True, exist_ok=True)
    answer = QFile.moveToTrash(str(folder))
    moved = answer[0] if isinstance(answer, tuple) else answer
    if not moved:
        raise OSError(
            f"this system has no trash for {shown(folder)}, so nothing was deleted; open the folder and delete it there"
        )
