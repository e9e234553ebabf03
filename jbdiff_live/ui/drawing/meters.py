"""Peak meters, left and right, in dBFS with hold, and the limiter's lamp.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QLinearGradient, QMouseEvent, QPainter
from PySide6.QtWidgets import QSizePolicy

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, plate
from jbdiff_live.ui.keys import ENTER

FLOOR_DB = -54.0
FALL_DB = 24.0  # a second
HOLD_SECONDS = 1.5
LIMITER_SECONDS = 0.5
LIT_FROM_DB = -0.1  # the limiter keeps peaks below this; hotter ones are shown in red


def dbfs(peak: float) -> float:
    """Linear peak to dB; silence is -inf."""
    return 20 * math.log10(peak) if peak > 0 else -math.inf


class Needle:
    """One channel: rises at once, falls slowly, and holds its highest for a while."""

    def __init__(self) -> None:
        self.level = self.held = -math.inf
        self._held_at = self._seen_at = -math.inf

    def follow(self, level: float, now: float) -> None:
        passed = now - self._seen_at if self._seen_at > -math.inf else 0.0
        self._seen_at = now
        self.level = max(level, self.level - FALL_DB * passed)
        if self.level < FLOOR_DB - 6:
            self.level = -math.inf
        if level >= self.held or now - self._held_at > HOLD_SECONDS:
            self.held, self._held_at = max(level, self.level), now


class PeakMeter(Painted):
    """Both channels, one above the other, and a lamp that stays lit after the limiter has worked.

    A click, or Enter, puts the lamp out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.needles = (Needle(), Needle())
        self.limiting = False  # now
        self.limited = False  # since the lamp was put out
        self.clipped = False  # a peak reached full scale since then
        self._limited_at = -math.inf
        self.setAccessibleName("Output level")
        self.setToolTip(
            "The highest peak in dB below full scale. LIMIT: the limiter has turned peaks down; CLIP: a peak "
            "reached full scale. The lamp stays until you click it."
        )
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(112)

    def show_peaks(self, peak: tuple[float, float], limited: bool, now: float) -> None:
        """`peak` is linear, left and right; `now` a running clock in seconds."""
        if limited:
            self._limited_at, self.limited = now, True
        self.clipped = self.clipped or max(peak) >= 1.0
        self.limiting = now - self._limited_at < LIMITER_SECONDS
        for needle, value in zip(self.needles, peak, strict=True):
            needle.follow(dbfs(value), now)
        self._show()

    def _show(self) -> None:
        seen = tuple((self._place(n.level), self._place(n.held)) for n in self.needles)
        if self.present(seen, self.limiting, self.limited, self.clipped, self._text(), self.hasFocus()):
            self.setAccessibleDescription(f"{self.value_text()}. {self.toolTip()}")

    def value_text(self) -> str:
        """What a screen reader says as the value."""
        lamp = ", clipped" if self.clipped else ", limiter has worked" if self.limited else ""
        return f"{self._text()} dB{lamp}"

    def put_out(self) -> None:
        """Put the held lamp out."""
        self.limited = self.clipped = False
        self._show()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.put_out()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER:
            self.put_out()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self._show()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._show()

    def _text(self) -> str:
        held = max(needle.held for needle in self.needles)
        return f"{held:.1f}" if held > FLOOR_DB else "−∞"

    def _place(self, level: float) -> float:
        """0..1 of the bar, in steps that can be seen."""
        if level <= FLOOR_DB:
            return 0.0
        return round(min(1.0, 1 - level / FLOOR_DB) * 250) / 250

    def face(self) -> tuple[object, ...]:
        return self.limiting, self.limited, self.clipped

    def _places(self, area: QRectF) -> tuple[QRectF, int, tuple[QRectF, QRectF]]:
        """The line above, the size of its letters, and the two bars."""
        head = QRectF(area.x() + 8, area.y() + 4, area.width() - 16, max(20.0, area.height() * 0.34))
        gap = (area.bottom() - head.bottom()) * 0.12
        bar = (area.bottom() - head.bottom() - 3 * gap) / 2
        top = QRectF(head.x(), head.bottom() + gap, head.width(), bar)
        return head, int(max(12, min(15, area.height() * 0.19))), (top, top.translated(0, bar + gap))

    def draw_face(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, theme.PANEL)
        head, _, strips = self._places(area)
        word = "CLIP" if self.clipped else "LIMIT"
        small = theme.least_nominal()
        width = theme.metrics(small, True).horizontalAdvance("LIMIT") + 8
        lamp = QRectF(head.right() - width, head.y() + 1, width, 18)
        lit = theme.WARN if self.clipped else theme.CAUTION
        fill = lit if self.clipped or self.limiting else theme.RAISED
        plate(painter, lamp, fill, lit if self.limited or self.clipped else None, 2, 3)
        ink = theme.BACKGROUND if fill is lit else lit if self.limited else theme.FAINT
        theme.write(painter, lamp, word, small, ink, theme.CENTRE, bold=True)
        for strip in strips:
            painter.fillRect(strip, theme.RAISED)
        for level in (-48, -36, -24, -12, -6):
            x = strips[0].x() + strips[0].width() * self._place(level)
            painter.fillRect(
                QRectF(x, strips[0].bottom(), 1, strips[1].y() - strips[0].bottom()), theme.FAINT
            )

    def draw(self, painter: QPainter, area: QRectF) -> None:
        head, size, strips = self._places(area)
        hot = max(needle.held for needle in self.needles) > LIT_FROM_DB
        value = self._text().replace("-", "−")
        lamp = theme.metrics(theme.least_nominal(), True).horizontalAdvance("LIMIT") + 12
        ink = theme.WARN if hot else theme.TEXT
        texts = (f"{value} dB", value)
        room = head.adjusted(0, 0, -lamp, 0)
        theme.write(
            painter, room, theme.first_fitting(texts, room.width() - 4, size + 1), size + 1, ink, bold=True
        )
        shades = QLinearGradient(strips[0].topLeft(), strips[0].topRight())
        shades.setColorAt(0, theme.ACCENT_DIM)
        shades.setColorAt(self._place(-12.0), theme.ACCENT)
        shades.setColorAt(self._place(-4.0), theme.HOT)
        shades.setColorAt(1, theme.WARN)
        for strip, needle in zip(strips, self.needles, strict=True):
            lit = strip.width() * self._place(needle.level)
            painter.fillRect(QRectF(strip.x(), strip.y(), lit, strip.height()), shades)
            if (held := self._place(needle.held)) > 0:
                colour = theme.WARN if needle.held > LIT_FROM_DB else theme.TEXT
                place = strip.x() + strip.width() * held - 2
                painter.fillRect(QRectF(place, strip.y(), 2, strip.height()), colour)
        if self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)
