"""The list of the browser as a Qt model, and how a row of it is drawn. Thread: Qt's. Nothing here blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    QSize,
    Qt,
    QUrl,
)
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from jbdiff_live.browse.entry import Entry, Kind
from jbdiff_live.shown import shown
from jbdiff_live.ui.browser.pictures import Pictures
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import plate

Index = QModelIndex | QPersistentModelIndex
Role = Qt.ItemDataRole
NOWHERE = QModelIndex()
ROW_HEIGHT = 52
STAR, PLAYS = "★", "▶"
PICTURE = QSize(120, 44)


def in_words(entry: Entry, plays: bool, armed: bool) -> str:
    """Return an entry in one line, for screen readers and tooltips."""
    parts = [
        f"{entry.name}: {entry.origin} {entry.kind.value}",
        "plays now" if plays else "",
        "armed for the bar" if armed else "",
        "favourite" if entry.favourite else "",
        entry.description,
        ", ".join(entry.tags),
        entry.problem,
    ]
    return "; ".join(part for part in parts if part)


class EntriesModel(QAbstractListModel):
    """One row for each entry that fits the search. playing, armed: path and name as the status gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[Entry, ...] = ()
        self._playing = self._armed = ""

    def show(self, rows: Sequence[Entry], playing: str, armed: str) -> bool:
        """Show these entries. Return True if the rows are others than before."""
        new = tuple(rows)
        other = [entry.key for entry in new] != [entry.key for entry in self.rows]
        if other:
            self.beginResetModel()
            self.rows = new
            self.endResetModel()
        elif (new, playing, armed) != (self.rows, self._playing, self._armed):
            self.rows = new
            if new:
                self.dataChanged.emit(self.index(0), self.index(len(new) - 1))
        self._playing, self._armed = playing, armed
        return other

    @staticmethod
    def path_of(entry: Entry) -> str:
        """Return the file as the status names the one that plays."""
        return shown(entry.path.resolve())

    def plays(self, entry: Entry) -> bool:
        return entry.kind is Kind.PATCH and bool(self._playing) and self.path_of(entry) == self._playing

    def armed(self, entry: Entry) -> bool:
        return entry.kind is Kind.PATCH and bool(self._armed) and entry.path.stem == self._armed

    def rowCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = super().flags(index)
        entry = index.data(Role.UserRole)
        dragged = isinstance(entry, Entry) and entry.sound is not None
        return flags | Qt.ItemFlag.ItemIsDragEnabled if dragged else flags

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """Return the sound files of the rows, for a drop on the window or another program."""
        entries = [self.rows[index.row()] for index in indexes]
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(e.sound.absolute())) for e in entries if e.sound is not None])
        return data

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        entry = self.rows[index.row()]
        match Role(role):
            case Role.DisplayRole:
                return entry.name
            case Role.UserRole:
                return entry
            case Role.AccessibleTextRole | Role.ToolTipRole:
                return in_words(entry, self.plays(entry), self.armed(entry))
        return None


class EntryRow(QStyledItemDelegate):
    """Two lines: the name and what it is; below that the tags, or what is wrong. A take has its picture beside it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pictures = Pictures()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        model, entry = index.model(), index.data(Role.UserRole)
        assert isinstance(model, EntriesModel) and isinstance(entry, Entry)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(option.rect).adjusted(2, 1, -2, -1)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        plate(
            painter,
            area,
            theme.ACCENT_DEEP if chosen else theme.PANEL,
            theme.ACCENT if chosen else theme.LINE,
        )
        area = self._picture(painter, area, entry)
        plays, armed = model.plays(entry), model.armed(entry)
        note = "armed" if armed else entry.origin if entry.kind is Kind.PATCH else f"{entry.origin} sound"
        if entry.take is not None:
            note = entry.take.length_text
        if entry.program is not None and not armed:
            note = f"{note}, program {entry.program}"
        wide = theme.metrics(13).horizontalAdvance(note) + 4
        first = QRectF(area.x() + 34, area.y() + 3, area.width() - 50 - wide, 25)
        for mark, top in ((PLAYS if plays else "", 3), (STAR if entry.favourite else "", 25)):
            theme.write(
                painter, QRectF(area.x() + 6, area.y() + top, 24, 22), mark, 15, theme.ACCENT, theme.CENTRE
            )
        ink = theme.TEXT if entry.usable else theme.DIM
        theme.write(painter, first, entry.name, 17, theme.ACCENT if plays else ink, bold=True)
        theme.write(painter, QRectF(area.right() - 8 - wide, first.y(), wide, 25), note, 13,
                    theme.ACCENT if armed else theme.DIM, theme.RIGHT)  # fmt: skip
        below = QRectF(first.x(), area.y() + 26, area.width() - 44, 20)
        words = entry.problem or (entry.take.text_of_row if entry.take is not None else "")
        words = words or ", ".join(entry.tags) or entry.description
        theme.write(painter, below, words, 13, theme.CAUTION if entry.problem else theme.DIM)
        painter.restore()

    def _picture(self, painter: QPainter, area: QRectF, entry: Entry) -> QRectF:
        """Draw the picture of a take. Return the room that is left."""
        path = None if entry.take is None else entry.take.picture
        if path is None:
            return area
        left = area.right() - 4 - PICTURE.width()
        painter.drawPixmap(round(left), round(area.y() + 3), self._pictures.small(path, PICTURE))
        return area.adjusted(0, 0, -PICTURE.width() - 6, 0)
