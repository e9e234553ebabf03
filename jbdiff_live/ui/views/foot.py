"""The row at the bottom of every view: freeze, re-roll, home, mute, the next patch, and the choice of the view.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME
from jbdiff_live.ui.tiles.buttons import Pad
from jbdiff_live.ui.tiles.panel import FOOT, KEYS, make_tile
from jbdiff_live.ui.tiles.stage_pads import NextPad
from jbdiff_live.ui.tiles.tile import Tile
from jbdiff_live.ui.views.tabs import Tabs


class FootRow(QWidget):
    """`tiles` are the four pads by name. `following` loads the next patch."""

    def __init__(self) -> None:
        super().__init__()
        self.tiles: dict[str, Tile] = {
            name: make_tile(BY_NAME[name])
            if name in BY_NAME
            else Pad(ACTIONS_BY_NAME[name], key=KEYS.get(name, ""))
            for name in FOOT
        }
        self.following = NextPad()
        self.tabs = Tabs()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for widget, stretch in (
            *((tile, 10) for tile in self.tiles.values()),
            (self.following, 13),
            (self.tabs, 26),
        ):
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
            row.addWidget(widget, stretch)
