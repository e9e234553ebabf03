"""A real screen for a test: Xvfb, with a keyboard and a mouse whose events come from the X server (XTEST).

There is no window manager. `Screen` does the two things that a test needs of one: it gives the keyboard to the window
on top, and it asks a window to close as the cross in a title bar does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from servers import need

SIZE = (1280, 800)
MODIFIERS = {"ctrl": "Control_L", "shift": "Shift_L", "alt": "Alt_L"}
NAMES = {
    "=": "equal",
    "+": "plus",
    "-": "minus",
    "/": "slash",
    ".": "period",
    "_": "underscore",
    " ": "space",
}
DRAG_STEPS = 8


class Screen:
    """Hands at the X server of `name`, such as ":7". Positions are `(x, y)` in pixels of the screen."""

    def __init__(self, name: str) -> None:
        xlib = pytest.importorskip(
            "Xlib.display", reason="python-xlib is not installed; scripts/test does it"
        )
        self.name = name
        self._display: Any = xlib.Display(name)
        self._root: Any = self._display.screen().root

    def close(self) -> None:
        self._display.close()

    # ------------------------------------------------------------------ the window manager's part

    def top_window(self) -> Any:
        """Return the window on top that is no menu or tooltip; None if there is none."""
        from Xlib import X, error

        for window in reversed(self._root.query_tree().children):
            try:
                attributes = window.get_attributes()
                size = window.get_geometry()
            except error.BadWindow:  # it was closed meanwhile
                continue
            shown = attributes.map_state == X.IsViewable and attributes.win_class == X.InputOutput
            if shown and not attributes.override_redirect and size.width > 8:
                return window
        return None

    def focus_top(self) -> None:
        """Give the keyboard to the window on top, unless it has it."""
        from Xlib import X

        window = self.top_window()
        if window is not None and self._display.get_input_focus().focus != window:
            window.set_input_focus(X.RevertToParent, X.CurrentTime)
            self._display.sync()

    def ask_to_close(self) -> None:
        """Ask the window on top to close. It may ask back."""
        from Xlib import X
        from Xlib.protocol.event import ClientMessage

        window = self.top_window()
        assert window is not None, "no window is open"
        protocols = self._display.intern_atom("WM_PROTOCOLS")
        data = (32, [self._display.intern_atom("WM_DELETE_WINDOW"), X.CurrentTime, 0, 0, 0])
        window.send_event(ClientMessage(window=window, client_type=protocols, data=data))
        self._display.sync()

    # ------------------------------------------------------------------ hands

    def press(self, keys: str) -> None:
        """Press and release keys, such as "space", "ctrl+z" or "shift+1"."""
        self.focus_top()
        *held, key = keys.split("+")
        codes = [self._code(MODIFIERS[name])[0] for name in held]
        code, shifted = self._code(NAMES.get(key, key))
        if shifted and "shift" not in held:
            codes.append(self._code(MODIFIERS["shift"])[0])
        for down in codes:
            self._key(down, True)
        self._key(code, True)
        self._key(code, False)
        for up in reversed(codes):
            self._key(up, False)
        self._display.sync()

    def type(self, text: str) -> None:
        for letter in text:
            self.press(NAMES.get(letter, letter))

    def click(self, at: tuple[int, int]) -> None:
        self.move(at)
        self._button(True)
        self._button(False)
        self._display.sync()

    def drag(self, start: tuple[int, int], by: tuple[int, int]) -> None:
        """Press the button at `start`, move in some steps, and let go."""
        self.move(start)
        self._button(True)
        for step in range(1, DRAG_STEPS + 1):
            self.move((start[0] + by[0] * step // DRAG_STEPS, start[1] + by[1] * step // DRAG_STEPS))
        self._button(False)
        self._display.sync()

    def move(self, to: tuple[int, int]) -> None:
        from Xlib import X
        from Xlib.ext import xtest

        xtest.fake_input(self._display, X.MotionNotify, x=to[0], y=to[1])
        self._display.sync()

    def _button(self, down: bool) -> None:
        from Xlib import X
        from Xlib.ext import xtest

        xtest.fake_input(self._display, X.ButtonPress if down else X.ButtonRelease, 1)

    def _key(self, code: int, down: bool) -> None:
        from Xlib import X
        from Xlib.ext import xtest

        xtest.fake_input(self._display, X.KeyPress if down else X.KeyRelease, code)

    def _code(self, name: str) -> tuple[int, bool]:
        """Return the code of a key, and whether it needs Shift."""
        from Xlib import XK

        symbol = XK.string_to_keysym(name)
        code = self._display.keysym_to_keycode(symbol)
        assert symbol and code, f"this keyboard has no key {name!r}"
        return code, self._display.keycode_to_keysym(code, 0) != symbol

    # ------------------------------------------------------------------ eyes

    def pixels(self, area: tuple[int, int, int, int]) -> np.ndarray:
        """Return what the screen shows at x, y, width, height: uint8 `[height, width, 4]`, blue first."""
        from Xlib import X

        x, y, width, height = area
        image = self._root.get_image(x, y, width, height, X.ZPixmap, 0xFFFFFFFF)
        return np.frombuffer(image.data, np.uint8).reshape(height, width, 4)


@contextlib.contextmanager
def real_screen() -> Iterator[Screen]:
    """A running X server of its own, and hands at it."""
    need("Xvfb")
    read, write = os.pipe()
    geometry = f"{SIZE[0]}x{SIZE[1]}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", geometry, "-nolisten", "tcp", "-noreset"],
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as numbers:
            number = numbers.readline().strip()
        assert number, "Xvfb ended before it had a screen"
        screen = Screen(f":{number}")
        try:
            yield screen
        finally:
            screen.close()
    finally:
        server.terminate()
        server.wait(timeout=90)
