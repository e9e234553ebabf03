"""Rendering a take again: a process behind the music, which stops for it, ends with it, and says how far it is."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from jbdiff_live.record.shelf.again import command, render_again
from jbdiff_live.record.shelf.jobs import ThreadJob

SECONDS = 20  # within which a thread of a test ends, on the busiest machine


def run(code: str) -> ThreadJob:
    return ThreadJob("rendering", lambda job: render_again(job, [sys.executable, "-c", code]))


# A rendering that says how far it is, and waits until it is ended.
ENDLESS = """
import threading
print('{"done": 1, "of": 9, "seconds_left": 5}', flush=True)
threading.Event().wait()
"""


class Music:
    """Plays if `on` is set. `looked` is set by each look at it."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self.looked = threading.Event()

    def __call__(self) -> bool:
        self.looked.set()
        return self.on


def behind(music: Music, code: str = ENDLESS) -> ThreadJob:
    return ThreadJob("rendering", lambda job: render_again(job, [sys.executable, "-c", code], music))


def until(job: ThreadJob, true: Callable[[], bool]) -> None:
    while not true():
        assert not job.wait(0.01), job.state


def process_state(pid: int) -> str:
    """Return the letter that Linux gives the state of a process: T is stopped. Empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the state of a process is read from /proc")


@LINUX
def test_a_rendering_stops_while_the_music_plays_and_goes_on_afterwards(tmp_path: Path) -> None:
    mark, music = tmp_path / "pid", Music(on=False)
    job = behind(music, f"import os\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\n{ENDLESS}")
    until(job, lambda: bool(job.state.part))
    pid = int(mark.read_text())
    assert job.state.waits == "" and process_state(pid) != "T"
    for _ in range(2):
        music.on = True
        until(job, lambda: process_state(pid) == "T")
        until(job, lambda: job.state.waits == "waits until the music stops")
        music.on = False
        until(job, lambda: process_state(pid) in "SR")
        until(job, lambda: job.state.waits == "")
    music.on = True
    until(job, lambda: process_state(pid) == "T")
    job.cancel()
    assert job.wait(SECONDS) and job.state.cancelled, "a stopped process is ended too"
    assert process_state(pid) == ""


def test_a_rendering_that_is_asked_for_while_the_music_plays_begins_when_it_stops(tmp_path: Path) -> None:
    mark, music = tmp_path / "begun", Music(on=True)
    job = behind(music, f"open({str(mark)!r}, 'w').close()\nprint('{{\"done\": 1, \"of\": 1}}')")
    until(job, lambda: bool(job.state.waits))
    music.looked.clear()
    assert music.looked.wait(SECONDS) and not mark.exists()
    music.on = False
    assert job.wait(SECONDS) and job.state.words == "the take is rendered again" and mark.exists()
    waiting = behind(Music(on=True))
    until(waiting, lambda: bool(waiting.state.waits))
    waiting.cancel()
    assert waiting.wait(SECONDS) and waiting.state.cancelled


def test_where_no_process_can_be_stopped_a_rendering_is_ended_and_goes_on_after_the_music(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows. A replay that is run again goes on from its last state; here the second run ends."""
    monkeypatch.setattr("jbdiff_live.system.behind.PAUSES", False)
    runs, music = tmp_path / "runs", Music(on=False)
    runs.write_text("")
    job = behind(
        music,
        f"runs = open({str(runs)!r}, 'a+')\nruns.seek(0)\nlater = runs.read()\nruns.write('run ')\nruns.close()\n"
        f"if later:\n    raise SystemExit\n{ENDLESS}",
    )
    until(job, lambda: bool(job.state.part))
    music.on = True
    until(job, lambda: job.state.waits == "waits until the music stops")
    assert runs.read_text() == "run "
    music.on = False
    assert job.wait(SECONDS) and job.state.words == "the take is rendered again" and not job.state.problem
    assert runs.read_text() == "run run "


@LINUX
def test_a_killed_instrument_leaves_no_stopped_rendering_behind() -> None:
    """The kernel ends it, or lets it go on where hang-ups are ignored; it then ends at its next word."""
    code = (
        "import sys\nfrom jbdiff_live.system.behind import start_behind, BehindMusic\n"
        "child = start_behind([sys.executable, '-c', 'import threading; threading.Event().wait()'])\n"
        "BehindMusic(child, lambda: True, lambda stopped: print(child.pid, flush=True))\n"
        "child.wait()"
    )
    instrument = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert instrument.stdout is not None
    pid = int(instrument.stdout.readline())
    ended = os.pidfd_open(pid)

    def wait_while(state: Callable[[str], bool]) -> None:
        patience = time.monotonic() + SECONDS
        while state(process_state(pid)):
            assert time.monotonic() < patience, process_state(pid)
            select.select([ended], [], [], 0.01)

    try:
        wait_while(lambda state: state != "T")
        instrument.kill()
        instrument.wait(SECONDS)
        wait_while(lambda state: state == "T")
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(ended, signal.SIGKILL)
        os.close(ended)
        instrument.stdout.close()


def test_the_command_is_the_instruments_own(tmp_path: Path) -> None:
    assert command(tmp_path)[1:] == ["-m", "jbdiff_live", "replay", str(tmp_path), "--progress", "json"]


def test_a_rendering_shows_its_progress_and_what_it_made() -> None:
    job = run(
        "import sys\nprint('loading the stack')\n"
        'print(\'{"done": 3, "of": 12, "seconds_left": 41.5}\', flush=True)\nsys.stdin.read()\n'
        'print(\'{"done": 12, "of": 12, "folder": "/takes/new"}\')'
    )
    assert job.wait(SECONDS)
    assert job.state.result == Path("/takes/new") and job.state.words == "the take is rendered again"


def test_a_rendering_that_fails_says_its_last_words() -> None:
    job = run("import sys\nprint('the weights are other ones; fetch them')\nsys.exit(3)")
    assert job.wait(SECONDS) and "the weights are other ones; fetch them" in job.state.problem


def test_a_rendering_that_is_cancelled_ends_its_process(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    job = run(
        f"import os, threading\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\n"
        'print(\'{"done": 1, "of": 9, "seconds_left": 5}\', flush=True)\nthreading.Event().wait()'
    )
    while job.state.part is None or job.state.part == 0:
        assert not job.wait(0.01), job.state
    assert job.state.seconds_left == 5
    job.cancel()
    assert job.wait(SECONDS) and job.state.cancelled
    assert not Path(f"/proc/{mark.read_text()}").exists()
