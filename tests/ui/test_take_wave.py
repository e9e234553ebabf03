"""The wave of a take under the mouse, by itself."""

from __future__ import annotations

import sys

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.ui.takeview.wave import WaveView

LEFT = Qt.MouseButton.LeftButton


def moved(widget: QWidget, to: QPoint) -> QMouseEvent:
    """A move of the mouse with its left button down."""
    at, everywhere = QPointF(to), QPointF(widget.mapToGlobal(to))
    return QMouseEvent(
        QEvent.Type.MouseMove, at, everywhere, Qt.MouseButton.NoButton, LEFT, Qt.KeyboardModifier.NoModifier
    )


def test_a_drag_as_quick_as_a_click_chooses_a_part(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy computer the moves of the mouse come all at once. The drag counted as a click."""
    wave = WaveView()
    qtbot.addWidget(wave)
    wave.resize(600, 200)
    wave.show()
    QApplication.processEvents()
    module = sys.modules[type(wave.scene()).__module__]
    monkeypatch.setattr(module, "getMillis", lambda: 1000)  # no time passes
    dragged: list[tuple[float, float]] = []
    wave.box.dragged.connect(lambda first, last: dragged.append((first, last)))
    place = wave.box.sceneBoundingRect()
    start, end = (
        QPoint(round(place.left() + place.width() * part), round(place.center().y())) for part in (0.25, 0.75)
    )
    port = wave.viewport()
    for at in (start + QPoint(1, 1), start):
        qtbot.mouseMove(port, at)
    qtbot.mousePress(port, LEFT, pos=start)
    QApplication.sendEvent(port, moved(port, end))
    qtbot.mouseRelease(port, LEFT, pos=end)
    left, right = wave.box.viewRange()[0]
    assert dragged and (dragged[-1][1] - dragged[-1][0]) / (right - left) == pytest.approx(0.5, abs=0.02)
