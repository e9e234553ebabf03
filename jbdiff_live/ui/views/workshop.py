"""The workshop view: every knob, and below them how scenes are recalled. Thread: Qt's. Nothing here blocks."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

STRIP_HEIGHT = 46


class WorkshopView(QWidget):
    """panel: the knobs in their groups. scenes: the row of the scenes' knobs."""

    def __init__(self, panel: QWidget, scenes: QWidget) -> None:
        super().__init__()
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(panel, 1)
        column.addWidget(scenes)
        scenes.setFixedHeight(STRIP_HEIGHT)

    @property
    def strip_height(self) -> int:
        """The height that the scenes' knobs take, with the gap above them."""
        return STRIP_HEIGHT + self._column.spacing()
