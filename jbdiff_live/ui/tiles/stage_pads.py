"""Pads of the stage: panic that is held down, tap with the beat beside it, and the next patch.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QFocusEvent, QHideEvent, QMouseEvent, QPainter

from jbdiff_live.beat.line import ClockSource, ClockState, ClockStatus
from jbdiff_live.parameters import ACTIONS_BY_NAME, FUNCTIONS_BY_NAME
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.tiles.buttons import Pad

HOLD_MILLISECONDS = 500
STEPS = 10  # pictures of the bar that fills meanwhile


class HeldPad(Pad):
    """Panic: the mouse holds it down for half a second, so that a slip of the hand does not end the music.

    The key P and a controller's pad act at once.
    """

    def __init__(self) -> None:
        super().__init__(ACTIONS_BY_NAME["panic"], key="P", warning=True)
        self._done = 0
        self._timer = QTimer(self)
        self._timer.setInterval(HOLD_MILLISECONDS // STEPS)
        self._timer.timeout.connect(self._hold)

    def takes_effect(self) -> str:
        return "hold down"

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self._done = 0
            self._timer.start()
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if not self.rect().contains(event.position().toPoint()):
            self._let_go()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._timer.isActive():  # let go too soon
            self.refused.emit(
                f"{self.label}: hold the mouse button down for half a second, or press {self.key}"
            )
        self._let_go()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._let_go()  # a window or a menu that opens now may keep the release for itself
        super().focusOutEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self._let_go()
        super().hideEvent(event)

    def _let_go(self) -> None:
        self._timer.stop()
        self._done = 0
        self.update()

    def _hold(self) -> None:
        self._done += 1
        if self._done >= STEPS:
            self._timer.stop()
            self.triggered.emit(self.name)
        self.update()

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        if self._done:
            full = QRectF(area.x(), area.bottom() - 6, area.width() * min(1.0, self._done / STEPS), 6)
            painter.fillRect(full, theme.BACKGROUND)
        super().draw_body(painter, area)


class BeatPad(Pad):
    """Bar and beat and the tempo. With the own beat, a hit taps the tempo, and from then on Clock is at tempo."""

    def __init__(self) -> None:
        super().__init__(ACTIONS_BY_NAME["tap"], key="T")
        self.clock = ClockStatus()
        self.setMinimumWidth(104)

    def show_clock(self, clock: ClockStatus) -> None:
        """Show the beat. Repaints when bar, beat or tempo change."""
        seen = self._words(clock)
        if seen != self._words(self.clock):
            self.clock = clock
            self.setAccessibleDescription(f"{', '.join(seen)}. {self.toolTip()}")
            self.update()

    def value_text(self) -> str:
        return self.clock.text()

    @staticmethod
    def _words(clock: ClockStatus) -> tuple[str, str, str]:
        if clock.state is ClockState.NONE:
            return "–.–", "no beat", "" if clock.source is ClockSource.INTERNAL else clock.detail
        return f"{clock.bar}.{clock.beat}", f"{clock.tempo:.1f} BPM", clock.origin_and_state

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        place, tempo, source = self._words(self.clock)
        ink = theme.BACKGROUND if self._down else theme.TEXT
        note = ink if self._down else theme.DIM
        height = area.height()
        small = int(max(12, min(15, height * 0.2)))
        top = QRectF(area.x() + 8, area.y() + 3, area.width() - 16, height * 0.46)
        key = theme.metrics(12).horizontalAdvance("T tap") + 6
        theme.write(painter, top.adjusted(0, 0, -key, 0), place, int(min(height * 0.4, 34)), ink, bold=True)
        theme.write(painter, top, "T tap", 12, note, theme.RIGHT)
        line = QRectF(top.x(), top.bottom(), top.width(), (height - top.bottom() - 3) / 2)
        theme.write(painter, line, "hit a pad" if self.learning else tempo, small, ink, theme.LEFT, bold=True)
        rest = line.translated(0, line.height())
        known = self._outer(source)
        theme.write(painter, rest, theme.first_fitting(known, rest.width(), 12), 12, note)

    def _outer(self, source: str) -> tuple[str, ...]:
        """What the third line says, longest first: the source of the beat, else what a tap does."""
        if not source:
            return "a tap sets Clock to tempo", "tap sets tempo", ""
        return source, self.clock.origin, ""


class NextPad(Pad):
    """Loads the patch after this one, whose name it shows."""

    next_name = ""
    asks = False

    def __init__(self) -> None:
        super().__init__(FUNCTIONS_BY_NAME["next_patch"])

    def show_next(self, name: str, asks: bool = False) -> None:
        """Show which patch comes next; empty if there is none. asks: changes would be lost, so it asks once."""
        if (name, asks) != (self.next_name, self.asks):
            self.next_name, self.asks = name, asks
            self.update()

    def value_text(self) -> str:
        return self.next_name

    def draw_body(self, painter: QPainter, area: QRectF) -> None:
        ink = theme.BACKGROUND if self._down else theme.TEXT
        note = ink if self._down else theme.DIM
        small = int(max(12, min(15, area.height() * 0.2)))
        half = area.height() / 2
        head = QRectF(area.x() + 8, area.y() + half * 0.2, area.width() - 16, half * 0.8)
        said = "hit a pad" if self.learning else "NOT SAVED. AGAIN?" if self.asks else "NEXT PATCH"
        theme.write(painter, head, said, small, note, theme.CENTRE)
        name = head.translated(0, half * 0.85)
        theme.write(
            painter, name, self.next_name or "none", int(min(24, half * 0.62)), ink, theme.CENTRE, bold=True, free=True
        )  # fmt: skip
