"""Where the window was: put there again, on whatever screens there are now."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from jbdiff_live.kept.content import WindowPlace
from jbdiff_live.ui import place
from jbdiff_live.ui.views.tabs import View
from jbdiff_live.ui.window import LEAST_HEIGHT, LEAST_WIDTH, MainWindow


def test_the_window_reports_its_place_size_and_view(qtbot: QtBot, window: MainWindow) -> None:
    seen: list[WindowPlace] = []
    place.PlaceWatch(window, seen.append)
    window.setGeometry(20, 30, 1000, 600)
    qtbot.waitUntil(lambda: bool(seen) and seen[-1].width == 1000)
    window.show_view(View.SETTINGS)
    assert seen[-1] == WindowPlace(20, 30, 1000, 600, View.SETTINGS)
    window.showFullScreen()
    qtbot.waitUntil(lambda: seen[-1].full_screen)
    assert (seen[-1].width, seen[-1].height) == (1000, 600), "the size that it goes back to"


def test_a_window_is_put_where_it_was(qtbot: QtBot, window: MainWindow) -> None:
    window.hide()
    window.setMinimumSize(10, 10)  # the screen of this test may be too small for the whole window
    seen: list[WindowPlace] = []
    room = QGuiApplication.primaryScreen().availableGeometry()
    was = WindowPlace(room.x(), room.y() + 60, room.width() // 2, room.height() // 2, View.SETTINGS)
    place.put(window, was)
    place.PlaceWatch(window, seen.append)
    place.show(window, was)
    qtbot.waitUntil(lambda: bool(seen))
    assert seen[-1].view == View.SETTINGS and window.view is View.SETTINGS
    assert (seen[-1].y, seen[-1].height) == (was.y, was.height)


def test_a_window_from_a_screen_that_is_gone_is_whole_on_this_one(window: MainWindow) -> None:
    room = QGuiApplication.primaryScreen().availableGeometry()
    for x, y, width, height in ((-9000, 40, 700, 600), (9000, 9000, 600, 500), (0, 0, 90_000, 90_000)):
        place.put(window, WindowPlace(x, y, width, height))
        # A screen that is smaller than the smallest window cannot hold it.
        assert room.contains(window.geometry().topLeft())
        assert window.width() <= max(room.width(), LEAST_WIDTH)
        assert window.height() <= max(room.height(), LEAST_HEIGHT)


def test_a_window_as_large_as_the_screen_leaves_its_title_bar_room(window: MainWindow) -> None:
    """On a screen of 960 x 540 the lower row of keys lay below the edge."""
    small = QSize(960, 540)
    assert place.has_room(QSize(LEAST_WIDTH, LEAST_HEIGHT), small, title_bar=30)
    assert not place.has_room(small, small, title_bar=30)
    window.hide()
    window.resize(window.screen().availableSize())
    place.show(window, None)
    assert window.isMaximized()


def test_a_window_that_the_screen_is_too_small_for_is_not_kept_as_maximized(
    qtbot: QtBot, window: MainWindow
) -> None:
    """It opened maximized on a larger screen too, where nobody had asked for that."""
    seen: list[WindowPlace] = []
    place.PlaceWatch(window, seen.append)
    room = window.screen().availableSize()
    window.resize(room)
    place.show(window, None)
    qtbot.waitUntil(lambda: window.isMaximized() and bool(seen))
    assert not seen[-1].maximized
    assert (seen[-1].width, seen[-1].height) == (place.USUAL_WIDTH, place.USUAL_HEIGHT)


def test_the_title_bar_of_a_window_at_the_edge_is_on_the_screen(window: MainWindow) -> None:
    """A window that had been maximized came back with its title bar above the screen."""
    window.setMinimumSize(10, 10)
    room = window.screen().availableGeometry()
    place.put(window, WindowPlace(room.x(), room.y(), room.width() // 2, room.height() // 2))
    assert window.y() > room.y() and room.contains(window.geometry())


def test_a_window_that_the_player_maximized_is_kept_so(qtbot: QtBot, window: MainWindow) -> None:
    seen: list[WindowPlace] = []
    place.PlaceWatch(window, seen.append)
    room = window.screen().availableSize()
    normal = QRect(0, 0, room.width() // 2, room.height() // 2)
    window.setMinimumSize(10, 10)
    window.setGeometry(normal)
    window.showMaximized()
    qtbot.waitUntil(lambda: bool(seen) and seen[-1].maximized)
    assert QSize(seen[-1].width, seen[-1].height) == normal.size()
