"""The instrument as a person starts it: one process, the shipped model, no screen and no sound device."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from flat_tops import flat_tops, is_clipped
from small_stacks import write_small_stack
from typer.testing import CliRunner

import jbdiff
from jbdiff_live.record.take import BlockEvent, ChangeEvent, Take, open_take
from jbdiff_live.start.command import app

RATE = 44_100
WEIGHTS = Path(jbdiff.__file__).parent / "weights" / "pocket"


def play(*arguments: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs the instrument without a screen; JACK and PulseAudio of the machine are out of reach."""
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "JACK_DEFAULT_SERVER", "XDG_RUNTIME_DIR"}
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    env |= {"OMP_NUM_THREADS": "1", "JACK_NO_START_SERVER": "1", "HOME": str(cwd), "COLUMNS": "500", **more}
    return subprocess.run(
        [sys.executable, "-m", "jbdiff_live", *map(str, arguments)],
        cwd=cwd, env=env, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def music(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A beat and a bass line, for the model to continue: float32 [frames, channels]."""
    t = np.arange(int(seconds * rate)) / rate
    beat = t % 0.5
    kick = np.sin(2 * np.pi * 50 * beat) * np.exp(-12 * beat)
    notes = np.array([55.0, 65.4, 73.4, 82.4])[(t / 0.25).astype(int) % 4]
    bass = 0.3 * np.sign(np.sin(2 * np.pi * notes * t)) * np.exp(-6 * (t % 0.25))
    sound = 0.5 * (kick + bass)
    return np.repeat(sound[:, None], channels, axis=1).astype(np.float32)


def the_take(folder: Path) -> Take:
    (only,) = folder.iterdir()
    return open_take(only)


@pytest.mark.realtime
def test_thirty_seconds_into_a_take_without_device_or_screen(tmp_path: Path) -> None:
    context = tmp_path / "context.wav"
    heard = music(6.0)
    soundfile.write(context, heard, RATE)
    done = play("--headless", "--seconds", "30", "--record", "takes", "--take", "engine", "--context", context,
                cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # How many depends on the machine: scripts/soak counts them. What a late block repeats is in the take all the same.
    assert re.search(r"Underruns: \d+\. Late blocks: \d+\.", done.stdout), done.stdout
    take = the_take(tmp_path / "takes")
    sound = take.read()
    silence = int(take.info.details["latency_frames"])  # before the stack's first sound; it is not played
    assert len(sound) == silence + 30 * RATE
    assert take.info.closed_cleanly and not take.info.problem
    assert take.info.stack_identity
    assert np.isfinite(sound).all()
    seconds = sound[silence + RATE :].reshape(-1, RATE, 2)
    loudness = 20 * np.log10(np.sqrt((seconds**2).mean(axis=(1, 2))) + 1e-9)
    assert loudness.min() > -50, "no second is silent"
    louder = 10 * np.log10(np.square(sound[RATE:]).mean() / np.square(heard).mean())
    assert abs(louder) < 6 and np.abs(sound).max() < 2
    assert not is_clipped(sound), f"{flat_tops(sound)} flat tops"
    assert np.unique(sound[::100, 0]).size > 1000, "not constant"
    blocks = [event for event in take.events() if isinstance(event, BlockEvent)]
    # A block that came too late is the last one once more, with its noise.
    made = [block.noise for block in blocks if block.rung != "repeat"]
    assert len(blocks) >= 13 and len(made) > 1 and len(set(map(str, made))) == len(made)
    edges = [b.start_frame for b in blocks[1:] if b.start_frame < len(sound)]
    steps = np.abs(np.diff(sound[:, 0]))
    at_edges = np.array([steps[edge - 8 : edge + 8].max() for edge in edges])
    anywhere = np.array([steps[i : i + 16].max() for i in range(RATE, len(steps) - 16, 997)])
    assert np.median(at_edges) < np.percentile(anywhere, 95), "block edges do not stand out"


@pytest.mark.realtime
def test_same_seed_gives_the_same_sound_and_another_seed_another(tmp_path: Path) -> None:
    sounds = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        # A machine that is too slow would make cheaper blocks, not always the same ones.
        done = play("--headless", "--device", "null", "--seconds", "3", "--record", name, "--take", "engine",
                    "--set", f"seed={seed}", "--no-ladder", cwd=tmp_path)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        sounds.append(the_take(tmp_path / name).read())
    shared = min(map(len, sounds))  # a busy machine ends a take some frames later
    assert shared >= 2 * RATE and np.array_equal(sounds[0][:shared], sounds[1][:shared])
    assert not np.array_equal(sounds[0][:shared], sounds[2][:shared])


@pytest.mark.realtime
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (22_050, 1)])
def test_context_of_any_rate_is_resampled_and_says_so(rate: int, channels: int, tmp_path: Path) -> None:
    context = tmp_path / "context.flac"
    soundfile.write(context, music(3.0, rate, channels), rate)
    done = play("--headless", "--device", "null", "--seconds", "1", "--record", "takes", "--context", context,
                cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"resampled from {rate} to 44100 Hz" in done.stdout


@pytest.mark.realtime
def test_no_device_is_said_and_a_take_is_made_all_the_same(tmp_path: Path) -> None:
    """In the music folder, not where the program was started."""
    done = play("--seconds", "2", cwd=tmp_path, XDG_MUSIC_DIR=str(tmp_path / "music"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no screen" in done.stdout
    assert "null device" in done.stdout
    take = the_take(tmp_path / "music" / "jbdiff-live")
    assert take.info.sound == "heard" and take.frames == 2 * RATE


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _header_only(path: Path) -> None:
    soundfile.write(path, np.zeros((0, 1), np.float32), RATE)


def _text(path: Path) -> None:
    path.write_text("this is not music")


def _silence(path: Path) -> None:
    soundfile.write(path, np.zeros(RATE, np.float32), RATE)


def _broken_numbers(path: Path) -> None:
    soundfile.write(path, np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")


@pytest.mark.parametrize("make", [None, _empty, _header_only, _text, _silence, _broken_numbers])
def test_bad_context_is_refused_by_name(make, tmp_path: Path) -> None:
    context = tmp_path / "bad.wav"
    if make is not None:
        make(context)
    done = play("--headless", "--device", "null", "--seconds", "1", "--context", context, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "bad.wav" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--patch", "nowhere"], "no patch 'nowhere'; there are: band"),
        (["--set", "noise_stop=1"], "did you mean 'noise_step'"),
        (["--set", "noise_step=7"], "outside 0 to 1"),
        (["--set", "noise_step"], "name=value"),
        (["--set", "noise_style=swirl"], "random, constant, region, walk"),
        (["--levels", "2x"], "write the levels' numbers, such as 21"),
        (["--levels", "23"], "choose among 2, 1 and 0"),
        (["--patch", "a" * 300], "give a shorter name"),
    ],
)
def test_bad_options_name_the_remedy(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = play("--headless", "--device", "null", "--seconds", "1", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_parameter_in_a_patch_is_named(tmp_path: Path) -> None:
    patch = tmp_path / "mine.toml"
    patch.write_text('format = 1\nname = "mine"\nstack = "pocket"\n[values]\nnoise_stop = 0.5\n')
    done = play("--headless", "--device", "null", "--seconds", "1", "--patch", patch, cwd=tmp_path)
    assert done.returncode == 2
    assert "noise_stop" in done.stderr and "noise_step" in done.stderr and "mine.toml" in done.stderr


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_corrupt_weights_fail_with_a_reason(damage: str, tmp_path: Path) -> None:
    stack = tmp_path / "stack"
    shutil.copytree(WEIGHTS, stack)
    file = stack / "level2.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)
    elif damage == "truncated":
        file.write_bytes(data[: len(data) // 2])
    else:
        file.unlink()
    done = play("--headless", "--device", "null", "--seconds", "1", "--stack", stack, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"The engine failed: .*level2", done.stdout), done.stdout


@pytest.mark.realtime
def test_values_from_the_command_line_are_in_the_take(tmp_path: Path) -> None:
    done = play("--headless", "--device", "null", "--seconds", "1", "--record", "takes", "--patch", "wild",
                "--set", "guidance=2.5", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    take = the_take(tmp_path / "takes")
    assert take.info.patch == "wild"
    assert take.info.values["guidance"] == 2.5
    assert not [event for event in take.events() if isinstance(event, ChangeEvent)]


@pytest.mark.realtime
def test_stack_levels_and_finisher_from_the_command_line_win_over_the_patch(tmp_path: Path) -> None:
    stack = write_small_stack(tmp_path / "small")
    done = play("--headless", "--device", "null", "--seconds", "1", "--record", "takes", "--stack", stack,
                "--levels", "21", "--no-finisher", "--patch", "wild", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    info = the_take(tmp_path / "takes").info
    assert (info.stack, info.patch) == (str(stack), "wild")
    assert (info.details["levels"], info.details["finisher"]) == ([2, 1], False)
    assert info.stack_identity


def test_levels_that_a_stack_lacks_are_named(tmp_path: Path) -> None:
    done = play("--headless", "--device", "null", "--seconds", "1", "--levels", "21", cwd=tmp_path)
    assert done.returncode == 1
    assert "The engine failed: stack 'pocket' has no level 1; it has: 2" in done.stdout


@pytest.mark.realtime
def test_a_user_without_a_home_plays_where_the_screen_refuses(tmp_path: Path) -> None:
    """As in a container that runs under any number: no entry in the list of users, and X11 named without a display."""
    code = (
        "import os, pwd, runpy, sys\n"
        "os.environ.pop('HOME')\n"
        "def unknown(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = unknown\n"
        "sys.argv = ['jbdiff_live', '--device', 'null', '--seconds', '1', '--record', 'takes']\n"
        "runpy.run_module('jbdiff_live', run_name='__main__')\n"
    )
    hidden = {
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "JACK_DEFAULT_SERVER",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "JBDIFF_HOME",
    }
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    env |= {"OMP_NUM_THREADS": "1", "JACK_NO_START_SERVER": "1", "QT_QPA_PLATFORM": "xcb", "HOME": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The screen cannot be used (qt.qpa.xcb: could not connect to display" in done.stdout
    assert the_take(tmp_path / "takes").frames == RATE


def test_bad_patches_of_ones_own_do_not_end_the_list(tmp_path: Path) -> None:
    own = tmp_path / ".config" / "jbdiff-live" / "patches"
    own.mkdir(parents=True)
    (own / "digits.toml").write_text('format = 1\nname = "x"\nprogram = 1' + "0" * 400)
    (own / "nested.toml").write_text("a = " + "[" * 50_000)
    (own / "latin.toml").write_bytes(b'name = "caf\xe9"')
    (own / "song [b]2007[ b].toml").write_text('format = 1\nname = "x"\nprogram = 99\n')
    (own / "größe.toml").write_text('format = 1\nname = "x"\n')
    done = play("--list", cwd=tmp_path, PYTHONIOENCODING="ascii:strict", XDG_CONFIG_HOME="")
    assert done.returncode == 0, done.stderr
    for words in ("digits", "nested", "latin", "song [b]2007[ b] program 99", "gr??e", "noise_step"):
        assert words in done.stdout.replace("gr?\N{REPLACEMENT CHARACTER}", "gr??"), words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds", "inf"], "inf is no number of seconds"),
        (["--seconds", "nan"], "seconds"),
        (["--short-ring", str(1 << 40)], "power of two from 256"),
        (["--set", "gain=nan"], "outside -60 to 6"),
        (["--set", "seed=1" + "0" * 400], "outside 0 to 16383"),
        (["--set", "hold=maybe"], "needs on or off"),
        (["--steps", "99999999999"], "99999999999 steps: goes from 1 to 1000"),
        (["--threads", "100000"], "less than or equal to 1024"),
        (["--stack", ""], "a stack without a name"),
    ],
)
def test_numbers_without_sense_are_refused_before_anything_plays(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(app, ["--headless", "--device", "null", *arguments])
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert words in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "takes").exists()


@pytest.mark.realtime
def test_a_home_is_found_behind_an_equals_sign(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mine [1].wav", music(3.0), RATE)
    done = play(
        "--headless",
        "--device=null",
        "--seconds=1",
        "--record=~/kept",
        "--context=~/mine [1].wav",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "context: mine [1].wav; the next block continues it" in done.stdout
    assert the_take(tmp_path / "kept").frames == RATE
