"""After a menu or a dialog is closed, the keys belong to the window again, not to what opened it. Thread: Qt's."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QMenu, QWidget


def let_go(widget: QWidget, dialog: QDialog) -> None:
    """Give the keyboard back to the window of a widget when a dialog ends, whatever was chosen in it."""
    window = widget.window()
    dialog.finished.connect(lambda: _back(window, True))


def let_go_after(widget: QWidget, menu: QMenu, unfocus: bool = True) -> None:
    """Give the keyboard back to the window of a widget when a menu closes. unfocus: the widget loses the focus."""
    window = widget.window()
    menu.aboutToHide.connect(lambda: QTimer.singleShot(0, window, lambda: _back(window, unfocus)))


def _back(window: QWidget, unfocus: bool) -> None:
    if QApplication.activeWindow() not in (
        None,
        window,
    ):  # the choice opened a dialog, which has the keys now
        return
    window.activateWindow()  # no window manager does it on a bare screen
    if unfocus:
        window.setFocus(Qt.FocusReason.OtherFocusReason)
