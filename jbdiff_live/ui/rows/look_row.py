"""The row of the settings view that chooses the look: dark or light, the size of the letters, safe colours.

A choice is worn at once and kept for the next start. Thread: Qt's. A small file is written at each choice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QApplication, QHBoxLayout, QWidget

from jbdiff_live.parameters import Parameter, TakesEffect
from jbdiff_live.ui.asking import Asker
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.look import Look, Size, load_look, save_look
from jbdiff_live.ui.tiles.strips import WindowChoice

ROW = (
    ("look", "Look", ("dark", "light"), "dark for the stage, light for daylight"),
    ("letters", "Letters", tuple(size.name.lower() for size in Size), "the size of the letters"),
    (
        "colours",
        "Colours",
        ("usual", "colour-blind"),
        "colour-blind: blue and yellow in place of green and red",
    ),
)


def wear(look: Look) -> None:
    """Dress the application."""
    theme.wear(not look.light, look.safe, look.size.value)
    app = QApplication.instance()
    if isinstance(app, QApplication):
        theme.apply(app)


class LookRow(QWidget):
    """file: keeps the look; None keeps nothing. dressed: called after each change, so that the window draws anew."""

    def __init__(self, asker: Asker, file: Path | None, dressed: Callable[[], None]) -> None:
        super().__init__()
        self._asker = asker
        self._file = file
        self._dressed = dressed
        self.look = load_look(file)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.tiles: dict[str, WindowChoice] = {}
        for name, label, choices, help_text in ROW:
            parameter = Parameter(
                name, label, 0, len(choices) - 1, 0, TakesEffect.NOW, choices=choices, help=help_text
            )
            tile = self.tiles[name] = WindowChoice(parameter)
            tile.set_asked.connect(self._choose)
            row.addWidget(tile, 1)
        self._show()

    def _choose(self, name: str, value: float) -> None:
        look, number = self.look, int(value)
        light = number == 1 if name == "look" else look.light
        size = list(Size)[number] if name == "letters" else look.size
        safe = number == 1 if name == "colours" else look.safe
        self.choose(Look(light, size, safe))

    def choose(self, look: Look) -> None:
        """Wear a look and keep it."""
        self.look = look
        wear(look)
        self._asker.ask("keep the look", save_look, look, self._file)
        self._show()
        self._dressed()

    def _show(self) -> None:
        look = self.look
        shown = {"look": look.light, "letters": list(Size).index(look.size), "colours": look.safe}
        for name, value in shown.items():
            self.tiles[name].show_value(float(value), None)
