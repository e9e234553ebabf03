"""The panel of knobs: one tile for each row of the parameter table, one pad for each action.

The table says what there is; `ROWS` only says what stands beside what. A parameter that no group names
appears under "More", so that a new row of the table is playable before anyone has found it a place.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from jbdiff_live.parameters import (
    ACTIONS,
    OF_THE_ANCHOR,
    OF_THE_FILES,
    OF_THE_FINISHER,
    OF_THE_INPUT,
    OF_THE_REGISTER,
    OF_THE_SCENES,
    PARAMETERS,
    Action,
    Parameter,
)
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.painted import Painted
from jbdiff_live.ui.tiles.buttons import Choice, Pad, Toggle
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.strips import SlotsStrip, Strip, StripChoice
from jbdiff_live.ui.tiles.tile import ParameterTile, Tile

# Rows of groups: title, and columns; a column of several names is stacked. A name that is no parameter and no action
# is a widget that the window gives.
ROWS: tuple[tuple[tuple[str, tuple[tuple[str, ...], ...]], ...], ...] = (
    (
        (
            "NOISE",
            (
                ("noise_step",),
                ("noise_style",),
                ("noise path",),
                ("seed", "seed_b"),
                ("seed_morph", "noise_mutation"),
                ("noise_length", "advance"),
                ("write", "erase"),
            ),
        ),
        (
            "SOURCES",
            (
                ("guidance", "resample"),
                ("context_source", "init_source"),
                ("context file", "init file"),
                ("listen", "dry"),
                ("input_trim", "input_gate"),
            ),
        ),
    ),
    (
        (
            "FORM",
            (
                ("memory",),
                ("anchor", "theme"),
                ("brightness", "motion"),
                ("clock", "tempo"),
                ("reset_context", "tap"),
            ),
        ),
        (
            "FINISHER",
            (
                ("finisher_on", "finisher_strength"),
                ("finisher_style", "finisher_step"),
                ("finisher_seed", "stack"),
            ),
        ),
        ("FILES, OUTPUT", (("file_start", "file_length"), ("file_loop", "file_dry"), ("gain",))),
    ),
)
WIDER = {"FORM": 26, "NOISE": 3}  # tenths of a column: their words are the longest of their row
NARROW = {"noise path": 6}  # tenths of a column, instead of 10
SHORTER = {"hold_changes": "Hold until"}  # labels that a narrow tile has no room for
FOOT = ("hold", "reroll", "home", "mute")  # their pads stand below every view
KEYS = {
    "hold": "H", "mute": "M", "reroll": "N", "home": "B", "advance": "S", "write": "W", "erase": "E",
    "reset_context": "X", "tap": "T",
}  # fmt: skip
# Drawn as strips, since two or three of them share a column.
FLAT = OF_THE_FINISHER | OF_THE_ANCHOR | OF_THE_REGISTER | OF_THE_SCENES | OF_THE_INPUT | OF_THE_FILES
FLAT |= {
    "theme",
    "context_source",
    "init_source",
    "hold_changes",
    "guidance",
    "resample",
    "seed",
    "seed_b",
    "seed_morph",
}
SILENCING = {"mute"}  # switches that are lit in the warning colour: the player must see why nothing sounds


def make_tile(parameter: Parameter) -> ParameterTile:
    """The kind of tile that the parameter's kind asks for. A screen reader reads the whole label."""
    tile = _tile_of(replace(parameter, label=SHORTER.get(parameter.name, parameter.label)))
    tile.setAccessibleName(parameter.label)
    return tile


def _tile_of(parameter: Parameter) -> ParameterTile:
    if parameter.toggle:
        toggle = Toggle(parameter, key=KEYS.get(parameter.name, ""))
        toggle.warning = parameter.name in SILENCING
        return toggle
    if parameter.name == "noise_length":
        return SlotsStrip(parameter)
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
        self.setFixedHeight(18)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        theme.write(painter, area.adjusted(2, 0, 0, -3), self.text, 12, theme.FAINT, bold=True)


class KnobsPanel(QWidget):
    """A tile for each parameter and action but those of `elsewhere`, and the widgets of `given`, by name."""

    def __init__(
        self,
        parameters: Sequence[Parameter] = PARAMETERS,
        actions: Sequence[Action] = ACTIONS,
        elsewhere: frozenset[str] = frozenset({"panic", "marker", "hold_changes", *FOOT}) | OF_THE_SCENES,
        given: Mapping[str, QWidget] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.tiles: dict[str, Tile] = {p.name: make_tile(p) for p in parameters if p.name not in elsewhere}
        self.tiles |= {a.name: Pad(a, key=KEYS.get(a.name, "")) for a in actions if a.name not in elsewhere}
        self._given = given
        self._there: dict[str, QWidget] = {**self.tiles, **given}
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(6)
        placed: list[str] = []
        for groups in self._rows():
            row = QHBoxLayout()
            row.setSpacing(6)
            for title, columns in groups:
                there = [[name for name in column if name in self._there] for column in columns]
                there = [column for column in there if column]
                if there:
                    wide = sum(NARROW.get(column[0], 10) for column in there) + WIDER.get(title, 0)
                    row.addLayout(self._group(title, there), wide)
                    placed += [name for column in there for name in column]
            box.addLayout(row, 1)
        self.order = [self.tiles[name] for name in placed if name in self.tiles]
        shown = [self._there[name] for name in placed]
        self.tabs = [widget for widget in shown if widget.focusPolicy() & Qt.FocusPolicy.TabFocus]
        self.numbered = [tile for tile in self.order if is_tall(tile)][:9]

    def _rows(self) -> Iterator[Sequence[tuple[str, Sequence[Sequence[str]]]]]:
        first, last = ROWS
        named = {name for row in ROWS for _, columns in row for column in columns for name in column}
        more = [[name] for name in self.tiles if name not in named]
        yield first
        yield (*last, ("MORE", more)) if more else last

    def _group(self, title: str, columns: Sequence[Sequence[str]]) -> QVBoxLayout:
        box = QVBoxLayout()
        box.setSpacing(1)
        box.addWidget(Title(title))
        row = QHBoxLayout()
        row.setSpacing(2)
        for column in columns:
            stack = QVBoxLayout()
            stack.setSpacing(6)
            for name in column:
                widget = self._there[name]
                if isinstance(widget, ParameterTile):  # the title of the group says the first word
                    first, _, rest = widget.label.partition(" ")
                    shorter = first.upper() == title and rest
                    widget.face_label = rest.capitalize() if shorter else widget.label
                widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
                stack.addWidget(widget, 1)
            row.addLayout(stack, NARROW.get(column[0], 10))
        box.addLayout(row, 1)
        return box
