"""Files that were there before: replaced only when that is asked for, and never while they are read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.cli import app
from jbdiff.render import render as render_module

SHORT = ("--stack", "toy", "--levels", "2", "--no-finisher", "--seconds", 0.1, "--steps", 1)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def sample(*arguments: object):
    return CliRunner().invoke(app, ["sample", *map(str, (*SHORT, *arguments))])


def sound(path: Path) -> bytes:
    soundfile.write(path, 0.3 * np.sin(np.arange(9000) / 20), 44_100)
    return path.read_bytes()


@pytest.mark.parametrize("way", ["itself", "link", "hard link"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_the_sound_that_is_read_is_never_replaced(way: str, more: tuple[str, ...], home: Path) -> None:
    before = sound(home / "mine.wav")
    out = home / "x.wav"
    if way == "link":
        out.symlink_to(home / "mine.wav")
    elif way == "hard link":
        os.link(home / "mine.wav", out)
    else:
        out = home / "mine.wav"
    for role in ("--context", "--init"):
        result = sample("--out", out, role, home / "mine.wav", *more)
        assert result.exit_code == 1 and f"is read as {role}" in result.output, result.output
    assert (home / "mine.wav").read_bytes() == before


def test_no_stem_and_no_picture_lands_on_a_sound_that_is_read(home: Path) -> None:
    before = sound(home / "a-level2.wav")
    result = sample("--out", home / "a.wav", "--stems", "--context", home / "a-level2.wav", "--overwrite")
    assert result.exit_code == 1 and "is read as --context" in result.output
    assert (home / "a-level2.wav").read_bytes() == before


@pytest.mark.parametrize("name", ["a.wav", "a-level2.wav", "a.png", "a-level2.png"])
def test_files_that_are_there_are_replaced_only_on_request(name: str, home: Path) -> None:
    (home / name).write_text("somebody's own")
    arguments = ("--out", home / "a.wav", "--stems", "--pictures")
    result = sample(*arguments)
    assert (
        result.exit_code == 1
        and f"{name} is there already" in result.output
        and "--overwrite" in result.output
    )
    assert (home / name).read_text() == "somebody's own" and len(list(home.iterdir())) == 1
    result = sample(*arguments, "--overwrite")
    assert result.exit_code == 0, result.output
    assert b"somebody" not in (home / name).read_bytes()


def test_every_file_of_a_batch_is_looked_at_before_the_first_is_made(home: Path) -> None:
    sound(home / "a-seed2.wav")
    result = sample("--out", home / "a.wav", "--seed", 1, "--seed", 2)
    assert result.exit_code == 1 and "a-seed2.wav is there already" in result.output
    assert [path.name for path in home.iterdir()] == ["a-seed2.wav"]


def test_a_folder_of_the_name_is_left_alone(home: Path) -> None:
    (home / "a.wav.partial").mkdir()
    (home / "a.wav.partial" / "diary.txt").write_text("mine")
    for more in ((), ("--fresh",), ("--overwrite",)):
        result = sample("--out", home / "a.wav", *more)
        assert result.exit_code == 1 and "is in the way" in result.output
    assert (home / "a.wav.partial" / "diary.txt").read_text() == "mine"


def test_a_render_that_stopped_while_its_files_moved_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of its files is in its place by then, and no foreign one."""
    arguments = ("--out", home / "a.wav", "--stems")
    plain = render_module.shutil.rmtree

    def stopped(*anything: object) -> None:
        (home / "a-level2.wav").rename(home / "a.wav.partial" / "a-level2.wav")
        raise KeyboardInterrupt

    monkeypatch.setattr(render_module.shutil, "rmtree", stopped)
    assert sample(*arguments).exit_code == 1
    monkeypatch.setattr(render_module.shutil, "rmtree", plain)
    first = (home / "a.wav").read_bytes()
    result = sample(*arguments)
    assert result.exit_code == 0, result.output
    assert (home / "a.wav").read_bytes() == first
    assert sorted(path.name for path in home.iterdir()) == ["a-level2.wav", "a.wav"]


def test_a_result_of_a_benchmark_replaces_no_other_file(home: Path) -> None:
    (home / "r.json").write_text("mine")
    result = CliRunner().invoke(
        app, ["bench", "--stack", "toy", "--blocks", "0", "--repeats", "1", "--json", str(home / "r.json")]
    )
    assert result.exit_code == 1 and "is there already" in result.output
    assert (home / "r.json").read_text() == "mine"


def test_a_judgement_does_not_write_among_the_sounds_that_it_judges(home: Path) -> None:
    sound(home / "piece0.wav")
    result = CliRunner().invoke(
        app, ["evaluate", "--stack", "toy", "--heldout", str(home), "--out", str(home)]
    )
    assert result.exit_code == 1 and "in the folder of --heldout" in result.output.replace("\n", " ")
    assert [path.name for path in home.iterdir()] == ["piece0.wav"]
