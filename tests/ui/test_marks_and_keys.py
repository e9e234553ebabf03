"""The window and what joins the instrument to others: OSC is marked, and free keys may be bound."""

from __future__ import annotations

from dataclasses import replace

from demo_transport import DemoTransport
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from jbdiff_live.status import OscStatus
from jbdiff_live.ui.rows.messages import problems
from jbdiff_live.ui.window import MainWindow


def test_a_mark_says_that_osc_is_on(window: MainWindow, demo: DemoTransport) -> None:
    window.look()
    assert "OSC" not in window.health.midi.note
    demo.set_status(control=replace(demo.state.control, osc=OscStatus("127.0.0.1:9000")))
    window.look()
    assert window.health.midi.note.endswith("OSC on")
    osc = OscStatus("", unusable=3, last_unusable="no parameter 'x'", problem="OSC cannot use 127.0.0.1:9000")
    demo.set_status(control=replace(demo.state.control, osc=osc))
    window.look()
    assert "OSC" not in window.health.midi.note
    found = [message.text for message in problems(demo.status())]
    assert "OSC cannot use 127.0.0.1:9000" in found
    assert "OSC: a message changed nothing: no parameter 'x'" in found


def test_a_key_that_the_window_does_not_use_goes_to_the_bindings(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    for key in (Qt.Key.Key_F5, Qt.Key.Key_Shift):
        qtbot.keyClick(window, key)
    qtbot.keyClick(window, Qt.Key.Key_X, Qt.KeyboardModifier.ControlModifier)
    pressed = [call for call in demo.asked if call[0] == "press_key"]
    assert pressed == [("press_key", "F5"), ("press_key", "Ctrl+X")]
