"""The sound of rendered training music, as far as a plain machine has it: effects, kits, folders, the command line.

Where dawdreamer, fluidsynth and the sample packages are installed, two tracks are rendered as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "render_data"
RATE = 44_100
INSTALLED = (
    all(importlib.util.find_spec(library) for library in ("dawdreamer", "scipy"))
    and shutil.which("fluidsynth") is not None
    and Path("/usr/share/sonic-pi/samples").exists()
    and Path("/usr/share/sounds/sf2/FluidR3_GM.sf2").exists()
)


@pytest.fixture
def load() -> Iterator[Any]:
    """A function that imports modules of the script, which import each other by their plain names."""
    before = set(sys.modules)
    sys.path.insert(0, str(SCRIPT))

    def imported(*names: str) -> Any:
        modules = [importlib.import_module(name) for name in names]
        return modules[0] if len(modules) == 1 else modules

    try:
        yield imported
    finally:
        sys.path.remove(str(SCRIPT))
        for name in set(sys.modules) - before:
            if str(SCRIPT) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


@pytest.fixture
def job(load: Any, tmp_path: Path) -> Any:
    return load("folders").Job(7, "dub", 2.0, tmp_path, ".flac", (160,))


def parts_of(load: Any, seconds: float = 2.0) -> list[Any]:
    time = np.arange(int(seconds * RATE)) / RATE
    tone = np.tile(np.sin(2 * np.pi * 220 * time).astype(np.float32), (2, 1))
    return [load("part").Part("bass", 0.1 * tone, 0.5), load("part").Part("lead", 3 * tone, 0.2, pan=0.3)]


FACTS = {"style": "dub", "seconds": 2.0, "tokens_per_bar": 160}


def test_a_track_keeps_its_levels_through_its_files(load: Any, job: Any) -> None:
    """Files have a peak of .9; file times gain is the sound times its own gain."""
    folders = load("folders")
    assert not folders.is_finished(job)
    folders.write_track(job, FACTS, parts_of(load))
    assert folders.is_finished(job)
    facts = json.loads((job.path / "track.json").read_text())
    assert facts["seed"] == 7 and facts["style"] == "dub"
    for stem, part in zip(facts["stems"], parts_of(load), strict=True):
        audio, rate = soundfile.read(job.path / stem["file"], dtype="float32", always_2d=True)
        assert rate == RATE and abs(np.abs(audio).max() - 0.9) < 0.001
        assert np.abs(audio.T * stem["gain"] - part.audio * part.gain).max() < 1e-4


def test_an_interrupted_track_is_rendered_again(load: Any, job: Any) -> None:
    folders = load("folders")

    class Interrupted(SimpleNamespace):
        @property
        def audio(self) -> Any:
            raise KeyboardInterrupt

    first = parts_of(load)[0]
    with pytest.raises(KeyboardInterrupt):
        folders.write_track(job, FACTS, [first, Interrupted(name="lead")])
    assert not job.path.exists() and not folders.is_finished(job)
    (job.folder / f"{job.path.name}.part" / "left_over.flac").write_bytes(b"half a stem")
    folders.write_track(job, FACTS, [first])
    assert sorted(path.name for path in job.folder.iterdir()) == [job.path.name]
    assert sorted(path.name for path in job.path.iterdir()) == ["0_bass.flac", "track.json"]


@pytest.mark.parametrize(
    "change", [{"seconds": 3.0}, {"bars": (176,)}, {"suffix": ".ogg"}], ids=["length", "tempo", "format"]
)
def test_a_folder_of_other_options_is_refused(load: Any, job: Any, change: dict[str, Any]) -> None:
    folders = load("folders")
    folders.write_track(job, FACTS, parts_of(load))
    other = folders.Job(**{**vars(job), **change})
    with pytest.raises(ValueError, match=r"other options.*choose another folder, or remove"):
        folders.is_finished(other)


@pytest.mark.parametrize("content", ["{", "{}", '{"seconds": 2.0, "tokens_per_bar": 160, "stems": []}', "[]"])
def test_a_folder_that_is_no_track_is_refused(load: Any, job: Any, content: str) -> None:
    job.path.mkdir()
    (job.path / "track.json").write_text(content)
    with pytest.raises(ValueError, match=r"not a complete track.*remove it"):
        load("folders").is_finished(job)


def test_the_uncleared_loops_are_refused(load: Any) -> None:
    one_shot, score = load("oneshots").one_shot, load("score")
    for name in ("loop_amen", "loop_amen_full", "loop_breakbeat"):
        with pytest.raises(ValueError, match="not cleared"):
            one_shot(score.OneShot("snare", name))


@pytest.mark.parametrize("source", ["kick", "snare", "hat", "open_hat"])
def test_synthetic_drums_have_their_length_and_end_softly(load: Any, source: str) -> None:
    oneshots, score = load("oneshots", "score")
    sound = score.OneShot("x", source, 1.1, 0.3, 5)
    audio = oneshots.one_shot(sound)
    assert audio.shape[0] == 2 and audio.shape[1] <= 0.3 * RATE
    assert abs(np.abs(audio).max() - 1) < 1e-6 and np.abs(audio[:, -20:]).max() < 1e-3
    oneshots.one_shot.cache_clear()
    assert np.array_equal(audio, oneshots.one_shot(sound))


def click(seconds: float = 3.0) -> Any:
    audio = np.zeros((2, int(seconds * RATE)), np.float32)
    audio[:, 1000:1040] = 1.0
    return audio


def test_a_tape_echo_repeats_in_time_and_each_time_softer(load: Any) -> None:
    pytest.importorskip("scipy")
    effects, score = load("effects", "score")
    step = 0.12
    audio = effects.apply(score.TapeEcho(3, 0.6, 0.7), click(), step)
    assert audio.shape == click().shape and np.array_equal(audio[:, :1040], click()[:, :1040])
    peaks = []
    for repeat in range(1, 5):
        start = round(1000 + repeat * 3 * step * RATE)
        around = np.abs(audio.mean(0)[start - 200 : start + 400])
        peaks.append(float(around.max()))
        assert abs(int(around.argmax()) - 200) < 120
    assert all(0.001 < later < 0.8 * earlier for earlier, later in pairwise(peaks))


def test_width_is_side_alone(load: Any) -> None:
    """A widened sound is as it was in mono."""
    pytest.importorskip("scipy")
    effects, score = load("effects", "score")
    audio = parts_of(load)[0].audio
    wide = effects.apply(score.Widen(0.8), audio, 0.1)
    assert np.abs(wide.mean(0) - audio.mean(0)).max() < 1e-6
    assert np.abs(wide[0] - wide[1]).max() > 0.01


def test_a_spring_rings_and_dies_away(load: Any) -> None:
    pytest.importorskip("scipy")
    effects, score = load("effects", "score")
    audio = effects.apply(score.Spring(0.5, 1.5, 3), click(), 0.1)
    loudness = [
        float(np.sqrt((audio[:, place : place + RATE // 4] ** 2).mean())) for place in (5000, 40000, 100000)
    ]
    assert loudness[0] > 3 * loudness[1] > 9 * loudness[2]
    assert np.abs(audio[0] - audio[1]).max() > 0.01


def test_a_stem_is_narrowed_to_its_limit(load: Any) -> None:
    pytest.importorskip("scipy")
    pytest.importorskip("dawdreamer")
    rng = np.random.default_rng(1)
    narrowed = load("render").narrowed(rng.standard_normal((2, RATE)).astype(np.float32), 0.3)
    middle, side = narrowed.mean(0), (narrowed[0] - narrowed[1]) / 2
    assert abs(np.sqrt((side**2).mean() / (middle**2).mean()) - 0.3) < 0.001


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seconds", "inf"], "give a number from 2 to 1,200 seconds"),
        (["--hours", "nan"], "give a number from"),
        (["--tracks", "0"], "give a whole number from 1"),
        (["--seed", "-3"], "give a whole number from 0"),
        (["--styles", "jazz"], "choose from"),
        (["--tempi", "5"], "give 40 to 300 beats a minute"),
    ],
)
def test_bad_options_are_named_with_their_remedy(
    load: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    load("naming")
    spec = importlib.util.spec_from_file_location("render_data_main", SCRIPT / "__main__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["render_data", "out", *arguments])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.skipif(
    not INSTALLED, reason="needs the data extra, fluidsynth, its soundfont and the Sonic Pi samples"
)
def test_a_seed_sounds_the_same_whatever_was_rendered_before(load: Any, tmp_path: Path) -> None:
    """About 3 s: Faust patches are compiled. The order in which tracks are rendered does not change their sound."""
    folders, worker = load("folders", "worker")
    jobs = [
        folders.Job(seed, style, 2.0, tmp_path, ".flac", (176,)) for seed, style in ((3, "dub"), (4, "keys"))
    ]
    first = [worker.rendered(job) for job in jobs]
    again = [worker.rendered(job) for job in reversed(jobs)][::-1]
    for (facts, parts), (other_facts, other_parts), job in zip(first, again, jobs, strict=True):
        assert facts == other_facts and facts["style"] == job.style and len(parts) >= 3
        for part, other in zip(parts, other_parts, strict=True):
            assert part.audio.shape == (2, 2 * RATE) and np.isfinite(part.audio).all()
            assert np.array_equal(part.audio, other.audio) and part.gain == other.gain
