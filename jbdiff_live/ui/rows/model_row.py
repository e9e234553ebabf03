"""The row of the settings view that makes blocks lighter or heavier: stack, levels, length of a block, steps.

Each is also in the menu of the stack in the workshop view. Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.rows.pickers import Picker
from jbdiff_live.ui.rows.stack_picker import StackPicker, block_text, parts_text, steps_text


class ModelRow(QWidget):
    """`order` are the pickers from left to right."""

    def __init__(self, transport: Transport, asker: Asker) -> None:
        super().__init__()
        self.stack = StackPicker(transport, asker, brief=True)
        self.levels = Picker("LEVELS", self.stack.fill_levels)
        self.block = Picker("BLOCK", self.stack.fill_blocks)
        self.steps = Picker("STEPS", self.stack.fill_steps)
        self.order = (self.stack, self.levels, self.block, self.steps)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for picker in self.order:
            row.addWidget(picker, 1)

    def show_status(self, status: Status) -> None:
        stack = status.stack
        self.stack.show_status(status)
        levels = parts_text(stack).partition(",")[0].removeprefix("levels ").removeprefix("level ")
        self.levels.show_value(levels.partition(" +")[0])
        self.block.show_value(block_text(stack), "shorter: knobs act sooner")
        self.steps.show_value(steps_text(stack), "fewer: lighter")
