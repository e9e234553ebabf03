"""Export: kinds of file, loudness with a ceiling for the true peak, cancel; the level of takes; jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from shelf_rig import RATE, make_take, ramp, tone

from jbdiff_live.audio.master.whole import SILENT_DB, measure
from jbdiff_live.block import Audio
from jbdiff_live.browse.takes import ExportWish, Level, SoundFormat
from jbdiff_live.record.shelf.export import export, plan
from jbdiff_live.record.shelf.jobs import Cancelled, ThreadJob
from jbdiff_live.record.shelf.levels import Levels
from jbdiff_live.record.shelf.listing import Takes
from jbdiff_live.record.shelf.pack import pack
from jbdiff_live.record.take import TakeError, open_take, sound_files

SECONDS = 20  # within which a thread of a test ends, on the busiest machine


def wish(
    path: Path, kind: SoundFormat = SoundFormat.WAV_FLOAT, lufs: float | None = None, **more: int
) -> ExportWish:
    return ExportWish(path, kind, lufs, **more)


def nothing(done: int, of: int) -> None:
    assert 0 <= done <= of


# ---------------------------------------------------------------------- the level


def test_the_level_is_that_of_the_standards_sine() -> None:
    """EBU Tech 3341: a stereo sine of 1 kHz at -23 dBFS in each channel has -23 LUFS."""
    sound = tone(5.0, 10 ** (-23 / 20), 1000.0, 48_000)
    level = measure(iter([sound[:70_001], sound[70_001:]]), 48_000, 2)
    assert level.lufs == pytest.approx(-23.0, abs=0.1) and level.peak_db == pytest.approx(-23.0, abs=0.1)


def test_a_true_peak_between_samples_is_found_also_at_the_end() -> None:
    time = np.arange(4096)
    line = np.sin(np.pi / 2 * time + np.pi / 4).astype(np.float32)  # samples at 0.707, the curve reaches 1
    level = measure([np.stack([line, line], axis=1)], RATE, 2)
    assert level.peak_db == pytest.approx(0.0, abs=0.3)
    end = np.zeros((1000, 2), np.float32)
    end[-1] = 0.5
    assert measure([end], RATE, 2).peak_db >= 20 * np.log10(0.5) - 0.01


def test_silence_has_no_loudness() -> None:
    assert measure([np.zeros((RATE, 2), np.float32)], RATE, 2) == Level(None, SILENT_DB)


# ---------------------------------------------------------------------- the gain


@pytest.mark.parametrize(
    ("level", "lufs", "gain", "words"),
    [
        (Level(-20.0, -10.0), -14.0, 6.0, ""),
        (Level(-10.0, -0.5), -14.0, -4.0, ""),
        (Level(-20.0, -4.0), -14.0, 3.0, "it has -17.0 LUFS and not -14"),
        (Level(-20.0, -6.97), -14.0, 5.97, ""),  # nearer than a tenth of a dB
        (Level(None, -80.0), -14.0, 0.0, "too quiet to measure"),
        (Level(-9.0, 0.6), None, 0.0, "peaks above 0 dB are cut off"),
        (Level(-9.0, -0.1), None, 0.0, ""),
    ],
)
def test_one_gain_gives_the_loudness_unless_the_true_peak_forbids_it(
    level: Level, lufs: float | None, gain: float, words: str
) -> None:
    made = plan(level, wish(Path("x.wav"), SoundFormat.WAV_16, lufs))
    assert made.gain_db == pytest.approx(gain) and words in made.words and bool(made.words) == bool(words)


def test_float_keeps_peaks_above_full_scale() -> None:
    assert plan(Level(-9.0, 0.6), wish(Path("x.wav"))).words == ""


# ---------------------------------------------------------------------- files


def test_float_is_bit_for_bit_and_24_bit_and_flac_are_within_a_step(tmp_path: Path) -> None:
    take = make_take(tmp_path)
    for kind, step in (
        (SoundFormat.WAV_FLOAT, 0.0),
        (SoundFormat.WAV_24, 2.0**-23),
        (SoundFormat.FLAC, 2.0**-23),
        (SoundFormat.WAV_16, 2.0**-14),
    ):
        path = tmp_path / f"out {kind.name}{kind.suffix}"
        said = export(take, wish(path, kind), measure, nothing)
        sound, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE and sound.shape == (2 * RATE, 2) and said == f"{path.name} is written"
        assert np.abs(sound - ramp(0, 2 * RATE)).max() <= step, kind
        assert soundfile.info(path).subtype == {"WAV_FLOAT": "FLOAT", "WAV_16": "PCM_16"}.get(
            kind.name, "PCM_24"
        )


def test_opus_is_a_file_of_the_same_length_and_sound(tmp_path: Path) -> None:
    take = make_take(tmp_path, sound=tone(2.0, 0.3))
    path = tmp_path / "out.opus"
    export(take, wish(path, SoundFormat.OPUS), measure, nothing)
    sound, rate = soundfile.read(path, dtype="float32")
    assert rate == 48_000 and len(sound) == pytest.approx(2 * 48_000, abs=64)
    middle = sound[24_000:72_000, 0]
    strongest = np.abs(np.fft.rfft(middle)).argmax() * 48_000 / len(middle)
    assert strongest == pytest.approx(440.0, abs=2) and np.abs(middle).max() == pytest.approx(0.3, abs=0.03)


def test_the_file_has_the_wished_loudness_and_the_takes_name(tmp_path: Path) -> None:
    take = make_take(tmp_path, sound=tone(4.0, 0.02, 1000.0))
    path = tmp_path / "loud.flac"
    assert export(take, wish(path, SoundFormat.FLAC, -23.0), measure, nothing) == "loud.flac is written"
    with soundfile.SoundFile(path) as file:
        assert file.title == "jam" and "CC0-1.0" in file.comment and "patch: drift" in file.comment
        sound = file.read(dtype="float32")
    level = measure([sound], RATE, 2)
    assert level.lufs == pytest.approx(-23.0, abs=0.1)
    said = export(take, wish(path, SoundFormat.FLAC, 0.0), measure, nothing)
    assert (
        "true peak" in said and measure([soundfile.read(path, dtype="float32")[0]], RATE, 2).peak_db < -0.99
    )


def test_a_part_is_exported_and_the_noise_of_16_bits_is_the_same_each_time(tmp_path: Path) -> None:
    take = make_take(tmp_path)
    paths = [tmp_path / name for name in ("a.wav", "b.wav")]
    for path in paths:
        export(take, wish(path, SoundFormat.WAV_16, begin=100, end=5100), measure, nothing)
    assert paths[0].read_bytes() == paths[1].read_bytes() and soundfile.info(paths[0]).frames == 5000


def test_cancel_and_refusals_leave_the_old_file(tmp_path: Path) -> None:
    take = make_take(tmp_path)
    path = tmp_path / "old.wav"
    path.write_text("what was there")
    steps = iter(range(100))

    def cancel(done: int, of: int) -> None:
        if next(steps) == 2:  # while the file is written
            raise Cancelled

    with pytest.raises(Cancelled):
        export(take, wish(path), measure, cancel)
    with pytest.raises(ValueError, match="no sound in this part"):
        export(take, wish(path, begin=5 * RATE), measure, nothing)
    with pytest.raises(OSError, match="the take's own sound"):
        export(take, wish(take.folder / "audio.wav"), measure, nothing)
    (tmp_path / "a file").write_text("")
    with pytest.raises(OSError):
        export(take, wish(tmp_path / "a file" / "x.wav"), measure, nothing)
    assert path.read_text() == "what was there" and not list(tmp_path.glob(".*"))


# ---------------------------------------------------------------------- FLAC in the place of WAV


@pytest.mark.parametrize("kind", ["heard", "both", "stems"])
def test_a_packed_take_opens_as_before_and_needs_less_of_the_disk(tmp_path: Path, kind: str) -> None:
    sound = tone(2.0, 0.3)
    take = make_take(tmp_path, sound=sound, sound_kind=kind)
    before, events = take.frames, list(take.events())
    said = pack(take, nothing)
    again = open_take(take.folder)
    assert "is FLAC now" in said and [path.name for path in again.audio] == ["audio.flac"]
    assert again.frames == before and list(again.events()) == events
    assert np.abs(again.read() - sound).max() <= 2.0**-23
    assert not list(take.folder.glob("*.wav")) and not list(take.folder.glob(".*"))
    assert len(sound_files(take.folder, "engine")) == (kind != "heard")
    assert len(sound_files(take.folder, "input")) == (kind == "stems")
    assert Takes().facts(take.folder).sound == again.audio[0]
    with pytest.raises(ValueError, match="FLAC already"):
        pack(again, nothing)


def test_a_take_that_does_not_fit_into_flac_stays_as_it_is(tmp_path: Path) -> None:
    take = make_take(tmp_path, sound=tone(1.0, 1.2))
    before = take.audio[0].read_bytes()
    with pytest.raises(ValueError, match="it stays WAV"):
        pack(take, nothing)

    def cancel(done: int, of: int) -> None:
        raise Cancelled

    fits = make_take(tmp_path, "fits", sound=tone(1.0, 0.2))
    with pytest.raises(Cancelled):
        pack(fits, cancel)
    assert take.audio[0].read_bytes() == before and open_take(fits.folder).audio == fits.audio
    for folder in (take.folder, fits.folder):
        assert not list(folder.glob("*.flac")) and not list(folder.glob(".*"))


def test_a_wav_goes_only_after_the_flac_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = make_take(tmp_path, sound=tone(1.0, 0.2))
    monkeypatch.setattr("jbdiff_live.record.shelf.pack.STEP", -1.0)
    with pytest.raises(TakeError, match="not the same sound"):
        pack(take, nothing)
    assert open_take(take.folder).audio == take.audio and take.audio[0].exists()
    (take.folder / "audio.flac").write_text("left by a crash")
    assert open_take(take.folder).audio == take.audio, "the WAV counts while both are there"


# ---------------------------------------------------------------------- jobs


def test_a_job_says_how_far_it_is_and_what_came_of_it() -> None:
    times = iter([0.0, *(n / 1.0 for n in range(1, 50))])
    halfway, go_on = threading.Event(), threading.Event()

    def work(job: ThreadJob) -> tuple[str, Path | None]:
        job.step(1, 4)
        halfway.set()
        assert go_on.wait(SECONDS)
        return "done", Path("made")

    job = ThreadJob("working", work, lambda: next(times))
    assert halfway.wait(SECONDS)
    state = job.state
    assert (state.words, state.part, state.seconds_left, state.ended) == ("working", 0.25, 3.0, False)
    go_on.set()
    assert job.wait(SECONDS)
    assert (job.state.words, job.state.ended, job.state.result) == ("done", True, Path("made"))


def test_a_job_that_fails_says_why_and_one_that_is_cancelled_says_so() -> None:
    def fail(job: ThreadJob) -> tuple[str, Path | None]:
        raise OSError("the disk is full")

    job = ThreadJob("working", fail)
    assert job.wait(SECONDS) and job.state.problem == "the disk is full" and job.state.ended

    asked = threading.Event()

    def work(job: ThreadJob) -> tuple[str, Path | None]:
        assert asked.wait(SECONDS)
        job.step(1, 2)
        return "never", None

    job = ThreadJob("working", work)
    job.cancel()
    asked.set()
    assert job.wait(SECONDS) and job.state.cancelled and job.state.words == "cancelled"


# ---------------------------------------------------------------------- levels in the background


def test_takes_are_measured_one_after_another_and_not_while_the_music_plays(tmp_path: Path) -> None:
    good = make_take(tmp_path, "good", tone(1.0, 0.1))
    bad = make_take(tmp_path, "bad")
    (bad.folder / "audio.wav").write_text("no sound")
    measured: list[int] = []

    def counted(pieces: Iterable[Audio], rate: int, channels: int) -> Level:
        measured.append(rate)
        return measure(pieces, rate, channels)

    plays = [True]
    levels = Levels(counted, lambda: not plays[0])
    levels.want([bad.folder, good.folder])
    assert levels.wait(SECONDS) and not measured
    plays[0] = False
    levels.want([bad.folder, good.folder])
    assert levels.wait(SECONDS)
    level = Takes().facts(good.folder).level
    assert level is not None and level.peak_db == pytest.approx(-20.0, abs=0.1)
    before = len(measured)
    levels.want([bad.folder])
    assert levels.wait(SECONDS) and len(measured) == before, "one that failed is not tried again"
    levels.close()
