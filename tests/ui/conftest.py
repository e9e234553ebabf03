"""What the window's tests share: no screen needed, a demo session, a window that is closed afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from demo_transport import DemoTransport
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow


class HandClock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def demo() -> DemoTransport:
    return DemoTransport()


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, demo: DemoTransport, clock: HandClock) -> Iterator[MainWindow]:
    """A shown, active window of 1280x720 on the demo session. It shows the workshop view, which has every knob."""
    theme.apply(qapp)
    made = MainWindow(demo, clock=clock)
    made.resize(1280, 720)
    made.show_view(View.WORKSHOP)
    made.show()
    made.activateWindow()
    qtbot.waitActive(made)
    demo.asked.clear()
    yield made
    made.close()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
