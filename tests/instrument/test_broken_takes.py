"""Takes that were broken off: found, made whole, offered. Nothing is deleted, and a take in work is left alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_record import RATE, audio, block, folder_of, killed_while_recording, until
from tone_generator import ToneGenerator

from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.repair import broken_takes, repair_take
from jbdiff_live.record.take import EVENTS, TakeError, open_take
from jbdiff_live.record.wav import WavFile, repair
from jbdiff_live.record.writer import TakeWriter
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.start.headless import Announcements, recover


def killed_take(parent: Path) -> Path:
    """A take whose process was killed while it was recorded."""
    killed_while_recording(parent, 5)
    (folder,) = parent.iterdir()
    return folder


def test_a_killed_take_is_found_and_made_whole(tmp_path: Path) -> None:
    folder = killed_take(tmp_path)
    sound = folder / "audio.wav"
    with sound.open("ab") as torn:
        torn.write(b"\1\2\3")  # a piece of a frame
    with (folder / EVENTS).open("ab") as torn:
        torn.write(b'{"event":"bloc')
    assert broken_takes(tmp_path) == [folder]
    take = repair_take(folder)
    assert np.array_equal(take.read(), audio(0, 5000))
    assert (take.info.frames, take.info.recovered, take.info.closed_cleanly) == (5000, True, False)
    assert len([json.loads(line) for line in (folder / EVENTS).read_text().splitlines()]) == 5
    assert sound.stat().st_size == 92 + 5000 * 8
    assert broken_takes(tmp_path) == [], "it is not offered again"


def test_a_header_that_was_not_written_in_time_gets_all_of_the_sound_back(tmp_path: Path) -> None:
    """As after a power cut: the sound is on the disk, and the header is older."""
    file = WavFile(tmp_path / "a.wav", RATE, 2)
    file.append(audio(0, 1000))
    file.close()
    with (tmp_path / "a.wav").open("ab") as more:
        more.write(audio(1000, 500).tobytes())
    assert soundfile.info(tmp_path / "a.wav").frames == 1000
    assert repair(tmp_path / "a.wav") == 1500
    assert np.array_equal(soundfile.read(tmp_path / "a.wav", dtype="float32")[0], audio(0, 1500))


def test_the_sound_of_an_older_version_is_made_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, audio(0, 1000), RATE, subtype="FLOAT")
    whole = path.read_bytes()
    at = whole.index(b"data") + 4
    path.write_bytes(whole[:4] + bytes(4) + whole[8:at] + bytes(4) + whole[at + 4 :])
    assert repair(path) == 1000
    assert np.array_equal(soundfile.read(path, dtype="float32")[0], audio(0, 1000))
    for content in (b"", b"RIFF\0\0\0\0WAVE", b"no sound at all"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="sound editor"):
            repair(path)


def test_a_take_in_work_and_a_closed_one_and_one_of_a_full_disk_are_left_alone(tmp_path: Path) -> None:
    recorder = Recorder(RATE, 2)
    try:
        recorder.start(tmp_path, 0, {}, [block(0)])
        until(lambda: recorder.status().frames == 1000)
        assert broken_takes(tmp_path) == []
    finally:
        recorder.close()
    assert broken_takes(tmp_path) == []
    writer = TakeWriter(tmp_path, open_take(folder_of(recorder)).info)
    writer.finish(None, problem="the disk is full")
    assert broken_takes(tmp_path) == []
    assert broken_takes(tmp_path / "nowhere") == []


def test_data_reaches_the_disk_every_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound and events both; on the writer's thread, and also while no block comes."""
    synced: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), fsync(file)))
    recorder = Recorder(RATE, 2)
    try:
        recorder.start(tmp_path, 0, {}, [block(0)])
        until(lambda: 92 + 8000 in synced)
        size = (folder_of(recorder) / EVENTS).stat().st_size
        until(lambda: size in synced)
    finally:
        recorder.close()


def test_without_a_window_it_is_recovered_at_once_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = killed_take(tmp_path)
    session = Session(SessionOptions(device="null", midi=(), takes=tmp_path), ToneGenerator())
    try:
        recover(session, Announcements())
        assert "It is recovered" in capsys.readouterr().out
        recover(session, Announcements())
        assert capsys.readouterr().out == ""
    finally:
        session.close()
    assert open_take(folder).info.recovered


def test_a_take_that_cannot_be_read_does_not_keep_others_from_being_recovered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = killed_take(tmp_path)
    damaged = shutil.copytree(folder, tmp_path / "0 comes first")
    (damaged / "audio.wav").write_bytes(b"not a sound")
    session = Session(SessionOptions(device="null", midi=(), takes=tmp_path), ToneGenerator())
    try:
        recover(session, Announcements())
    finally:
        session.close()
    said = capsys.readouterr().out
    assert "cannot be recovered" in said and "0 comes first" in said and "; recovered beside it: 1" in said
    assert open_take(folder).info.recovered


@pytest.mark.parametrize(("name", "value"), [("sample_rate", 2**62), ("channels", 2**62), ("channels", 0)])
def test_a_rate_or_channels_that_no_sound_has_are_damage(tmp_path: Path, name: str, value: int) -> None:
    folder = killed_take(tmp_path)
    info = json.loads((folder / "take.json").read_text())
    (folder / "take.json").write_text(json.dumps({**info, name: value}))
    with pytest.raises(TakeError, match="can still be opened by itself"):
        repair_take(folder)


def test_a_take_that_cannot_be_read_is_said_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = killed_take(tmp_path)
    (folder / "audio.wav").write_bytes(b"not a sound")
    session = Session(SessionOptions(device="null", midi=(), takes=tmp_path), ToneGenerator())
    try:
        recover(session, Announcements())
    finally:
        session.close()
    assert "cannot be recovered" in capsys.readouterr().out
    assert (folder / "audio.wav").read_bytes() == b"not a sound"
    with pytest.raises(TakeError, match="has no WAV header"):
        repair_take(folder)
