"""The look: dark or light, the size of the letters, colours for the colour-blind. It is worn at once and kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from demo_states import running
from demo_transport import DemoTransport
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.look import Look, Size, load_look, save_look
from jbdiff_live.ui.rows.look_row import wear
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import MainWindow


@pytest.fixture(autouse=True)
def usual_look(qapp: QApplication) -> Iterator[None]:
    yield
    wear(Look())


@pytest.mark.parametrize("look", [Look(), Look(light=True), Look(size=Size.LARGEST, safe=True)])
def test_a_look_that_is_kept_comes_back(tmp_path: Path, look: Look) -> None:
    file = tmp_path / "own" / "look.toml"
    save_look(look, file)
    assert load_look(file) == look
    assert [one.name for one in file.parent.iterdir()] == ["look.toml"]


@pytest.mark.parametrize(
    "text", ["light = 3", "size = 'huge'", "size = 4", "light = ", "colour = true", "\0"]
)
def test_a_file_that_cannot_be_read_gives_the_usual_look(tmp_path: Path, text: str) -> None:
    file = tmp_path / "look.toml"
    file.write_text(text)
    assert load_look(file) == Look()


def test_no_home_keeps_nothing() -> None:
    save_look(Look(light=True), None)
    assert load_look(None) == Look()


def test_the_settings_choose_the_look_and_the_next_window_wears_it(
    qtbot: QtBot, demo: DemoTransport, tmp_path: Path
) -> None:
    file = tmp_path / "look.toml"
    window = MainWindow(demo, look_file=file)
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.show_view(View.SETTINGS)
    window.show()
    running(demo)
    window.look()
    dark = window.grab().toImage()
    for name, choices in (("look", 2), ("letters", 3), ("colours", 2)):
        tile = window.look_row.tiles[name]
        tile.setFocus()
        for _ in range(choices - 1):
            qtbot.keyClick(tile, Qt.Key.Key_Right)
    chosen = Look(light=True, size=Size.LARGEST, safe=True)
    assert window.look_row.look == chosen == load_look(file)
    light = window.grab().toImage()
    places = [(5, 5), (640, 73), (1000, 400)]
    assert all(
        QColor(dark.pixel(*at)).lightness() < 80 < QColor(light.pixel(*at)).lightness() for at in places
    )
    again = MainWindow(demo, look_file=file)
    qtbot.addWidget(again)
    assert again.look_row.look == chosen


def test_the_table_of_bindings_and_the_messages_take_the_new_colours(
    window: MainWindow, demo: DemoTransport
) -> None:
    window.open_bindings()
    window.notices.refuse("record", "the disk is full")
    window.look()
    window.look_row.choose(Look(light=True))
    assert (
        theme.CAUTION_DEEP.name() in window.notices.styleSheet()
        and QColor(theme.CAUTION_DEEP).lightness() > 150
    )
    window.open_bindings()
    assert theme.PANEL.name() in window.bindings.styleSheet()


@pytest.mark.parametrize("light", [False, True])
def test_louder_sound_goes_one_way_in_the_spectrogram(light: bool) -> None:
    wear(Look(light=light))
    colours = theme.colour_map()
    parts = [((colours >> shift) & 255).astype(float) for shift in (16, 8, 0)]
    steps = np.diff(np.convolve(0.3 * parts[0] + 0.59 * parts[1] + 0.11 * parts[2], np.ones(8) / 8, "valid"))
    assert (steps <= 0.2).all() if light else (steps >= -0.2).all()
    assert colours[0] == theme.argb(theme.BACKGROUND)


def test_the_look_row_has_no_menu_and_learns_nothing(
    window: MainWindow, qtbot: QtBot, demo: DemoTransport
) -> None:
    window.show_view(View.SETTINGS)
    tile = window.look_row.tiles["look"]
    tile.setFocus()
    qtbot.keyClick(tile, Qt.Key.Key_L)
    assert not [call for call in demo.asked if call[0] == "learn" and call[1]], "no controller moves the look"


def test_letters_that_are_higher_than_their_place_are_not_cut(qapp: QApplication) -> None:
    """The dB below a small Gain lost its lower half."""

    def painted(place: QRectF) -> QImage:
        picture = QImage(60, 60, QImage.Format.Format_ARGB32)
        picture.fill(0)
        painter = QPainter(picture)
        theme.write(painter, place, "dB", 12, theme.TEXT, theme.CENTRE)
        painter.end()
        return picture

    assert painted(QRectF(0, 26, 60, 7)) == painted(QRectF(0, 0, 60, 59))
