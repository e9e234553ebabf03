"""The real program with a window that nobody sees: start, change, close, start again, and a start that is killed.

Each start of the program takes some seconds, so one test does what an evening does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pythonosc.udp_client import SimpleUDPClient

PATIENCE = 180.0
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the test ends the program by signals")


class Program:
    """A running instrument with its own home. `close` ends it as a closed terminal does."""

    def __init__(self, home: Path, *arguments: str) -> None:
        hidden = {"DISPLAY", "WAYLAND_DISPLAY", "JACK_DEFAULT_SERVER", "XDG_RUNTIME_DIR"}
        env = {key: value for key, value in os.environ.items() if key not in hidden}
        env |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "QT_QPA_PLATFORM": "offscreen",
                "JACK_NO_START_SERVER": "1", "OMP_NUM_THREADS": "1"}  # fmt: skip
        self.output = home / "output.txt"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jbdiff_live", "--verbose", *arguments],
                cwd=home, env=env, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def eventually(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds; fail if the program ends before."""
        pause, until = threading.Event(), time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < until, f"never came: {what}; {self.output.read_text()}"
            pause.wait(0.02)

    def close(self, number: signal.Signals = signal.SIGTERM) -> str:
        """End the program by a signal, and return all that it printed."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return self.output.read_text()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_start_change_close_start(tmp_path: Path) -> None:
    sessions = tmp_path / "jbdiff-live" / "sessions"
    file, mark = sessions / "last.json", sessions / "last.starting"
    port = free_port()
    osc = SimpleUDPClient("127.0.0.1", port)

    def kept() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def value(name: str) -> float:
        return float(kept().get("patch", {}).get("values", {}).get(name, -1))

    def turn(program: Program, name: str, number: float) -> None:
        """Turn a knob from outside until the session file has it: the autosave of a program that runs."""

        def there() -> bool:
            osc.send_message(f"/jbdiff/{name}", number)
            return abs(value(name) - number) < 1e-4

        program.eventually(there, f"{name} in the session file")

    first = Program(tmp_path, "--patch", "wild", "--osc", str(port))
    try:
        turn(first, "memory", 0.375)
    finally:
        assert "Traceback" not in first.close()
    assert first.process.returncode == 0
    assert kept()["window"] is not None and kept()["ports"]["osc"] == port

    file.write_text(json.dumps({**kept(), "window": {**kept()["window"], "view": 2}}))
    second = Program(tmp_path)  # without a question and without an argument
    try:
        turn(second, "brightness", 0.25)  # the port of the first start is open
        assert value("memory") == 0.375, "the unsaved change"
        assert kept()["patch"]["name"] == "wild" and kept()["window"]["view"] == 2
        assert not mark.exists()
    finally:
        second.close(signal.SIGKILL)
    assert value("brightness") == 0.25, "a crash costs some seconds at most"

    crash = Program(tmp_path)
    crash.eventually(mark.exists, "the mark of a start that reads the session")
    crash.close(signal.SIGKILL)
    old = file.read_bytes()
    safe = Program(tmp_path)
    try:
        safe.eventually(lambda: not mark.exists(), "a window")
    finally:
        said = safe.close()
    assert "your last session is not loaded (safe mode)" in " ".join(said.split())
    assert file.read_bytes() == old
