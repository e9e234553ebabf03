"""The window on the real session: keys in, sound and takes out. A test tone stands in for the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot
from small_stacks import write_small_stack
from tone_generator import ToneGenerator

from jbdiff_live.record.take import open_take
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.status import EngineState
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.window import MainWindow

PATIENCE_MS = 90_000


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    options = SessionOptions(device="null", midi=(), takes=tmp_path / "takes")
    session = Session(options, ToneGenerator(block_frames=16_384))
    session.open()
    yield session
    session.close()


@pytest.fixture
def real_window(qtbot: QtBot, qapp: QApplication, session: Session) -> Iterator[MainWindow]:
    theme.apply(qapp)
    window = MainWindow(session)
    window.resize(1280, 720)
    window.show()
    window.activateWindow()
    qtbot.waitActive(window)
    yield window
    window.close()
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_keys_alone_start_record_turn_and_stop(
    qtbot: QtBot, real_window: MainWindow, session: Session, tmp_path: Path
) -> None:
    qtbot.keyClick(real_window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: session.status().frame > 8_000, timeout=PATIENCE_MS)
    assert session.status().engine.state is EngineState.RUNNING
    qtbot.keyClick(real_window, Qt.Key.Key_R)
    qtbot.waitUntil(lambda: session.status().recorder.recording, timeout=PATIENCE_MS)
    qtbot.keyClick(real_window, Qt.Key.Key_M)
    assert session.snapshot().on("mute")
    qtbot.keyClick(real_window, Qt.Key.Key_N)
    assert session.snapshot().counts["reroll"] == 1
    began = session.status().frame
    qtbot.waitUntil(lambda: session.status().frame > began + 20_000, timeout=PATIENCE_MS)
    qtbot.keyClick(real_window, Qt.Key.Key_R)
    for _ in range(2):  # the first press asks
        qtbot.keyClick(real_window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: session.status().engine.state is EngineState.OFFLINE, timeout=PATIENCE_MS)
    (folder,) = (tmp_path / "takes").iterdir()
    sound = open_take(folder).read()
    assert len(sound) > 15_000 and np.abs(sound).max() > 0.1


def test_picture_moves_with_the_sound(qtbot: QtBot, real_window: MainWindow, session: Session) -> None:
    def picture() -> np.ndarray:
        image = real_window.scope.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        pixels = np.frombuffer(image.constBits(), np.uint8)
        return pixels.reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()].copy()

    silent = picture()
    session.start()
    qtbot.waitUntil(lambda: session.status().frame > 44_100, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: (silent != picture()).mean() > 0.02, timeout=PATIENCE_MS)
    session.stop()


def test_a_stack_is_chosen_in_the_window_and_its_parts_come_alive(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small_stack(tmp_path / "small")
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path))
    session = Session(
        SessionOptions(
            device="null", midi=(), takes=tmp_path / "takes", threads=1, ladder=False, finisher=False
        )
    )
    try:
        session.open()
        theme.apply(qapp)
        window = MainWindow(session)
        window.show()
        session.start()
        qtbot.waitUntil(lambda: session.status().frame > 0, timeout=4 * PATIENCE_MS)
        window.look()
        assert window.tiles["finisher_on"].inapplicable
        menu = window.stack.make_menu()
        inside = next(action.menu() for action in menu.actions() if action.text() == "small")
        assert isinstance(inside, QMenu)
        next(action for action in inside.actions() if action.text() == "Levels 2 1 + finisher").trigger()
        menu.close()
        window.look()
        assert window.stack.note == "loading small levels 2 1"
        qtbot.waitUntil(lambda: session.status().stack.name == "small", timeout=4 * PATIENCE_MS)
        window.look()
        assert (window.stack.value, window.stack.note) == ("small", "levels 2 1 + finisher")
        assert not window.tiles["finisher_on"].inapplicable
    finally:
        window.close()
        window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        session.close()
