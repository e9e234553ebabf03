"""Keys from a terminal, one at a time and without Return. In the end the terminal is restored in every case.

Main thread only. Nothing is read unless standard input is a terminal that this program owns: one in the background, or
behind a pipe, has no keys.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
import threading
from types import TracebackType
from typing import Any

# The codes of keys that are not letters, from xterm and from the Linux console.
SEQUENCES = {
    "\x1b[C": "Right", "\x1b[D": "Left", "\x1b[A": "Up", "\x1b[B": "Down",
    "\x1bOC": "Right", "\x1bOD": "Left", "\x1bOA": "Up", "\x1bOB": "Down",
    "\x1bOP": "F1", "\x1bOQ": "F2", "\x1bOR": "F3", "\x1bOS": "F4",
    "\x1b[15~": "F5", "\x1b[17~": "F6", "\x1b[18~": "F7", "\x1b[19~": "F8",
    "\x1b[20~": "F9", "\x1b[21~": "F10", "\x1b[23~": "F11", "\x1b[24~": "F12",
}  # fmt: skip
LONGEST = max(map(len, SEQUENCES))


def split_keys(text: str) -> tuple[list[str], str]:
    """Return the keys in a terminal's input, and the end of the text, which may be half of a key.

    Keys have the names that maps use: "Space", "F5", "Right", or the letter in capitals.
    """
    keys = []
    while text:
        if text[0] != "\x1b":
            keys.append("Space" if text[0] == " " else text[0].upper())
            text = text[1:]
            continue
        found = next((sequence for sequence in SEQUENCES if text.startswith(sequence)), None)
        if found is not None:
            keys.append(SEQUENCES[found])
            text = text[len(found) :]
        elif any(sequence.startswith(text) for sequence in SEQUENCES):
            return keys, text
        else:  # a key without a name here: skip its sequence, up to the letter or ~ that ends it
            rest = text[2:] if text[1:2] in ("[", "O") else text[1:]
            end = next((at for at, letter in enumerate(rest) if letter.isalpha() or letter == "~"), None)
            text = "" if end is None else rest[end + 1 :]
    return keys, ""


class TerminalKeys:
    """A context in which `wait` returns keys. Outside it the terminal is as it was."""

    def __init__(self, stream: Any = None) -> None:
        """stream: for tests; None is standard input."""
        self._stream = sys.stdin if stream is None else stream
        self._fd: int | None = None
        self._before: Any = None
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

    @property
    def there(self) -> bool:
        """Return True if keys can be read."""
        return self._fd is not None

    def __enter__(self) -> TerminalKeys:
        try:
            fd = self._stream.fileno()
            if not os.isatty(fd):
                return self
        except (AttributeError, OSError, ValueError):  # no standard input at all
            return self
        if os.name == "nt":
            self._fd = fd
            return self
        import termios
        import tty

        try:
            if os.tcgetpgrp(fd) != os.getpgrp():  # in the background: touching the terminal would stop us
                return self
            self._before = termios.tcgetattr(fd)
            tty.setcbreak(fd)  # Ctrl-C and Ctrl-Z work on
        except (termios.error, OSError):
            return self
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fd, self._fd = self._fd, None
        if fd is None or self._before is None:
            return
        import contextlib
        import termios

        with contextlib.suppress(termios.error, OSError):  # the terminal has gone: nothing to restore
            termios.tcsetattr(fd, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float, stop: threading.Event) -> list[str]:
        """Wait for keys for so many seconds, or until `stop` is set. Return the pressed keys."""
        fd = self._fd
        if fd is None:
            stop.wait(seconds)
            return []
        if os.name == "nt":
            return self._windows(seconds, stop)
        try:
            if not select.select([fd], [], [], 0.0 if stop.is_set() else seconds)[0]:
                # Nothing followed: what looked like the beginning of a key was the Esc key.
                self._rest = ""
                return []
            data = os.read(fd, 1024)
        except (OSError, ValueError):
            data = b""
        if not data:  # the terminal has gone, but the music goes on
            self._fd = None
            return []
        keys, self._rest = split_keys(self._rest + self._decoder.decode(data))
        return keys

    def _windows(self, seconds: float, stop: threading.Event) -> list[str]:
        import msvcrt

        stop.wait(seconds)
        text = ""
        while msvcrt.kbhit():  # type: ignore[attr-defined]
            text += msvcrt.getwch()  # type: ignore[attr-defined]
        return split_keys(text)[0]
