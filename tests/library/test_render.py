"""Offline rendering: files, stems, formats, options, and on after an interruption."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toys import write_toy_stack
from typer.testing import CliRunner

from jbdiff.cli import app
from jbdiff.config import NoiseStyle
from jbdiff.diffusion.samplers import Sampler, sampler_named
from jbdiff.render.options import OptionError, options_from, read_toml, with_assignments
from jbdiff.render.render import RenderError, RenderPlan, render
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings, Handover, LevelSettings

SETTINGS = BlockSettings(
    seed=4, steps=1, resample=0.2, levels={1: LevelSettings(steps=1)}, finisher=FinisherSettings(steps=1)
)


def plan(out: Path, **changes) -> RenderPlan:
    return dataclasses.replace(RenderPlan(out, frames=9_000, settings=SETTINGS, bits=32), **changes)


@pytest.fixture
def stream(toy_stack: Stack) -> BlockStream:
    return BlockStream(toy_stack, levels=(2, 1), finisher=True)


def test_a_render_is_the_stream_without_its_delay(stream: BlockStream, tmp_path: Path) -> None:
    made = render(stream, plan(tmp_path / "a.wav", stems=True))
    assert [file.name for file in made.files] == ["a.wav", "a-level2.wav", "a-level1.wav"]
    stream.reset()
    blocks = [stream.step(SETTINGS) for _ in range(5)]
    for file, audio, delay in (
        ("a.wav", torch.cat([b.audio for b in blocks], dim=2), stream.latency_frames),
        ("a-level1.wav", torch.cat([b.stems[1] for b in blocks], dim=2), stream.stem_latency_frames[1]),
        ("a-level2.wav", torch.cat([b.stems[2] for b in blocks], dim=2), stream.stem_latency_frames[2]),
    ):
        heard, rate = soundfile.read(tmp_path / file, dtype="float32", always_2d=True)
        assert rate == 44_100
        assert np.array_equal(heard, audio[0, :, delay : delay + 9_000].T.numpy())
    assert made.peak == np.abs(soundfile.read(tmp_path / "a.wav", dtype="float32")[0]).max()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-level1.wav", "a-level2.wav", "a.wav"]


class Stop(Exception):
    pass


def stop_in_block_three(done: int, of: int) -> None:
    if done > 0.5 * of:
        raise Stop


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_render_goes_on_to_the_same_samples(
    stream: BlockStream, tmp_path: Path, torn: bool
) -> None:
    context = 0.1 * torch.randn(1, 1, 5_000, generator=torch.Generator().manual_seed(0))
    whole = plan(tmp_path / "whole.wav", context=context)
    render(stream, whole)
    with pytest.raises(Stop):
        render(stream, dataclasses.replace(whole, out=tmp_path / "b.wav"), stop_in_block_three)
    partial = tmp_path / "b.wav.partial"
    assert partial.is_dir() and not (tmp_path / "b.wav").exists()
    if torn:  # killed between writing samples and state
        with (partial / "sound.f32").open("ab") as handle:
            handle.write(b"\1" * 1001)
    made = render(stream, dataclasses.replace(whole, out=tmp_path / "b.wav"))
    assert made.resumed_at == 2
    # A floating-point WAV holds the time of writing, so the samples are compared and not the bytes.
    again, expected = (soundfile.read(tmp_path / name, dtype="float32")[0] for name in ("b.wav", "whole.wav"))
    assert np.array_equal(again, expected)
    assert not partial.exists()


def test_other_settings_do_not_continue_a_render(stream: BlockStream, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        render(stream, plan(tmp_path / "b.wav"), stop_in_block_three)
    other = plan(tmp_path / "b.wav", settings=dataclasses.replace(SETTINGS, seed=5))
    with pytest.raises(RenderError, match="other settings"):
        render(stream, other)
    assert render(stream, other, fresh=True).resumed_at == 0
    (tmp_path / "c.wav.partial").mkdir()
    (tmp_path / "c.wav.partial" / "render.json").write_text("[]")
    with pytest.raises(RenderError, match="no unfinished render of ours"):
        render(stream, plan(tmp_path / "c.wav"))


@pytest.mark.parametrize(
    ("name", "bits", "subtype"),
    [("a.wav", 16, "PCM_16"), ("a.wav", 24, "PCM_24"), ("a.wav", 32, "FLOAT"), ("a.flac", 16, "PCM_16"),
     ("a.flac", 24, "PCM_24")],
)  # fmt: skip
def test_formats(toy_stack: Stack, tmp_path: Path, name: str, bits: int, subtype: str) -> None:
    stream = BlockStream(toy_stack, levels=(2,))
    render(stream, plan(tmp_path / name, bits=bits, frames=100, settings=BlockSettings(steps=1)))
    info = soundfile.info(tmp_path / name)
    assert (info.subtype, info.frames, info.channels) == (subtype, 100, 1)


@pytest.mark.parametrize(("name", "bits"), [("a.flac", 32), ("a.mp3", 16), ("a.wav", 20)])
def test_formats_that_cannot_be_are_refused_first(toy_stack: Stack, tmp_path: Path, name, bits) -> None:
    with pytest.raises(RenderError, match=r"cannot be written; known: \.wav at 16"):
        render(BlockStream(toy_stack, levels=(2,)), plan(tmp_path / name, bits=bits))
    assert not list(tmp_path.iterdir())


def test_options_come_from_a_file_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "o.toml"
    file.write_text(
        'seconds = 3\nseeds = [1, 2]\nstyle = "region"\n[level2]\nstrength = 0.25\n'
        '[level1]\nsteps = 9\nhandover = "primed"\n[finisher]\nseed = 8\nstyle = "walk"\n'
    )
    values = with_assignments(
        read_toml(file), ["level1.steps=20", "finisher.step=0.1", "level0.handover=init"]
    )
    options = options_from(values)
    assert (options.seconds, options.seeds, options.style) == (3.0, (1, 2), NoiseStyle.REGION)
    assert options.level[1] == LevelSettings(steps=20, handover=Handover.PRIMED)
    settings = options.settings(2, 4.0)
    assert (settings.seed, settings.resample, settings.guidance) == (2, 0.25, 4.0)
    assert settings.levels[0].handover is Handover.INIT
    assert settings.finisher == FinisherSettings(seed=8, noise_style=NoiseStyle.WALK, noise_step=0.1)
    assert options_from({}).settings(6, 1.0).finisher.seed == 6


def test_how_a_piece_is_held_comes_from_options_too() -> None:
    plain = options_from({}).settings(0, 1.0)
    assert (plain.anchor, plain.tempo, plain.brightness, plain.motion) == (1.0, None, 0.0, 0.0)
    assert plain == BlockSettings(guidance=1.0)
    given = with_assignments({"tempo": 90}, ["anchor=0.5", "tempo=128", "brightness=-1", "motion=0.25"])
    held = options_from(given).settings(0, 1.0)
    assert (held.anchor, held.tempo, held.brightness, held.motion) == (0.5, 128.0, -1.0, 0.25)
    assert options_from({"tempo": 0}).settings(0, 1.0).tempo == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "unknown option 'colour'"),
        ({"level1": {"stpes": 1}}, r"unknown option 'level1\.stpes'"),
        ({"level1": {"steps": 1.5}}, r"level1\.steps = 1\.5; it takes int"),
        ({"level1": {"handover": "magic"}}, "one of residual, init, primed"),
        ({"level1": 3}, "a table"),
        ({"stems": 1}, "it takes bool"),
        ({"bits": True}, "it takes int"),
        ({"seeds": []}, "nothing to make"),
        ({"anchor": "firm"}, "anchor = 'firm'; it takes int or float"),
        ({"anchor": 1.5}, r"anchor 1\.5 is outside 0\.\.1"),
        ({"tempo": -1}, r"tempo -1 is outside 0\.\.300"),
        ({"tempo": float("nan")}, "tempo nan: give a finite number"),
        ({"brightness": -2}, r"brightness -2 is outside -1\.\.1"),
        ({"motion": 1.01}, r"motion 1\.01 is outside -1\.\.1"),
    ],
)
def test_wrong_options_are_named(values: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        options_from(values)


def test_the_command_makes_a_batch_with_stems(tmp_path: Path, monkeypatch, toy_config) -> None:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    (tmp_path / "out").mkdir()
    (tmp_path / "o.toml").write_text("[finisher]\nsteps = 1\n[level1]\nsteps = 1\n")
    arguments = [
        "sample", "--stack", "toy", "--config", tmp_path / "o.toml", "--levels", "21", "--steps", 1,
        "--seconds", 0.1, "--seed", 1, "--seed", 2, "--stems", "--bits", 16, "--out", tmp_path / "out" / "x.flac",
    ]  # fmt: skip
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    names = [f"x-seed{seed}{part}.flac" for seed in (1, 2) for part in ("", "-level1", "-level2")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(names)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "o.toml", "out"]
    first, _ = soundfile.read(tmp_path / "out" / "x-seed1.flac")
    assert first.shape == (4_410, 2)
    refused = CliRunner().invoke(app, [*map(str, arguments[:-1]), str(tmp_path / "out" / "x.ogg")])
    assert refused.exit_code == 1 and "cannot be written" in refused.output


def sample(*arguments: object):
    return CliRunner().invoke(app, ["sample", *map(str, arguments)])


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_config) -> Path:
    monkeypatch.setenv("JBDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    write_toy_stack(tmp_path / "home" / "toy", toy_config)
    return tmp_path


SHORT = ("--stack", "toy", "--levels", "2", "--no-finisher", "--seconds", 0.1)


def test_samplers_are_chosen_by_flag_and_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []  # the recorded U-Net settles on one code, so samplers are not told apart by their sound

    def note(name: str) -> Sampler:
        asked.append(name)
        return sampler_named(name)

    for place in (
        "jbdiff.sample_command",
        "jbdiff.stream.window",
    ):  # what is asked for, and else the level's own
        monkeypatch.setattr(f"{place}.sampler_named", note)
    (home / "o.toml").write_text('sampler = "dpmpp_2m"\n')
    for extra in ((), ("--sampler", "unipc"), ("--config", home / "o.toml")):
        result = sample(*SHORT, "--out", home / "a.wav", "--overwrite", *extra)
        assert result.exit_code == 0, result.output
    assert asked == ["vddim", "unipc", "dpmpp_2m"]
    refused = sample(*SHORT, "--out", home / "d.wav", "--sampler", "magic")
    assert refused.exit_code == 1 and "no sampler 'magic'; known: vddim, dpmpp_2m" in refused.output


def test_another_sampler_does_not_continue_a_render(stream: BlockStream, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        render(stream, plan(tmp_path / "b.wav"), stop_in_block_three)
    with pytest.raises(RenderError, match="other settings"):
        render(stream, plan(tmp_path / "b.wav", sampler="dpmpp_2m"))


def test_pictures_lie_beside_the_sounds(home: Path) -> None:
    (home / "out").mkdir()
    arguments = ("--stack", "toy", "--levels", "2", "--seconds", 0.1, "--set", "finisher.steps=1")
    result = sample(*arguments, "--stems", "--pictures", "--out", home / "out" / "a.wav")
    assert result.exit_code == 0, result.output
    names = ["a-level2.png", "a-level2.wav", "a.png", "a.wav"]
    assert sorted(p.name for p in (home / "out").iterdir()) == names


@pytest.mark.parametrize("lead", [0, 500, 5_000])
def test_a_piece_of_an_init_ends_with_its_block(lead: int) -> None:
    from jbdiff.render.render import _piece

    source = torch.arange(1_000.0)[None, None]
    piece = _piece(source, 4, 300, lead)
    assert piece.shape[2] == 300 + min(lead, 1_200)
    assert torch.equal(piece[0, 0, -300:], torch.cat([torch.arange(200.0, 500.0)]))


def test_short_hops_resample_a_sound(home: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(home / "i.wav", 0.2 * rng.standard_normal(9_000), 44_100)
    result = sample(
        *SHORT, "--token-multiplier", 4, "--hop", 16, "--init", home / "i.wav", "--resample", 0.5,
        "--out", home / "a.wav",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    refused = sample(*SHORT, "--hop", 24, "--out", home / "b.wav")
    assert refused.exit_code == 1 and "can be cut into" in refused.output
