"""A small plot: how far from home the noise of the last blocks is. One bar a block; the loudest colour is heard.

Thread: Qt's. Nothing here blocks. It is drawn again when a block is made, or the next one is heard.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QSizePolicy

from jbdiff_live.block import Block
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.noise_walk import NoisePlace, NoiseWalk
from jbdiff_live.ui.drawing.painted import Painted, plate

BLOCKS = 32
HELP = (
    "How far the noise is from home, for the last blocks: at the bottom it is the home noise, at the top nothing of "
    "it is left. A walk comes back only by Home or Re-roll. Computed from the noise's rule."
)


class NoisePath(Painted):
    """`show_blocks` at every look."""

    def __init__(self) -> None:
        super().__init__()
        self.walk = NoiseWalk(BLOCKS)
        self._heard: NoisePlace | None = None
        self.setMinimumSize(44, 46)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Noise path")
        self.setToolTip(HELP)

    def show_blocks(self, blocks: Sequence[Block], frame: int) -> None:
        """Take in the newest blocks. frame: the one that is heard."""
        self.walk.feed(blocks)
        places = self.walk.places
        self._heard = next((p for p in reversed(places) if p.start_frame <= frame), None) if blocks else None
        if self.present(tuple(places), self._heard):
            self.setAccessibleDescription(f"{self.texts()[0]}. {HELP}")

    def value_text(self) -> str:
        """What a screen reader says as the value."""
        return self.texts()[0]

    def texts(self) -> tuple[str, ...]:
        """The place that is heard, in words, longest first."""
        place = self._heard
        if place is None:
            return ("nothing plays", "\N{EN DASH}")
        if place.slot is not None:
            return (f"slot {place.slot + 1}",)
        if place.distance is None:
            return ("not known", "?")
        home = "home" if place.epoch == 0 else f"re-roll {place.epoch}"
        if place.distance < 0.005:
            return (f"at {home}", home, "0.00")
        return (f"{place.distance:.2f} from {home}", f"{place.distance:.2f} away", f"{place.distance:.2f}")

    def draw(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, theme.PANEL)
        line = min(max(16.0, area.height() * 0.15), 24.0)
        foot = QRectF(area.x() + 5, area.bottom() - line - 3, area.width() - 10, line)
        size = int(min(line * 0.74, 15))
        text = theme.first_fitting(self.texts(), foot.width(), size)
        theme.write(painter, foot, text, size, theme.DIM, theme.CENTRE)
        plot = QRectF(foot.x() + 2, area.y() + 7, foot.width() - 4, foot.top() - area.y() - 11)
        if plot.height() >= 8:
            self._draw_bars(painter, plot)

    def _draw_bars(self, painter: QPainter, plot: QRectF) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.fillRect(QRectF(plot.x(), plot.bottom() - 1, plot.width(), 1), theme.FAINT)
        painter.fillRect(QRectF(plot.x(), plot.top(), plot.width(), 1), theme.LINE)
        step, room = plot.width() / BLOCKS, plot.height() - 2
        left = plot.right() - step * len(self.walk.places)
        coming = False
        for number, place in enumerate(self.walk.places):
            x, wide = left + number * step, max(1.0, step - 1)
            if place.jumped and number:
                painter.fillRect(QRectF(x - 1, plot.top(), 1, plot.height()), theme.LINE)
            if place.distance is not None:
                high = max(2.0, place.distance * room)
                colour = theme.TEXT if place is self._heard else theme.FAINT if coming else theme.ACCENT_DIM
                painter.fillRect(QRectF(x, plot.bottom() - 1 - high, wide, high), colour)
            coming = coming or place is self._heard
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
