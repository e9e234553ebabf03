"""`jbdiff evaluate` as a person runs it, on a stack and on sounds of toy size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_stacks import SMALL, write_small_stack
from typer.testing import CliRunner

pytest.importorskip("matplotlib")

from jbdiff.cli import app
from jbdiff.evaluate.amounts import ON_DEMAND, SECTIONS, Amounts, chosen
from jbdiff.evaluate.metrics.transcribe import NoJudgeError, judge_installed
from jbdiff.stacks.stack import load_stack

RATE = 44_100
TINY = Amounts(
    pieces=6,
    continuation=2.2,
    stretch=1.0,
    feature=0.25,
    middle=1.0,
    minutes=0.2,
    splits=2,
    cells=2,
    seeds=2,
    training_tracks=2,
    timed_blocks=1,
    tone_pieces=2,
    tone_context=1.0,
    tone_bars=2,
    tone_least_bars=2,
)
ONE_LEVEL = dataclasses.replace(SMALL, levels=SMALL.levels[:1])


def write_sounds(folder: Path, count: int, seconds: float) -> Path:
    """Stereo files of tones that come and go over a little noise."""
    folder.mkdir()
    time = np.arange(int(seconds * RATE)) / RATE
    for number in range(count):
        rng = np.random.default_rng(number)
        tone = 0.3 * np.sin(2 * np.pi * 110 * (number + 2) * time) * (np.sin(2 * np.pi * 2 * time) > 0)
        both = tone[:, None] + 0.02 * rng.standard_normal((len(time), 2))
        soundfile.write(folder / f"{number}.wav", both, RATE)
    return folder


def call(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "250"})
    return done.exit_code, done.output


def without_transcriber(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise NoJudgeError("not here")

    monkeypatch.setattr("jbdiff.evaluate.metrics.transcribe.model_path", missing)


def test_a_stack_with_a_finisher_is_evaluated_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jbdiff.evaluate.amounts.QUICK", TINY)
    without_transcriber(monkeypatch)
    stack = write_small_stack(tmp_path / "small", ONE_LEVEL)
    held, training = write_sounds(tmp_path / "held", 6, 6.2), write_sounds(tmp_path / "training", 3, 4.0)
    out = tmp_path / "out"
    code, said = call(
        "--stack", stack, "--heldout", held, "--training", training, "--out", out, "--quick", "--minutes", 0.12
    )  # fmt: skip
    assert code == 0, said
    found = json.loads((out / "figures.json").read_text())
    assert found["identity"] == load_stack(stack).identity and found["finisher"] is True
    assert found["amounts"]["minutes"] == 0.12 and len(found["data_sha256"]["heldout"]) == 64
    sections = {figure["section"] for figure in found["figures"]}
    assert sections == {
        "codec", "tones", "Fréchet distance", "sound", "rhythm", "memory", "seams", "drift", "knobs", "speed",
    }  # fmt: skip
    for figure in found["figures"]:
        missing = figure["name"].startswith("Opus") or figure["name"] in ("mel distance", "notes")
        missing = missing or figure["name"].startswith("change from four bars")  # of pieces of two bars
        assert (
            figure["value"] is None if figure["value"] is None and missing else np.isfinite(figure["value"])
        )
        assert figure["name"] in said
    knobs = {row["knob"]: row for row in found["curves"]["knobs"]}
    assert set(knobs) == {"noise step", "resample", "guidance", "finisher strength"}
    assert np.shape(knobs["finisher strength"]["rows"]) == (2, 5)
    bounded = [figure for figure in found["figures"] if figure["passed"] is not None]
    assert found["passed"] + found["failed"] == len(bounded) > 15
    for name in (
        "figures.md",
        "knobs.png",
        "drift.png",
        "ends.png",
        "continuations.png",
        "tones.png",
        "tones1.wav",
        "piece0.wav",
        "end.wav",
    ):
        assert (out / name).stat().st_size > 1000
    assert soundfile.info(out / "piece0.wav").channels == 2
    assert "Notes were not judged" in said and "scripts/judge_setup installs it" in said
    judged = found["curves"]["tones"]
    assert (
        len(judged) == 2 and judged[0]["bars"] == 2 and judged[0]["bar_seconds"] == pytest.approx(2.0, 0.05)
    )


def test_only_the_sections_that_are_asked_for_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jbdiff.evaluate.amounts.QUICK", TINY)
    stack, held = write_small_stack(tmp_path / "small", ONE_LEVEL), write_sounds(tmp_path / "held", 6, 4.0)
    common = ("--stack", stack, "--heldout", held, "--out", tmp_path / "out", "--quick")
    code, said = call(*common, "--sections", "speed, statistics", "--no-finisher")
    assert code == 0, said
    found = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert found["sections"] == ["statistics", "speed"]
    assert {figure["section"] for figure in found["figures"]} == {"rhythm", "sound", "speed"}
    assert "Notes were not judged" not in said
    for wanted, words in (
        ("tunes", "no section 'tunes'; known: codec,"),
        ("music", "give --music"),
        (",", "known:"),
        ("speed --planner weights", "--sections plan"),
    ):
        code, said = call(*common, "--sections", *wanted.split(" "))
        assert code == 1 and words in said.replace("\n", " ")
    code, said = call("--stack", stack, "--out", tmp_path / "out")
    assert code == 1 and "--heldout" in said and "--music" in said
    for option, number, words in (("--steps", 10**20, "10000"), ("--music-from", "inf", "86400")):
        code, said = call(*common, option, number)
        assert code == 2 and words in said
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for option in ("--heldout", "--music", "--training", "--out"):
        code, said = call(*common, option, loop)
        assert code == 1 and "Traceback" not in said and str(loop) in said.replace("\n", ""), said


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jbdiff.evaluate.amounts.QUICK", TINY)
    stack, held = write_small_stack(tmp_path / "small", ONE_LEVEL), write_sounds(tmp_path / "held", 6, 4.0)
    out = tmp_path / "out"
    out.mkdir()
    (out / "piece1.wav").write_text("my song")
    common = ("--stack", stack, "--heldout", held, "--quick", "--sections", "speed")
    for name, content in (
        (None, ""),
        ("figures.json", "{}"),
        ("figures.json", '{"figures": "of mine"'),
        ("a", ""),
    ):
        if name is not None:
            (out / name).write_text(content)
        code, said = call(*common, "--out", out)
        assert code == 1 and "holds files that are no earlier result" in said and "give a new folder" in said
    code, said = call(*common, "--out", held / "judged")
    assert code == 1 and "lies in the folder of --heldout" in said and not (held / "judged").exists()
    code, said = call(*common, "--out", held / "0.wav")
    assert code == 1 and "--heldout" in said
    assert sorted(path.name for path in out.iterdir()) == ["a", "figures.json", "piece1.wav"]
    assert (out / "piece1.wav").read_text() == "my song"


def test_an_earlier_result_is_replaced_also_one_that_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jbdiff.evaluate.amounts.QUICK", TINY)
    stack, held = write_small_stack(tmp_path / "small", ONE_LEVEL), write_sounds(tmp_path / "held", 6, 4.0)
    out = tmp_path / "out"
    command = ("--stack", stack, "--heldout", held, "--quick", "--no-finisher", "--out", out, "--sections")

    def broken_off(*given: object) -> None:
        (out / "piece0.wav").write_text("begun")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("jbdiff.evaluate.command.Evaluation._speed", broken_off)
        assert call(*command, "speed")[0] == 130
    (out / "music.png").write_text("of an earlier result, with another list of sections")
    code, said = call(*command, "speed")
    assert code == 0, said
    assert "music.png" not in (out / "figures.md").read_text()


def test_sections_follow_from_the_material() -> None:
    usual = tuple(name for name in SECTIONS if name not in ON_DEMAND)
    assert chosen(None, True, True) == usual and chosen(None, False, True) == ("music",)
    assert chosen(None, True, False) == tuple(name for name in usual if name != "music")
    assert chosen("plan", True, False) == ("plan",), "what runs on demand runs if it is named"
    with pytest.raises(ValueError, match=r"section drift needs material; give --heldout"):
        chosen("drift", False, True)


@pytest.mark.skipif(not judge_installed(), reason="no transcriber; scripts/judge_setup installs it")
def test_a_folder_of_music_is_judged_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes seconds, because it plays, transcribes eight sounds and draws."""
    monkeypatch.setattr("jbdiff.evaluate.amounts.QUICK", TINY)
    stack, music = write_small_stack(tmp_path / "small", ONE_LEVEL), write_sounds(tmp_path / "music", 2, 7.0)
    (music / "broken.flac").write_bytes(b"no sound")
    out = tmp_path / "out"
    code, said = call("--stack", stack, "--music", music, "--music-from", 0.5, "--out", out, "--quick")
    assert code == 0, said
    assert "left out" in said and "broken.flac" in said and "Notes were not judged" not in said
    found = json.loads((out / "figures.json").read_text())
    assert {figure["section"] for figure in found["figures"]} == {"music"} and "heldout" not in found[
        "data_sha256"
    ]
    figures = {figure["name"]: figure for figure in found["figures"]}
    assert figures["pieces"]["value"] == 2
    # Random weights play no tune; the files themselves do, and their two tones are other ones.
    assert figures["harmony with the truth"]["passed"] is False
    (first, second) = found["curves"]["music"]
    assert first["truth"]["tones"]["notes"] > 1 and len(first["truth"]["by_bars"]) == 1
    assert first["truth"]["tones"]["profile"][9] > 0.5 * sum(first["truth"]["tones"]["profile"]), "A"
    assert second["truth"]["tones"]["profile"][4] > 0.5 * sum(second["truth"]["tones"]["profile"]), "E"
    assert (out / "music.png").stat().st_size > 10_000 and soundfile.info(out / "music1.wav").channels == 2


def test_too_little_to_judge_by_is_said_in_words(tmp_path: Path) -> None:
    stack = write_small_stack(tmp_path / "small")
    held = write_sounds(tmp_path / "held", 2, 1.0)
    code, said = call("--stack", stack, "--heldout", held, "--out", tmp_path / "out", "--quick")
    assert code == 1 and "6 are needed" in said
    code, said = call("--stack", stack, "--heldout", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert code == 1 and "no folder" in said
