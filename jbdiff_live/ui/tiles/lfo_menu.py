"""The LFO of a knob, in its right-click menu: switch it on, choose shape, speed and depth.

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QMenu

from jbdiff_live.beat.modulation import Lfo, Shape
from jbdiff_live.ui.grey.words import grey_entry

RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # Hz
BARS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
DEPTHS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
OFFSETS = (-0.5, -0.25, 0.0, 0.25, 0.5)

Put = Callable[[Lfo | None], None]


def lfo_text(lfo: Lfo) -> str:
    """The LFO in a few words: "sine, 0.2 Hz, depth 0.3"."""
    return f"{lfo.shape.value}, {speed_text(lfo)}, depth {lfo.depth:g}"


def speed_text(lfo: Lfo) -> str:
    if lfo.bars is None:
        return f"{lfo.rate:g} Hz"
    return f"{lfo.bars:g} bar{'s' * (lfo.bars != 1)}"


def fill_lfo_menu(menu: QMenu, lfo: Lfo | None, put: Put) -> None:
    """Add the entries. `lfo` is what the knob has; `put` takes what the player chose, None to take it away."""
    now = lfo if lfo is not None else Lfo()
    on = menu.addAction("On")
    on.setCheckable(True)
    on.setChecked(lfo is not None and lfo.on)
    on.triggered.connect(lambda checked: put(replace(now, on=checked)))
    menu.addSeparator()
    _choices(menu, "Shape", [(shape.value, {"shape": shape}) for shape in Shape], now, put)
    speeds: list[tuple[str, dict[str, Any]]] = [
        (f"{rate:g} Hz", {"rate": rate, "bars": None}) for rate in RATES
    ]
    speeds += [(speed_text(Lfo(bars=bars)), {"bars": bars}) for bars in BARS]
    _choices(menu, "Speed", speeds, now, put)
    _choices(menu, "Depth", [(f"{depth:g}", {"depth": depth}) for depth in DEPTHS], now, put)
    _choices(menu, "Offset", [(f"{offset:+g}", {"offset": offset}) for offset in OFFSETS], now, put)
    menu.addSeparator()
    remove = menu.addAction("Remove")
    grey_entry(remove, "" if lfo is not None else "the knob has no LFO")
    remove.triggered.connect(lambda: put(None))


def _choices(menu: QMenu, title: str, entries: list[tuple[str, dict[str, Any]]], now: Lfo, put: Put) -> None:
    """A submenu; a choice switches the LFO on as well."""
    inside = menu.addMenu(title)
    for text, changes in entries:
        entry = inside.addAction(text)
        entry.setCheckable(True)
        entry.setChecked(all(getattr(now, name) == value for name, value in changes.items()))
        chosen = replace(now, **changes, on=True)
        entry.triggered.connect(lambda _=False, chosen=chosen: put(chosen))
