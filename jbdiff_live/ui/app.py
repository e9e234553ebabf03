"""Runs the window until it is closed.

Thread: the main thread, which becomes Qt's; `run` blocks it until the window is closed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from jbdiff_live.kept.content import WindowPlace
from jbdiff_live.status import Transport
from jbdiff_live.system.ending import on_ending
from jbdiff_live.ui.first_frame import FirstFrame
from jbdiff_live.ui.look import load_look, look_file
from jbdiff_live.ui.place import PlaceWatch, put, show
from jbdiff_live.ui.rows.look_row import wear
from jbdiff_live.ui.window import MainWindow


def run(
    transport: Transport,
    *,
    on_ready: Callable[[MainWindow], object] | None = None,
    place: WindowPlace | None = None,
    on_place: Callable[[WindowPlace], None] | None = None,
) -> int:
    """Show the window, and return the exit status when it is closed. Ctrl-C, SIGTERM and SIGHUP close it too.

    `on_ready` is called with the window after its first frame. The window opens at `place` and reports where it is to
    `on_place`. The caller closes the session afterwards.
    """
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        # Fractional scales are used as they are; pictures stay sharp because they are made in device pixels.
        QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
        app = QApplication(sys.argv[:1])
    app.setApplicationName("jbdiff-live")
    file = look_file()
    wear(load_look(file))
    window = MainWindow(transport, look_file=file)
    put(window, place)
    if on_place is not None:
        PlaceWatch(window, on_place)
    ended = threading.Event()  # a signal may come before there is a loop that it could end

    def end() -> None:
        ended.set()
        app.exit(0)  # whatever dialog is open, its loop ends as well

    # Python runs its handlers between bytecodes; the window's own timer brings some thirty times a second.
    with on_ending(end):
        try:
            show(window, place)
            QTimer.singleShot(0, window, lambda: app.exit(0) if ended.is_set() else None)
            FirstFrame(window, lambda: _painted(window, on_ready))
            return app.exec()
        finally:
            window.close()
            window.deleteLater()
            app.processEvents()


def _painted(window: MainWindow, on_ready: Callable[[MainWindow], object] | None) -> None:
    """Begin to load the model: it takes seconds, and the window is there meanwhile."""
    window.prepare()
    if on_ready is not None:
        on_ready(window)
