"""What training can be told and what it tells: TOML files, errors that name the remedy, time left, boards."""

from __future__ import annotations

import importlib.util
import json
import math
import tomllib
from inspect import signature, unwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

pytest.importorskip("lightning")

from jbdiff.config import BandCodecConfig, UNetConfig
from jbdiff.data.digest import data_digest
from jbdiff.train.cli import app
from jbdiff.train.run.boards import TensorBoard, check_boards
from jbdiff.train.run.provenance import config_toml
from jbdiff.train.run.run import prepare_folder
from jbdiff.train.run.schedule import Budget, in_words
from jbdiff.train.run.settings import RunSettings, check_numbers, read_config, run_options

COMMANDS = ("codec", "denoiser")


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "own.toml").write_text(text)
    return tmp_path / "own.toml"


def test_a_file_holds_shared_options_and_those_of_one_command(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "minutes = 5\nbatch = 2\n[codec]\nbatch = 3\n[codec.sizes]\ndecoder_blocks = 2\n"
        "[denoiser]\nround-steps = 7\n",
    )
    known = ("minutes", "batch", "round_steps")
    assert read_config(path, "codec", known, COMMANDS) == ({"minutes": 5, "batch": 3}, {"decoder_blocks": 2})
    assert read_config(path, "denoiser", known, COMMANDS)[0] == {"minutes": 5, "batch": 2, "round_steps": 7}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("minuts = 5", "did you mean 'minutes'"),
        ("[codecs]\nbatch = 3", "did you mean 'codec'"),
        ("[codec]\nround_step = 3", "did you mean 'round-steps'"),
        ("minutes = ", "as TOML"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_config(written(tmp_path, text), "codec", ("minutes", "round_steps"), COMMANDS)


def test_flags_win_over_the_file_and_errors_are_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, f'data = "{tmp_path}/none"\nout = "{tmp_path}/run"\nsteps = 1\n')
    done = CliRunner().invoke(app, ["codec", "--config", str(path)])
    assert done.exit_code == 1 and f"no folder '{tmp_path}/none'" in done.output.replace("\n", "")
    done = CliRunner().invoke(app, ["codec", "--config", str(path), "--data", str(tmp_path / "other")])
    assert f"no folder '{tmp_path}/other'" in done.output.replace("\n", "")
    path.write_text("minuts = 3")
    done = CliRunner().invoke(app, ["codec", "--config", str(path)])
    assert done.exit_code == 2 and "'minutes'" in done.output


def test_sizes_are_fields_of_the_network(tmp_path: Path) -> None:
    settings = RunSettings(tmp_path, steps=1, sizes={"decoder-blocks": 2})
    assert settings.sized(BandCodecConfig()) == BandCodecConfig(decoder_blocks=2)
    assert RunSettings(tmp_path, sizes={"items": [1, 2]}).sized(UNetConfig()).items == (1, 2)
    with pytest.raises(ValueError, match="did you mean 'decoder_blocks'"):
        RunSettings(tmp_path, sizes={"decoder_block": 2}).sized(BandCodecConfig())


def test_written_options_read_back(tmp_path: Path) -> None:
    given = {"data": Path("sounds"), "round_steps": 3, "bf16": False, "heldout": None, "rate": 1e-3}
    text = config_toml(given, {"items": (1, 2), "kind": "unet"})
    assert tomllib.loads(text) == {
        "data": str(Path("sounds").resolve()),
        "round-steps": 3,
        "bf16": False,
        "rate": 1e-3,
        "sizes": {"items": [1, 2]},
    }


def test_the_datas_hash_follows_names_and_content(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in (tmp_path / "here", tmp_path / "there"):
        place.mkdir()
        soundfile.write(place / "a.wav", np.zeros(200_000), 44_100)
    assert data_digest(tmp_path / "here") == data_digest(tmp_path / "there")
    first = data_digest(tmp_path / "here")
    content = bytearray((tmp_path / "here" / "a.wav").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "here" / "a.wav").write_bytes(content)
    second = data_digest(tmp_path / "here")
    soundfile.write(tmp_path / "here" / "b.wav", rng.standard_normal(10) / 9, 44_100)
    assert len({first, second, data_digest(tmp_path / "here")}) == 3


def test_wandb_is_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_boards(wandb=False)
    with pytest.raises(ValueError, match="pip install wandb"):
        check_boards(wandb=True)


def test_tensorboard_shows_figures_sounds_and_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path, step=0)
    board.scalars(3, {"loss": 0.5})
    board.sound(3, "demo/sample1", np.zeros(100, np.float32), 44_100)
    board.picture(3, "demo", np.zeros((4, 6, 3), np.uint8))
    board.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(3, 0.5)]
    assert found.Audio("demo/sample1")[0].sample_rate == 44_100
    picture = found.Images("demo")[0]
    assert (picture.width, picture.height) == (6, 4)


def test_the_time_left_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    by_steps, by_time = Budget(steps=50, started=now[0]), Budget(minutes=2, started=now[0])
    assert by_steps.seconds_left(10) is None
    by_steps.begin(10)
    now[0] += 20
    assert by_steps.seconds_left(20) == 60
    assert by_time.seconds_left(5) == 100
    by_time.agreed = 1.0
    assert by_time.progress(0) == 0.5, "the first process's clock counts"
    assert [in_words(seconds) for seconds in (48, 725, 11_250)] == ["48s", "12:05", "3:07:30"]


def test_a_slow_measurement_takes_a_tenth_of_the_training_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("jbdiff.train.run.schedule.time.monotonic", lambda: now[0])
    budget = Budget(minutes=60, started=now[0])
    budget.spare(2)
    assert budget.minutes == 58
    now[0] += 18 * 60
    budget.spare(18)
    assert budget.minutes == 54


def test_products_are_in_bfloat16_on_a_gpu_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (False, True):
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert RunSettings(tmp_path).bf16 is there
        assert not RunSettings(tmp_path, accelerator="cpu").bf16
        assert run_options(tmp_path, bf16=True).bf16 and not run_options(tmp_path, bf16=False).bf16


def test_every_training_takes_the_choice_of_bfloat16_from_its_settings() -> None:
    trainings = [command for command in app.registered_commands if command.callback is not None]
    runs = {
        c.callback.__name__: c.callback
        for c in trainings
        if "round_steps" in signature(c.callback).parameters
    }
    assert set(runs) == {"codec", "denoiser", "distill", "finisher", "plan"}
    for run in runs.values():
        assert "bf16" in signature(run).parameters and "bf16" not in signature(unwrap(run)).parameters


def test_other_processes_wait_for_the_firsts_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jbdiff.data import clips as data

    (tmp_path / "sounds").mkdir()
    soundfile.write(tmp_path / "sounds" / "a.wav", 0.1 * np.sin(np.arange(1000)), 8000)
    monkeypatch.setenv("RANK", "1")
    waits = []

    def first_makes_it(seconds: float) -> None:
        waits.append(seconds)
        with monkeypatch.context() as other:
            other.setenv("RANK", "0")
            data.cache_sounds(tmp_path / "sounds", tmp_path / "cache", 8000)

    monkeypatch.setattr("time.sleep", first_makes_it)
    clips = data.cache_sounds(tmp_path / "sounds", tmp_path / "cache", 8000)
    assert clips.lengths == (1000,) and len(waits) == 1
    assert json.loads((tmp_path / "cache" / "index.json").read_text())["lengths"] == [1000]


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("codec", ("--minutes", "nan"), "--minutes nan: give a finite number"),
        ("codec", ("--minutes", "inf"), "--minutes inf: give a finite number"),
        ("denoiser", ("--minutes", "-1"), "--minutes -1.0: give a number above 0"),
        ("denoiser", ("--steps", "0"), "--steps 0: give a number above 0"),
        ("distill", ("--steps", "99999999999999999999"), "is the most"),
        ("distill", ("--steps", "1", "--rate", "nan"), "--rate nan: give a finite number"),
        ("plan", ("--steps", "1", "--rate", "-0.001"), "--rate -0.001: give a number above 0"),
        ("finisher", ("--steps", "1", "--seconds", "0"), "--seconds 0.0: give a number above 0"),
        ("codec", ("--steps", "1", "--demo-minutes", "nan"), "--demo-minutes nan: give a finite number"),
        ("own", ("--hours", "inf"), "--hours inf: give a finite number"),
        ("own", ("--hours", "0"), "--hours 0.0: give a number above 0"),
        ("own", ("--hours", "1", "--demo-minutes", "nan"), "--demo-minutes nan: give a finite number"),
    ],
)
def test_numbers_that_no_run_can_work_with_are_refused_before_it_begins(
    command: str, options: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    data = str(tmp_path / "data")
    where = [data] if command == "own" else ["--data", data, "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [command, *where, *options])
    assert done.exit_code == 1 and words in done.output, (done.output, done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_no_demos_is_a_number_too() -> None:
    check_numbers({"demo_minutes": math.inf, "minutes": 0.001, "seed": -5, "resume": True, "out": "x"})


def test_a_file_of_options_that_the_user_wrote_is_never_replaced(tmp_path: Path) -> None:
    """Who keeps it in the folder of the run would lose its comments, and the options of other commands."""
    options = written(tmp_path, "steps = 1  # to try it out\n").rename(tmp_path / "config.toml")
    before = options.read_bytes()
    (tmp_path / "data").mkdir()
    settings = RunSettings(tmp_path, steps=1, given={"steps": 1})
    with pytest.raises(
        FileExistsError, match=r"config\.toml would be replaced .*; give another folder for --out"
    ):
        prepare_folder(settings, {})
    assert options.read_bytes() == before and not (tmp_path / "run.json").exists()


def test_an_error_of_the_disk_has_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    soundfile.write(tmp_path / "data" / "a.wav", np.random.default_rng(0).normal(0, 0.1, 44_100 * 9), 44_100)
    done = CliRunner().invoke(
        app, ["codec", "--data", str(tmp_path / "data"), "--out", str(tmp_path / ("a" * 300)), "--steps", "1"]
    )
    assert done.exit_code == 1 and "give a shorter name" in done.output, (done.output, done.exception)
