"""What `jbdiff sample` takes and refuses, and a real process that is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.cli import app
from jbdiff.config import NoiseStyle, StackConfig
from jbdiff.render.render import RenderPlan

SHORT = ("--stack", "toy", "--levels", "2", "--seconds", 0.1, "--steps", 1)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    (tmp_path / "out").mkdir()
    return tmp_path


def sample(*arguments: object):
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


def test_finisher_noise_and_context_update_are_flags(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[RenderPlan] = []

    def note(stream, plan: RenderPlan, *rest, **more):
        plans.append(plan)
        raise ValueError("far enough")

    monkeypatch.setattr("jbdiff.sample_command.render", note)
    sample(
        *SHORT, "--finisher-style", "region", "--finisher-step", 0.2, "--finisher-seed", 9, "--keep-context",
        "--guidance", 2.5, "--style", "constant", "--step", 0.7, "--out", home / "out" / "a.wav",
    )  # fmt: skip
    settings = plans[0].settings
    finisher = settings.finisher
    assert (finisher.noise_style, finisher.noise_step, finisher.seed) == (NoiseStyle.REGION, 0.2, 9)
    assert (settings.noise_style, settings.noise_step) == (NoiseStyle.CONSTANT, 0.7)
    level = settings.levels[2]
    assert (level.steps, level.guidance, level.update_context) == (1, 2.5, False)


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "channels"),
    [("i.wav", "PCM_16", 22_050, 1), ("i.flac", "PCM_24", 48_000, 2), ("i.aiff", "PCM_16", 96_000, 2),
     ("i.ogg", "VORBIS", 44_100, 2), ("i.mp3", None, 32_000, 1)],
)  # fmt: skip
def test_any_sound_file_is_taken(
    home: Path, name: str, subtype: str | None, rate: int, channels: int
) -> None:
    sound = 0.2 * np.random.default_rng(0).standard_normal((rate // 4, channels))
    soundfile.write(home / name, sound, rate, subtype)
    result = sample(
        *SHORT, "--no-finisher", "--init", home / name, "--context", home / name, "--resample", 0.5,
        "--out", home / "out" / "a.wav",
    )  # fmt: skip
    assert result.exit_code == 0, result.output


def broken(path: Path, kind: str) -> Path:
    if kind == "empty file":
        path.write_bytes(b"")
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), 44_100)
    elif kind == "too short":
        soundfile.write(path, np.ones(1) * 0.1, 192_000)
    elif kind == "silent":
        soundfile.write(path, np.zeros(5_000), 44_100)
    else:
        soundfile.write(path, np.full(5_000, np.nan), 44_100, "FLOAT")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty file", "it is empty; record or export it again"),
        ("no samples", "record or export it again"),
        ("too short", "use a longer file"),
        ("silent", "give an init that sounds"),
        ("NaN", "export it again as 16 or 24 bit"),
    ],
)
def test_inits_without_sound_are_refused_in_words(home: Path, kind: str, message: str) -> None:
    result = sample(*SHORT, "--init", broken(home / "i.wav", kind), "--out", home / "out" / "a.wav")
    assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output
    assert not list((home / "out").iterdir())


def test_an_init_of_one_sample_will_do(home: Path) -> None:
    soundfile.write(home / "i.wav", np.ones(1) * 0.1, 44_100)
    arguments = ("--no-finisher", "--init", home / "i.wav", "--resample", 0.5)
    result = sample(*SHORT, *arguments, "--out", home / "out" / "a.wav")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device"), "free some space"),
        (PermissionError(13, "no"), "choose a folder"),
    ],
)
def test_what_the_disk_says_comes_with_a_remedy(home: Path, monkeypatch, error, message: str) -> None:
    def full(*anything: object) -> None:
        raise error

    monkeypatch.setattr("jbdiff.render.render._replace", full)
    result = sample(*SHORT, "--no-finisher", "--out", home / "out" / "a.wav")
    assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output


# The command, which waits for Ctrl-C as soon as it has kept the state of its first block.
STOPS_WHEN_STATE_IS_KEPT = """
import threading
import jbdiff.render.render as render
from jbdiff.__main__ import main

plain = render._replace

def replaced(path, *rest):
    plain(path, *rest)
    if path.name == "state":
        print("state is kept", flush=True)
        threading.Event().wait(900)

render._replace = replaced
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_ctrl_c_and_the_same_command_again_give_the_same_samples(home: Path) -> None:
    def command(name: str, *program: str) -> list[str]:
        arguments = (
            "sample",
            "--stack",
            "toy",
            "--levels",
            "2",
            "--no-finisher",
            "--seconds",
            5,
            "--steps",
            8,
        )
        return [
            sys.executable,
            *(program or ("-m", "jbdiff")),
            *map(str, arguments),
            "--out",
            str(home / "out" / name),
        ]

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command("whole.wav"), env=environment, check=True, capture_output=True, timeout=900)
    going = subprocess.Popen(
        command("b.wav", "-c", STOPS_WHEN_STATE_IS_KEPT), env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    assert going.stdout is not None
    assert any("state is kept" in line for line in going.stdout), "it ended before"
    going.send_signal(signal.SIGINT)
    said, _ = going.communicate(timeout=900)
    assert going.returncode == 1 and "goes on from here" in said.replace("\n", " "), said
    assert not (home / "out" / "b.wav").exists()
    again = subprocess.run(command("b.wav"), env=environment, capture_output=True, text=True, timeout=900)
    assert again.returncode == 0 and "went on after block" in again.stdout.replace("\n", " "), again.stdout
    sounds = [soundfile.read(home / "out" / name)[0] for name in ("whole.wav", "b.wav")]
    assert np.array_equal(*sounds)


def finish(*arguments: object):
    return CliRunner().invoke(app, ["finish", *map(str, arguments)])


def test_finish_makes_a_file_stereo_and_replaces_nothing_by_itself(
    home: Path, toy_config: StackConfig
) -> None:
    assert toy_config.finisher is not None
    few = replace(toy_config, finisher=replace(toy_config.finisher, steps=6))
    write_toy_stack(home / "home" / "few", few)
    sound, out = home / "mix.wav", home / "out" / "wide.wav"
    time = np.arange(3_000) / 44_100
    soundfile.write(sound, 0.3 * np.sin(2 * np.pi * 220 * time), 44_100)
    arguments = (sound, "--stack", "few", "--out", out, "--bits", 32)
    done = finish(*arguments)
    assert done.exit_code == 0, done.output
    made, rate = soundfile.read(out)
    assert made.shape == (3_000, 2) and rate == 44_100 and np.isfinite(made).all()
    assert "is there already" in finish(*arguments).output
    assert "is the sound that is read" in finish(sound, "--stack", "few", "--out", sound).output
    assert "cannot be written; known: .wav at 16" in finish(sound, "--out", home / "out" / "a.mp3").output
    assert finish(*arguments, "--strength", 0.9, "--overwrite").exit_code == 0
    assert not np.array_equal(soundfile.read(out)[0], made)
