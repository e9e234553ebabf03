"""The pad of one scene: a click recalls it, Shift+click or a long press captures it, a right click opens its menu.

Thread: Qt's. Nothing here blocks: a dialog is opened and answers by a signal.
"""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QContextMenuEvent, QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from jbdiff_live.binding import HIGHEST_PROGRAM
from jbdiff_live.parameters import SCENES
from jbdiff_live.scenes.scene import GROUP_LABELS, LONGEST_NAME, USUALLY_LEFT_OUT, groups_in_use
from jbdiff_live.scenes.view import SceneStatus, SceneView
from jbdiff_live.ui.drawing.painted import menu_place
from jbdiff_live.ui.grey.words import grey_entry
from jbdiff_live.ui.keys import ENTER
from jbdiff_live.ui.letting_go import let_go, let_go_after
from jbdiff_live.ui.scenes.buttons import Face, FaceButton

LONG_PRESS_MS = 600


class ScenePad(FaceButton):
    """Scene `number`, counted from 1. It emits what the player wants, and shows what `show_scene` says."""

    recall = Signal(int)
    capture = Signal(int)
    clear = Signal(int)
    rename = Signal(int, str)
    copy = Signal(int, int)
    leave_out = Signal(int, object)  # a frozenset of groups
    program = Signal(int, object)  # a program, or None
    learn = Signal(str)

    def __init__(self, number: int, parent: QWidget | None = None) -> None:
        super().__init__(Face(str(number), "empty", dim=True), f"Scene {number}", parent)
        self.number = number
        self.function = f"scene_{number}"
        self.binding = ""
        self.view = SceneView(number)
        self._captured = False  # by the long press that is going on
        self._long = QTimer(self)
        self._long.setSingleShot(True)
        self._long.setInterval(LONG_PRESS_MS)
        self._long.timeout.connect(self._long_press)
        self.pressed.connect(self._long.start)
        self.released.connect(self._long.stop)

    def show_scene(self, status: SceneStatus, learning: bool) -> None:
        """Show what is known of the scene. learning: a control is waited for."""
        view = self.view = status.scenes[self.number - 1]
        active, pending = status.active == self.number, status.pending == self.number
        morph = status.morph if active else None
        # A pad is as wide as its number and a short word: its name takes the place of the binding.
        label, note, words = (
            str(self.number),
            view.name or self.binding or ("stored" if view.filled else "empty"),
            "",
        )
        if learning:
            note, words = "learn", "hit a pad"
        elif pending:
            words = "waits" if status.lands_in is None else f"in {status.lands_in:.1f} s"
            note = words
        elif morph is not None:
            note = words = f"{100 * morph:.0f} %"
        elif status.capturing:
            note, words = "here", "capture here"
        framed = pending or learning or status.capturing
        self.show_face(
            Face(label, note, active, framed, not view.filled, morph),
            self._description(view, "active" if active else "", words),
        )

    def _description(self, view: SceneView, *states: str) -> str:
        parts = [f"Scene {self.number}", view.name if view.filled else "empty", *states]
        if view.program is not None:
            parts.append(f"program {view.program}")
        if view.filled and view.leaves_out:
            left = [GROUP_LABELS[group] for group in groups_in_use() if group in view.leaves_out]
            parts.append(f"leaves out {', '.join(left)}")
        parts.append(f"bound to {self.binding}" if self.binding else "")
        how = f"Key {self.number} recalls, Shift+{self.number} or a long press captures; right click: more"
        return f"{', '.join(part for part in parts if part)}. {how}."

    # ------------------------------------------------------------------ hands

    def _long_press(self) -> None:
        self._captured = True
        self.capture.emit(self.number)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._captured = False
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._long.stop()
        inside = self.rect().contains(event.position().toPoint())
        super().mouseReleaseEvent(event)
        if event.button() is Qt.MouseButton.LeftButton and inside and not self._captured:
            self._hit(event.modifiers())

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._long.stop()  # a menu that opens now takes the release
        super().focusOutEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in ENTER and not event.isAutoRepeat():
            self._hit(event.modifiers())
        else:
            super().keyPressEvent(event)

    def _hit(self, modifiers: Qt.KeyboardModifier) -> None:
        if modifiers & Qt.KeyboardModifier.ShiftModifier:
            self.capture.emit(self.number)
        else:
            self.recall.emit(self.number)

    # ------------------------------------------------------------------ menu

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = self.make_menu()
        let_go_after(self, menu, event.reason() != QContextMenuEvent.Reason.Keyboard)
        menu.popup(menu_place(self, event))

    def make_menu(self) -> QMenu:
        """Everything that can be done with the scene. An empty one can only be captured and learned."""
        number, view = self.number, self.view
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(f"Capture\tShift+{number}").triggered.connect(lambda: self.capture.emit(number))
        menu.addAction("Learn MIDI\tL").triggered.connect(lambda: self.learn.emit(self.function))
        if not view.filled:
            return menu
        menu.addSeparator()
        menu.addAction(f"Recall\t{number}").triggered.connect(lambda: self.recall.emit(number))
        menu.addAction("Rename…").triggered.connect(self.ask_name)
        inside = menu.addMenu("Copy to")
        for to in range(1, SCENES + 1):
            if to != number:
                entry = inside.addAction(f"Scene {to}")
                entry.triggered.connect(lambda _=False, to=to: self.copy.emit(number, to))
        inside = menu.addMenu("Leave out")
        for group in groups_in_use():
            entry = inside.addAction(GROUP_LABELS[group])
            entry.setCheckable(True)
            entry.setChecked(group in view.leaves_out)
            entry.triggered.connect(
                lambda _=False, group=group: self.leave_out.emit(number, view.leaves_out ^ {group})
            )
        inside.addSeparator()
        inside.addAction("As usual").triggered.connect(lambda: self.leave_out.emit(number, USUALLY_LEFT_OUT))
        program = "Program…" if view.program is None else f"Program {view.program}…"
        menu.addAction(program).triggered.connect(self.ask_program)
        none = menu.addAction("No program")
        grey_entry(none, "" if view.program is not None else "it has none")
        none.triggered.connect(lambda: self.program.emit(number, None))
        menu.addSeparator()
        menu.addAction("Clear").triggered.connect(lambda: self.clear.emit(number))
        return menu

    def ask_name(self) -> QInputDialog:
        """Open a dialog for the scene's name. It does not block."""
        dialog = self._dialog("Name of the scene")
        dialog.setTextValue(self.view.name)
        dialog.textValueSelected.connect(
            lambda text: self.rename.emit(self.number, text[:LONGEST_NAME].strip())
        )
        dialog.open()
        return dialog

    def ask_program(self) -> QInputDialog:
        """Open a dialog for the scene's MIDI program. It does not block."""
        dialog = self._dialog("MIDI program that recalls the scene")
        dialog.setInputMode(QInputDialog.InputMode.IntInput)
        dialog.setIntRange(1, HIGHEST_PROGRAM)
        dialog.setIntValue(self.view.program or self.number)
        dialog.intValueSelected.connect(lambda program: self.program.emit(self.number, program))
        dialog.open()
        return dialog

    def _dialog(self, label: str) -> QInputDialog:
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(f"Scene {self.number}")
        dialog.setLabelText(label)
        let_go(self, dialog)
        return dialog
