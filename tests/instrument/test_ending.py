"""Signals that ask the instrument to end: the take is closed, with a window and without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tone_generator import ToneGenerator

from jbdiff_live.record.take import open_take
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.start.headless import Announcements, _finish, play_headless
from jbdiff_live.system.ending import Interrupts, on_ending

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="other signals there")
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
RARER = [signal.SIGQUIT, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2]
PATIENCE = 180.0


def recorded(tmp_path: Path, session: Session) -> None:
    """Checks that a take was closed."""
    (folder,) = (tmp_path / "takes").iterdir()
    take = open_take(folder)
    assert take.info.closed_cleanly and take.info.frames == take.frames > 0
    assert not session.status().recorder.recording


@pytest.fixture(autouse=True)
def a_hang_up_is_not_ignored() -> Iterator[None]:
    """As in a terminal, also if these tests were started with nohup; programs that they start inherit it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", ENDING)
def test_every_signal_closes_the_take_without_a_window(number: signal.Signals, tmp_path: Path) -> None:
    session = Session(
        SessionOptions(device="null", midi=(), takes=tmp_path / "takes"), ToneGenerator(block_frames=8192)
    )
    session.open()

    def send() -> None:
        pause = threading.Event()
        while session.status().frame < 8192:  # heard
            pause.wait(0.01)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    try:
        sender.start()
        assert play_headless(session, None, record_take=True) == 0
    finally:
        session.close()
        sender.join(PATIENCE)
    recorded(tmp_path, session)


@pytest.mark.parametrize("number", ENDING)
def test_every_signal_closes_the_window_and_the_take(number: signal.Signals, tmp_path: Path) -> None:
    """With a dialog open over it, which runs a loop of its own."""
    code = f"""
import os, signal, sys
from pathlib import Path
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QDialog
from tone_generator import ToneGenerator
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.ui.app import run
session = Session(SessionOptions(device="null", midi=(), takes=Path(sys.argv[1])), ToneGenerator(block_frames=8192))
session.open()
session.record_from_first_block()
session.start()
def look(window):
    if session.status().frame > 8192:
        os.kill(os.getpid(), {int(number)})
def ready(window):
    timer = QTimer(window)
    timer.timeout.connect(lambda: look(window))
    timer.start(20)
    QDialog(window).exec()
try:
    print("ended", run(session, on_ready=ready))
finally:
    session.close()
print(session.status().recorder.recording)
"""
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "takes")],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["ended", "0", "False"]), done.stderr
    (folder,) = (tmp_path / "takes").iterdir()
    take = open_take(folder)
    assert take.info.closed_cleanly and take.frames > 8192


def test_an_end_before_the_first_block_is_said_without_figures(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(SessionOptions(device="null", midi=()), ToneGenerator())
    try:
        assert _finish(session, None, session.status(), Announcements()) == 0
    finally:
        session.close()
    assert capsys.readouterr().out == "Nothing was played: the first block was not ready yet.\n"


def test_a_console_that_has_gone_ends_nothing(tmp_path: Path) -> None:
    """A closed terminal sends SIGHUP, and whatever is printed after that fails."""
    read, write = os.pipe()
    os.close(read)
    code = """
import sys
from pathlib import Path
from tone_generator import ToneGenerator
from jbdiff_live.start.headless import play_headless
from jbdiff_live.session import Session, SessionOptions
session = Session(SessionOptions(device="null", midi=(), takes=Path(sys.argv[1])), ToneGenerator(block_frames=8192))
session.open()
try:
    code = play_headless(session, 1.0, record_take=True)
finally:
    session.close()
sys.stdout = None
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "takes")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=300,
    )
    os.close(write)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "takes").iterdir()
    take = open_take(folder)
    assert take.info.closed_cleanly and take.frames >= 44_100, "a busy machine notes the end a little later"


def test_a_thread_left_inside_torch_does_not_abort_the_process() -> None:
    """Who quits while a model is built leaves one. The end of the interpreter would end it, and C++ forbids that."""
    code = """
import threading
import torch
from jbdiff_live.system.ending import ThreadsLeft

left = ThreadsLeft()
busy = threading.Event()

def build():
    while True:
        torch.empty(100_000).normal_()
        busy.set()

threading.Thread(target=build, daemon=True).start()
busy.wait()
print("closed")
left.status = 3
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (3, "closed\n", "")


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ended = []
    try:
        with on_ending(lambda: ended.append(1)):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        assert ended == [1]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", RARER)
def test_other_signals_that_end_a_process_close_it_too(number: signal.Signals) -> None:
    """Ctrl-\\ is beside Ctrl-C on a keyboard; a limit of CPU time sends SIGXCPU."""
    before = signal.signal(number, signal.SIG_DFL)
    ended = []
    try:
        with on_ending(lambda: ended.append(1)):
            assert signal.getsignal(number) is not signal.SIG_DFL
            os.kill(os.getpid(), number)
        assert ended == [1]
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with on_ending(lambda: None):
        assert [signal.getsignal(number) for number in ENDING] != before
    assert [signal.getsignal(number) for number in ENDING] == before


def test_nothing_interrupts_the_closing_of_a_take() -> None:
    """Who presses Ctrl-C twice wants it to end, and has it end."""
    interrupts = Interrupts()
    with on_ending(interrupts):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        interrupts.closing = True
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
