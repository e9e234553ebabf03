"""The window's requests about scenes, undo and redo. Each is passed on to a desk. No state of its own.

Thread: the window's, the command line's, or that of program changes.
"""

from __future__ import annotations

from jbdiff_live.desks.scene_desk import SceneDesk
from jbdiff_live.desks.undo_desk import UndoDesk


class SceneWishes:
    """The part of `jbdiff_live.status.Transport` about scenes and undo. A subclass makes the parts below."""

    scene_desk: SceneDesk
    undo_desk: UndoDesk

    def recall_scene(self, number: int) -> None:
        """Recall a scene. After `arm_capture`, capture it."""
        self.scene_desk.press(number)

    def capture_scene(self, number: int) -> None:
        self.scene_desk.capture(number)

    def arm_capture(self) -> None:
        self.scene_desk.arm_capture()

    def rename_scene(self, number: int, name: str) -> None:
        self.scene_desk.rename(number, name)

    def copy_scene(self, number: int, to: int) -> None:
        self.scene_desk.copy(number, to)

    def clear_scene(self, number: int) -> None:
        self.scene_desk.clear(number)

    def leave_out_of_scene(self, number: int, groups: frozenset[str]) -> None:
        self.scene_desk.leave_out(number, groups)

    def set_scene_program(self, number: int, program: int | None) -> None:
        self.scene_desk.set_program(number, program)

    def undo(self) -> None:
        self.undo_desk.undo()

    def redo(self) -> None:
        self.undo_desk.redo()

    def compare(self) -> None:
        self.undo_desk.compare()

    def revert(self) -> None:
        self.undo_desk.revert()

    def perform_scene(self, function: str) -> bool:
        """Call a function about scenes or undo, such as "scene_2". Return False for any other function."""
        does = {
            "capture_scene": self.arm_capture,
            "undo": self.undo,
            "redo": self.redo,
            "compare": self.compare,
            "revert": self.revert,
        }
        if function in does:
            does[function]()
        elif function.startswith("scene_"):
            self.recall_scene(int(function.removeprefix("scene_")))
        else:
            return False
        return True
