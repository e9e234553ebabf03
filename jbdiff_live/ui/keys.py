"""The keyboard: one table makes the shortcuts and the list of keys that F1 shows.

"?" is the one key that is not a shortcut: where it lies and whether it needs Shift depends on the layout, so
the window takes it by its text.

A key that a focused tile wants for itself (digits, or Enter and Esc while typing) never comes here: the tile
says so first (`Tile.wants_key`).

Thread: Qt's. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)  # of the letters, and of the number block


@dataclass(frozen=True)
class Key:
    """`sequences` are Qt's names of keys; `does` names the window's deed; `shown` is how the list writes it."""

    sequences: tuple[str, ...]
    does: str
    shown: str
    text: str


KEYS: tuple[Key, ...] = (
    Key(("Space",), "start_stop", "Space", "start; twice: stop"),
    Key(("F2", "F3", "F4"), "view", "F2 F3 F4", "stage, workshop, settings"),
    Key(("R",), "record", "R", "record, stop recording"),
    Key(("J",), "keep", "J", "keep the last minutes as a take"),
    Key(("Shift+J",), "keep_all", "Shift+J", "keep everything since the start"),
    Key(("Ctrl+T",), "show_take", "Ctrl+T", "open the folder of the newest take"),
    Key(("V",), "marker", "V", "put a marker into the take"),
    Key(("P",), "panic", "P", "panic: silence now, begin again"),
    Key(("Esc",), "escape", "Esc", "close, cancel, let go of a knob"),
    Key(("H",), "hold", "H", "hold the noise"),
    Key(("M",), "mute", "M", "mute"),
    Key(("N",), "reroll", "N", "re-roll the noise"),
    Key(("B",), "home", "B", "home: back to the seed's first noise"),
    Key(("S",), "advance", "S", "step: move held noise once"),
    Key(("W",), "write", "W", "write this noise into the register"),
    Key(("E",), "erase", "E", "erase: new noise into the register"),
    Key(("X",), "reset_context", "X", "forget: begin anew without a silence"),
    Key(("T",), "tap", "T", "tap the tempo"),
    Key(("L",), "learn", "L", "learn MIDI for the focused knob"),
    Key(("Shift+L",), "learn_row", "Shift+L", "learn the knobs in a row"),
    Key(("U",), "unlearn", "U", "unlearn the control you touch next"),
    Key(("K",), "locate", "K", "which knob does a control move?"),
    Key(("Ctrl+B",), "bindings", "Ctrl+B", "table of all bindings"),
    Key(tuple(str(n) for n in range(1, 9)), "scene", "1 … 8", "recall a scene"),
    Key(tuple(f"Shift+{n}" for n in range(1, 9)), "capture", "Shift+1 … 8", "capture a scene"),
    Key(("C",), "arm_capture", "C", "capture the scene you choose next"),
    Key(("Ctrl+Z",), "undo", "Ctrl+Z", "undo"),
    Key(("Ctrl+Shift+Z", "Ctrl+Y"), "redo", "Ctrl+Shift+Z", "redo"),
    Key(("Backspace",), "back", "Backspace", "time machine: go back one block"),
    Key(("Ctrl+Backspace",), "far_back", "Ctrl+Backspace", "go back eight blocks"),
    Key(("Shift+Backspace",), "forward", "Shift+Backspace", "go forward one block"),
    Key(("=",), "compare", "=", "compare with the saved patch"),
    Key(tuple(f"Alt+{n}" for n in range(1, 10)), "focus", "Alt+1 … 9", "focus a knob"),
    Key((), "", "0 … 9  .  Enter", "on a knob: type a value; Enter sets it"),
    Key((), "", "↑ ↓  PgUp PgDn", "on a knob: turn; Shift: fine"),
    Key((), "", "drag, wheel", "turn; double-click: reset"),
    Key((), "", "Tab, right click", "next control; menu of a knob"),
    Key(("Ctrl+O",), "load_patch", "Ctrl+O", "browser of patches, sounds and takes"),
    Key(("Ctrl+S",), "save_patch", "Ctrl+S", "save a patch"),
    Key(("F11",), "full_screen", "F11", "full screen"),
    Key(("F1",), "show_keys", "F1 or ?", "this list"),
)  # fmt: skip


def rows() -> list[tuple[str, str]]:
    """Keys and what they do, for people."""
    return [(key.shown, key.text) for key in KEYS]


def install(window: QWidget, deeds: Mapping[str, Callable[[str], None]]) -> list[QShortcut]:
    """Make the shortcuts. Each deed is called with the key's name; a deed that is missing raises KeyError."""
    made = []
    for key in KEYS:
        for sequence in key.sequences:
            shortcut = QShortcut(QKeySequence(sequence), window)
            shortcut.setAutoRepeat(False)  # a key held down is one wish
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            deed = deeds[key.does]
            shortcut.activated.connect(lambda deed=deed, sequence=sequence: deed(sequence))
            made.append(shortcut)
    return made
