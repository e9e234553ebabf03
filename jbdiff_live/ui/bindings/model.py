"""The table of bindings as a Qt model. Thread: Qt's; it calls the session for every edit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from jbdiff_live.binding import Binding
from jbdiff_live.control_view import BindingRow
from jbdiff_live.ui.bindings.columns import COLUMNS, editable, in_words
from jbdiff_live.ui.drawing import theme

Index = QModelIndex | QPersistentModelIndex
Role = Qt.ItemDataRole
NOWHERE = QModelIndex()


class BindingsModel(QAbstractTableModel):
    """One row for each line of the table. edit: asks the session for another binding, and returns if it granted it.

    refused: is given the reason if what was typed is no such thing.
    """

    def __init__(
        self,
        parent: QObject,
        edit: Callable[[BindingRow, Binding], bool],
        refused: Callable[[str], None],
    ) -> None:
        super().__init__(parent)
        self.rows: tuple[BindingRow, ...] = ()
        self._edit = edit
        self._refused = refused

    def show(self, rows: Sequence[BindingRow]) -> bool:
        """Show these lines. Return False if they are shown already."""
        new = tuple(rows)
        if new == self.rows:
            return False
        if len(new) == len(self.rows):
            self.rows = new
            self.dataChanged.emit(self.index(0, 0), self.index(len(new) - 1, len(COLUMNS) - 1))
        else:
            self.beginResetModel()
            self.rows = new
            self.endResetModel()
        return True

    # ------------------------------------------------------------------ Qt asks

    def rowCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        return {Role.DisplayRole: COLUMNS[section].title, Role.ToolTipRole: COLUMNS[section].help}.get(
            Role(role)
        )

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        row, column = self.rows[index.row()], COLUMNS[index.column()]
        match Role(role):
            case Role.DisplayRole | Role.EditRole:
                return column.shown(row)
            case Role.AccessibleTextRole:
                return f"{column.title}: {column.shown(row) or 'nothing'}"
            case Role.ToolTipRole | Role.AccessibleDescriptionRole:
                return in_words(row)
            case Role.ForegroundRole if row.unused or row.binding is None:
                return theme.FAINT
            case Role.ForegroundRole if row.conflict and column.title in ("Control", "Note"):
                return theme.CAUTION
            case Role.ForegroundRole if not self.choices(index) and self.choices(index) is not None:
                return theme.DIM
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        found = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        return found if self.choices(index) == () else found | Qt.ItemFlag.ItemIsEditable

    def choices(self, index: Index) -> tuple[str, ...] | None:
        """What may be chosen in a cell: nothing, one of some texts, or None for any text."""
        row = self.rows[index.row()]
        binding = row.binding
        return COLUMNS[index.column()].choices(binding) if binding is not None and editable(row) else ()

    def setData(self, index: Index, value: Any, role: int = Role.EditRole) -> bool:
        row, column = self.rows[index.row()], COLUMNS[index.column()]
        if role != Role.EditRole or row.binding is None or not editable(row):
            return False
        try:
            new = column.put(row.binding, str(value))
        except ValueError as error:
            self._refused(str(error))
            return False
        return new == row.binding or self._edit(row, new)
