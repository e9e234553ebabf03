"""What guards a concert: stop, close and the next patch ask first, and digits do what they are pressed for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import HandClock
from demo_transport import DemoTransport
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog, QMessageBox
from pytestqt.qtbot import QtBot

from jbdiff_live.status import EngineState, EngineStatus
from jbdiff_live.ui.rows.transport_bar import room_left
from jbdiff_live.ui.tiles.stage_pads import STEPS
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow

Press = Qt.Key


def test_one_press_of_stop_asks_and_does_not_end_the_music(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, clock: HandClock
) -> None:
    window.start_stop()
    demo.advance(0.1)
    qtbot.mouseClick(window.bar.start, Qt.MouseButton.LeftButton)
    assert [call[0] for call in demo.asked] == ["start"] and window.bar.start.text == "STOP?"
    clock.now += 3.1
    window.look()
    assert window.bar.start.text == "STOP", "the question goes away"
    for _ in range(2):
        qtbot.keyClick(window, Press.Key_Space)
    assert [call[0] for call in demo.asked] == ["start", "stop"]


def test_start_is_taken_back_at_once_while_nothing_sounds(window: MainWindow, demo: DemoTransport) -> None:
    demo.set_status(engine=EngineStatus(EngineState.LOADING, "loading the model: pocket"))
    window.look()
    window.start_stop()
    assert [call[0] for call in demo.asked] == ["stop"]


@pytest.mark.parametrize("answer", [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Close])
def test_closing_while_it_plays_or_records_asks_first(
    window: MainWindow,
    demo: DemoTransport,
    monkeypatch: pytest.MonkeyPatch,
    answer: QMessageBox.StandardButton,
) -> None:
    asked: list[str] = []

    def question(*given: object) -> QMessageBox.StandardButton:
        asked.append(str(given[2]))
        return answer

    monkeypatch.setattr(QMessageBox, "question", question)
    assert window.may_close() and not asked, "nothing plays"
    demo.start()
    demo.start_recording()
    window.look()
    closing = window.may_close()
    assert (
        closing is (answer is QMessageBox.StandardButton.Close)
        and "The take ends here and is kept" in asked[0]
    )


def test_next_patch_shows_and_loads_the_one_after_this(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    window.look()
    assert window.foot.following.next_name == "slow glass"
    qtbot.mouseClick(window.foot.following, Qt.MouseButton.LeftButton)
    assert demo.asked == [("load_patch", Path("patches/slow-glass.toml"))]
    assert window.foot.following.next_name == "first light", "around the end of the list"


def test_a_changed_patch_is_marked_and_a_double_click_goes_back_to_its_value(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    demo.set_status(patch_values={"resample": 0.4})
    demo.set_parameter("resample", 0.4)
    window.look()
    assert window.patch.note == "program 12"
    window.set_parameter("resample", 0.7)
    demo.set_status(undo=replace(demo.state.undo, modified=True))
    window.look()
    assert window.patch.note == "changed, program 12"
    qtbot.mouseDClick(window.tiles["resample"], Qt.MouseButton.LeftButton)
    assert demo.snapshot()["resample"] == 0.4


@pytest.mark.parametrize(
    ("hours", "words"), [(5.2, "312 min left"), (12.5, "12 h left"), (47.9, "47 h left"), (48, "days left")]
)
def test_much_room_on_the_disk_is_read_in_hours_and_days(hours: float, words: str) -> None:
    """It said "2878 min left"."""
    assert room_left(hours * 3600) == words


def test_the_room_for_a_take_is_read_in_minutes(window: MainWindow, demo: DemoTransport) -> None:
    window.look()
    assert window.bar.record.note == "R, 312 min left"
    demo.start_recording()
    window.look()
    assert window.bar.record.note == "312 min left"
    demo.set_status(recorder=replace(demo.state.recorder, seconds_left=None))
    window.look()
    assert window.bar.record.note == "recording"


def test_panic_by_mouse_is_held_for_half_a_second_and_the_key_acts_at_once(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    pad = window.bar.panic
    qtbot.mouseClick(pad, Qt.MouseButton.LeftButton)
    for _ in range(STEPS - 1):
        pad._hold()
    assert demo.asked == [], "a click, and a hold that is too short"
    qtbot.mousePress(pad, Qt.MouseButton.LeftButton)
    assert pad._timer.isActive()
    qtbot.waitUntil(lambda: demo.asked == [("trigger", "panic")])
    qtbot.mouseRelease(pad, Qt.MouseButton.LeftButton)
    qtbot.keyClick(window, Press.Key_P)
    assert demo.asked == [("trigger", "panic")] * 2 and not pad._timer.isActive()


def test_the_next_patch_asks_before_it_drops_changes(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, clock: HandClock
) -> None:
    pad = window.foot.following
    demo.set_status(undo=replace(demo.state.undo, modified=True))
    window.look()
    qtbot.mouseClick(pad, Qt.MouseButton.LeftButton)
    assert pad.asks and "load_patch" not in [call[0] for call in demo.asked]
    hint = "first light has changes that are not saved. Once more loads slow glass."
    assert hint in window.notices.toPlainText(), "two words on the pad do not say what is asked"
    clock.now += 3.1
    window.look()
    assert not pad.asks, "the question goes away"
    for _ in range(2):
        qtbot.mouseClick(pad, Qt.MouseButton.LeftButton)
    assert [call[0] for call in demo.asked].count("load_patch") == 1 and not pad.asks
    window.look()
    assert "not saved" not in window.notices.toPlainText()


def test_after_a_turn_and_after_a_typed_value_the_digits_recall_scenes(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    knob = window.stage.rings[0]
    window.show_view(View.STAGE)
    for key in (Press.Key_Period, Press.Key_5, Press.Key_Return):
        knob.setFocus()
        qtbot.keyClick(knob, key)
    assert not knob.hasFocus() and demo.snapshot()[knob.name] == 0.5
    qtbot.keyClick(window, Press.Key_2)
    assert ("recall_scene", 2) in demo.asked


def test_after_a_dialog_the_digits_recall_scenes_and_type_into_no_knob(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    """Qt gives a window that becomes active the focus of its first knob, if nothing has it."""
    window.show_view(View.STAGE)
    knob = window.stage.rings[0]
    knob.setFocus()
    for key in (Press.Key_Period, Press.Key_5, Press.Key_Return):
        qtbot.keyClick(knob, key)
    dialog = QDialog()
    dialog.show()
    dialog.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is dialog, timeout=90_000)
    dialog.close()
    window.activateWindow()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is not None, timeout=90_000)
    focused = QApplication.focusWidget()
    assert focused is window
    qtbot.keyClick(focused, Press.Key_2)
    assert ("recall_scene", 2) in demo.asked


def test_the_windows_events_are_not_handled_in_python() -> None:
    """Qt paints all of a window inside `event`. Python would keep the interpreter from the engine until it is shown."""
    ours = [kind for kind in MainWindow.__mro__ if kind.__module__.startswith("jbdiff_live")]
    assert len(ours) > 1 and not [kind for kind in ours if "event" in vars(kind)]
