"""Where the window is: put it where it was, and follow it. Thread: Qt's. Nothing here blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QRect, QSize
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QStyle

from jbdiff_live.kept.content import WindowPlace

if TYPE_CHECKING:
    from jbdiff_live.ui.window import MainWindow

USUAL_WIDTH, USUAL_HEIGHT = 1600, 1000
MOVES = (QEvent.Type.Show, QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.WindowStateChange)


def put(window: MainWindow, place: WindowPlace | None) -> None:
    """Give a window its place before it is shown. A place on a screen that is gone becomes one on the first screen."""
    if place is None:
        room = window.screen().availableGeometry()
        window.resize(min(USUAL_WIDTH, room.width()), min(USUAL_HEIGHT, room.height()))
        return
    wanted = QRect(place.x, place.y, place.width, place.height)
    window.setGeometry(_on_a_screen(wanted, _title_bar(window)))
    window.show_view(place.view)


def show(window: MainWindow, place: WindowPlace | None) -> None:
    """Show a window as large as it was. One that leaves no room for its title bar is maximized."""
    if place is not None and place.full_screen:
        window.showFullScreen()
    elif (place is not None and place.maximized) or not has_room(
        window.size(), window.screen().availableSize(), _title_bar(window)
    ):
        window.showMaximized()
    else:
        window.show()


def wants_maximized(window: MainWindow, normal: QRect) -> bool:
    """Return True if the player maximized a window. normal: its place before that, in logical pixels.

    A window that leaves no room for its title bar was maximized by `show`, because the screen is too small for it.
    """
    return window.isMaximized() and has_room(
        normal.size(), window.screen().availableSize(), _title_bar(window)
    )


def _title_bar(window: MainWindow) -> int:
    """Return the height of a title bar in logical pixels."""
    return window.style().pixelMetric(QStyle.PixelMetric.PM_TitleBarHeight)


def has_room(window: QSize, screen: QSize, title_bar: int) -> bool:
    """Return True if a window fits on a screen together with its title bar, in logical pixels."""
    return window.width() <= screen.width() and window.height() + title_bar <= screen.height()


def _on_a_screen(wanted: QRect, title_bar: int) -> QRect:
    """Return the rectangle, moved and made smaller so that the whole of it is on one screen.

    Its title bar lies above it, and is on the screen too if there is room. A maximized window has none, so its kept
    place may begin at the edge.
    """
    screen = QGuiApplication.screenAt(wanted.center()) or QGuiApplication.primaryScreen()
    room = screen.availableGeometry()
    width, height = min(wanted.width(), room.width()), min(wanted.height(), room.height())
    x = max(room.left(), min(wanted.x(), room.right() + 1 - width))
    top = room.top() + min(title_bar, room.height() - height)
    y = max(top, min(wanted.y(), room.bottom() + 1 - height))
    return QRect(x, y, width, height)


class PlaceWatch(QObject):
    """Reports the place of a window whenever it moves, changes its size, or shows another view."""

    def __init__(self, window: MainWindow, report: Callable[[WindowPlace], None]) -> None:
        super().__init__(window)
        self._window = window
        self._report = report
        window.installEventFilter(self)
        window.pages.currentChanged.connect(self.look)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in MOVES:
            self.look()
        return False

    def look(self) -> None:
        """Report the place. While the window fills the screen, its size is the one that it goes back to.

        A window that is maximized for want of room gets its usual size, so that it opens so on a larger screen.
        """
        window = self._window
        if not window.isVisible() or window.isMinimized():
            return
        filled = window.isMaximized() or window.isFullScreen()
        # Without a window manager there is no size to go back to.
        normal = (
            window.normalGeometry() if filled and window.normalGeometry().isValid() else window.geometry()
        )
        wanted = wants_maximized(window, normal)
        if window.isMaximized() and not wanted:
            normal.setSize(QSize(USUAL_WIDTH, USUAL_HEIGHT))
        self._report(
            WindowPlace(
                normal.x(), normal.y(), normal.width(), normal.height(), int(window.view), wanted,
                window.isFullScreen(),
            )
        )  # fmt: skip
