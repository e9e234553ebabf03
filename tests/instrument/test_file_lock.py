"""One lock for takes, the always-ring and the session: one process at a time, and disks that have no locks."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_record import block

from jbdiff import file_lock
from jbdiff.file_lock import FileLock, NoLocksError, is_locked
from jbdiff_live.record.lock import is_recorded
from jbdiff_live.record.recorder import Recorder

HOLDER = """
import sys
from pathlib import Path
from jbdiff.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.take(), flush=True)
sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        mine = FileLock(path)
        assert is_locked(path) and not mine.take() and not mine.held
        other.kill()
    assert not is_locked(path)
    assert mine.take() and mine.take() and is_locked(path)
    mine.release()
    mine.release()
    assert not is_locked(path)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(file_lock, "_lock", refuse)


@pytest.mark.usefixtures("no_locks")
def test_on_a_disk_without_locks_the_program_goes_on_and_times_say_what_is_recorded(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.take() and lock.held
    with pytest.raises(NoLocksError):
        is_locked(tmp_path / "lock")
    recorder = Recorder(44_100, 2)
    try:
        recorder.start(tmp_path / "takes", 0, {}, [block(0)])
        recorder.stop()
        (take,) = (tmp_path / "takes").iterdir()
        assert is_recorded(take), "its files are new"
        for path in take.iterdir():
            os.utime(path, (0, 0))
        assert not is_recorded(take)
    finally:
        recorder.close()
