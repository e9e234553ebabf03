"""The picture on the screen: a bright reel for the sound that has played, a dim one for the queue.

Shade, lines and numbers of blocks are drawn into the reels when their columns are, once; a frame then only copies.
Drawn over the picture in each frame they took three quarters of its repaint with blocks of
0.75 s, half of it with blocks of 2.23 s.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QImage, QPainter

from jbdiff_live.block import Block, Rung
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.picture import Picture, Pixels

WORDS_ROOM = 220  # logical pixels that the words on a block may take


RUNG_WORDS = {
    Rung.FEWER_STEPS: "fewer steps",
    Rung.NO_LEVEL_0: "without level 0",
    Rung.NO_LEVEL_1: "without levels 0 and 1",
    Rung.QUICK_FINISHER: "quick finisher",
    Rung.LOOP: "looping",
    Rung.REPEAT: "looping",
}


def rung_words(rung: Rung) -> str:
    """What a player calls a cheaper block; empty for a whole one."""
    return RUNG_WORDS.get(rung, "")


class Reels:
    """Two images of one `picture`. `ratio` is that of device pixels to logical ones."""

    def __init__(self, picture: Picture, ratio: float) -> None:
        self.picture = picture
        self.ratio = ratio
        self._dim_pixels = picture.pixels.copy()  # the images show these arrays, which have to live as long
        self.bright, self.dim = self._image(picture.pixels), self._image(self._dim_pixels)

    def _image(self, pixels: Pixels) -> QImage:
        rows, columns = pixels.shape
        image = QImage(pixels.data, columns, rows, pixels.strides[0], QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(self.ratio)
        return image

    def work(self, columns: int, blocks: Sequence[Block]) -> int:
        """Draw up to `columns` columns of the picture, with lines and numbers. Return their number."""
        done = self.picture.work(columns)
        end = self.picture.next_column
        for column, at, count in self._parts(end - done, end):
            self._finish(column, at, count, blocks)
        return done

    def _parts(self, first: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Columns `first` to `end` as they lie in the ring: (column, its place, how many from there on)."""
        while first < end:
            at = first % self.picture.capacity
            count = min(end - first, self.picture.capacity - at)
            yield first, at, count
            first += count

    def _finish(self, column: int, at: int, count: int, blocks: Sequence[Block]) -> None:
        """Copy new columns to the dim reel, and draw their lines and numbers on both reels."""
        rows = len(self.picture.pixels)
        place = QRectF(at / self.ratio, 0, count / self.ratio, rows / self.ratio)
        for image in (self.dim, self.bright):
            painter = QPainter(image)
            painter.setClipRect(place)
            if image is self.dim:
                painter.drawImage(place, self.bright, QRectF(at, 0, count, rows))
                painter.fillRect(place, theme.VEIL)
            self.mark(painter, place, column, blocks)
            painter.end()

    def mark(self, painter: QPainter, place: QRectF, column: int, blocks: Sequence[Block]) -> None:
        """A faint line where each block begins, and a warning where work was cut short.

        Within `place` (logical pixels), whose left edge shows `column`. The caller clips.
        """
        painter.setFont(theme.font(12))
        for block in blocks:
            start = block.start_frame // self.picture.frames_per_column
            x = place.x() + (start - column) / self.ratio
            if x < place.x() - WORDS_ROOM or x > place.right():
                continue
            cut = block.rung is not Rung.FULL
            painter.fillRect(QRectF(x, place.y(), 1, place.height()), theme.GRID)
            painter.setPen(theme.CAUTION)
            if cut:
                painter.drawText(QPointF(x + 5, place.y() + 14), rung_words(block.rung))

    def show(self, painter: QPainter, area: QRectF, left: int, now: int, blocks: Sequence[Block]) -> None:
        """Fill `area` (logical pixels): its left edge shows column `left`, and from `now` on all is dim."""
        picture, ratio = self.picture, self.ratio
        known = picture.end_frame // picture.frames_per_column
        first = max(left, -(-picture.first_frame // picture.frames_per_column), known - picture.capacity)
        end = min(left + math.ceil(area.width() * ratio), known - picture.pending)
        begins = min(area.right(), area.x() + (first - left) / ratio)
        ends = max(begins, area.x() + (end - left) / ratio)
        # Only what the picture leaves free is cleared: clearing all of it costs half as much as copying it.
        if begins > area.x():
            painter.fillRect(QRectF(area.x(), area.y(), begins - area.x(), area.height()), theme.BACKGROUND)
        if ends < area.right():
            rest = QRectF(ends, area.y(), area.right() - ends, area.height())
            painter.fillRect(rest, theme.BACKGROUND)
            newest = blocks[-1].start_frame // picture.frames_per_column if blocks else 0
            if blocks and (end - newest) / ratio < WORDS_ROOM:  # its words may be longer than its sound
                painter.save()
                painter.setClipRect(rest)
                self.mark(painter, rest, max(first, end), blocks[-1:])
                painter.restore()
        rows = len(picture.pixels)
        middle = min(max(now, first), end)
        for image, begin, stop in ((self.bright, first, middle), (self.dim, middle, end)):
            for column, at, count in self._parts(begin, stop):
                place = QRectF(area.x() + (column - left) / ratio, area.y(), count / ratio, rows / ratio)
                painter.drawImage(place, image, QRectF(at, 0, count, rows))
