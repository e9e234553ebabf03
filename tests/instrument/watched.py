"""The real program with an eye in it: a test asks through a local socket what is on the screen, and where.

    python watched.py SOCKET [options of jbdiff-live]

The eye only looks. It answers each connection with one JSON list: every element that is shown, as a screen reader gets
it from Qt. `Program` is the other side, for tests; it starts this file, and all that it does goes over the screen.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 180.0
LONGEST_ANSWER = 1 << 24


@dataclass(frozen=True)
class Seen:
    """An element on the screen. `role` is Qt's name of it; `place` is x, y, width, height on the screen."""

    role: str
    name: str
    value: str
    about: str  # the accessible description
    place: tuple[int, int, int, int]
    grey: bool

    @property
    def middle(self) -> tuple[int, int]:
        x, y, width, height = self.place
        return x + width // 2, y + height // 2


class Program:
    """A running instrument on a screen, with a home of its own."""

    def __init__(self, home: Path, env: Mapping[str, str], *arguments: str) -> None:
        """env: what it has besides this process's environment."""
        self.output = home / "output.txt"
        self._socket = str(home / "eye")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, __file__, self._socket, *arguments],
                cwd=home, env={**os.environ, **env, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def look(self) -> list[Seen]:
        """Return all that is shown now; nothing while no window is there."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            try:
                line.connect(self._socket)
            except OSError:  # not there yet, or no longer
                return []
            parts = []
            while part := line.recv(1 << 16):
                parts.append(part)
        return [Seen(**{**one, "place": tuple(one["place"])}) for one in json.loads(b"".join(parts) or b"[]")]

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for a condition and return its value. AssertionError if it does not come, or the program ends."""
        pause, end = threading.Event(), time.monotonic() + PATIENCE
        while not (found := condition()):
            late = time.monotonic() > end
            if late or self.process.poll() is not None:
                shown = "\n".join(f"{one.role} {one.name!r} {one.value!r}" for one in self.look())
                raise AssertionError(f"never came: {what}\n{shown}\n{self.output.read_text()[-6000:]}")
            pause.wait(0.03)
        return found

    def find(self, name: str, role: str = "") -> Seen:
        """Wait until an element is shown, and return it. `name` is the beginning of its name."""

        def found() -> Seen | None:
            fits = [one for one in self.look() if one.name.startswith(name) and role in ("", one.role)]
            return fits[0] if fits else None

        seen: Seen = self.until(found, f"{role} {name!r} on the screen")
        return seen

    def wait(self) -> int:
        """Wait until the program has ended, and return its exit code."""
        return self.process.wait(PATIENCE)

    def end(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)


def main() -> None:
    from PySide6.QtNetwork import QLocalServer

    from jbdiff_live import __main__ as program
    from jbdiff_live.ui import app
    from jbdiff_live.ui.window import MainWindow

    name = sys.argv.pop(1)
    plain = app.run
    _note_order()

    def watched(*arguments: Any, on_ready: Callable[[MainWindow], object], **options: Any) -> int:
        def ready(window: MainWindow) -> None:
            server = QLocalServer(window)
            server.newConnection.connect(lambda: _answer(server))
            assert server.listen(name), server.errorString()
            on_ready(window)

        return plain(*arguments, on_ready=ready, **options)

    app.run = watched
    program.main()


def _note_order() -> None:
    """Print when the first frame is painted, and when somebody begins to import torch."""
    from jbdiff_live.ui.drawing.scope import Scope

    class Import:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name == "torch":
                print("torch is imported", flush=True)

    paint, painted = Scope.paintEvent, threading.Event()

    def painting(scope: Scope, event: Any) -> None:
        paint(scope, event)
        if not painted.is_set():
            painted.set()
            print("the first frame", flush=True)

    Scope.paintEvent = painting  # type: ignore[method-assign]
    sys.meta_path.insert(0, Import)  # type: ignore[arg-type]


def _answer(server: Any) -> None:
    """Send all that is shown to the newest connection."""
    line = server.nextPendingConnection()
    line.disconnected.connect(line.deleteLater)
    line.write(json.dumps(_shown()).encode())
    line.disconnectFromServer()


def _shown() -> list[dict[str, Any]]:
    """Return every visible element: those of what is on top first."""
    from PySide6.QtGui import QAccessible
    from PySide6.QtWidgets import QApplication

    popup, modal = QApplication.activePopupWidget(), QApplication.activeModalWidget()
    others = [top for top in QApplication.topLevelWidgets() if top not in (popup, modal)]
    found: list[dict[str, Any]] = []

    def gather(element: Any) -> None:
        if element is None or not element.isValid() or element.state().invisible:
            return
        where = element.rect()
        found.append({
            "role": element.role().name, "name": element.text(QAccessible.Text.Name),
            "value": element.text(QAccessible.Text.Value), "about": element.text(QAccessible.Text.Description),
            "place": [where.x(), where.y(), where.width(), where.height()], "grey": bool(element.state().disabled),
        })  # fmt: skip
        for number in range(element.childCount()):
            gather(element.child(number))

    for top in (popup, modal, *others):
        if top is not None and top.isVisible():
            gather(QAccessible.queryAccessibleInterface(top))
    return found


if __name__ == "__main__":
    main()
