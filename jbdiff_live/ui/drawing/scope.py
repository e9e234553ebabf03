"""The scrolling picture: the last ten seconds or so left of the playhead, the queue dimmer to its right.

The picture itself is a ring of pixels (`picture.py`), shown from two reels (`reels.py`); a frame here is some
unscaled copies of them and two lines. Plain Qt rather than pyqtgraph: a frame of 960x540 takes 0.7 ms of the processor
here, and 2.0 ms as scrolled image items, 3.7 ms with axes; at 1920x1080 1.7, 4.1 and 6.8 ms (`scripts/bench_picture`
on two cores of an AMD EPYC; docs/window.md).

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from jbdiff_live.block import SAMPLE_RATE, Block
from jbdiff_live.status import Status
from jbdiff_live.ui.coming import Mark
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.picture import HIGH_HZ, LOW_HZ, Picture
from jbdiff_live.ui.drawing.reels import Reels

HEARD_SECONDS = 10.0
LEAST_QUEUE_SECONDS, MOST_QUEUE_SECONDS = 2.0, 6.0
WAVE_PART = 0.3  # of the height
GUTTER, RULER = 42, 20  # logical pixels for the frequencies and for the seconds
COLUMNS_PER_FRAME = 24  # of spectrogram, 1 ms: even at 15 frames a second three times what arrives


NAME_PIXELS, NAME_HEIGHT = 12, 18  # of the names of changes
NAMES_TOP, MESSAGE_OVER = (
    16,
    10,
)  # pixels above the names, and those that a line of messages hides at the bottom
MOST_NAMES = 4  # at one moment; the rest is counted
MOST_LABELS = 200  # drawn names that are kept


class Playhead:
    """The smooth position of the sound. The status's position jumps by a device block, which the eye would see.

    It runs with the clock, moves towards the status's position, and stops when that stops.
    """

    LEAN = 4.9  # of the distance, a second: 0.15 of it at thirty looks a second
    JUMP_SECONDS = 0.3  # further off than this is a jump, not jitter
    PATIENCE_SECONDS = 0.15  # without news before it stops running ahead

    def __init__(self) -> None:
        self.frame = 0.0
        self._told = -1
        self._told_at = 0.0
        self._looked_at = 0.0

    def look(self, told: int, sample_rate: int, now: float) -> int:
        """Return the frame to draw at second `now`. told: the frame of the status."""
        if told != self._told:
            self._told, self._told_at = told, now
        running = now - self._told_at < self.PATIENCE_SECONDS
        passed, self._looked_at = max(0.0, now - self._looked_at), now
        self.frame += passed * sample_rate if running else 0.0
        away = told - self.frame
        if abs(away) > self.JUMP_SECONDS * sample_rate:
            self.frame = float(told)
        else:
            self.frame += away * (1 - math.exp(-self.LEAN * passed))  # the same at any number of looks
        return int(self.frame)


class Scope(QWidget):
    """Waveform and spectrogram. Call `advance` once a frame with what is new."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(320, 40)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Waveform and spectrogram")
        self.setAccessibleDescription("The last ten seconds heard, and what is queued")
        self._playhead = Playhead()
        self._reels: Reels | None = None
        self._labels: dict[tuple[object, ...], QPixmap] = {}
        self._made_for: tuple[object, ...] = ()
        self._blocks: tuple[Block, ...] = ()
        self._frame = 0
        self._sample_rate = SAMPLE_RATE
        self._queue_seconds = LEAST_QUEUE_SECONDS
        self._drawn: tuple[object, ...] = ()
        self._marks: tuple[Mark, ...] = ()
        self._behind = False  # it was hidden, so all that came in meanwhile is still to be drawn

    def sizeHint(self) -> QSize:
        return QSize(900, 360)

    def show_marks(self, marks: tuple[Mark, ...]) -> None:
        """Show the changes that travel with the sound. They move with each `advance`."""
        if marks != self._marks:
            self._marks = marks
            self.update(self._area())

    # Geometry, in logical pixels

    def _area(self) -> QRect:
        return QRect(GUTTER, 0, max(16, self.width() - GUTTER), max(16, self.height() - RULER))

    def _playhead_x(self) -> int:
        area = self._area()
        return area.x() + round(area.width() * HEARD_SECONDS / (HEARD_SECONDS + self._queue_seconds))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._drawn = ()
        super().resizeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        self._behind = True
        super().showEvent(event)

    # Once a frame

    def advance(self, status: Status, blocks: tuple[Block, ...], now: float) -> None:
        """Take in new blocks, draw some columns, and move on. Repaint only if something moved.

        The first call after the picture was hidden draws all columns: some at a time would leave it blank for a second.
        """
        self._sample_rate = status.sample_rate
        wanted = 2.2 * status.engine.block_duration
        self._queue_seconds = math.ceil(min(MOST_QUEUE_SECONDS, max(LEAST_QUEUE_SECONDS, wanted)))
        reels = self._fitting_reels()
        picture = reels.picture
        picture.feed(blocks)
        worked = reels.work(picture.capacity if self._behind else COLUMNS_PER_FRAME, blocks)
        self._behind = False
        self._blocks = blocks
        self._frame = self._playhead.look(status.frame, status.sample_rate, now)
        drawn = (self._frame // picture.frames_per_column, picture.end_frame, self._made_for)
        if worked or drawn != self._drawn:
            self._drawn = drawn
            self.update(self._area())

    def _fitting_reels(self) -> Reels:
        """The picture at the present size; a new size draws everything again, once."""
        area, ratio = self._area(), self.devicePixelRatioF()
        wide, high = math.ceil(area.width() * ratio), math.ceil(area.height() * ratio)
        made_for = (wide, high, ratio, self._sample_rate, self._queue_seconds, theme.look_number())
        if self._reels is None or made_for != self._made_for:
            self._made_for = made_for
            per_column = max(1, round((HEARD_SECONDS + self._queue_seconds) * self._sample_rate / wide))
            wave = max(8, round(high * WAVE_PART))
            # Some columns more than fit, so that sound queued beyond the edge is drawn before it comes in.
            picture = Picture(self._sample_rate, per_column, wide + wide // 4, wave, max(8, high - wave))
            picture.feed(self._blocks)
            self._reels = Reels(picture, ratio)
            self._reels.work(picture.capacity, self._blocks)
            self.update()
        return self._reels

    # Drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        area, playhead = self._area(), self._playhead_x()
        if not area.contains(event.rect()):
            painter.fillRect(self.rect(), theme.BACKGROUND)
            self._draw_scales(painter, area, playhead)
        painter.setClipRect(area)
        if (reels := self._reels) is not None:
            now = self._frame // reels.picture.frames_per_column
            left = now - round((playhead - area.x()) * reels.ratio)
            reels.show(painter, QRectF(area), left, now, self._blocks)
        wave_bottom = area.y() + round(area.height() * WAVE_PART)
        painter.fillRect(area.x(), wave_bottom, area.width(), 1, theme.LINE)
        painter.fillRect(playhead - 1, area.y(), 2, area.height(), theme.TEXT)
        self._draw_marks(painter, area, playhead)  # over the line of "now", which would cross their names
        painter.end()

    def _draw_marks(self, painter: QPainter, area: QRect, playhead: int) -> None:
        """Draw a line for each moment with changes, and their names beside it. What has been heard is pale."""
        per_second = (playhead - area.x()) / HEARD_SECONDS
        moments: dict[int, list[Mark]] = {}
        for mark in self._marks:
            moments.setdefault(mark.frame, []).append(mark)
        taken: list[QRectF] = []  # by names; what is on its way goes first
        for frame in sorted(moments, key=lambda frame: (frame <= self._frame, abs(frame - self._frame))):
            marks, comes = moments[frame], frame > self._frame
            x = playhead + (frame - self._frame) / self._sample_rate * per_second
            x = min(x, area.right() - 1)  # what comes later than the picture reaches waits at its edge
            if x < area.x():  # the names go with their line: they would be cut at the edge
                continue
            colour, width = (theme.ACCENT, 2.0) if comes else (theme.FAINT, 1.0)
            line = Qt.PenStyle.DotLine if marks[0].waits else Qt.PenStyle.SolidLine
            painter.setPen(QPen(colour, width, line))
            painter.drawLine(QPointF(x, area.y()), QPointF(x, area.bottom()))
            self._draw_names(painter, area, x, [mark.text for mark in marks], comes, taken)

    def _draw_names(
        self, painter: QPainter, area: QRect, x: float, names: list[str], comes: bool, taken: list[QRectF]
    ) -> None:
        """Draw the names of one moment, right of its line; left of it at the right edge. None on another name.

        taken: the places of the names so far; these are added.
        """
        widest = max(theme.width_of(name, NAME_PIXELS, True) for name in (*names, "and 9 more")) + 10
        left = x + 3 if x + 3 + widest <= area.right() else x - 3 - widest
        high = theme.grown(NAME_HEIGHT)
        below = area.height() - NAMES_TOP - MESSAGE_OVER
        rows = max(1, min(MOST_NAMES, below // high))
        places = [QRectF(left, area.y() + NAMES_TOP + row * high, widest, high - 1) for row in range(rows)]
        free = [place for place in places if not any(place.intersects(other) for other in taken)]
        if len(names) > len(free):
            kept = max(0, len(free) - 1)
            names = [*names[:kept], f"and {len(names) - kept} more" if kept else f"{len(names)} changes"]
        for place, name in zip(free, names, strict=False):
            taken.append(place)
            painter.drawPixmap(place.topLeft(), self._label(name, comes, place))

    def _label(self, name: str, comes: bool, place: QRectF) -> QPixmap:
        """Return a name on its ground. It is kept: it moves with each frame, and writing costs more than copying."""
        ratio = self.devicePixelRatioF()
        wide, high = math.ceil(place.width() * ratio), math.ceil(place.height() * ratio)
        key = (name, comes, wide, high, ratio, theme.look_number())
        if (kept := self._labels.get(key)) is None:
            if len(self._labels) >= MOST_LABELS:
                self._labels.clear()
            kept = self._labels[key] = QPixmap(wide, high)
            kept.setDevicePixelRatio(ratio)
            ground = QColor(theme.ACCENT_DEEP if comes else theme.VEIL)
            kept.fill(ground)
            painter = QPainter(kept)
            ink = theme.TEXT if comes else theme.DIM
            inside = QRectF(5, 0, place.width() - 8, place.height())
            theme.write(painter, inside, name, NAME_PIXELS, ink, bold=comes)
            painter.end()
        return kept

    def _draw_scales(self, painter: QPainter, area: QRect, playhead: int) -> None:
        wave = round(area.height() * WAVE_PART)
        small, last = 12, float("inf")
        theme.write(painter, QRectF(0, 2, GUTTER - 8, 16), "L+R", small, theme.FAINT, theme.RIGHT)
        top, height = area.y() + wave, area.height() - wave
        for hz, text in ((50, "50"), (100, "100"), (200, "200"), (500, "500"), (1000, "1k"), (2000, "2k"),
                         (5000, "5k"), (10_000, "10k")):  # fmt: skip
            place = math.log(hz / LOW_HZ) / math.log(HIGH_HZ / LOW_HZ)
            y = top + (1 - place) * height
            if last - y < 15 or y - 8 < top - wave + 18:  # no room under the label above
                continue
            last = y
            theme.write(painter, QRectF(0, y - 8, GUTTER - 8, 16), text, small, theme.FAINT, theme.RIGHT)
            painter.fillRect(QRectF(GUTTER - 5, y, 4, 1), theme.LINE)
        for second in range(-int(HEARD_SECONDS), int(self._queue_seconds) + 1):
            x = playhead + (playhead - area.x()) * second / HEARD_SECONDS
            painter.fillRect(QRectF(x, area.bottom() + 1, 1, 4), theme.LINE)
            if second == 0 or (second % 2 == 0 and -HEARD_SECONDS < second < self._queue_seconds):
                text, colour = (
                    ("now", theme.TEXT) if second == 0 else (f"{second:+d} s".replace("-", "−"), theme.FAINT)
                )
                theme.write(
                    painter,
                    QRectF(x - 30, area.bottom() + 4, 60, RULER - 4),
                    text,
                    small,
                    colour,
                    theme.CENTRE,
                )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(Qt.PenStyle.NoPen))
        painter.setBrush(theme.TEXT)
        base = area.bottom() + 1
        painter.drawPolygon(
            QPolygonF(
                [QPoint(playhead - 5, base + 5), QPoint(playhead + 5, base + 5), QPoint(playhead, base)]
            )
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
