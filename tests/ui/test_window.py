"""The window as a whole: keys, learning, states in words, problems that stay, files, pictures, closing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from demo_states import LONG_REASON, STATES
from demo_transport import DemoTransport
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QWidget
from pytestqt.qtbot import QtBot

from jbdiff_live.status import EngineState, EngineStatus
from jbdiff_live.system.patch_folders import user_patches_folder
from jbdiff_live.ui import app, keys
from jbdiff_live.ui.window import MainWindow

ROOT = Path(__file__).resolve().parents[2]
Press = Qt.Key


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (Press.Key_Space, ("start",)),
        (Press.Key_R, ("start_recording",)),
        (Press.Key_P, ("trigger", "panic")),
        (Press.Key_H, ("set_parameter", "hold", 1.0)),
        (Press.Key_M, ("set_parameter", "mute", 1.0)),
        (Press.Key_N, ("trigger", "reroll")),
        (Press.Key_B, ("trigger", "home")),
    ],
)
def test_the_instrument_is_played_from_the_keyboard(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, key: Qt.Key, asked: tuple[object, ...]
) -> None:
    qtbot.keyClick(window, key)
    assert demo.asked == [asked]


def test_space_and_r_stop_what_they_started(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    for key in (Press.Key_Space, Press.Key_R, Press.Key_R, Press.Key_Space, Press.Key_Space):
        qtbot.keyClick(window, key)
    assert [call[0] for call in demo.asked] == ["start", "start_recording", "stop_recording", "stop"]


def test_space_starts_even_while_a_knob_or_button_has_the_focus(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    for widget in (window.tiles["seed"], window.tiles["hold"], window.bar.record, window.patch):
        widget.setFocus()
        qtbot.keyClick(widget, Press.Key_Space)
    assert [call[0] for call in demo.asked] == ["start", "stop", "start"], "stop asks once"


def test_alt_and_a_number_focus_a_knob(window: MainWindow, qtbot: QtBot) -> None:
    assert not any(tile.hasFocus() for tile in window.tiles.values())
    qtbot.keyClick(window, Press.Key_3, Qt.KeyboardModifier.AltModifier)
    assert window.panel.numbered[2].hasFocus()
    qtbot.keyClick(window.panel.numbered[2], Press.Key_1, Qt.KeyboardModifier.AltModifier)
    assert window.panel.numbered[0].hasFocus()
    qtbot.keyClick(window.panel.numbered[0], Press.Key_Return)
    assert not window.panel.numbered[0].hasFocus()


def test_tab_goes_through_the_panel_in_reading_order(window: MainWindow, qtbot: QtBot) -> None:
    first, *others = window.panel.tabs
    first.setFocus()
    for expected in others:
        focused = window.focusWidget()
        assert focused is not None
        qtbot.keyClick(focused, Press.Key_Tab)
        assert window.focusWidget() is expected


def test_the_focus_can_be_seen(window: MainWindow) -> None:
    knob = window.tiles["seed"]
    before = knob.grab().toImage()
    knob.setFocus()
    assert knob.grab().toImage() != before


def test_learning_binds_the_next_knob_and_says_so(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    knob = window.tiles["guidance"]
    knob.setFocus()
    qtbot.keyClick(knob, Press.Key_L)
    assert demo.asked == [("learn", "guidance")]
    assert knob.learning
    demo.hear_cc(21)
    window.look()
    assert not knob.learning
    assert knob.binding == "CC 21"
    assert "CC 21" in knob.toolTip()


def test_escape_cancels_learning_and_never_ends_the_music(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot
) -> None:
    window.learn("gain")
    assert window.tiles["gain"].learning
    qtbot.keyClick(window, Press.Key_Escape)
    assert demo.asked == [("learn", "gain"), ("learn", None)]
    assert not window.tiles["gain"].learning
    qtbot.keyClick(window, Press.Key_Escape)
    assert demo.asked[-1] == ("learn", None), "once too often"


def test_learning_pulses(window: MainWindow, clock: object) -> None:
    window.learn("gain")
    tile = window.tiles["gain"]
    pictures = []
    for _ in range(2):
        clock.now += 0.3  # type: ignore[attr-defined]
        window.look()
        pictures.append(tile.grab().toImage())
    assert pictures[0] != pictures[1]


def test_learning_without_a_focused_knob_says_what_to_do(window: MainWindow, qtbot: QtBot) -> None:
    window.setFocus()
    qtbot.keyClick(window, Press.Key_L)
    window.look()
    assert "focus a knob first" in window.notices.toPlainText()


@pytest.mark.parametrize("key", ["F1", "?"])
def test_the_list_of_keys_opens_and_escape_closes_it(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, key: str
) -> None:
    if key == "F1":
        qtbot.keyClick(window, Press.Key_F1)
    else:
        qtbot.keyClicks(window.tiles["seed"], "?")
    assert window.keys.isVisible()
    assert set(window.keys.rows) == set(keys.rows())
    qtbot.keyClick(window, Press.Key_Escape)
    assert not window.keys.isVisible()
    assert demo.asked == []


def test_full_screen_goes_on_and_off(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.keyClick(window, Press.Key_F11)
    assert window.isFullScreen()
    qtbot.keyClick(window, Press.Key_F11)
    assert not window.isFullScreen()


@pytest.mark.parametrize("size", [(1280, 720), (1600, 1000)])
def test_a_failure_shows_its_whole_reason(
    window: MainWindow, demo: DemoTransport, size: tuple[int, int]
) -> None:
    window.resize(*size)
    demo.set_status(engine=EngineStatus(EngineState.FAILED, LONG_REASON))
    window.look()
    QApplication.processEvents()
    line = window.notices
    assert LONG_REASON in line.toPlainText()
    assert window.bar.view.accessibleName() == "State: FAILED"
    assert line.document().size().height() <= line.viewport().height() + 1  # all of it, without scrolling
    assert window.bar.start.text == "START"


def test_a_reason_longer_than_the_line_can_grow_is_scrolled_not_cut(
    window: MainWindow, demo: DemoTransport
) -> None:
    reason = "word " * 900 + "the end"
    demo.set_status(engine=EngineStatus(EngineState.FAILED, reason))
    window.look()
    QApplication.processEvents()
    assert window.notices.toPlainText().endswith("the end")
    assert window.notices.verticalScrollBar().isVisible()


def test_a_detail_too_long_for_the_bar_is_read_below_it(window: MainWindow, demo: DemoTransport) -> None:
    detail = "reading " + "/very/long/folder" * 20
    demo.set_status(engine=EngineStatus(EngineState.LOADING, detail))
    window.look()
    assert detail in window.notices.toPlainText()


def test_problems_stay_until_they_are_resolved(window: MainWindow, demo: DemoTransport) -> None:
    good = demo.state
    demo.set_status(
        audio=replace(good.audio, problem="device went away"),
        recorder=replace(good.recorder, problem="disk is full"),
        control=replace(good.control, problem="port is taken"),
        message="loaded patch",
    )
    for _ in range(3):
        window.look()
    text = window.notices.toPlainText()
    for part in ("device went away", "disk is full", "port is taken", "loaded patch"):
        assert part in text
    demo.state = good
    window.look()
    assert "disk is full" not in window.notices.toPlainText()


@pytest.mark.parametrize(
    "error", [KeyError("no patch 'x'"), ValueError("bad"), OSError("gone"), RuntimeError("busy")]
)
def test_a_refused_wish_is_shown_until_it_is_granted(
    window: MainWindow, demo: DemoTransport, error: Exception
) -> None:
    demo.refuse["load_patch"] = error
    window.files.load_patch(Path("x.toml"))
    assert f"load patch: {error.args[0]}" in window.notices.toPlainText()
    window.look()
    assert str(error.args[0]) in window.notices.toPlainText()
    demo.refuse.clear()
    window.files.load_patch(Path("x.toml"))
    assert str(error.args[0]) not in window.notices.toPlainText()


def test_a_refused_wish_can_be_dismissed(window: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    demo.refuse["start"] = RuntimeError("no device")
    window.start_stop()
    qtbot.mouseDClick(window.notices.viewport(), Qt.MouseButton.LeftButton)
    window.look()
    assert "no device" not in window.notices.toPlainText()


def test_a_session_that_cannot_be_looked_at_does_not_end_the_window(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> object:
        raise RuntimeError("the session is closing")

    monkeypatch.setattr(demo, "status", broken)
    window.look()
    assert "the session is closing" in window.notices.toPlainText()


def entries(menu: QMenu) -> dict[str, object]:
    return {action.text(): action for action in menu.actions()}


def test_device_lists_are_asked_for_when_opened(
    window: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "audio_devices", lambda: ["New & shiny"])
    menu = window.devices.output.make_menu()
    entries(menu)["New && shiny"].trigger()  # type: ignore[attr-defined]
    assert demo.asked == [("choose_audio_device", "New & shiny")]
    menu.deleteLater()


def test_several_midi_inputs_can_be_on(window: MainWindow, demo: DemoTransport) -> None:
    for name in demo.midi_inputs():
        menu = window.devices.midi.make_menu()
        entries(menu)[name].trigger()  # type: ignore[attr-defined]
        menu.deleteLater()
        window.look()
    assert demo.state.control.connected == tuple(demo.midi_inputs())
    menu = window.devices.midi.make_menu()
    assert all(action.isChecked() for action in menu.actions() if action.isCheckable())
    menu.actions()[0].trigger()
    menu.deleteLater()
    assert demo.state.control.connected == (demo.midi_inputs()[1],)


def test_patches_are_loaded_from_the_list_and_saved_under_a_name(
    window: MainWindow, demo: DemoTransport, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    menu = window.patch.make_menu()
    entries(menu)["slow glass"].trigger()  # type: ignore[attr-defined]
    menu.deleteLater()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    proposed: list[str] = []

    def save(*given: str) -> tuple[str, str]:
        proposed.append(given[2])
        return str(tmp_path / "dusk"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", save)
    qtbot.keyClick(window, Press.Key_S, Qt.KeyboardModifier.ControlModifier)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "dawn.toml"), ""))
    menu = window.patch.make_menu()
    next(entry for entry in menu.actions() if entry.text().startswith("Load a file")).trigger()
    menu.deleteLater()
    assert demo.asked == [
        ("load_patch", Path("patches/slow-glass.toml")),
        ("save_patch", tmp_path / "dusk.toml", "dusk"),
        ("load_patch", tmp_path / "dawn.toml"),
    ]
    own = user_patches_folder()
    assert own is not None and proposed == [str(own / "slow-glass.toml")] and own.is_dir(), (
        "the player's own folder"
    )


@pytest.mark.parametrize(("part", "role"), [(0.25, "context"), (0.75, "init")])
def test_a_sound_dropped_on_the_window_goes_where_it_was_dropped(
    window: MainWindow, demo: DemoTransport, tmp_path: Path, part: float, role: str
) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path / "loop.wav"))])
    at = QPoint(round(window.width() * part), 300)
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(window, QDragEnterEvent(at, copy, data, left, none))
    assert window.zones.isVisible() and window.zones.over == role
    QApplication.sendEvent(window, QDropEvent(QPointF(at), copy, data, left, none))
    assert not window.zones.isVisible()
    assert demo.asked == [(f"load_{role}_file", tmp_path / "loop.wav")]


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_drawn(window: MainWindow, demo: DemoTransport, state: str) -> None:
    STATES[state](demo, lambda: None)
    window.look()
    QApplication.processEvents()
    assert not window.grab().toImage().isNull()


def test_nothing_is_repainted_while_nothing_changes(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        window.look()
    QApplication.processEvents()
    updates: list[str] = []
    for widget in window.findChildren(QWidget):
        monkeypatch.setattr(widget, "update", lambda *_, w=widget: updates.append(repr(w)))
    window.look()
    assert updates == []


def test_closing_leaves_no_timer_and_no_thread(qtbot: QtBot, demo: DemoTransport) -> None:
    threads = set(threading.enumerate())
    made = MainWindow(demo)
    made.show()
    timers = made.findChildren(QTimer)
    assert any(timer.isActive() for timer in timers)
    made.close()
    assert not any(timer.isActive() for timer in timers)
    assert set(threading.enumerate()) == threads
    made.deleteLater()


def test_run_shows_the_window_and_returns_when_it_is_closed(qtbot: QtBot, demo: DemoTransport) -> None:
    seen: list[bool] = []

    def ready(window: MainWindow) -> None:
        seen.append(window.isVisible())
        window.close()

    assert app.run(demo, on_ready=ready) == 0
    assert seen == [True]


def test_ctrl_c_closes_the_window() -> None:
    code = (
        "import os, signal; from demo_transport import DemoTransport; from jbdiff_live.ui.app import run;"
        "print('closed', run(DemoTransport(), on_ready=lambda w: os.kill(os.getpid(), signal.SIGINT)))"
    )
    env = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'ui'}",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, "closed 0"), done.stderr


def test_the_window_never_pulls_in_the_model_or_a_device() -> None:
    code = (
        "import sys, jbdiff_live.ui.app;"
        "print([m for m in ('torch', 'jbdiff', 'sounddevice', 'mido', 'rtmixer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_real_x_server_shows_the_same_window(tmp_path: Path) -> None:
    """Starts an Xvfb of its own, takes a picture through it, and looks whether anything is on it."""
    read, write = os.pipe()
    try:
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        os.close(read)
        os.close(write)
        pytest.skip("no Xvfb here")
    os.close(write)
    try:
        with os.fdopen(read) as numbers:
            display = numbers.readline().strip()
        assert display, "Xvfb did not come up"
        out = tmp_path / "window.png"
        env = {**os.environ, "DISPLAY": f":{display}", "QT_QPA_PLATFORM": "xcb"}
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "screenshot"), "--out", str(out)],
            env=env, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    finally:
        server.terminate()
        server.wait(timeout=10)
    picture = QImage(str(out))
    assert (picture.width(), picture.height()) == (1600, 1000)
    colours = {picture.pixel(x, y) for x in range(0, 1600, 8) for y in range(0, 1000, 8)}
    assert len(colours) > 200
