"""Scenes in the window: the row of pads on the stage, and the row of knobs that say how scenes are recalled.

The row of pads needs a transport and an `Asker`, and gets news by `refresh` and `show_bindings`. The tiles of both
rows go on the window's board, and are learned and bound like all others.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from PySide6.QtWidgets import QHBoxLayout, QWidget

from jbdiff_live.parameters import BY_NAME, SCENES, ParameterSnapshot
from jbdiff_live.scenes.view import UndoStatus
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.scenes.buttons import Face, FaceButton
from jbdiff_live.ui.scenes.pad import ScenePad
from jbdiff_live.ui.tiles.panel import make_tile
from jbdiff_live.ui.tiles.tile import ParameterTile

ON_STAGE = ("scene_time",)
IN_WORKSHOP = (
    "scene_morph",
    "scene_a",
    "scene_b",
    "scene_curve",
    "scene_unit",
    "scene_start",
    "scene_store",
    "hold_changes",
)
SHORT_UNITS = {"seconds": "s"}
LEAST_PAD, LEAST_BUTTON = 50, 82  # widths


def short_step(step: str, width: float) -> str:
    """Return a step of undo in the most words that fit: all, without its value, its first word, or that there is one.

    What was done to a scene needs its number: "capture 2".
    """
    if not step:
        return "nothing"
    unnamed = step.partition(" (")[0]
    if done := re.match(r"(\w+) (?:of )?scene (\d)", unnamed):
        shorter = f"{done[1]} {done[2]}"
    else:
        shorter = unnamed.rpartition(" ")[0] if unnamed[-1:].isdigit() else ""
    ways = (step, unnamed, shorter, step.removeprefix("LFO of "), step.partition(" ")[0], "a change")
    return theme.first_fitting(tuple(way for way in ways if way), width - 14, 12)


class SceneKnobs(QWidget):
    """A row of tiles: the scenes of a morph by hand, how scenes are recalled, until when changes wait."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles: dict[str, ParameterTile] = {name: make_tile(BY_NAME[name]) for name in IN_WORKSHOP}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for tile in self.tiles.values():
            row.addWidget(tile, 1)


class SceneStrip(QWidget):
    """`pads` by number from 1, `tiles` by parameter, and the buttons."""

    def __init__(self, transport: Transport, asker: Asker) -> None:
        super().__init__()
        self._transport = transport
        self._asker = asker
        self.setAccessibleName("Scenes")
        self.pads = {number: ScenePad(number) for number in range(1, SCENES + 1)}
        self.tiles: dict[str, ParameterTile] = {name: make_tile(BY_NAME[name]) for name in ON_STAGE}
        self.capture = FaceButton(Face("Capture", "C"), "Capture")
        self.compare = FaceButton(Face("Compare", "="), "Compare")
        self.undo = FaceButton(Face("Undo", dim=True), "Undo")
        self.redo = FaceButton(Face("Redo", dim=True), "Redo")
        # What each button of the strip does, by the widget: for learning.
        self.functions: dict[QWidget, str] = {pad: pad.function for pad in self.pads.values()}
        self.functions |= {
            self.capture: "capture_scene",
            self.compare: "compare",
            self.undo: "undo",
            self.redo: "redo",
        }
        self.order: list[QWidget] = [  # of the Tab key
            *self.pads.values(),
            *self.tiles.values(),
            self.capture,
            self.compare,
            self.undo,
            self.redo,
        ]
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for widget in self.order:
            if isinstance(widget, ScenePad):
                widget.setMinimumSize(LEAST_PAD, 40)
            elif isinstance(widget, FaceButton):
                widget.setMinimumSize(LEAST_BUTTON, 40)
            else:
                widget.setMinimumWidth(LEAST_BUTTON)
            row.addWidget(widget, 2 if isinstance(widget, ScenePad) else 3)

    def _connect(self) -> None:
        transport = self._transport
        for pad in self.pads.values():
            pad.recall.connect(self.recall_scene)
            pad.capture.connect(self.capture_scene)
            pad.clear.connect(lambda n: self._asker.ask("scene", transport.clear_scene, n))
            pad.rename.connect(lambda n, name: self._asker.ask("scene", transport.rename_scene, n, name))
            pad.copy.connect(lambda n, to: self._asker.ask("scene", transport.copy_scene, n, to))
            pad.leave_out.connect(
                lambda n, groups: self._asker.ask("scene", transport.leave_out_of_scene, n, groups)
            )
            pad.program.connect(
                lambda n, program: self._asker.ask("scene", transport.set_scene_program, n, program)
            )
            pad.learn.connect(lambda function: self._asker.ask("learn", transport.learn, function))
        for button, what, does in (
            (self.capture, "capture", transport.arm_capture),
            (self.compare, "compare", transport.compare),
            (self.undo, "undo", transport.undo),
            (self.redo, "redo", transport.redo),
        ):
            button.clicked.connect(lambda _=False, what=what, does=does: self._asker.ask(what, does))

    # ------------------------------------------------------------------ hands

    def recall_scene(self, number: int) -> None:
        self._asker.ask("scene", self._transport.recall_scene, number)

    def capture_scene(self, number: int) -> None:
        self._asker.ask("scene", self._transport.capture_scene, number)

    def deeds(self) -> Mapping[str, Callable[[str], None]]:
        """What the window's keys do here. Each deed gets the name of its key, such as "Shift+3"."""
        return {
            "scene": lambda key: self.recall_scene(int(key[-1])),
            "capture": lambda key: self.capture_scene(int(key[-1])),
            "arm_capture": lambda _: self.capture.click(),
            "compare": lambda _: self.compare.click(),
            "undo": lambda _: self.undo.click(),
            "redo": lambda _: self.redo.click(),
        }

    # ------------------------------------------------------------------ what the window tells

    def refresh(self, status: Status) -> None:
        """Show scenes, the morph and the steps of undo."""
        scenes, learning = status.scenes, status.control.learning
        if status.undo.comparing:  # the saved patch plays, and no scene
            scenes = replace(scenes, active=None, morph=None)
        for pad in self.pads.values():
            pad.show_scene(scenes, learning == pad.function)
        waits = "Capture: choose the scene to capture. Key C."
        self.capture.show_face(
            Face("Capture", "pick a pad" if scenes.capturing else "C", lit=scenes.capturing), waits
        )
        self._show_undo(status.undo)

    def show_values(self, values: ParameterSnapshot) -> None:
        """Show the unit of Morph time, as Morph in chooses it."""
        unit = values.choice("scene_unit")
        self.tiles["scene_time"].show_unit(SHORT_UNITS.get(unit, unit))

    def _show_undo(self, undo: UndoStatus) -> None:
        words = "saved patch" if undo.comparing else "changed" if undo.modified else "as saved"
        self.compare.show_face(
            Face("Compare", words, lit=undo.comparing),
            f"Compare with the saved patch: {words}. Key =.",
        )
        for button, label, step, key in (
            (self.undo, "Undo", undo.undo, "Ctrl+Z"),
            (self.redo, "Redo", undo.redo, "Ctrl+Shift+Z"),
        ):
            button.show_face(
                Face(label, short_step(step, button.width()), dim=not step),
                f"{label}: {step or 'nothing'}. {key}.",
            )

    def show_bindings(self, bindings: Mapping[str, str]) -> None:
        """bindings: text by target."""
        for pad in self.pads.values():
            pad.binding = bindings.get(pad.function, "")
