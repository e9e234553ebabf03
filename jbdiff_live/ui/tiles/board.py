"""All tiles of the window in one place: each gets its value, its binding and its countdown, in whatever view it is.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from PySide6.QtWidgets import QWidget

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.control_view import Ghost
from jbdiff_live.parameters import BY_NAME, ParameterSnapshot
from jbdiff_live.ui.coming import Changes
from jbdiff_live.ui.tiles.buttons import Pad
from jbdiff_live.ui.tiles.knob import Knob
from jbdiff_live.ui.tiles.strips import Strip
from jbdiff_live.ui.tiles.tile import ParameterTile, Tile


class Board:
    """A parameter may have several tiles. `connect` is called with each new tile."""

    def __init__(self, connect: Callable[[Tile], None]) -> None:
        self._connect = connect
        self._tiles: list[Tile] = []
        self._knobs: list[ParameterTile] = []
        self._pads: list[Pad] = []
        self._shown: tuple[ParameterSnapshot | None, ParameterSnapshot | None] = (None, None)
        self._starts: Mapping[str, float] = {}
        self._reasons: dict[str, str] = {}

    def __iter__(self) -> Iterator[Tile]:
        return iter(self._tiles)

    def add(self, tile: Tile) -> None:
        """Take a tile. It shows what the others of its name show at the next look."""
        self._tiles.append(tile)
        if isinstance(tile, ParameterTile):
            self._knobs.append(tile)
        elif isinstance(tile, Pad):
            self._pads.append(tile)
        self._shown, self._starts = (None, None), {}
        if why := self._reasons.get(tile.name, ""):
            tile.show_inapplicable(why)
        self._connect(tile)

    def seen(self, name: str) -> QWidget | None:
        """Return the tile of a name that can be seen now; else any of them, or None."""
        found = [tile for tile in self._tiles if tile.name == name]
        return next((tile for tile in found if tile.isVisible()), found[0] if found else None)

    def show_values(self, now: ParameterSnapshot, heard: ParameterSnapshot | None) -> bool:
        """Show the set values and the heard values. Return True if they have changed.

        Snapshots never change: the same ones hold the same values.
        """
        if (now, heard) == self._shown:  # of the same objects that is a comparison of two addresses
            return False
        self._shown = (now, heard)
        for tile in self._knobs:
            tile.show_value(now.values[tile.name], heard.values.get(tile.name) if heard is not None else None)
        for pad in self._pads:
            waiting = heard is not None and heard.counts.get(pad.name) != now.counts.get(pad.name)
            pad.show_waiting(waiting)
        return True

    def show_starts(self, values: Mapping[str, float]) -> None:
        """Show the values to which a reset goes: the patch's."""
        if values is self._starts:
            return
        self._starts = values
        for tile in self._knobs:
            tile.show_start(
                values.get(tile.name, BY_NAME[tile.name].default if tile.name in BY_NAME else tile.start)
            )

    def show_changes(self, changes: Changes) -> None:
        """Show when each change on its way is heard."""
        for tile in self._tiles:
            tile.show_coming(changes.text(tile.name))

    def show_hardware(self, hardware: Mapping[str, Ghost]) -> None:
        """Show where the controls stand that have not taken over yet."""
        for tile in self._knobs:
            if isinstance(tile, (Knob, Strip)):
                ghost = hardware.get(tile.name)
                tile.show_hardware(None if ghost is None or ghost.taken else ghost.position)

    def show_inapplicable(self, reasons: Mapping[str, str]) -> None:
        """Show why these parameters do nothing now, by name; an empty reason says that they do something."""
        self._reasons |= reasons
        for tile in self._knobs:
            if (why := reasons.get(tile.name)) is not None:
                tile.show_inapplicable(why)

    def show_bindings(self, bindings: Mapping[str, str], lfos: Mapping[str, Lfo]) -> None:
        for tile in self._tiles:
            tile.show_binding(bindings.get(tile.name, ""))
            tile.show_lfo(lfos.get(tile.name))

    def show_learning(self, name: str | None, now: float) -> None:
        """Let the tiles that wait for a control pulse. now: seconds of a running clock."""
        for tile in self._tiles:
            tile.show_learning(tile.name == name)
            if tile.learning:
                tile.pulse(now)
