"""The session on the disk: whole or not at all, for one program at a time, and saved by a thread of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from turned_clock import TurnedClock

from jbdiff_live.kept.content import Content, Folders, SessionError
from jbdiff_live.kept.file import MOST_ASIDE, SessionFile
from jbdiff_live.kept.keeper import SAVE_SECONDS, Keeper
from jbdiff_live.kept.words import READ_SECONDS, StartWords

PATIENCE = 120.0


def holding(text: str) -> Content:
    return Content(folders=Folders(takes=text))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SessionFile]:
    made = SessionFile(tmp_path / "sessions" / "last.json", "1.0", lambda: "noon")
    yield made
    made.unlock()


# ---------------------------------------------------------------------- the file


def test_there_is_no_session_before_the_first(file: SessionFile) -> None:
    assert file.lock()
    assert file.read() is None and not file.crashed


def test_what_is_written_is_read(file: SessionFile) -> None:
    file.write(holding("here"))
    assert file.read() == (holding("here"), [])


WRITER = """
import sys
from pathlib import Path
from jbdiff_live.kept.content import Content, PatchPart
from jbdiff_live.kept.file import SessionFile
file = SessionFile(Path(sys.argv[1]), "1.0")
assert file.lock()
number = 0
while True:
    number += 1
    # Tens of kilobytes: the system cannot write them at once.
    file.write(Content(patch=PatchPart(name=str(number), description="x" * 4000, bindings={"a": ["b" * 60] * 1000})))
    print(number, flush=True)
"""


def test_a_kill_in_the_middle_of_saving_leaves_a_whole_session(file: SessionFile) -> None:
    """A process that saves without a pause is killed five times, each time at another place."""
    for kills in range(1, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file.path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(7 * kills):
            written = process.stdout.readline()
        process.kill()
        process.wait()
        written = [written, *process.stdout.read().split()][-1]
        process.stdout.close()
        found = file.read()
        assert found is not None and not found[1]
        assert found[0].patch is not None and int(found[0].patch.name) >= int(written)
    assert file.lock(), "the lock of a killed program is gone"
    names = sorted(path.name for path in file.path.parent.iterdir())
    assert names == ["last.json", "last.lock"], "what the kills left over is cleared away"


STUCK = """
import os, sys, threading
from pathlib import Path
from jbdiff_live.kept.content import Content
from jbdiff_live.kept.file import SessionFile

def stuck(*paths):
    print("written, not renamed", flush=True)
    threading.Event().wait()

os.replace = stuck
SessionFile(Path(sys.argv[1]), "1.0").write(Content())
"""


def test_a_kill_before_the_rename_leaves_the_old_session(file: SessionFile) -> None:
    file.write(holding("old"))
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(file.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert file.read() == (holding("old"), [])
    assert len(list(file.path.parent.iterdir())) == 2
    assert file.lock()
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["last.json", "last.lock"]


def test_a_second_program_does_not_get_the_session(file: SessionFile) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file.path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert not file.lock()
    process.kill()
    process.wait()
    process.stdout.close()
    assert file.lock()


def test_a_start_that_does_not_arrive_leaves_its_mark(file: SessionFile) -> None:
    assert file.lock()
    file.begin()
    file.unlock()
    assert file.crashed
    file.arrived()
    file.arrived()  # the second time is no error
    assert not file.crashed


def test_files_are_put_aside_under_free_names(file: SessionFile) -> None:
    names = []
    for number in range(3):
        file.write(holding(str(number)))
        aside = file.put_aside("unreadable")
        assert aside is not None and not file.path.exists()
        names.append(aside.name)
    assert names == [f"last-unreadable-noon{end}.json" for end in ("", "-2", "-3")]


def test_the_oldest_files_that_were_put_aside_make_room(tmp_path: Path) -> None:
    stamps = iter(range(100, 200))
    file = SessionFile(tmp_path / "last.json", "1.0", lambda: str(next(stamps)))
    for number in range(MOST_ASIDE + 3):
        file.write(holding(str(number)))
        file.put_aside("unreadable")
    left = sorted(path.name for path in tmp_path.glob("last-*.json"))
    assert left == [f"last-unreadable-{103 + n}.json" for n in range(MOST_ASIDE)]


def test_a_folder_in_the_place_of_the_file_is_no_session(file: SessionFile) -> None:
    file.path.mkdir(parents=True)
    with pytest.raises(SessionError, match="no file"):
        file.read()
    assert file.put_aside("unreadable") is not None


# ---------------------------------------------------------------------- the thread


@dataclass(frozen=True)
class Knobs:
    """A moment with a piece of music and a window."""

    music: str = "a"
    window: int = 0

    def same_music(self, other: object) -> bool:
        return isinstance(other, Knobs) and other.music == self.music

    def content(self) -> Content:
        return holding(f"{self.music}{self.window}")


class Kept:
    """A keeper with a clock that is turned by hand, and the disk that it writes to."""

    def __init__(self, first_change: Callable[[], None] | None = None) -> None:
        self.clock = TurnedClock()
        self.knobs = Knobs()
        self.looks = 0
        self.written: list[str] = []
        self.full = False
        self.keeper = Keeper(self.look, self.write, self.clock, first_change)
        self.keeper.start()

    def look(self) -> Knobs:
        self.looks += 1
        return self.knobs

    def write(self, content: Content) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        assert content.folders is not None and threading.current_thread().name == "session keeper"
        self.written.append(content.folders.takes)

    def next_look(self) -> None:
        """Turn the clock until the keeper has looked again, and once more, so that the first look's work is done."""
        for _ in range(2):
            looks = self.looks
            self.clock.turn(SAVE_SECONDS)
            self.clock.run_until(lambda looks=looks: self.looks > looks, "a look")  # type: ignore[misc]


def test_a_change_is_saved_once_and_rest_is_not() -> None:
    kept = Kept()
    kept.next_look()
    assert kept.written == ["a0"]
    kept.next_look()
    assert kept.written == ["a0"]
    kept.knobs = Knobs("b")
    kept.next_look()
    assert kept.written == ["a0", "b0"]
    kept.knobs = Knobs("c")
    kept.keeper.close()
    assert kept.written == ["a0", "b0", "c0"], "the end saves the newest change"
    kept.keeper.close()


def test_a_full_disk_is_said_and_tried_again() -> None:
    kept = Kept()
    kept.full = True
    kept.next_look()
    assert kept.keeper.problem == (
        "the session is not kept (No space left on device); save your patch with Ctrl+S"
    )
    kept.full = False
    kept.next_look()
    kept.keeper.close()
    assert kept.written == ["a0"] and not kept.keeper.problem


def test_an_error_of_the_program_ends_neither_the_thread_nor_the_music() -> None:
    kept = Kept()
    kept.keeper._look = lambda: Knobs(window=1 // 0)
    kept.clock.turn(SAVE_SECONDS)
    kept.clock.run_until(lambda: kept.keeper.problem, "a problem")
    kept.keeper._look = kept.look
    kept.next_look()
    kept.keeper.close()
    assert kept.written == ["a0"] and not kept.keeper.problem


def test_in_safe_mode_the_old_session_stays_until_something_changes() -> None:
    backups: list[list[str]] = []
    kept = Kept(first_change=lambda: backups.append(list(kept.written)))
    kept.knobs = Knobs(window=1)
    kept.next_look()
    assert kept.written == [] and backups == [], "a window that moves is no change"
    kept.knobs = Knobs("b", 1)
    kept.next_look()
    kept.knobs = Knobs("a", 2)
    kept.next_look()
    kept.keeper.close()
    assert kept.written == ["b1", "a2"]
    assert backups == [[]], "the old session is put aside once, before the first write"


def test_in_safe_mode_nothing_is_written_if_the_old_session_cannot_be_put_aside() -> None:
    def refuse() -> None:
        raise OSError(0, "the old session cannot be renamed")

    kept = Kept(first_change=refuse)
    kept.knobs = Knobs("b")
    kept.next_look()
    kept.keeper.close()
    assert kept.written == [] and "cannot be renamed" in kept.keeper.problem


def test_the_words_of_a_start_stay_until_they_could_be_read() -> None:
    clock = TurnedClock()
    words = StartWords(clock)
    assert words.newest(plays=False) == ""
    words.say("One.")
    words.say("Two.")
    clock.turn(100)
    assert words.newest(plays=False) == "One. Two."
    clock.turn(READ_SECONDS - 1)
    assert words.newest(plays=True) == "One. Two."
    clock.turn(1)
    assert words.newest(plays=False) == "One. Two.", "nothing plays yet"
    assert words.newest(plays=True) == ""
    assert words.newest(plays=False) == ""
