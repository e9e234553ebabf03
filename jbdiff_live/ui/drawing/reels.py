"""The picture on the screen: a bright reel for the sound that has played, a dim one for the queue.

Shade, lines and numbers of blocks are drawn into the reels when their columns are, once; a frame then only copies.
Drawn over the picture in each frame they took three quarters of its repaint with blocks of
0.75 s, half of it with blocks of 2.23 s.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from jbdiff_live.block import Block, Rung
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.picture import Picture, Pixels

WORDS_ROOM = 220  # logical pixels that the words on a block may take
WORDS_HEIGHT, WORDS_LEFT = 18, 5  # of their line at the top of the picture, and left of their first letter

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


def worded(blocks: Sequence[Block]) -> Iterator[tuple[int, int, str]]:
    """Yield the blocks with words: first frame, end frame, words. Neighbours with the same words are one."""
    start, words = 0, ""
    for before, block in itertools.pairwise((None, *blocks, None)):
        following = "" if block is None else rung_words(block.rung)
        if following == words:
            continue
        if words and before is not None:
            yield start, before.end_frame, words
        start, words = 0 if block is None else block.start_frame, following


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
        """A faint line where each block begins, and words where work begins to be cut short.

        Within `place` (logical pixels), whose left edge shows `column`. The caller clips.
        """
        per = self.picture.frames_per_column
        for block in blocks:
            x = place.x() + (block.start_frame // per - column) / self.ratio
            if place.x() - 1 < x <= place.right():
                painter.fillRect(QRectF(x, place.y(), 1, place.height()), theme.GRID)
        found = list(worded(blocks))
        following = [first for first, _, _ in found[1:]]
        for (first, _, words), following_at in itertools.zip_longest(found, following):
            x = place.x() + (first // per - column) / self.ratio
            room = WORDS_ROOM if following_at is None else (following_at // per - first // per) / self.ratio
            if place.x() - WORDS_ROOM <= x <= place.right():
                _write_words(painter, x, place.y(), words, room)

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
            if blocks and blocks[-1].rung is not Rung.FULL:  # its words may be longer than its sound
                painter.save()
                painter.setClipRect(rest)
                self.mark(painter, rest, max(first, end), blocks)
                painter.restore()
        rows = len(picture.pixels)
        middle = min(max(now, first), end)
        for image, begin, stop in ((self.bright, first, middle), (self.dim, middle, end)):
            for column, at, count in self._parts(begin, stop):
                place = QRectF(area.x() + (column - left) / ratio, area.y(), count / ratio, rows / ratio)
                painter.drawImage(place, image, QRectF(at, 0, count, rows))
        self._hold_words(painter, area, left, blocks)

    def _hold_words(self, painter: QPainter, area: QRectF, left: int, blocks: Sequence[Block]) -> None:
        """Keep the words at the left edge whole: they stay there while the blocks that they stand for leave.

        The words are drawn into the reels, so a plate hides the ones that are cut.
        """
        per = self.picture.frames_per_column
        for first, last, words in worded(blocks):
            begin, end = (area.x() + (frame // per - left) / self.ratio for frame in (first, last))
            if not begin < area.x() < end:
                continue
            wide = WORDS_LEFT + theme.metrics(12).horizontalAdvance(words)
            fits = end - area.x() >= wide
            hidden = wide if fits else max(0.0, begin + wide - area.x())
            painter.fillRect(QRectF(area.x(), area.y(), hidden, WORDS_HEIGHT), theme.BACKGROUND)
            if fits:
                _write_words(painter, area.x(), area.y(), words)


def _write_words(painter: QPainter, x: float, y: float, words: str, room: float = WORDS_ROOM) -> None:
    """Write what was left out of a block that begins at `x`. room: pixels until the next words, which it ends at."""
    painter.save()
    painter.setClipRect(QRectF(x, y, room, WORDS_HEIGHT), Qt.ClipOperation.IntersectClip)
    wide = WORDS_LEFT + theme.width_of(words, 12)
    painter.fillRect(
        QRectF(x + 1, y, wide, WORDS_HEIGHT), theme.BACKGROUND
    )  # the wave would run through them
    painter.setFont(theme.font(12))
    painter.setPen(theme.CAUTION)
    painter.drawText(QPointF(x + WORDS_LEFT, y + 14), words)
    painter.restore()
