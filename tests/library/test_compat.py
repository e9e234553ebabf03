"""`jbdiff sample --compat v1` gives what the first implementation gave, through the command itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.cli import app

RATE = 44_100


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    (tmp_path / "out").mkdir()
    return tmp_path


def compat(*arguments: object):
    return CliRunner().invoke(app, ["sample", "--compat", "v1", "--stack", "toy", *map(str, arguments)])


# The pipelines themselves are held to all four by test_offline.py; this is the way from flags to them.
@pytest.mark.parametrize("name", ["b", *(pytest.param(name, marks=pytest.mark.full) for name in "acd")])
def test_the_command_gives_the_recorded_runs(home: Path, recorded, recorded_config: dict, name: str) -> None:
    file = recorded(f"pipeline_{name}")
    said = recorded_config["files"][f"pipeline_{name}.safetensors"]["args"]
    expected = file["final_audio"][0]
    flags: list[object] = [
        "--seconds", expected.shape[1] / RATE, "--seed", said["noise_seed"], "--style", said["noise_style"],
        "--levels", "".join(map(str, said["levels"])), "--token-multiplier", said["token_multiplier"],
        "--finisher-style", said["dd_style"], "--finisher-seed", said["dd_seed"],
        "--finisher-step", said["dd_noise_step"], "--crossfade", said["xstyle"],
        "--update-context" if said.get("upd_low") else "--keep-context",
        "--set", f"finisher.steps={recorded_config['config']['dd_steps']}",
        "--set", f"finisher.strength={recorded_config['config']['dd_init']}",
    ]  # fmt: skip
    for level in said["levels"]:
        steps, guidance, strength = (*recorded_config["level_conf_in_pipeline"][str(level)], 0.0)[:3]
        flags += ["--set", f"level{level}.steps={steps}", "--set", f"level{level}.guidance={guidance}"]
        flags += ["--set", f"level{level}.strength={strength}"] if level != 2 else []
    soundfile.write(home / "context.wav", file["context_audio"].T.numpy(), RATE, "FLOAT")
    flags += ["--context", home / "context.wav"]
    if said["use_init"]:
        soundfile.write(home / "init.wav", file["init_audio"].T.numpy(), RATE, "FLOAT")
        flags += ["--init", home / "init.wav", "--resample", said["init_strength"]]
    result = compat(*flags, "--stems", "--bits", 32, "--out", home / "out" / "x.wav")
    assert result.exit_code == 0, result.output
    heard = torch.from_numpy(soundfile.read(home / "out" / "x.wav", dtype="float32", always_2d=True)[0]).T
    assert heard.shape == expected.shape
    assert (heard - expected).abs().max() <= 1e-4
    for level in said["levels"]:
        stem, _ = soundfile.read(home / "out" / f"x-level{level}.wav", dtype="float32")
        assert (torch.from_numpy(stem) - file[f"audio_L{level}"][0]).abs().max() <= 1e-4
    assert len(list((home / "out").iterdir())) == 1 + len(said["levels"])


def test_without_finisher_the_finest_level_is_heard(home: Path) -> None:
    result = compat(
        "--levels", 2, "--no-finisher", "--seconds", 0.1, "--stems", "--pictures", "--steps", 2, "--bits", 32,
        "--out", home / "out" / "x.wav",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    heard, _ = soundfile.read(home / "out" / "x.wav")
    stem, _ = soundfile.read(home / "out" / "x-level2.wav")
    assert heard.shape == (4_410, 2) and (heard[:, 0] == stem).all() and (heard[:, 1] == stem).all()
    assert (home / "out" / "x.png").is_file() and (home / "out" / "x-level2.png").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--hop", 16), "--compat v1 has no hop"),
        (("--sampler", "unipc"), "--compat v1 has no sampler"),
        (("--set", "level1.handover=init"), "--compat v1 has no level1.handover"),
        (("--set", "level1.update_context=false"), "always"),
        (("--levels", "20"), "without a gap"),
        (("--crossfade", "magic"), "linear, constant-power"),
        (("--fresh",), "keeps nothing"),
        (("--set", "level1.strength=1.0"), "leaves v1 no step"),
    ],
)
def test_what_v1_does_not_have_is_refused(home: Path, flags: tuple, message: str) -> None:
    result = compat(*flags, "--out", home / "out" / "x.wav")
    assert result.exit_code == 1 and message in result.output.replace("\n", " ")
    assert not list((home / "out").iterdir())


def test_progress_counts_every_step_once(toy_stack) -> None:
    from jbdiff.render.options import options_from
    from jbdiff.v1.piece import v1_piece

    values = {"seconds": 0.1, "level2": {"steps": 2}, "level1": {"steps": 3}, "finisher": {"steps": 2}}
    piece = v1_piece(toy_stack, options_from({**values, "levels": [2, 1]}), 0, True, False)
    count = []
    piece.renderer.render(piece.noise, torch.zeros(1, 1, 0), None, lambda: count.append(1))
    assert len(count) == piece.renderer.steps(with_init=False)
