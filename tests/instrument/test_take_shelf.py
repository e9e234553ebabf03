"""Closed takes: the list, marks, tags, names, trimming, the outline, pieces. The sound itself never changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from shelf_rig import BLOCK, RATE, START, make_take, ramp, tone

from jbdiff_live.browse.takes import Level, Mark, clock_text
from jbdiff_live.record.events import BlockEvent, ChangeEvent, StateEvent
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.shelf import notes
from jbdiff_live.record.shelf.jobs import Cancelled
from jbdiff_live.record.shelf.listing import Takes
from jbdiff_live.record.shelf.piece import write_piece
from jbdiff_live.record.shelf.reader import Resampled, TakeReader
from jbdiff_live.record.shelf.trim import trim
from jbdiff_live.record.shelf.wave import BUCKET, TakeWave, outline
from jbdiff_live.record.take import INFO, Take, TakeError, open_take, sound_files
from jbdiff_live.record.wav import WavFile


def nothing(done: int, of: int) -> None:
    """A step that lets the work go on."""
    assert 0 <= done <= of


def all_files(folder: Path) -> dict[str, bytes]:
    """Everything in a take but `take.json`."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != INFO}


@pytest.fixture
def take(tmp_path: Path) -> Take:
    return make_take(tmp_path)


# ---------------------------------------------------------------------- the list


def test_takes_are_listed_with_their_facts_and_a_bad_one_hides_no_other(tmp_path: Path) -> None:
    make_take(tmp_path, "one")
    make_take(tmp_path, "newest", patch="dawn")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / INFO).write_text("{ nothing")
    (tmp_path / "empty folder").mkdir()
    newest, one, bad = Takes().list(tmp_path)
    assert (newest.name, newest.patch, newest.seconds) == ("newest", "dawn", 2.0)
    assert one.folder == tmp_path / "one" and not one.fixed and one.sound == one.folder / "audio.wav"
    assert bad.name == "bad" and "take.json" in bad.problem and bad.sound is None
    assert Takes().list(tmp_path / "nowhere") == ()


def test_an_unchanged_take_is_read_once_and_a_changed_one_again(
    take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes, read = Takes(), []
    real = open_take
    monkeypatch.setattr(
        "jbdiff_live.record.shelf.listing.open_take", lambda folder: read.append(folder) or real(folder)
    )
    parent = take.folder.parent
    assert takes.list(parent) == takes.list(parent) and len(read) == 1
    notes.set_tags(take.folder, ["slow"])
    assert takes.list(parent)[0].tags == ("slow",) and len(read) == 2


def test_a_take_that_is_being_recorded_cannot_be_changed(tmp_path: Path) -> None:
    recorder = Recorder(RATE, 2)
    try:
        recorder.start(tmp_path, 0, {})
        status = recorder.status
        while status().folder is None:
            assert status().recording
        folder = status().folder
        assert folder is not None
        facts = Takes().facts(folder)
        assert facts.recorded and "stop the recording first" in facts.fixed
        for change in (
            lambda: notes.set_tags(folder, ["x"]),
            lambda: notes.rename(folder, "other"),
            lambda: notes.set_marks(folder, [Mark(3)]),
        ):
            with pytest.raises(TakeError, match="stop the recording first"):
                change()
    finally:
        recorder.close()
    assert not Takes().facts(folder).fixed


def test_times_are_written_for_people() -> None:
    assert [clock_text(s) for s in (0, 7.4, 187, 3600 + 61)] == ["0:00", "0:07", "3:07", "1:01:01"]
    assert clock_text(67.48, True) == "1:07.4"


# ---------------------------------------------------------------------- marks, tags, names


def test_marks_are_kept_beside_the_logged_ones_and_touch_nothing_else(take: Take) -> None:
    before = all_files(take.folder)
    assert notes.all_marks(take) == (Mark(BLOCK, "1", True),)
    notes.set_marks(take.folder, [Mark(900, "drop"), Mark(100), *notes.all_marks(take)])
    again = open_take(take.folder)
    assert notes.all_marks(again) == (Mark(100), Mark(900, "drop"), Mark(BLOCK, "1", True))
    notes.set_marks(take.folder, [])
    assert notes.all_marks(open_take(take.folder)) == (Mark(BLOCK, "1", True),)
    assert all_files(take.folder) == before


def test_a_logged_mark_lies_where_the_take_says(tmp_path: Path) -> None:
    take = make_take(tmp_path, marker_at=30_000)
    assert [mark.at for mark in notes.all_marks(take)] == [take.position(START + 30_000)]


def test_facts_of_a_later_version_stay_in_the_file(take: Take) -> None:
    path = take.folder / INFO
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "mood": "blue"}))
    notes.set_tags(take.folder, ["slow", " slow ", "", "no  beat"])
    after = json.loads(path.read_text())
    assert after["mood"] == "blue" and after["tags"] == ["slow", "no beat"]
    assert {key: after[key] for key in content if key != "tags"} == {
        key: content[key] for key in content if key != "tags"
    }


@pytest.mark.parametrize(
    "tags", [["x" * 41], [f"tag {n}" for n in range(21)], ["a\nb\x07"]], ids=["long", "many", "control"]
)
def test_tags_that_nobody_could_read_are_refused(take: Take, tags: list[str]) -> None:
    with pytest.raises(ValueError, match="leave"):
        notes.set_tags(take.folder, tags)
    assert open_take(take.folder).info.tags == []


def test_renaming_moves_the_folder_and_keeps_everything(take: Take) -> None:
    before = all_files(take.folder)
    new = notes.rename(take.folder, "  the good   minute ")
    assert new.name == "the good minute" and not take.folder.exists()
    assert open_take(new).info.title == "the good minute" and all_files(new) == before


@pytest.mark.parametrize(
    "name", ["", "a/b", "what?", "con", "NUL.take", ".hidden", "end.", "x" * 61, "tab\x00"]
)
def test_names_that_other_systems_cannot_keep_are_refused(take: Take, name: str) -> None:
    with pytest.raises(ValueError, match=r"type one|leave it out|choose a shorter"):
        notes.rename(take.folder, name)
    assert take.folder.exists() and open_take(take.folder).info.title == ""


def test_a_name_that_is_taken_is_refused(take: Take) -> None:
    make_take(take.folder.parent, "other")
    with pytest.raises(ValueError, match="choose another name"):
        notes.rename(take.folder, "other")
    assert notes.rename(take.folder, take.folder.name) == take.folder, "its own name is no other's"


def test_the_measured_level_is_kept(take: Take) -> None:
    notes.set_level(take.folder, Level(-14.25, -1.0))
    assert Takes().facts(take.folder).level == Level(-14.25, -1.0)
    notes.set_level(take.folder, Level(None, -200.0))
    assert Takes().facts(take.folder).level == Level(None, -200.0)


# ---------------------------------------------------------------------- reading


def split_take(tmp_path: Path) -> Take:
    """A take whose sound goes on in a second file, as on a disk that ends files early."""
    take = make_take(tmp_path, sound=ramp(0, 3000))
    file = WavFile(take.folder / "audio-002.wav", RATE, 2)
    file.append(ramp(3000, 2000))
    file.close()
    return open_take(take.folder)


def test_any_part_is_read_across_files_with_silence_around(tmp_path: Path) -> None:
    reader = TakeReader(split_take(tmp_path))
    assert reader.frames == 5000
    assert np.array_equal(reader.read(2990, 20), ramp(2990, 20))
    assert np.array_equal(reader.read(-5, 10), np.concatenate([np.zeros((5, 2), np.float32), ramp(0, 5)]))
    assert np.array_equal(reader.read(4998, 4), np.concatenate([ramp(4998, 2), np.zeros((2, 2), np.float32)]))
    assert np.array_equal(np.concatenate(list(reader.pieces(100, 4100, 333))), ramp(100, 4000))
    reader.close()


def test_a_take_of_another_rate_sounds_the_same_wherever_one_begins(tmp_path: Path) -> None:
    take = make_take(tmp_path, sound=tone(1.0, 0.5, rate=48_000), rate=48_000)
    sound = Resampled(TakeReader(take), RATE, 2)
    wanted = tone(1.0, 0.5)
    assert sound.frames == RATE
    for start in (5000, 5001, 12_347):
        piece = sound.read(start, 3000)
        assert np.abs(piece - wanted[start : start + 3000]).max() < 1e-3
    sound.close()


def test_the_outline_shows_every_peak_at_any_zoom(tmp_path: Path) -> None:
    samples = np.zeros((100_000, 2), np.float32)
    samples[54_321, 1], samples[99_999, 0] = 0.9, -0.8
    wave = TakeWave(make_take(tmp_path, sound=samples))
    assert wave.wait(20) and wave.ready == wave.frames == 100_000 and not wave.problem
    for begin, end, columns in (
        (0, 100_000, 700),
        (0, 100_000, 7),
        (50_000, 60_000, 800),
        (54_000, 55_000, 900),
    ):
        first, peaks = wave.part(begin, end, columns)
        assert 0 < len(first) == len(peaks) <= columns + 2
        at = int(np.searchsorted(first, 54_321, side="right")) - 1
        assert peaks[at, 1] == np.float32(0.9), (begin, end, columns)
    assert wave.part(99_000, 200_000, 50)[1][-1, 0] == np.float32(-0.8)
    assert len(wave.part(100_000, 100_500, 50)[0]) == 0
    wave.close()


def test_the_last_piece_of_an_outline_may_be_shorter() -> None:
    peaks = outline(ramp(0, BUCKET + 10), BUCKET)
    assert peaks.shape == (2, 2) and peaks[1, 1] == ramp(0, BUCKET + 10)[-1, 0]


def test_a_piece_for_the_context_is_a_file_in_the_take_and_is_written_once(take: Take) -> None:
    path = write_piece(take, 1000, 5000)
    written, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE and np.array_equal(written, ramp(1000, 4000)) and path.parent.parent == take.folder
    stamp = path.stat().st_mtime_ns
    assert write_piece(take, 1000, 5000) == path and path.stat().st_mtime_ns == stamp
    assert open_take(take.folder).audio == take.audio, "it is no part of the take's sound"
    with pytest.raises(ValueError, match="choose another one"):
        write_piece(take, 5000, 5000)


# ---------------------------------------------------------------------- trimming


def test_trimming_makes_a_take_of_the_part_and_leaves_the_original(take: Take) -> None:
    notes.set_marks(take.folder, [Mark(100), Mark(40_000, "drop")])
    before = {**all_files(take.folder), INFO: (take.folder / INFO).read_bytes()}
    begin, end = BLOCK - 100, BLOCK + RATE - 1
    new = open_take(trim(take.folder, begin, end, nothing))
    assert new.folder == take.folder.with_name("jam part") and new.info.closed_cleanly
    assert np.array_equal(new.read(), ramp(begin, end - begin))
    assert new.frame_at(0) == START + begin and new.position(START + begin + 500) == 500
    assert [mark.at for mark in notes.all_marks(new)] == [100, 40_000 - begin]
    events = list(new.events())
    assert [e.index for e in events if isinstance(e, BlockEvent)] == [0, 1, 2]
    assert [e.frame for e in events if isinstance(e, ChangeEvent)] == [START + n * BLOCK for n in (1, 2)]
    states = [e for e in events if isinstance(e, StateEvent)]
    assert [(e.frame, e.value) for e in states] == [(START + begin, "staged")], "a fact from before the part"
    assert new.info.details["trimmed_from"] == {"take": "jam", "begin": begin, "end": end}
    assert {**all_files(take.folder), INFO: (take.folder / INFO).read_bytes()} == before


def test_a_trimmed_take_can_be_trimmed_again(take: Take) -> None:
    one = trim(take.folder, 10_000, 60_000, nothing)
    two = trim(one, 5000, 25_000, nothing)
    assert np.array_equal(open_take(two).read(), ramp(15_000, 20_000))
    assert open_take(two).frame_at(0) == START + 15_000


@pytest.mark.parametrize("kind", ["engine", "both", "stems"])
def test_the_engines_own_sound_is_trimmed_with_it(tmp_path: Path, kind: str) -> None:
    take = make_take(tmp_path, sound_kind=kind)
    new = open_take(trim(take.folder, 5000, 25_000, nothing))
    assert new.info.sound == kind and np.array_equal(new.read(), ramp(5000, 20_000))
    if kind != "engine":
        (engine,) = sound_files(new.folder, "engine")
        assert np.array_equal(soundfile.read(engine, dtype="float32")[0], ramp(5000, 20_000))
    if kind == "stems":
        (dry,) = sound_files(new.folder, "input")
        assert np.array_equal(soundfile.read(dry, dtype="float32")[0], ramp(5000, 20_000) / 2)


def test_a_trim_that_is_cancelled_leaves_no_folder(take: Take) -> None:
    def cancel(done: int, of: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        trim(take.folder, 0, RATE, cancel)
    assert [path.name for path in take.folder.parent.iterdir()] == ["jam"]


def test_a_part_that_is_too_short_is_refused(take: Take) -> None:
    with pytest.raises(ValueError, match="tenth of a second"):
        trim(take.folder, 100, 200, nothing)
