"""The dialog with the table of all bindings. It needs no mouse, and the music and the window go on beside it.

Thread: Qt's. The session is asked for the table a few times a second while it is open, and for each edit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from jbdiff_live.binding import Binding
from jbdiff_live.control_view import BindingRow
from jbdiff_live.status import Transport
from jbdiff_live.ui.asking import Asker, reason
from jbdiff_live.ui.bindings.columns import COLUMNS, editable, in_words
from jbdiff_live.ui.bindings.model import BindingsModel
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.grey.words import grey_button
from jbdiff_live.ui.keys import ENTER

LOOK_MS = 250
LETTERS = 13  # pixels
WIDTHS = {"Control": 130, "Controller": 124}  # pixels
NARROW, MORE = 940, 90  # pixels: a wider table gives the column Control what it has more, up to so much
NO_LINE = "no line is chosen"
HINT = "Arrows move, Enter changes a cell, Delete removes a binding, P is panic, Esc closes."


def sheet() -> str:
    """Return the style sheet in the colours and letters that the window wears now."""
    letters = f"font-size: {theme.font(LETTERS).pixelSize()}px"
    return f"""
QTableView {{ {letters}; background: {theme.PANEL.name()}; gridline-color: {theme.LINE.name()};
    border: 1px solid {theme.LINE.name()};
    selection-background-color: {theme.ACCENT_DEEP.name()}; selection-color: {theme.TEXT.name()}; }}
QTableView::item {{ padding: 2px 6px; }}
QTableView::item:focus {{ border: 2px solid {theme.ACCENT.name()}; }}
QHeaderView::section {{ background: {theme.RAISED.name()}; color: {theme.DIM.name()}; border: none; padding: 5px 6px;
    {letters}; font-weight: bold; }}
"""


class CellEditor(QStyledItemDelegate):
    """A list for cells with few choices, else a line to type in."""

    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QWidget:
        model = index.model()
        assert isinstance(model, BindingsModel)
        choices, title = model.choices(index), COLUMNS[index.column()].title
        if choices is None:
            editor = super().createEditor(parent, option, index)
        else:
            editor = box = QComboBox(parent)
            box.addItems(choices)
            box.activated.connect(lambda _: self._chosen(box))
        editor.setAccessibleName(title)
        return editor

    def _chosen(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)

    def setEditorData(self, editor: QWidget, index: QModelIndex | QPersistentModelIndex) -> None:
        if isinstance(editor, QComboBox):
            editor.setCurrentIndex(max(0, editor.findText(index.data())))
            QTimer.singleShot(0, editor, editor.showPopup)
        else:
            super().setEditorData(editor, index)

    def setModelData(
        self, editor: QWidget, model: QAbstractItemModel, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentText())
        else:
            super().setModelData(editor, model, index)


class BindingsTable(QTableView):
    """The table. Enter edits, as F2 does in Qt. `fixed` says that the cell cannot be edited."""

    fixed = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        index = self.currentIndex()
        if event.key() in ENTER and index.isValid():
            if index.flags() & Qt.ItemFlag.ItemIsEditable:
                self.edit(index)
            else:
                self.fixed.emit()
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:
        """Letters are keys of the instrument, and find no line."""


def _held(row: BindingRow) -> str:
    """Return why a line cannot be removed; empty if it can."""
    if editable(row) or (row.binding is None and row.source == "map"):
        return ""
    return row.unused or "this message always means panic"


class BindingsDialog(QDialog):
    """Made once; `open_table` shows it."""

    def __init__(self, window: QWidget, transport: Transport, asker: Asker, top_row: QWidget) -> None:
        """top_row: the part of the window that the table leaves free, with STOP and PANIC."""
        super().__init__(window)
        self._top_row = top_row
        self._window = window
        self._transport = transport
        self._asker = asker
        self.setWindowTitle("Bindings")
        self.setAccessibleName("Bindings of all controllers")
        self.setStyleSheet(sheet())
        self.model = BindingsModel(self, self._edit, self._refuse)
        self.table = BindingsTable(self)
        self.table.setModel(self.model)
        self.table.setItemDelegate(CellEditor(self.table))
        self.table.setAccessibleName("Bindings")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)  # Tab goes on to the buttons
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.table.setFont(theme.font(LETTERS))
        header.setFont(theme.font(LETTERS, True))
        for title, width in WIDTHS.items():  # longer ones are cut; the line below the table is whole
            place = [column.title for column in COLUMNS].index(title)
            header.setSectionResizeMode(place, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(place, theme.grown(width))
        header.setDefaultAlignment(theme.LEFT)
        self.line = QLabel(HINT)
        self.line.setFont(theme.font(LETTERS))
        self.line.setWordWrap(True)
        self.line.setMinimumHeight(44)
        self.remove = QPushButton("Remove  (Delete)")
        self.close_button = QPushButton("Close  (Esc)")
        for button in (self.remove, self.close_button):
            button.setFont(theme.font(LETTERS))
            button.setAutoDefault(False)
        self._lay_out()
        self.table.selectionModel().currentChanged.connect(lambda *_: self._tell())
        self.table.fixed.connect(
            lambda: self._refuse("this cell is fixed; the cells that Enter changes are bright")
        )
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self.look)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.addWidget(self.table, 1)
        foot = QHBoxLayout()
        foot.addWidget(self.line, 1)
        foot.addWidget(self.remove)
        foot.addWidget(self.close_button)
        column.addLayout(foot)
        self.remove.clicked.connect(self.let_go)
        self.close_button.clicked.connect(self.close)
        for keys, deed in (
            ("Delete", self.let_go),
            ("Backspace", self.let_go),
            ("P", lambda: self._transport.trigger("panic")),
            ("Ctrl+B", self.close),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(deed)

    # ------------------------------------------------------------------ the player

    def open_table(self) -> None:
        """Show the table; a second call closes it."""
        if self.isVisible():
            self.close()
            return
        self.look()
        room = self._window.size()
        free = self._top_row.geometry().bottom() + 6
        self.resize(min(1240, room.width() - 20), min(680, room.height() - free - 10))
        place = [column.title for column in COLUMNS].index("Control")
        more = min(MORE, max(0, self.width() - NARROW))
        self.table.horizontalHeader().resizeSection(place, theme.grown(WIDTHS["Control"]) + more)
        self.move(self._window.mapToGlobal(QPoint(10, free)))
        self._timer.start()
        self.show()
        if self.model.rows and not self.table.currentIndex().isValid():
            self.table.setCurrentIndex(self.model.index(min(1, len(self.model.rows) - 1), 0))
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)
        self._tell()

    def let_go(self) -> None:
        """Remove the chosen binding; on a line without a control, let the patch's controls work again."""
        row = self._chosen()
        if row is None or _held(row):
            self._refuse(NO_LINE if row is None else _held(row))
        elif row.binding is not None:
            binding = row.binding
            self._do(lambda: self._transport.remove_binding(row.device, binding))
        else:
            self._do(lambda: self._transport.allow_bindings(row.device, row.target))

    # ------------------------------------------------------------------ inside

    def look(self) -> None:
        """Show what the session has now, but never under an open editor."""
        if self.table.state() is QAbstractItemView.State.EditingState:
            return
        none: Sequence[BindingRow] = self.model.rows
        if self.model.show(self._asker.get("table of bindings", self._transport.all_binding_rows, none)):
            self._tell()

    def _chosen(self) -> BindingRow | None:
        index = self.table.currentIndex()
        return (
            self.model.rows[index.row()] if index.isValid() and index.row() < len(self.model.rows) else None
        )

    def _tell(self) -> None:
        """Write the whole line below the table: its cells may be cut."""
        row = self._chosen()
        why = NO_LINE if row is None else _held(row)
        grey_button(self.remove, why)
        free = row is not None and row.binding is None and row.source == "map"
        self.remove.setText("Use the patch's  (Delete)" if free else "Remove  (Delete)")
        self.line.setStyleSheet("")
        words = () if row is None else (in_words(row), f"Remove: {why}" if why else "")
        self.line.setText("\n".join((*(f"{part}." for part in words if part), HINT)))

    def _edit(self, row: BindingRow, new: Binding) -> bool:
        old = row.binding
        assert old is not None
        return self._do(lambda: self._transport.edit_binding(row.device, old, new))

    def _do(self, wish: Callable[[], None]) -> bool:
        """Ask the session. What it refuses is written below the table."""
        try:
            wish()
        except (KeyError, ValueError, OSError, RuntimeError) as error:
            self._refuse(reason(error))
            return False
        QTimer.singleShot(0, self, self.look)
        return True

    def _refuse(self, why: str) -> None:
        self.line.setStyleSheet(f"color: {theme.CAUTION.name()};")
        self.line.setText(why)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)
