"""The window is on the screen before anything loads the model."""

from __future__ import annotations

import pytest
from demo_transport import DemoTransport
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.ui import app, first_frame
from jbdiff_live.ui.drawing.scope import Scope
from jbdiff_live.ui.first_frame import FirstFrame
from jbdiff_live.ui.window import MainWindow


def test_the_first_frame_is_painted_before_the_session_is_asked_for_stacks_or_the_model(
    qtbot: QtBot, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both import torch, which takes a second or two from a window that is being painted."""
    order: list[str] = []
    paint, prepare, stacks = Scope.paintEvent, demo.prepare, demo.stacks

    def painting(scope: Scope, event: QPaintEvent) -> None:
        paint(scope, event)
        order.append("painted")

    monkeypatch.setattr(Scope, "paintEvent", painting)
    monkeypatch.setattr(demo, "prepare", lambda: (order.append("model"), prepare()))
    monkeypatch.setattr(demo, "stacks", lambda: (order.append("stacks"), stacks())[1])
    assert app.run(demo, on_ready=MainWindow.close) == 0
    assert order[0] == "painted" and {"model", "stacks"} <= set(order)


def test_a_window_that_is_not_painted_loads_the_model_all_the_same(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may start minimised."""
    monkeypatch.setattr(first_frame, "PATIENCE_MS", 1)
    hidden, called = QWidget(), []
    qtbot.addWidget(hidden)
    FirstFrame(hidden, lambda: called.append(hidden.isVisible()))
    qtbot.waitUntil(lambda: called == [False], timeout=90_000)


def test_it_calls_once_however_often_the_window_is_painted(qtbot: QtBot) -> None:
    shown, called = QWidget(), []
    qtbot.addWidget(shown)
    FirstFrame(shown, lambda: called.append(1))
    shown.show()
    qtbot.waitUntil(lambda: bool(called), timeout=90_000)
    shown.repaint()
    qtbot.wait(0)
    assert called == [1]
