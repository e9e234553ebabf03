"""The strip of scenes: eight pads, the knobs of a morph, capture and compare, undo and redo.

A part of its own: it needs a transport and an `Asker`, and is shown news by `refresh`, `show_values` and
`show_bindings`. Its `tiles` are learned and bound like those of the panel.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from jbdiff_live.control_view import Ghost
from jbdiff_live.parameters import BY_NAME, SCENES, Parameter, ParameterSnapshot
from jbdiff_live.scenes.view import UndoStatus
from jbdiff_live.status import Status, Transport
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.scenes.buttons import Face, FaceButton
from jbdiff_live.ui.scenes.pad import ScenePad
from jbdiff_live.ui.tiles.buttons import Toggle
from jbdiff_live.ui.tiles.strips import Strip, StripChoice
from jbdiff_live.ui.tiles.tile import ParameterTile

COLUMNS = (
    ("scene_morph", "scene_store"),
    ("scene_a", "scene_b"),
    ("scene_time", "scene_unit"),
    ("scene_curve", "scene_start"),
)
PADS_IN_A_ROW = 4


def make_tile(parameter: Parameter) -> ParameterTile:
    """The kind of tile that the parameter's kind asks for."""
    if parameter.toggle:
        return Toggle(parameter)
    return StripChoice(parameter) if parameter.choices else Strip(parameter)


class SceneStrip(QWidget):
    """`pads` by number from 1, `tiles` by parameter, and the buttons."""

    def __init__(self, transport: Transport, asker: Asker) -> None:
        super().__init__()
        self._transport = transport
        self._asker = asker
        self.setAccessibleName("Scenes")
        self.pads = {number: ScenePad(number) for number in range(1, SCENES + 1)}
        self.tiles: dict[str, ParameterTile] = {
            name: make_tile(BY_NAME[name]) for column in COLUMNS for name in column
        }
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
        row.setSpacing(12)
        pads = QGridLayout()
        pads.setSpacing(6)
        for number, pad in self.pads.items():
            pads.addWidget(pad, (number - 1) // PADS_IN_A_ROW, (number - 1) % PADS_IN_A_ROW)
        row.addLayout(pads, 5)
        for columns in (
            [[self.tiles[name] for name in column] for column in COLUMNS],
            [[self.capture, self.compare], [self.undo, self.redo]],
        ):
            group = QHBoxLayout()
            group.setSpacing(6)
            for column in columns:
                stack = QVBoxLayout()
                stack.setSpacing(6)
                for widget in column:
                    stack.addWidget(widget)
                group.addLayout(stack, 1)
            row.addLayout(group, len(columns))

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
        for pad in self.pads.values():
            pad.show_scene(scenes, learning == pad.function)
        waits = "Capture: the scene that is chosen next is captured. Key C."
        self.capture.show_face(
            Face("Capture", "choose a scene" if scenes.capturing else "C", lit=scenes.capturing), waits
        )
        self._show_undo(status.undo)

    def _show_undo(self, undo: UndoStatus) -> None:
        words = "the saved patch plays" if undo.comparing else "modified" if undo.modified else "as saved"
        self.compare.show_face(
            Face("Compare", words, lit=undo.comparing),
            f"Compare with the saved patch: {words}. Key =.",
        )
        for button, label, step, key in (
            (self.undo, "Undo", undo.undo, "Ctrl+Z"),
            (self.redo, "Redo", undo.redo, "Ctrl+Shift+Z"),
        ):
            button.show_face(
                Face(label, step or "nothing", dim=not step), f"{label}: {step or 'nothing'}. {key}."
            )

    def show_values(self, now: ParameterSnapshot, hardware: Mapping[str, Ghost]) -> None:
        """Show the values of the scene knobs, and where their controls stand."""
        for name, tile in self.tiles.items():
            tile.show_value(now[name], now[name])
            if isinstance(tile, Strip):
                ghost = hardware.get(name)
                tile.show_hardware(None if ghost is None or ghost.taken else ghost.position)

    def show_bindings(self, bindings: Mapping[str, str]) -> None:
        """bindings: text by target."""
        for pad in self.pads.values():
            pad.binding = bindings.get(pad.function, "")
