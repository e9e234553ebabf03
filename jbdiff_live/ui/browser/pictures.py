"""The pictures of takes, made small for the list and the pane. Thread: Qt's. A picture is read once in milliseconds."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPixmap

MOST = 200  # small pictures that are kept


class Pictures:
    """`small` gives a picture of a size. A file that cannot be read gives an empty one."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, int, int, int], QPixmap] = {}

    def small(self, path: Path, size: QSize) -> QPixmap:
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return QPixmap()
        key = (path, changed, size.width(), size.height())
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST:
                self._kept.clear()
            whole = QPixmap(str(path))
            found = (
                whole
                if whole.isNull()
                else whole.scaled(
                    size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
                )
            )
            self._kept[key] = found
        return found
