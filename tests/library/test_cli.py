"""The library's commands, run as a user runs them, on a toy stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.cli import app


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    return tmp_path


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_info_says_which_stacks_load(home: Path) -> None:
    broken = home / "home" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    result = run("info")
    assert result.exit_code == 0
    assert "toy" in result.output and "loads" in result.output
    assert "broken" in result.output and "does not load" in result.output


def test_sample_writes_as_many_seconds_as_asked(home: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(home / "context.wav", 0.1 * rng.standard_normal((48_000, 2)), 48_000)
    arguments = [
        "--stack",
        "toy",
        "--levels",
        "2",
        "--no-finisher",
        "--seconds",
        0.2,
        "--seed",
        3,
        "--context",
        home / "context.wav",
    ]
    for name in ("a.wav", "b.wav"):
        result = run("sample", *arguments, "--out", home / name)
        assert result.exit_code == 0, result.output
    first, rate = soundfile.read(home / "a.wav")
    second, _ = soundfile.read(home / "b.wav")
    assert rate == 44_100 and first.shape == (8_820,)
    assert np.array_equal(first, second)
    assert np.abs(first[:100]).max() > 0


def test_sample_resamples_a_sound(home: Path) -> None:
    soundfile.write(home / "init.wav", 0.3 * np.sin(np.arange(3000) / 20), 44_100)
    result = run(
        "sample", "--stack", "toy", "--levels", "2", "--no-finisher", "--seconds", 0.2,
        "--init", home / "init.wav", "--resample", 0.5,
        "--out", home / "c.wav",
    )  # fmt: skip
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stack", "nowhere", "--out", "a.wav"), "no stack 'nowhere'"),
        (("--stack", "toy", "--out", "missing/a.wav"), "no folder"),
        (("--stack", "toy", "--out", "a.wav", "--context", "none.wav"), "none.wav"),
    ],
)
def test_mistakes_are_answered_in_words(home: Path, monkeypatch, arguments, message: str) -> None:
    monkeypatch.chdir(home)
    result = run("sample", *arguments)
    assert result.exit_code == 1
    assert message in result.output.replace("\n", " ")
    assert "Traceback" not in result.output
