"""Peak meters, left and right, in dBFS with hold, and the limiter's lamp.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QLinearGradient, QPainter
from PySide6.QtWidgets import QSizePolicy

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, head_of, plate

FLOOR_DB = -54.0
FALL_DB = 24.0  # a second
HOLD_SECONDS = 1.5
LIMITER_SECONDS = 0.5
LIT_FROM_DB = -1.0  # hotter than this is said in the warning colour
HOT = QColor("#d9f58a")  # of the bars, between the accent and the warning


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
    """Both channels, one above the other."""

    stretch = 24

    def __init__(self) -> None:
        super().__init__()
        self.needles = (Needle(), Needle())
        self.limiting = False
        self._limited_at = -math.inf
        self.setAccessibleName("Peak level")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(150)

    def show_peaks(self, peak: tuple[float, float], limited: bool, now: float) -> None:
        """`peak` is linear, left and right; `now` a running clock in seconds."""
        if limited:
            self._limited_at = now
        self.limiting = now - self._limited_at < LIMITER_SECONDS
        for needle, value in zip(self.needles, peak, strict=True):
            needle.follow(dbfs(value), now)
        seen = tuple((self._place(n.level), self._place(n.held)) for n in self.needles)
        if self.present(seen, self.limiting, self._text()):
            self.setAccessibleDescription(
                f"{self._text()} dBFS{', limiter working' if self.limiting else ''}"
            )

    def _text(self) -> str:
        held = max(needle.held for needle in self.needles)
        return f"{held:.1f}" if held > FLOOR_DB else "−∞"

    def _place(self, level: float) -> float:
        """0..1 of the bar, in steps that can be seen."""
        if level <= FLOOR_DB:
            return 0.0
        return round(min(1.0, 1 - level / FLOOR_DB) * 250) / 250

    def face(self) -> tuple[object, ...]:
        return (self.limiting,)

    def _places(self, area: QRectF) -> tuple[QRectF, int, tuple[QRectF, QRectF]]:
        """The line above, the size of its letters, and the two bars."""
        height = area.height()
        head, size = head_of(area)
        top, bar = head.bottom() + height * 0.06, height * 0.19
        left = QRectF(head.x() + 17, top, head.width() - 17, bar)
        return head, size, (left, left.translated(0, bar + height * 0.06))

    def draw_face(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, theme.PANEL)
        head, size, strips = self._places(area)
        theme.write(painter, head, "PEAK dBFS", size, theme.FAINT, bold=True)
        lamp = QRectF(head.right() - size * 3.6, head.y() + 1, size * 3.6, head.height() - 2)
        plate(painter, lamp, theme.CAUTION if self.limiting else theme.RAISED, round_=3)
        theme.write(painter, lamp, "LIMIT", size - 2, theme.BACKGROUND if self.limiting else theme.FAINT,
                    theme.CENTRE, bold=True)  # fmt: skip
        for strip, name in zip(strips, "LR", strict=True):
            theme.write(painter, QRectF(head.x(), strip.y(), 14, strip.height()), name, size - 1, theme.DIM)
            painter.fillRect(strip, theme.RAISED)
        for level in (-48, -36, -24, -12, -6):
            x = strips[0].x() + strips[0].width() * self._place(level)
            gap = strips[1].y() - strips[0].bottom()
            painter.fillRect(QRectF(x, strips[0].bottom(), 1, gap), theme.FAINT)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        head, size, strips = self._places(area)
        hot = max(needle.held for needle in self.needles) > LIT_FROM_DB
        value = self._text().replace("-", "−")
        theme.write(painter, head.adjusted(0, 0, -size * 4.4, 0), value, int(size * 1.25),
                    theme.WARN if hot else theme.TEXT, theme.RIGHT, bold=True)  # fmt: skip
        shades = QLinearGradient(strips[0].topLeft(), strips[0].topRight())
        shades.setColorAt(0, theme.ACCENT_DIM)
        shades.setColorAt(self._place(-12.0), theme.ACCENT)
        shades.setColorAt(self._place(-4.0), HOT)
        shades.setColorAt(1, theme.WARN)
        for strip, needle in zip(strips, self.needles, strict=True):
            lit = strip.width() * self._place(needle.level)
            painter.fillRect(QRectF(strip.x(), strip.y(), lit, strip.height()), shades)
            if (held := self._place(needle.held)) > 0:
                colour = theme.WARN if needle.held > LIT_FROM_DB else theme.TEXT
                place = strip.x() + strip.width() * held - 2
                painter.fillRect(QRectF(place, strip.y(), 2, strip.height()), colour)
