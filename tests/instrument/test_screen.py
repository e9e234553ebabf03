"""Screens that are not there, refuse, or do not answer: no window then, and the music plays."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jbdiff_live.start import screen
from jbdiff_live.start.screen import ScreenTrial, has_display

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is always a screen")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XAUTHORITY"):
        monkeypatch.delenv(name, raising=False)


def problem() -> str:
    trial = ScreenTrial()
    try:
        return trial.problem()
    finally:
        trial.close()


def test_without_a_screen_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen.subprocess, "Popen", lambda *a, **k: pytest.fail("no process is needed"))
    assert problem() == "there is no screen here"
    monkeypatch.setenv("DISPLAY", ":4711")
    assert problem() == "there is no screen here"


def test_a_name_of_a_screen_that_no_folder_can_hold_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system refuses to look: so it does in the folder of another user, after `su`."""
    monkeypatch.setenv("WAYLAND_DISPLAY", "w" * 5000)
    assert problem() == "there is no screen here"


def test_a_platform_without_screen_opens_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert problem() == ""


def test_x11_by_name_without_a_display_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Qt aborts there: return code 134 of the whole instrument."""
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    assert "the screen cannot be used" in problem()


def test_a_wayland_socket_that_nobody_listens_at_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "wayland-0"))
    left.close()  # the file stays
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_display() and "the screen cannot be used" in problem()
    (tmp_path / "wayland-0").unlink()
    assert problem() == "there is no screen here"


@pytest.fixture
def locked_display(tmp_path: Path) -> Iterator[str]:
    """An X server that wants a cookie."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb here")
    # One record of another family and protocol: nobody has this cookie.
    (tmp_path / "auth").write_bytes(b"\xff\xff\0\0\0\0\0\x12MIT-MAGIC-COOKIE-1\0\x10" + bytes(range(16)))
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-auth", str(tmp_path / "auth"), "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as numbers:
            yield f":{numbers.readline().strip()}"
    finally:
        server.terminate()
        server.wait(timeout=90)


def test_a_server_that_wants_a_cookie_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, locked_display: str
) -> None:
    """As under `sudo` or `su` in another user's session."""
    monkeypatch.setenv("DISPLAY", locked_display)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert has_display() and "the screen cannot be used" in problem()


def test_a_server_that_does_not_answer_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It takes the connection, and says nothing more."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "wayland-1"))
    listening.listen()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-1")
    monkeypatch.setattr(screen, "PATIENCE_SECONDS", 1.0)
    try:
        assert problem() == "the screen does not answer"
    finally:
        listening.close()


def test_a_trial_that_nobody_waits_for_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr(screen, "TRIAL", "import threading; threading.Event().wait()")
    trial = ScreenTrial()
    process = trial._process
    assert process is not None
    closing = threading.Thread(target=trial.close)
    closing.start()
    closing.join(60)
    assert process.returncode is not None and trial.problem() == ""
