"""Find out if a window can open here. If it cannot, Qt ends the whole process, so a second process tries first.

Main thread. The second process runs while the instrument starts.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 15.0
# A trial that fails leaves no core dump.
TRIAL = """
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
from PySide6.QtWidgets import QApplication
QApplication(["jbdiff-live"])
"""
IDLE_WORDS = (
    "this application failed to start",
    "reinstalling the application",
    "available platform plugins",
)


def has_display() -> bool:
    """Return True if there is a screen to try. A screen that is named but does not exist counts as none."""
    if os.environ.get("QT_QPA_PLATFORM") or platform.system() in ("Darwin", "Windows"):
        return True
    if wayland := os.environ.get("WAYLAND_DISPLAY"):
        folder = Path(os.environ.get("XDG_RUNTIME_DIR", "/"))
        if os.path.exists(folder / wayland):  # False also in a folder that belongs to another user
            return True
    host, colon, number = os.environ.get("DISPLAY", "").rpartition(":")
    if not colon:
        return False
    number = number.split(".")[0]
    try:
        if host and host != "unix":
            socket.create_connection((host, 6000 + int(number)), timeout=2).close()
            return True
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(2)
            knock.connect(f"/tmp/.X11-unix/X{int(number)}")
        return True
    except (OSError, ValueError, OverflowError):
        return False


class ScreenTrial:
    """Opens a Qt application in another process. It begins at once; `problem` waits for the result.

    A screen may answer and then refuse: no cookie, a socket without a listener, a plugin with a missing library.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._problem = ""
        if not has_display():
            self._problem = "there is no screen here"
        elif platform.system() not in ("Darwin", "Windows"):  # always have one, and would show the trial
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", TRIAL],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    text=True, errors="replace",
                )  # fmt: skip
            except OSError as error:
                self._problem = f"the screen cannot be tried ({error.strerror})"

    @property
    def hopeless(self) -> bool:
        """True if no window can open, as far as it is known without waiting."""
        return bool(self._problem)

    def problem(self) -> str:
        """Return why no window can open; empty if one can."""
        process, self._process = self._process, None
        if process is None:
            return self._problem
        try:
            _, said = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self._problem = "the screen does not answer"
        else:
            if process.returncode:
                log.info("the window's trial: %s", said)
                self._problem = f"the screen cannot be used ({_reason(said)})"
        return self._problem

    def close(self) -> None:
        """End a trial that nobody waits for."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _reason(said: str) -> str:
    """Return the reason: the first useful line that Qt printed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    useful = [line for line in lines if not any(words in line.lower() for words in IDLE_WORDS)]
    if useful and useful[0].startswith("Traceback"):
        return useful[-1][:160]
    return useful[0][:160] if useful else "Qt gives no reason"
