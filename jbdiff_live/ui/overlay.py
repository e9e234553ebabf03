"""What lies over the window for a moment: the list of keys, and the two places to drop a sound.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import plate


class Overlay(QWidget):
    """Covers its parent; hidden until needed."""

    def __init__(self, parent: QWidget, name: str) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.hide()

    def cover(self) -> None:
        self.setGeometry(self.window().rect())
        self.raise_()
        self.show()


class KeysOverlay(Overlay):
    """All keys, two columns. A click closes it."""

    def __init__(self, parent: QWidget, rows: Sequence[tuple[str, str]]) -> None:
        super().__init__(parent, "Keys")
        self.rows = tuple(rows)
        self.setAccessibleDescription("; ".join(f"{keys}: {text}" for keys, text in rows))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.SHADE)
        half = -(-len(self.rows) // 2)
        narrow = self.width() < 1100
        pad, cap_wide = (14, 134) if narrow else (32, 168)
        wide, line = min(self.width() - 16, 1240), min(46.0, (self.height() - 112) / half)
        high = line * half + 96
        box = QRectF((self.width() - wide) / 2, (self.height() - high) / 2, wide, high)
        plate(painter, box, theme.PANEL, theme.LINE, 1, 14)
        room = (wide - pad) / 2 - cap_wide - 12 - pad  # all texts in one size, the largest that fits them all
        size = min(theme.fitting(text, room, min(16, round(line * 0.8))) for _, text in self.rows)
        title = QRectF(box.x() + pad, box.y() + 18, box.width() - 2 * pad, 44)
        theme.write(painter, title, "Keys", 26, theme.TEXT, bold=True)
        theme.write(painter, title, "Esc or a click closes this", 15, theme.DIM, theme.RIGHT)
        for index, (keys, text) in enumerate(self.rows):
            column, row = divmod(index, half)
            column_wide = (wide - pad) / 2
            x = box.x() + pad + column * column_wide
            y = box.y() + 74 + row * line
            cap = QRectF(x, y + 2, cap_wide, line - 4)
            plate(painter, cap, theme.RAISED, theme.LINE, 1, 6)
            theme.write(painter, cap.adjusted(6, 0, -6, 0), keys, 16, theme.ACCENT, theme.CENTRE, bold=True)
            place = QRectF(x + cap_wide + 12, y, column_wide - cap_wide - 12 - pad, line)
            theme.write(painter, place, text, size, theme.TEXT)
        painter.end()


class DropZones(Overlay):
    """Two halves: context on the left, init on the right."""

    ZONES = (
        ("context", "CONTEXT", "the next block continues this music"),
        ("init", "INIT", "Resample starts from this sound"),
    )

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, "Drop a sound")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.over = "context"

    def aim(self, x: float) -> str:
        """Which zone lies at `x`; it is lit from now on."""
        zone = self.ZONES[0 if x < self.width() / 2 else 1][0]
        if zone != self.over:
            self.over = zone
            self.update()
        return zone

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.SHADE)
        half = self.width() / 2
        for index, (zone, title, text) in enumerate(self.ZONES):
            lit = zone == self.over
            box = QRectF(index * half + 28, 28, half - 56, self.height() - 56)
            plate(
                painter,
                box,
                theme.ACCENT_DEEP if lit else theme.PANEL,
                theme.ACCENT if lit else theme.LINE,
                4,
                18,
            )
            middle = box.center().y()
            theme.write(painter, QRectF(box.x() + 20, middle - 44, box.width() - 40, 52), title, 44, theme.TEXT,
                        theme.CENTRE, bold=True)  # fmt: skip
            theme.write(painter, QRectF(box.x() + 20, middle + 14, box.width() - 40, 30), text, 19, theme.DIM,
                        theme.CENTRE)  # fmt: skip
        painter.end()
