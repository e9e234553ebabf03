"""The settings view: model, folders and takes are chosen there, loudness is read there, and it fits in two pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from demo_transport import POCKET, DemoTransport, stack_status
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog, QMenu
from pytestqt.qtbot import QtBot

from jbdiff_live.beat.line import ClockSource, ClockState, ClockStatus
from jbdiff_live.beat.link import MISSING, LinkError
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.status import Loudness
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow


@pytest.fixture
def settings(window: MainWindow) -> MainWindow:
    window.show_view(View.SETTINGS)
    window.look()
    return window


def choose(picker: Picker, text: str) -> None:
    menu: QMenu = picker.make_menu()
    next(entry for entry in menu.actions() if entry.text().startswith(text)).trigger()
    menu.deleteLater()


def test_steps_levels_and_block_are_chosen_there(settings: MainWindow, demo: DemoTransport) -> None:
    whole = replace(POCKET, levels=(2, 1), window=192, token_seconds=0.0116)
    demo.set_status(stack=stack_status(whole, StackChoice("pocket")))
    settings.look()
    row = settings.model_row
    assert (row.levels.value, row.block.value, row.steps.value) == ("2 1", "2.23 s", "12")
    choose(row.steps, "4")
    choose(row.block, "1.11 s")
    choose(row.levels, "Level 1")
    choices = [call[1] for call in demo.asked if call[0] == "choose_stack"]
    assert choices == [
        StackChoice("pocket", (2, 1), False, steps=4),
        StackChoice("pocket", (2, 1), False, hop=96),
        StackChoice("pocket", (2,), False),
    ]


def test_folders_are_opened_and_chosen_there(
    settings: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()) is None)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    row = settings.files_row
    choose(row.takes, "Open the folder")
    assert "not there yet" in settings.notices.refused["open the folder"]
    choose(row.takes, "Choose another folder")
    choose(row.sounds, "Choose where")
    assert demo.asked == [("choose_takes_folder", tmp_path)] and demo.folders["sounds"] == tmp_path
    settings.look()
    assert row.takes.value.endswith(tmp_path.name) and row.sounds.value == row.takes.value
    choose(row.takes, "Open the folder")
    assert opened == [str(tmp_path)] and not settings.notices.refused


def test_the_ring_of_the_last_minutes_is_shown(settings: MainWindow, demo: DemoTransport) -> None:
    always = settings.files_row.always
    assert (always.value, always.note) == ("12 of 30 min", "410 MB")
    menu = always.make_menu()
    assert menu.actions()[0].text() == "at most 30 min or 1000 MB; J keeps 5 min"
    menu.deleteLater()
    demo.set_status(recorder=replace(demo.state.recorder, always=None))
    settings.look()
    assert always.value == "off"


def test_length_and_size_of_the_ring_are_chosen_there(settings: MainWindow, demo: DemoTransport) -> None:
    always = settings.files_row.always

    def choose_inside(title: str, text: str) -> None:
        menu = always.make_menu()
        inside = next(entry.menu() for entry in menu.actions() if entry.text().startswith(title))
        assert isinstance(inside, QMenu)
        next(entry for entry in inside.actions() if entry.text() == text).trigger()
        menu.deleteLater()
        settings.look()

    choose_inside("Length", "60 min")
    choose_inside("Most room", "5000 MB")
    choose_inside("J keeps", "10 min")
    assert always.value == "12 of 60 min"
    choose_inside("Length", "off")
    assert always.value == "off"
    choose_inside("Length", "120 min")
    assert demo.asked == [
        ("choose_always", 60.0, 1000.0, 5.0),
        ("choose_always", 60.0, 5000.0, 5.0),
        ("choose_always", 60.0, 5000.0, 10.0),
        ("choose_always", 0.0, 5000.0, 10.0),
        ("choose_always", 120.0, 5000.0, 10.0),
    ]
    demo.asked.clear()
    choose_inside("Length", "Type a number…")
    (dialog,) = settings.findChildren(QInputDialog)
    assert (dialog.doubleMinimum(), dialog.doubleMaximum(), dialog.doubleValue()) == (0, 1440, 120)
    dialog.setDoubleValue(7.5)
    dialog.accept()
    assert demo.asked == [("choose_always", 7.5, 5000.0, 10.0)]
    demo.refuse["choose_always"] = ValueError("9 MB: too few")
    choose_inside("Most room", "250 MB")
    assert "too few" in settings.notices.refused["the last minutes"]


def test_the_folder_of_own_patches_is_chosen_there(
    settings: MainWindow, demo: DemoTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    choose(settings.files_row.patches, "Choose another folder")
    settings.look()
    assert demo.asked == [("choose_own_patches", tmp_path)]
    assert settings.files_row.patches.value.endswith(tmp_path.name)
    proposed: list[str] = []
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *given: (proposed.append(given[2]) or "", ""))
    settings.files.save_patch()
    assert Path(proposed[0]).parent == tmp_path


def test_what_a_take_has_is_chosen_there(settings: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    tile = settings.files_row.sound
    tile.setFocus()
    qtbot.keyClick(tile, Qt.Key.Key_Right)
    assert demo.asked == [("choose_take_sound", "engine")]
    settings.look()
    assert tile.value_text() == "engine"


def test_the_loudness_is_read_there(settings: MainWindow, demo: DemoTransport) -> None:
    view = settings.health.loudness
    said = view.accessibleDescription()
    assert (
        said
        == "now \N{MINUS SIGN}13.2 LUFS, whole \N{MINUS SIGN}14.6 LUFS, 3 seconds \N{MINUS SIGN}14.0 LUFS, "
        + ("true peak \N{MINUS SIGN}1.1 dB")
    )
    before = view.grab().toImage()
    demo.set_status(audio=replace(demo.state.audio, loudness=Loudness()))
    settings.look()
    assert view.pairs["true peak"] == "\N{EN DASH}" and view.grab().toImage() != before


def test_a_small_window_shows_one_page_and_the_same_key_turns_it(settings: MainWindow, qtbot: QtBot) -> None:
    view = settings.settings
    assert not view.paged and view.choices.isVisible() and view.health.isVisible()
    settings.resize(960, 540)
    QApplication.processEvents()
    assert view.paged and view.choices.isVisible() and not view.health.isVisible()
    qtbot.keyClick(settings, Qt.Key.Key_F4)
    assert not view.choices.isVisible() and view.health.isVisible()
    qtbot.mouseClick(view.tabs[0], Qt.MouseButton.LeftButton)
    assert view.choices.isVisible() and view.tabs[0].chosen and not view.tabs[1].chosen


def test_a_message_covers_the_sentences_there_whole(settings: MainWindow, demo: DemoTransport) -> None:
    """In a wide window it covered the lower half of the letters."""
    settings.resize(1600, 1000)
    demo.set_status(note="sound output: Scarlett 2i2")
    QApplication.processEvents()
    settings.look()
    facts = settings.settings.facts
    place = facts.rect().translated(facts.mapTo(settings, facts.rect().topLeft()))
    assert settings.notices.isVisible() and settings.notices.geometry().contains(place.adjusted(0, 0, 0, -1))


def press_in_menu(qtbot: QtBot, *keys: Qt.Key) -> None:
    """Press keys in the menu that is open; a submenu that opens gets those after it."""
    for key in keys:
        menu = QApplication.activePopupWidget()
        assert isinstance(menu, QMenu)
        qtbot.keyClick(menu, key)


def test_the_clock_is_chosen_with_keys(settings: MainWindow, demo: DemoTransport, qtbot: QtBot) -> None:
    source, out = settings.devices.clock.source, settings.devices.clock.out
    settings.devices.midi.setFocus()
    qtbot.keyClick(settings.devices.midi, Qt.Key.Key_Tab)
    assert settings.focusWidget() is source
    qtbot.keyClick(source, Qt.Key.Key_Return)
    press_in_menu(qtbot, Qt.Key.Key_Down, Qt.Key.Key_Down, Qt.Key.Key_Return)
    assert demo.asked == [("choose_clock", ClockSource.MIDI)]
    settings.look()
    assert (source.value, source.note) == ("MIDI clock", "waiting")
    down = Qt.Key.Key_Down
    qtbot.keyClick(source, Qt.Key.Key_Return)
    press_in_menu(qtbot, *[down] * 4, Qt.Key.Key_Right, Qt.Key.Key_Home, down, down, Qt.Key.Key_Return)
    assert demo.asked[1:] == [("choose_beats_per_bar", 3)]
    qtbot.keyClick(source, Qt.Key.Key_Tab)
    assert settings.focusWidget() is out
    qtbot.keyClick(out, Qt.Key.Key_Return)
    press_in_menu(qtbot, down, down, Qt.Key.Key_Return)
    assert demo.asked[2:] == [("choose_clock_out", "USB MIDI Interface")]
    settings.look()
    assert out.value == "USB MIDI Interface" and "Clock out" in out.accessibleName()


def test_the_clock_says_what_it_does(settings: MainWindow, demo: DemoTransport) -> None:
    source, out = settings.devices.clock.source, settings.devices.clock.out
    clock = ClockStatus(
        ClockSource.MIDI, ClockState.RUNNING, 97.0, 3, 1, beats_per_bar=3, offset=-0.005, out="Moog"
    )
    demo.set_status(clock=clock)
    settings.look()
    assert source.note == "97.0 BPM, bars of 3, \N{MINUS SIGN}5 ms" and not source.warning
    assert "where tempo and bars come from" in source.toolTip()
    demo.set_status(clock=replace(clock, state=ClockState.LOST, out_problem="clock out: Moog is gone"))
    settings.look()
    assert source.warning and source.note.startswith("lost") and (out.note, out.warning) == ("gone", True)
    menu = out.make_menu()
    assert [entry.text() for entry in menu.actions()] == [
        "none", "USB MIDI Interface", "Keystep Pro", "Moog (gone)", "own port: other programs connect to it",
    ]  # fmt: skip
    assert [entry.text() for entry in menu.actions() if entry.isChecked()] == ["Moog (gone)"]
    menu.deleteLater()


def test_a_clock_that_cannot_be_chosen_is_refused_in_a_message(
    settings: MainWindow, demo: DemoTransport
) -> None:
    demo.refuse["choose_clock"] = LinkError(MISSING)
    choose(settings.devices.clock.source, "Link")
    assert "pip install 'jbdiff-live[link]'" in settings.notices.refused["clock"]
    demo.refuse["choose_clock_out"] = ValueError("clock out: Moog is gone")
    choose(settings.devices.clock.out, "Keystep")
    assert "is gone" in settings.notices.refused["clock out"]


def test_the_offset_of_the_clock_is_chosen_or_typed(settings: MainWindow, demo: DemoTransport) -> None:
    menu = settings.devices.clock.source.make_menu()
    inside = next(
        entry.menu() for entry in menu.actions() if entry.text() == "MIDI clock comes later by  0 ms"
    )
    assert isinstance(inside, QMenu)
    next(entry for entry in inside.actions() if entry.text() == "+5 ms").trigger()
    inside.actions()[-1].trigger()
    menu.deleteLater()
    (dialog,) = settings.findChildren(QInputDialog)
    assert (dialog.doubleMinimum(), dialog.doubleMaximum()) == (-200, 200)
    dialog.setDoubleValue(-7.5)
    dialog.accept()
    assert demo.asked == [("choose_clock_offset", 5.0), ("choose_clock_offset", -7.5)]
