"""The wave of a take, or of two below each other: zoom, playhead, marks, and the chosen part. Times are in seconds.

Thread: Qt's. A part shorter than some seconds is read from the disk while it is drawn, which takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QGraphicsSceneWheelEvent

from jbdiff_live.browse.takes import Mark, Wave, clock_text
from jbdiff_live.ui.asking import REFUSALS
from jbdiff_live.ui.drawing import theme

LEAST_SECONDS = 0.01  # the closest zoom
LANE = 2.1  # height of a lane; full scale is 2
PAN_STEP = 0.2  # of what is visible, for a turn of the wheel


@dataclass(frozen=True)
class Lane:
    """A take's wave at `rate` frames a second."""

    wave: Wave
    rate: int

    @property
    def seconds(self) -> float:
        return self.wave.frames / self.rate


class TimeAxis(pg.AxisItem):  # type: ignore[misc]  # pyqtgraph has no types
    """Minutes and seconds."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [clock_text(max(0.0, value), tenths=spacing < 1) for value in values]


class WaveBox(pg.ViewBox):  # type: ignore[misc]  # pyqtgraph has no types
    """A click seeks, a drag chooses a part, the wheel zooms, Shift and the wheel move along."""

    clicked = Signal(float)
    dragged = Signal(float, float)

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.setMouseEnabled(x=True, y=False)

    def mouseClickEvent(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            self.clicked.emit(self.mapSceneToView(event.scenePos()).x())

    def mouseDragEvent(
        self, event: pg.GraphicsScene.mouseEvents.MouseDragEvent, axis: int | None = None
    ) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            super().mouseDragEvent(event, axis)
            return
        event.accept()
        first, last = (
            self.mapSceneToView(place).x() for place in (event.buttonDownScenePos(), event.scenePos())
        )
        self.dragged.emit(min(first, last), max(first, last))

    def wheelEvent(self, event: QGraphicsSceneWheelEvent, axis: int | None = None) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            left, right = self.viewRange()[0]
            step = (right - left) * PAN_STEP * (-1 if event.delta() > 0 else 1)
            self.translateBy(x=step)
            event.accept()
        else:
            super().wheelEvent(event, axis)


class WaveView(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """`show_lanes` fills it. sought: a place was clicked. part_changed: another part was chosen by mouse."""

    sought = Signal(float)
    part_changed = Signal()

    def __init__(self) -> None:
        # pyqtgraph drops moves that come sooner than 10 ms after the last one, and a quick drag became a click.
        pg.setConfigOption("mouseRateLimit", 0)
        self.box = WaveBox()
        super().__init__(viewBox=self.box, axisItems={"bottom": TimeAxis("bottom")})
        self.setAccessibleName("Wave of the take")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumHeight(110)
        self._lanes: tuple[Lane, ...] = ()
        self._sounding = 0
        self._drawn = -1
        self._marks: list[pg.InfiniteLine] = []
        self._curves: list[pg.PlotCurveItem] = []
        self.problem = ""
        plot = self.getPlotItem()
        plot.hideButtons()
        plot.hideAxis("left")
        self.region = pg.LinearRegionItem(movable=True)
        self.region.hide()
        self.head = pg.InfiniteLine(0.0, angle=90)
        self.head.setZValue(20)
        for item in (self.region, self.head):
            plot.addItem(item)
        self.box.clicked.connect(lambda seconds: self.sought.emit(self._inside(seconds)))
        self.box.dragged.connect(self._drag)
        self.region.sigRegionChangeFinished.connect(lambda: self.part_changed.emit())
        self.box.sigXRangeChanged.connect(lambda *_: self._draw())
        self.wear()

    def wear(self) -> None:
        """Take the colours that the window wears now."""
        self.setBackground(theme.PANEL)
        axis = self.getPlotItem().getAxis("bottom")
        axis.setPen(pg.mkPen(theme.LINE))
        axis.setTextPen(pg.mkPen(theme.DIM))
        axis.setStyle(tickFont=theme.font(12))
        self.head.setPen(pg.mkPen(theme.TEXT, width=2))
        self.region.setBrush(_clear(theme.ACCENT, 45))
        self.region.setHoverBrush(_clear(theme.ACCENT, 60))
        for line in self.region.lines:
            line.setPen(pg.mkPen(theme.ACCENT, width=2))
            line.setHoverPen(pg.mkPen(theme.TEXT, width=2))
        self._colour()

    # ------------------------------------------------------------------ what is shown

    @property
    def seconds(self) -> float:
        """The length of the longest take."""
        return max((lane.seconds for lane in self._lanes), default=0.0)

    def show_lanes(self, lanes: Sequence[Lane], fit: bool = True) -> None:
        """Show one take, or two below each other. fit: show all of them."""
        plot = self.getPlotItem()
        for curve in self._curves:
            plot.removeItem(curve)
        self._lanes, self._drawn, self._curves = tuple(lanes), -1, []
        for _ in self._lanes:
            curve = pg.PlotCurveItem(connect="all")
            curve.setZValue(-5)
            plot.addItem(curve)
            self._curves.append(curve)
        height = LANE * max(1, len(lanes)) / 2
        length = max(self.seconds, LEAST_SECONDS)
        self.box.setLimits(xMin=0.0, xMax=length, minXRange=LEAST_SECONDS, yMin=-height, yMax=height)
        self.box.setYRange(-height, height, padding=0)
        self._colour()
        if fit:
            self.fit()
        self._draw()

    def show_sounding(self, number: int) -> None:
        """Light the lane that sounds."""
        if number != self._sounding:
            self._sounding = number
            self._colour()

    def show_marks(self, marks: Sequence[Mark], rate: int) -> None:
        plot = self.getPlotItem()
        for line in self._marks:
            plot.removeItem(line)
        self._marks = []
        for mark in marks:
            colour = theme.DIM if mark.logged else theme.CAUTION
            line = pg.InfiniteLine(
                mark.at / rate,
                angle=90,
                pen=pg.mkPen(colour, style=Qt.PenStyle.DashLine),
                label=mark.name.replace("{", "{{").replace("}", "}}") or None,  # it is a format
                labelOpts={
                    "position": 0.93,
                    "color": colour,
                    "fill": _clear(theme.PANEL, 200),
                    "movable": False,
                },
            )
            line.setZValue(10)
            plot.addItem(line)
            self._marks.append(line)

    def show_place(self, seconds: float, follow: bool) -> None:
        """Move the playhead. follow: turn to the next page when it leaves what is visible."""
        self.head.setPos(seconds)
        left, right = self.visible
        if follow and not left <= seconds <= right:
            self.box.setXRange(seconds, seconds + right - left, padding=0)

    def grow(self) -> None:
        """Draw what was read since the last call."""
        ready = sum(lane.wave.ready for lane in self._lanes)
        if ready != self._drawn:
            self._draw()

    # ------------------------------------------------------------------ zoom

    @property
    def visible(self) -> tuple[float, float]:
        """The visible part in seconds."""
        left, right = self.box.viewRange()[0]
        return left, right

    def zoom(self, factor: float) -> None:
        """Show `factor` times as much, around the playhead if it is visible, else around the middle."""
        left, right = self.visible
        head = self.head.value()
        centre = head if left <= head <= right else (left + right) / 2
        share = (centre - left) / (right - left)
        wide = min(max((right - left) * factor, LEAST_SECONDS), max(self.seconds, LEAST_SECONDS))
        start = min(max(0.0, centre - share * wide), max(0.0, self.seconds - wide))
        self.box.setXRange(start, start + wide, padding=0)

    def fit(self) -> None:
        """Show all of the take."""
        self.box.setXRange(0.0, max(self.seconds, LEAST_SECONDS), padding=0)

    # ------------------------------------------------------------------ the chosen part

    @property
    def part(self) -> tuple[float, float] | None:
        """The chosen part in seconds; None if no part is chosen."""
        if not self.region.isVisible():
            return None
        first, last = sorted(self.region.getRegion())
        return self._inside(first), self._inside(last)

    def choose_part(self, part: tuple[float, float] | None) -> None:
        self.region.setVisible(part is not None)
        if part is not None:
            self.region.setRegion((self._inside(part[0]), self._inside(part[1])))

    def _drag(self, first: float, last: float) -> None:
        self.choose_part((first, last))

    def _inside(self, seconds: float) -> float:
        return min(max(0.0, seconds), self.seconds)

    # ------------------------------------------------------------------ drawing

    def _colour(self) -> None:
        for number, curve in enumerate(self._curves):
            curve.setPen(pg.mkPen(theme.ACCENT if number == self._sounding else theme.FAINT))

    def _draw(self) -> None:
        left, right = self.visible
        columns = max(64, self.width())
        self._drawn = sum(lane.wave.ready for lane in self._lanes)
        for number, (lane, curve) in enumerate(zip(self._lanes, self._curves, strict=True)):
            middle = 0.0 if len(self._lanes) == 1 else LANE / 2 * (1 if number == 0 else -1)
            try:
                first, peaks = lane.wave.part(int(left * lane.rate), int(right * lane.rate) + 1, columns)
            except REFUSALS as error:
                self.problem = str(error)
                continue
            x = np.repeat(first / lane.rate, 2)
            curve.setData(x, np.clip(peaks, -1, 1).reshape(-1).astype(np.float64) + middle)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if hasattr(self, "_lanes"):  # Qt resizes the widget while it is made
            self._draw()


def _clear(colour: QColor, alpha: int) -> QColor:
    """Return a colour through which one can see."""
    new = QColor(colour)
    new.setAlpha(alpha)
    return new
