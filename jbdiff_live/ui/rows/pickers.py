"""Buttons that open a list: patch, devices, MIDI inputs, files. Lists are asked for when they are opened.

Thread: Qt's. Listing devices may take some milliseconds in the session; nothing else blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPolygonF
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted, plate
from jbdiff_live.ui.keys import ENTER
from jbdiff_live.ui.letting_go import let_go_after


class Picker(Painted):
    """A caption, the present choice, and a menu that `fill` builds each time it opens."""

    def __init__(
        self,
        caption: str,
        fill: Callable[[QMenu], None],
        parent: QWidget | None = None,
        help_text: str = "",
    ) -> None:
        """help_text: what it is for, for the tooltip."""
        super().__init__(parent)
        self.caption = caption
        self.help = help_text
        self.value = ""
        self.note = ""
        self.warning = False
        self._fill = fill
        self.setObjectName(caption.lower())
        self.setAccessibleName(caption.capitalize())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumWidth(96)

    def sizeHint(self) -> QSize:
        return QSize(180, 48)

    def show_value(self, value: str, note: str = "", warning: bool = False) -> None:
        """`note` stands small beside the caption; `warning` colours the value."""
        if self.present(value, note, warning):
            self.value, self.note, self.warning = value, note, warning
            said = f"{self.caption.capitalize()}: {value} {note}".strip()
            self.setToolTip(f"{said}\n{self.help}" if self.help else said)
            self.setAccessibleDescription(f"{value} {note}".strip())

    def make_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        self._fill(menu)
        return menu

    def open_menu(self) -> None:
        menu = self.make_menu()
        below = self.mapToGlobal(QPoint(0, self.height() + 2))
        room = self.screen().availableGeometry()
        if below.y() + menu.sizeHint().height() > room.bottom():
            below = self.mapToGlobal(QPoint(0, -menu.sizeHint().height() - 2))
        let_go_after(self, menu, unfocus=False)
        menu.popup(below)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is Qt.MouseButton.LeftButton:
            self.open_menu()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (*ENTER, Qt.Key.Key_Down):
            self.open_menu()
        else:
            super().keyPressEvent(event)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        plate(painter, area, theme.PANEL)
        height = area.height()
        caption = int(max(12, min(13, height * 0.24)))
        head = QRectF(area.x() + 8, area.y() + height * 0.06, area.width() - 14, height * 0.36)
        used = theme.metrics(caption, True).horizontalAdvance(self.caption) + 8
        theme.write(painter, head, self.caption, caption, theme.FAINT, bold=True)
        if self.note:
            room = head.adjusted(used, 0, 0, 0)
            ways = (self.note, self.note.partition(", ")[0], "")
            theme.write(painter, room, theme.first_fitting(ways, room.width(), caption), caption, theme.DIM)
        body = QRectF(area.x() + 8, area.y() + height * 0.42, area.width() - 30, height * 0.5)
        ink = theme.CAUTION if self.warning else theme.TEXT
        theme.write(painter, body, self.value or "none", int(min(height * 0.36, 24)),
                    ink if self.value else theme.FAINT, bold=bool(self.value), free=True)  # fmt: skip
        x, y = area.right() - 15, body.center().y()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.DIM)
        painter.drawPolygon(QPolygonF([QPoint(int(x - 5), int(y - 3)), QPoint(int(x + 5), int(y - 3)),
                                       QPoint(int(x), int(y + 4))]))  # fmt: skip
        if self.hasFocus():
            plate(painter, area, QColor(0, 0, 0, 0), theme.TEXT, 2.5)


def add_choices(
    menu: QMenu, names: list[str], chosen: str, choose: Callable[[str], None], nothing: str
) -> None:
    """One entry for each name, the chosen one marked; `nothing` is said when there are none."""
    if not names:
        menu.addAction(nothing).setEnabled(False)
    for name in names:
        add_choice(menu, name, name == chosen, partial(choose, name))


def add_choice(menu: QMenu, text: str, chosen: bool, choose: Callable[[], object]) -> None:
    """One entry, marked if it is the chosen one."""
    entry = menu.addAction(text.replace("&", "&&"))
    entry.setCheckable(True)
    entry.setChecked(chosen)
    entry.triggered.connect(lambda _=False: choose())
