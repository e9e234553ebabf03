"""A person's own folder through every stage of the real command line, and every level of a stack of U-Nets."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toys import train
from typer.testing import CliRunner

pytest.importorskip("lightning")

from jbdiff.cli import app as jbdiff_app
from jbdiff.config import stack_to_dict
from jbdiff.data.clips import cache_sounds
from jbdiff.stacks.stack import Stack, load_stack, save_stack
from jbdiff.stream.window import sample_window
from jbdiff.train.cli import app
from jbdiff.train.modules.objective import v_loss
from jbdiff.train.modules.unet import UNetTraining
from jbdiff.train.run.schedule import Budget

TOY = """
steps = 2
round-steps = 2
batch = 2
devices = "1"
accelerator = "cpu"
bf16 = false
[codec]
seconds = 0.4
[codec.sizes]
latent_channels = 116
detail_bands = 4
match_rounds = 1
decoder_channels = 8
decoder_blocks = 1
local_channels = 2
[denoiser]
levels = 2
[denoiser.sizes]
window_tokens = 16
context_tokens = 32
width = 16
depth = 1
heads = 2
[distill.sizes]
rank = 2
[finisher]
seconds = 1.2
[finisher.sizes]
fine_channels = 2
width = 4
depth = 1
"""


def music(seconds: float, rate: int, channels: int, hertz: float) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * hertz * time) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    return np.repeat(tone[:, None], channels, 1).astype(np.float32)


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """Five unrelated files, one of them broken, and one that is too short for a window."""
    folder = tmp_path / "my sounds"
    folder.mkdir()
    soundfile.write(folder / "mono.wav", music(2, 44_100, 1, 220), 44_100)
    soundfile.write(folder / "studio.flac", music(2, 48_000, 2, 330), 48_000)
    soundfile.write(folder / "phone.mp3", music(2, 44_100, 2, 440), 44_100, format="MP3")
    soundfile.write(folder / "game.ogg", music(2, 22_050, 1, 550), 22_050)
    (folder / "broken.wav").write_bytes(b"RIFF and then nothing of use")
    soundfile.write(folder / "click.wav", music(0.1, 44_100, 1, 660), 44_100)
    return folder


def test_own_folder_goes_through_every_stage_and_plays(own_folder: Path, tmp_path: Path) -> None:
    toml, runs = tmp_path / "toy.toml", tmp_path / "runs"
    toml.write_text(TOY)
    common = ("--config", toml, "--data", own_folder)
    said = train("codec", *common, "--out", runs / "codec")
    for name in ("broken.wav", "click.wav"):
        assert any(line.startswith("skipped") and name in line for line in said.splitlines()), said
    codec = ("--codec-weights", runs / "codec" / "weights.safetensors")
    train("denoiser", *common, *codec, "--out", runs / "level2")
    weights = ("--denoiser-weights", runs / "level2" / "weights.safetensors")
    train("distill", *common, *codec, *weights, "--out", runs / "fast")
    few = ("--distill-weights", runs / "fast" / "weights.safetensors")
    train("finisher", *common, *codec, "--out", runs / "finisher")
    stereo = ("--finisher-weights", runs / "finisher" / "weights.safetensors")
    into = ("--out", tmp_path / "mine", "--name", "mine", "--licence", "CC0-1.0")
    train("export", *codec, *weights, *few, *stereo, *into)

    out = tmp_path / "sound.wav"
    arguments = [
        "sample",
        "--out",
        str(out),
        "--stack",
        str(tmp_path / "mine"),
        "--seconds",
        "1",
        "--steps",
        "2",
    ]
    done = CliRunner().invoke(jbdiff_app, arguments)
    assert done.exit_code == 0, done.output + repr(done.exception)
    audio, rate = soundfile.read(out)
    assert rate == 44_100 and abs(len(audio) - rate) < 2 and np.isfinite(audio).all() and audio.shape[1] == 2

    about = json.loads((runs / "codec" / "run.json").read_text())
    assert len(about["data_sha256"]["data"]) == 64 and "commit" in about
    again = tomllib.loads((runs / "level2" / "config.toml").read_text())
    assert again["steps"] == 2 and again["sizes"]["width"] == 16 and Path(again["data"]) == own_folder
    names = {path.stem.split("_", 1)[1] for path in (runs / "level2" / "demos").glob("*.wav")}
    assert {"context", "truth", "sample1", "sample2", "sample3"} <= names
    assert list((runs / "level2" / "tensorboard").iterdir())


def test_a_run_is_repeated_from_what_it_wrote_down(own_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text(TOY)
    first, second = tmp_path / "first" / "codec", tmp_path / "second" / "codec"
    train("codec", "--config", tmp_path / "toy.toml", "--data", own_folder, "--out", first)
    train("codec", "--config", first / "config.toml", "--out", second)
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()


def test_folder_without_a_long_enough_sound_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    folder.mkdir()
    soundfile.write(folder / "click.wav", music(0.2, 44_100, 1, 660), 44_100)
    done = CliRunner().invoke(
        app, ["codec", "--data", str(folder), "--out", str(tmp_path / "run"), "--steps", "2"]
    )
    assert done.exit_code == 1
    assert "no sound is as long" in done.output and "longest has 0.20 s" in done.output


def test_a_long_sound_is_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jbdiff.audio.files

    longest = []
    plain = soundfile.SoundFile.read

    def watched(self: soundfile.SoundFile, frames: int = -1, *given: object, **named: object) -> object:
        longest.append(self.frames if frames < 0 else frames)
        return plain(self, frames, *given, **named)

    monkeypatch.setattr(soundfile.SoundFile, "read", watched)
    (tmp_path / "sounds").mkdir()
    audio = music(20, 48_000, 2, 220)
    soundfile.write(tmp_path / "sounds" / "long.wav", audio, 48_000)
    clips = cache_sounds(tmp_path / "sounds", tmp_path / "cache", 44_100, lambda _: None)
    assert longest and max(longest) <= jbdiff.audio.files.BLOCK_FRAMES < len(audio)
    whole = jbdiff.audio.files.read_audio(tmp_path / "sounds" / "long.wav", 44_100)[0].mean(1)
    assert clips.lengths == (len(whole),)
    np.testing.assert_allclose(clips.clip(0) / 32767, whole, atol=1e-4)


def test_a_file_that_breaks_off_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounds").mkdir()
    sound = music(1, 44_100, 1, 220)
    half = np.concatenate([music(7, 44_100, 1, 330), np.full((10, 1), np.nan, np.float32)])
    soundfile.write(tmp_path / "sounds" / "a.wav", half, 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "sounds" / "b.wav", sound, 44_100)
    clips = cache_sounds(tmp_path / "sounds", tmp_path / "cache", 44_100, lambda _: None)
    assert [Path(name).name for name in clips.names] == ["b.wav"]
    np.testing.assert_allclose(clips.clip(0) / 32767, sound[:, 0], atol=1e-4)


@pytest.fixture(scope="module")
def unet_folder(tmp_path_factory: pytest.TempPathFactory, toy_stack: Stack) -> Path:
    """The recorded stack in our own files, which are read faster."""
    config = dataclasses.replace(toy_stack.config, finisher=None)
    folder = tmp_path_factory.mktemp("stacks") / "unets"
    return save_stack(folder, config, toy_stack.codec, toy_stack.denoisers, dtype=torch.float32)


@pytest.mark.parametrize("level", [2, 1, 0])
def test_every_level_of_unets_trains_and_plays(
    level: int, own_folder: Path, tmp_path: Path, unet_folder: Path
) -> None:
    run = tmp_path / "run"
    given = [
        "--data",
        own_folder,
        "--stack",
        unet_folder,
        "--level",
        level,
        "--out",
        run,
        "--steps",
        3,
        "--rate",
        0.1,
    ]
    machine = ["--accelerator", "cpu", "--devices", 1, "--batch", 2, "--no-bf16", "--from-shipped"]
    demos = ["--demo-minutes", "inf"] if level == 0 else []
    train("denoiser", *map(str, [*given, *machine, *demos]))
    assert (run / "demos").exists() == (level > 0)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 3 and np.isfinite(rows[-1]["loss"])

    out = tmp_path / "mine"
    weights = run / "weights.safetensors"
    train("export", "--base", unet_folder, "--denoiser-weights", weights, "--out", out, "--name", "mine")
    old, new = load_stack(unet_folder), load_stack(out)
    assert stack_to_dict(new.config)["levels"] == stack_to_dict(old.config)["levels"]
    before, after = old.denoisers[level].state_dict(), new.denoisers[level].state_dict()
    # Half precision moves a weight by less than a thousandth of itself; three steps of Adam move it further.
    assert any((before[n] - after[n]).abs().max() > 2e-3 * before[n].abs().max() for n in before)
    noise = torch.randn(1, 64, 16, generator=torch.Generator().manual_seed(0))
    latents, audio = sample_window(new, level, noise, None, steps=2, guidance=1.0)
    assert latents.shape == (1, 64, 16) and audio.isfinite().all()


def test_levels_above_the_coarsest_hear_the_level_below(toy_stack: Stack, recorded, toy_config) -> None:  # type: ignore[no-untyped-def]
    file = recorded("train_loss")
    module = UNetTraining(toy_stack.codec, toy_config, 1, Budget(steps=1), 1e-4, 0, False)
    audio = torch.cat([file["up_context_audio"], file["up_audio"]], 1).transpose(1, 2)
    module.past = file["up_context_audio"].shape[1]
    x, noise, context = module.pairs(audio, torch.Generator())
    torch.testing.assert_close(noise, file["up_x_noise"], rtol=0, atol=1e-5)
    module.adopt(toy_stack.denoisers[1])
    module.network.eval()  # the original recorded it without dropout
    loss = v_loss(module.network, x, context, file["up_sigmas"], noise)
    torch.testing.assert_close(loss.detach(), file["up_loss"], rtol=1e-5, atol=0)
