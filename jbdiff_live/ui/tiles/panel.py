"""The panel of knobs: one tile for each row of the parameter table, one pad for each action.

The table says what there is; `GROUPS` only says what stands beside what. A parameter that no group names
appears under "More", so that a new row of the table is playable before anyone has found it a place.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from jbdiff_live.control_view import Ghost
from jbdiff_live.parameters import (
    ACTIONS,
    OF_THE_ANCHOR,
    OF_THE_FINISHER,
    OF_THE_REGISTER,
    PARAMETERS,
    Action,
    Parameter,
    ParameterSnapshot,
)
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted
from jbdiff_live.ui.tiles.buttons import Choice, Pad, Toggle
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.strips import Strip, StripChoice
from jbdiff_live.ui.tiles.tile import ParameterTile, Tile

# Title, and columns; a column of several names is stacked.
GROUPS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "NOISE",
        (
            ("noise_step",),
            ("noise_style",),
            ("seed", "seed_b", "seed_morph"),
            ("noise_length", "noise_mutation", "advance"),
            ("hold", "reroll", "home"),
            ("write", "erase", "reset_context"),
        ),
    ),
    ("FORM", (("memory", "anchor"), ("brightness", "motion", "tap"), ("clock", "tempo", "hold_changes"))),
    ("SOURCES", (("guidance", "resample"), ("context_source", "init_source"))),
    (
        "FINISHER",
        (("finisher_on", "finisher_strength"), ("finisher_style", "finisher_step", "finisher_seed")),
    ),
    ("OUTPUT", (("gain", "mute"),)),
)
KEYS = {
    "hold": "H", "mute": "M", "reroll": "N", "home": "B", "advance": "S", "write": "W", "erase": "E",
    "reset_context": "X", "tap": "T",
}  # fmt: skip
# Drawn as strips, since two or three of them share a column.
FLAT = OF_THE_FINISHER | OF_THE_ANCHOR | OF_THE_REGISTER
FLAT |= {
    "context_source",
    "init_source",
    "hold_changes",
    "guidance",
    "resample",
    "seed",
    "seed_b",
    "seed_morph",
}
HIGH, LOW = 5, 2  # shares of a column for a knob that stands and for what shares the column with it
SILENCING = {"mute"}  # switches that are lit in the warning colour: the player must see why nothing sounds


def make_tile(parameter: Parameter) -> ParameterTile:
    """The kind of tile that the parameter's kind asks for."""
    if parameter.toggle:
        toggle = Toggle(parameter, key=KEYS.get(parameter.name, ""))
        toggle.warning = parameter.name in SILENCING
        return toggle
    if parameter.name in FLAT:
        return StripChoice(parameter) if parameter.choices else Strip(parameter)
    return Choice(parameter) if parameter.choices else Knob(parameter)


def is_tall(tile: Tile) -> bool:
    """Return True if the tile is an upright knob or choice."""
    return isinstance(tile, (Knob, Choice)) and tile.name not in FLAT


class Title(Painted):
    """The name over a group."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.setFixedHeight(19)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        theme.write(painter, area.adjusted(2, 0, 0, -3), self.text, 12, theme.FAINT, bold=True)


class KnobsPanel(QWidget):
    """All tiles. `elsewhere` names the actions whose pad lives in another part of the window."""

    def __init__(
        self,
        parameters: Sequence[Parameter] = PARAMETERS,
        actions: Sequence[Action] = ACTIONS,
        elsewhere: frozenset[str] = frozenset({"panic"}),
    ) -> None:
        super().__init__()
        self._shown_values: tuple[ParameterSnapshot | None, ParameterSnapshot | None] = (None, None)
        self.tiles: dict[str, Tile] = {p.name: make_tile(p) for p in parameters}
        self.tiles |= {a.name: Pad(a, key=KEYS.get(a.name, "")) for a in actions if a.name not in elsewhere}
        self._knobs = {name: tile for name, tile in self.tiles.items() if isinstance(tile, ParameterTile)}
        self._pads = {name: tile for name, tile in self.tiles.items() if isinstance(tile, Pad)}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        placed: list[str] = []
        for title, columns in self._groups():
            there = [[name for name in column if name in self.tiles] for column in columns]
            there = [column for column in there if column]
            if there:
                row.addLayout(self._group(title, there), len(there))
                placed += [name for column in there for name in column]
        self.order = [self.tiles[name] for name in placed]
        for before, after in itertools.pairwise(self.order):
            QWidget.setTabOrder(before, after)
        self.numbered = [tile for tile in self.order if is_tall(tile)][:9]
        for number, tile in enumerate(self.numbered, 1):
            tile.number = str(number)

    def _groups(self) -> Iterator[tuple[str, Sequence[Sequence[str]]]]:
        yield from GROUPS
        named = {name for _, columns in GROUPS for column in columns for name in column}
        yield "MORE", [[name] for name in self.tiles if name not in named]

    def _group(self, title: str, columns: Sequence[Sequence[str]]) -> QVBoxLayout:
        box = QVBoxLayout()
        box.setSpacing(2)
        box.addWidget(Title(title))
        row = QHBoxLayout()
        row.setSpacing(6)
        for column in columns:
            stack = QVBoxLayout()
            stack.setSpacing(8)
            for name in column:
                tile = self.tiles[name]
                stack.addWidget(tile, HIGH if is_tall(tile) else LOW)
            row.addLayout(stack, 1)
        box.addLayout(row, 1)
        return box

    # What the window tells

    def show_values(self, now: ParameterSnapshot, heard: ParameterSnapshot | None) -> bool:
        """Show the set values and the heard values. Return True if they have changed.

        Snapshots never change: the same ones hold the same values.
        """
        if (now, heard) == self._shown_values:  # of the same objects that is a comparison of two addresses
            return False
        self._shown_values = (now, heard)
        for name, tile in self._knobs.items():
            tile.show_value(now.values[name], heard.values.get(name) if heard is not None else None)
        for name, pad in self._pads.items():
            pad.show_waiting(heard is not None and heard.counts.get(name) != now.counts.get(name))
        return True

    def show_hardware(self, hardware: Mapping[str, Ghost]) -> None:
        """Where the controls stand that have not taken over yet."""
        for name, tile in self._knobs.items():
            if isinstance(tile, Knob):
                ghost = hardware.get(name)
                tile.show_hardware(None if ghost is None or ghost.taken else ghost.position)

    def show_inapplicable(self, reasons: Mapping[str, str]) -> None:
        """Why these parameters do nothing now, by name; an empty reason says that they do something."""
        for name, why in reasons.items():
            if (tile := self._knobs.get(name)) is not None:
                tile.show_inapplicable(why)
