"""The part of a knob's right-click menu about its controls: range, curve, takeover and what they wait for.

Thread: Qt's. The session is asked when the menu opens, and at each choice. A dialog is opened and answers by a signal.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from jbdiff_live.control_view import BindingRow
from jbdiff_live.status import Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.bindings.columns import COLUMNS, Column, editable
from jbdiff_live.ui.letting_go import let_go

IN_MENU = ("Range", "Curve", "Takeover", "Inverted", "Lands on", "Ch")
NAMES = {"Ch": "MIDI channel"}


class KnobMenu:
    """`fill` adds the entries for one target. The dialogs lie over `window`."""

    def __init__(self, window: QWidget, transport: Transport, asker: Asker) -> None:
        self._window = window
        self._transport = transport
        self._asker = asker

    def fill(self, target: str, menu: QMenu) -> None:
        """Add a submenu for each control of a target; without one, an entry that says what to do."""
        none: Sequence[BindingRow] = ()
        rows = self._asker.get("bindings", self._transport.all_binding_rows, none)
        found = [row for row in rows if row.target == target and editable(row)]
        menu.addSeparator()
        if not found:
            menu.addAction("Range, curve, takeover: learn a control first").setEnabled(False)
        for row in found:
            assert row.binding is not None
            inside = menu.addMenu(f"{row.binding.control}  {row.device}".replace("&", "&&"))
            for column in COLUMNS:
                if column.title in IN_MENU:
                    self._add(inside, row, column)

    def _add(self, menu: QMenu, row: BindingRow, column: Column) -> None:
        """Add one property: a submenu of choices, or an entry that opens a line to type in."""
        assert row.binding is not None
        choices, now = column.choices(row.binding), column.shown(row)
        title = NAMES.get(column.title, column.title)
        if choices is None:
            menu.addAction(f"{title}: {now}…").triggered.connect(lambda: self.ask_text(row, column))
            return
        if not choices:
            return
        inside = menu.addMenu(f"{title}: {now}")
        inside.setToolTip(column.help)
        for choice in choices:
            entry = inside.addAction(choice)
            entry.setCheckable(True)
            entry.setChecked(choice == now)
            entry.triggered.connect(lambda _=False, choice=choice: self._put(row, column, choice))

    def ask_text(self, row: BindingRow, column: Column) -> QInputDialog:
        """Open a line to type in, with what is set now. It does not block."""
        dialog = QInputDialog(self._window)
        dialog.setWindowTitle(f"{row.label}, {row.control}")
        dialog.setLabelText(f"{column.title}: {column.help}")
        dialog.setTextValue(column.shown(row))
        dialog.textValueSelected.connect(lambda text: self._put(row, column, text))
        dialog.finished.connect(dialog.deleteLater)
        let_go(self._window, dialog)
        dialog.open()
        return dialog

    def _put(self, row: BindingRow, column: Column, text: str) -> None:
        old = row.binding
        assert old is not None

        def edit() -> None:
            new = column.put(old, text)  # ValueError says what is wrong with the text
            if new != old:
                self._transport.edit_binding(row.device, old, new)

        self._asker.ask(f"{row.label}: {NAMES.get(column.title, column.title).lower()}", edit)
