"""Sound files are written whole or not at all, under any name; an error of the disk says what to do."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.__main__ import main
from jbdiff.audio.writing import new_sound, remedy, sound_name
from jbdiff.cli import app
from jbdiff.config import StackConfig

WAVE = (0.3 * np.sin(np.arange(90_000) / 20)).astype(np.float32)


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file of this process may become longer than 5 kB, as on a disk that is nearly full."""
    resource = pytest.importorskip("resource")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.wav"
    path.write_bytes(b"what was there before")
    return path


def test_a_full_disk_leaves_the_old_file(old: Path, little_room: None) -> None:
    with pytest.raises(OSError, match="Free some space"), new_sound(old, 44_100, 1, "PCM_16") as file:
        file.write(WAVE)
    assert old.read_bytes() == b"what was there before" and len(list(old.parent.iterdir())) == 1


def test_an_interrupt_leaves_the_old_file(old: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_sound(old, 44_100, 1, "PCM_16") as file:
        file.write(WAVE)
        raise KeyboardInterrupt
    assert old.read_bytes() == b"what was there before" and len(list(old.parent.iterdir())) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
@pytest.mark.parametrize("name", [b"bad\xff.wav", b"bad\xff.flac", "\u202e\n[b]é.wav".encode()])
def test_any_name_can_be_written(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(name)
    with new_sound(path, 44_100, 1, "PCM_16") as file:
        file.write(WAVE)
    assert soundfile.info(sound_name(path)).frames == len(WAVE)
    assert [os.fsencode(found.name) for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.ENAMETOOLONG, errno.ENOENT, errno.EIO]
)
def test_an_error_of_the_disk_has_a_remedy(number: int) -> None:
    assert len(remedy(OSError(number, os.strerror(number)))) > len("; give")
    assert remedy(ValueError("no disk")) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_the_commands_write_under_a_name_that_is_not_utf_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_config: StackConfig
) -> None:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    soundfile.write(tmp_path / "in.wav", WAVE[:3_000], 44_100)
    made, finished = (tmp_path / os.fsdecode(name) for name in (b"made\xff.wav", b"finished\xff.flac"))
    short = ["--stack", "toy", "--levels", "2", "--no-finisher", "--seconds", "0.1", "--steps", "1"]
    for arguments in (
        ["sample", *short, "--out", str(made)],
        ["finish", str(tmp_path / "in.wav"), "--stack", "toy", "--out", str(finished)],
    ):
        monkeypatch.setattr(sys, "argv", ["jbdiff", *arguments])
        with pytest.raises(SystemExit, match="0"):
            main()
    assert soundfile.info(sound_name(made)).frames == 4_410
    assert soundfile.info(sound_name(finished)).frames == 3_000


def test_a_full_disk_ends_finish_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_config: StackConfig, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    soundfile.write(tmp_path / "in.wav", WAVE, 44_100)
    out = tmp_path / "out.wav"
    out.write_bytes(b"what was there before")
    request.getfixturevalue("little_room")
    result = CliRunner().invoke(
        app, ["finish", str(tmp_path / "in.wav"), "--stack", "toy", "--out", str(out), "--overwrite"]
    )
    assert result.exit_code == 1 and "Free some space" in result.output, (result.output, result.exception)
    assert out.read_bytes() == b"what was there before"
