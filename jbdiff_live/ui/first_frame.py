"""The moment at which a window is on the screen. Thread: Qt's. Nothing here blocks."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QWidget

PATIENCE_MS = 2000  # a window that starts minimised, or on a locked screen, is not painted


class FirstFrame(QObject):
    """Calls `then` once: when the window has been painted for the first time, or after `PATIENCE_MS` without a paint.

    Work that takes the processor waits for that. A timer of 0 ms after `show` would not do: the screen asks for the
    first frame some milliseconds later.
    """

    def __init__(self, window: QWidget, then: Callable[[], object]) -> None:
        super().__init__(window)
        self._window = window
        self._then: Callable[[], object] | None = then
        window.installEventFilter(self)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self._call)
        self._patience.start(PATIENCE_MS)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Wait for the window's own paint. Its parts are painted in the same turn of the loop, before any timer."""
        if event.type() == QEvent.Type.Paint:
            self._window.removeEventFilter(self)
            self._patience.start(0)
        return False

    def _call(self) -> None:
        then, self._then = self._then, None
        self._window.removeEventFilter(self)
        if then is not None:
            then()
