"""Sound files while music plays: read beside everything else; a bad one leaves what plays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tone_generator import ToneGenerator

from jbdiff_live.engine.voices import sound_reader as soundreader
from jbdiff_live.engine.voices.sound_reader import SoundReader
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.record.take import open_take
from jbdiff_live.session import Session, SessionOptions

RATE = 44_100
PATIENCE = 180.0


def sound(path: Path, level: float = 0.3, seconds: float = 1.0) -> Path:
    wave = level * np.sin(np.arange(int(seconds * RATE)) / 20)
    soundfile.write(path, wave.astype(np.float32), RATE, subtype="FLOAT")
    return path


class Gate:
    """Holds the reader's thread in its first file until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        plain = soundreader.load_file_source

        def slow(path: Path, rate: int, **more: object) -> FileSource:
            self.reached.set()
            assert self.open.wait(PATIENCE)
            return plain(path, rate, **more)

        monkeypatch.setattr(soundreader, "load_file_source", slow)


class Desk:
    """What the reader hands over."""

    def __init__(self) -> None:
        self.sources: list[tuple[str, str]] = []
        self.problems: list[tuple[str, str]] = []
        self.reader = SoundReader(
            RATE,
            lambda role, source: self.sources.append((role, source.path.name)),
            lambda role, words: self.problems.append((role, words)),
        )


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.reader.close()


def test_of_each_role_the_newest_file_is_used(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    names = [sound(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav", "d.wav")]
    desk.reader.read("context", names[0])
    assert gate.reached.wait(PATIENCE)
    desk.reader.read("context", names[1])
    desk.reader.read("init", names[2])
    desk.reader.read("context", names[3])
    assert desk.reader.wanted("context") == names[3] and desk.reader.wanted("init") == names[2]
    gate.open.set()
    assert desk.reader.wait_for_errors() == []
    assert sorted(desk.sources) == [("context", "d.wav"), ("init", "c.wav")]
    assert desk.reader.wanted("context") is None


def test_a_file_that_cannot_be_used_becomes_words_and_an_error_to_whoever_waits(
    desk: Desk, tmp_path: Path
) -> None:
    desk.reader.read("context", tmp_path / "none.wav")
    (error,) = desk.reader.wait_for_errors()
    assert isinstance(error, FileNotFoundError)
    desk.reader.read("init", tmp_path / "none.wav", "patch 'mine'")
    assert desk.reader.wait_for_errors() == [], "a patch plays without its sound"
    assert [role for role, _ in desk.problems] == ["context", "init"]
    assert "no sound file" in desk.problems[0][1] and desk.problems[1][1].startswith(
        "patch 'mine': no sound file"
    )


def test_closing_stops_in_the_middle_of_a_file(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, asked = threading.Event(), threading.Event()
    plain = desk.reader._is_wanted

    def waiting(request: object) -> bool:
        reading.set()
        assert asked.wait(PATIENCE)
        return plain(request)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.reader, "_is_wanted", waiting)
    desk.reader.read("context", sound(tmp_path / "long.wav", seconds=30))
    assert reading.wait(PATIENCE)
    threading.Thread(target=lambda: asked.set()).start()
    desk.reader.close()
    assert desk.sources == [] and desk.problems == []


class ToneWithFiles(ToneGenerator):
    """A test tone that can be given files, and does not play them."""

    context_file: FileSource | None = None
    init_file: FileSource | None = None


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    options = SessionOptions(device="null", midi=(), takes=tmp_path / "takes")
    made = Session(options, ToneWithFiles(block_frames=8192))
    made.open()
    yield made
    made.close()


def until(condition: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError(f"never came: {what}")


@pytest.mark.parametrize("role", ["context", "init"])
def test_a_file_is_not_read_on_the_thread_that_asks(
    role: str, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the window's: an hour of music would hold the picture and the knobs for that long."""
    gate = Gate(monkeypatch)
    load = session.load_context_file if role == "context" else session.load_init_file
    load(sound(tmp_path / "song [2007].wav", 3.0))  # returns while the disk is held
    assert gate.reached.wait(PATIENCE)
    status = session.status()
    assert status.note == f"{role}: reading song [2007].wav" and not getattr(status, f"{role}_file")
    gate.open.set()
    session.wait_for_files()
    status = session.status()
    assert getattr(status, f"{role}_file").endswith("song [2007].wav")
    assert "turned down by 10 dB" in status.note and status.message == ""
    assert getattr(session.generator, f"{role}_file") is not None


def test_a_patch_with_a_sound_is_not_read_on_the_thread_that_asks(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    sound(tmp_path / "x.wav")
    (tmp_path / "p.toml").write_text('format = 1\nname = "mine"\ncontext = "x.wav"\n')
    session.load_patch(tmp_path / "p.toml")
    assert gate.reached.wait(PATIENCE)
    session.save_patch(tmp_path / "q.toml", "copy")
    assert 'context = "x.wav"' in (tmp_path / "q.toml").read_text(), "it is the patch's sound already"
    gate.open.set()
    session.wait_for_files()
    assert session.status().context_file == str(tmp_path / "x.wav")


def test_a_file_far_beyond_full_scale_is_refused_while_the_music_goes_on(
    session: Session, tmp_path: Path
) -> None:
    """1e20 in a context made the model's numbers infinite: the music ended, and the weights were blamed."""
    session.load_context_file(sound(tmp_path / "good.wav"))
    session.wait_for_files()
    session.start()
    until(lambda: session.status().frame > 0, "sound")
    session.load_context_file(sound(tmp_path / "bad.wav", 1e20))
    with pytest.raises(ValueError, match="times full scale"):
        session.wait_for_files()
    status = session.status()
    assert "bad.wav" in status.message and "export it again" in status.message
    assert status.note == "", "it is not being read any more"
    assert status.context_file.endswith("good.wav")
    before = status.frame
    until(lambda: session.status().frame > before + 8192, "sound goes on")
    session.load_context_file(sound(tmp_path / "better.wav"))
    session.wait_for_files()
    assert session.status().message == "", "the reason goes when another file is loaded"


def test_loading_a_file_leaves_other_messages_alone(tmp_path: Path) -> None:
    """That there is no sound device is no less true after a context was loaded."""
    options = SessionOptions(device="no such device anywhere", midi=(), takes=tmp_path / "takes")
    made = Session(options, ToneWithFiles(block_frames=8192))
    try:
        made.open()
        before = made.status().audio.problem
        assert "no sound device" in before
        made.load_context_file(sound(tmp_path / "good.wav"))
        made.wait_for_files()
        assert made.status().audio.problem == before
    finally:
        made.close()


def test_a_name_that_is_not_utf8_is_shown_and_recorded(session: Session, tmp_path: Path) -> None:
    sound(tmp_path / "x.wav").rename(tmp_path / "na\udcefve.wav")
    session.load_context_file(tmp_path / "na\udcefve.wav")
    session.wait_for_files()
    status = session.status()
    assert "na\ufffdve.wav" in status.note and status.context_file.endswith("na\ufffdve.wav")
    session.options.takes.parent.joinpath("ta\udcefkes").mkdir()
    object.__setattr__(session.options, "takes", tmp_path / "ta\udcefkes")
    session.record_from_first_block()
    session.start()
    until(lambda: session.status().frame > 8192, "sound")
    folder = session.status().recorder.folder
    session.stop_recording()
    assert folder is not None and session.status().recorder.problem == ""
    take = open_take(folder)
    assert take.frames > 0 and take.info.details["context_file"].endswith("na\ufffdve.wav")
