"""The workshop view: every knob, and below them how scenes are recalled. Thread: Qt's. Nothing here blocks."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

STRIP_HEIGHT, HIGHEST_STRIP = 46, 72  # of the row of the scenes' knobs


class WorkshopView(QWidget):
    """panel: the knobs in their groups. scenes: the row of the scenes' knobs."""

    def __init__(self, panel: QWidget, scenes: QWidget) -> None:
        super().__init__()
        self._scenes = scenes
        self._column = column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(panel, 1)
        column.addWidget(scenes)

    def share_height(self, window: int) -> int:
        """Give the row of the scenes' knobs its height in a window of this height. Return it, with the gap above."""
        height = min(HIGHEST_STRIP, max(STRIP_HEIGHT, int(window * 0.07)))
        self._scenes.setFixedHeight(height)
        return height + self._column.spacing()
