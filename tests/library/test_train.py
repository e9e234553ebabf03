"""Training as a product, at toy size: runs end, go on, average, and export something that plays."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch import nn

pytest.importorskip("lightning")

from jbdiff.config import POCKET, BandCodecConfig, JointDenoiserConfig
from jbdiff.data.clips import Stretches
from jbdiff.networks.anchor import MEANS, STYLE_FEATURES, Anchor, measured_style
from jbdiff.stacks.weight_files import CheckpointError
from jbdiff.train.jobs.codec import CodecJob, load_codec, train_codec
from jbdiff.train.jobs.denoiser import DenoiserJob, load_denoiser, train_denoiser
from jbdiff.train.modules.conditions import (
    CLOCK_DROP_CHANCE,
    STYLE_DROP_CHANCE,
    STYLE_NOISE,
    anchor_of,
    blurred,
)
from jbdiff.train.modules.denoiser import DenoiserTraining
from jbdiff.train.modules.losses import (
    SpectrogramDiscriminator,
    discriminator_loss,
    feature_loss,
    spectral_loss,
)
from jbdiff.train.run.average import WeightAverage
from jbdiff.train.run.run import RunSettings
from jbdiff.train.run.schedule import Budget, learning_rate_scale

CODEC = BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2)
DENOISER = JointDenoiserConfig(
    latent_channels=100, window_tokens=16, context_tokens=32, patch=4, width=16, depth=1, heads=2
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for index in range(3):
        soundfile.write(folder / f"{index}.wav", 0.2 * rng.standard_normal(100_000), 44_100)
    return folder


def settings(out: Path, steps: int, resume: bool = False, demos: float = math.inf) -> RunSettings:
    return RunSettings(
        out, steps=steps, resume=resume, round_steps=3, demo_minutes=demos, accelerator="cpu", devices="1"
    )


def codec_job(sounds: Path) -> CodecJob:
    return CodecJob(sounds, None, 2, 0.6, 1e-3, False, None, 0, False)


def train_toy_denoiser(sounds: Path, codec: Path, out: Path, steps: int, resume: bool = False) -> None:
    job = DenoiserJob(sounds, None, codec, 2, 2, 1e-3, None, 0, False)
    train_denoiser(settings(out, steps, resume), job, DENOISER)


def same_weights(a: Path, b: Path) -> None:
    first, second = load_file(a / "weights.safetensors"), load_file(b / "weights.safetensors")
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, msg=name)


def test_a_resumed_codec_run_gives_the_same_weights(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The learning rate follows the progress towards the end asked for, which differs in a run's first part.
    monkeypatch.setattr("jbdiff.train.run.schedule.learning_rate_scale", lambda *_: 1.0)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_codec(settings(whole, 6, demos=0), codec_job(sounds), CODEC)
    train_codec(settings(broken, 3), codec_job(sounds), CODEC)
    with pytest.raises(FileExistsError, match="--resume"):
        train_codec(settings(broken, 6), codec_job(sounds), CODEC)
    train_codec(settings(broken, 6, resume=True), codec_job(sounds), CODEC)
    same_weights(whole, broken)
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 6 and "loss" in rows[-1]
    assert list((whole / "demos").glob("*.wav")) and list((whole / "demos").glob("*.png"))


def test_a_resumed_denoiser_run_gives_the_same_weights(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jbdiff.train.run.schedule.learning_rate_scale", lambda *_: 1.0)
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    codec = tmp_path / "codec" / "weights.safetensors"
    train_toy_denoiser(sounds, codec, tmp_path / "whole", 6)
    train_toy_denoiser(sounds, codec, tmp_path / "broken", 3)
    train_toy_denoiser(sounds, codec, tmp_path / "broken", 6, resume=True)
    same_weights(tmp_path / "whole", tmp_path / "broken")


def test_polish_leaves_the_latents_alone(sounds: Path, tmp_path: Path) -> None:
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    start = tmp_path / "codec" / "weights.safetensors"
    job = dataclasses.replace(codec_job(sounds), rivalry=True, start=start)
    train_codec(settings(tmp_path / "polish", 3), job)
    before, after = load_file(start), load_file(tmp_path / "polish" / "weights.safetensors")
    for name in before:
        if name.startswith("analysis"):
            torch.testing.assert_close(before[name], after[name], rtol=0, atol=0, msg=name)
    assert any(not before[n].equal(after[n]) for n in before if n.startswith("synthesis"))


def test_a_fresh_codec_takes_its_statistics_from_the_sounds(sounds: Path, tmp_path: Path) -> None:
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    codec = load_codec(tmp_path / "codec" / "weights.safetensors")
    audio = torch.from_numpy(soundfile.read(sounds / "0.wav", dtype="float32")[0][: 190 * 512])
    latents = codec.encode(audio[None, None])
    assert float(latents.mean().abs()) < 0.1 and 0.3 < float(latents.std()) < 0.7


def test_the_last_part_of_a_run_continues_its_own_inventions(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jbdiff.train.modules.rollouts import Rolled, Rollouts

    seen: list[Rolled] = []
    plain = Rollouts.advance

    def spy(self: Rollouts, *given: Any) -> Rolled:
        seen.append(plain(self, *given))
        return seen[-1]

    monkeypatch.setattr(Rollouts, "advance", spy)
    monkeypatch.setattr("jbdiff.train.modules.denoiser.ROLL_CHANCE", 1.0)
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    train_toy_denoiser(sounds, tmp_path / "codec" / "weights.safetensors", tmp_path / "level2", 9)
    assert len(seen) == 6  # the rounds that begin after three and after six of nine steps
    for rolled in seen:
        shapes = (rolled.context.shape, rolled.target.shape, rolled.before.shape)
        assert shapes == ((2, 32, 100), (2, 16, 100), (2, 100, 16))


def test_lines_learn_alone_when_asked_to(sounds: Path, tmp_path: Path) -> None:
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    codec = tmp_path / "codec" / "weights.safetensors"
    train_toy_denoiser(sounds, codec, tmp_path / "level2", 3)
    start = tmp_path / "level2" / "weights.safetensors"
    job = DenoiserJob(sounds, None, codec, 2, 2, 1e-3, start, 0, False, lines_only=True)
    train_denoiser(settings(tmp_path / "lines", 3), job, DENOISER)
    before, after = load_file(start), load_file(tmp_path / "lines" / "weights.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and all(name.startswith("lines.") for name in changed)
    with pytest.raises(ValueError, match="--denoiser-weights"):
        train_denoiser(settings(tmp_path / "none", 3), dataclasses.replace(job, start=None), DENOISER)


def test_going_on_without_a_state_names_the_remedy(sounds: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--from-shipped"):
        train_codec(settings(tmp_path / "none", 3, resume=True), codec_job(sounds), CODEC)


def test_the_average_really_averages() -> None:
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, decay=0.9)
    expected, values = 1.0, []
    for step in range(1, 200):
        nn.init.constant_(network.weight, float(step % 2))
        network.num_batches_tracked.fill_(step)
        average.update(network)
        keep = min(0.9, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * (step % 2)
        values.append(float(average.network.weight))
        assert values[-1] == pytest.approx(expected, abs=1e-5)
    assert min(values[-10:]) > 0.4 and max(values[-10:]) < 0.6
    assert int(average.network.num_batches_tracked) == 199, "counts are copied, not averaged"
    assert not average.network.weight.requires_grad and not average.train().network.training
    copied = WeightAverage(network, decay=0.9)
    copied.load_state_dict(average.state_dict())
    assert int(copied.updates) == 199, "a resumed average does not begin as a young one"


def test_a_run_that_broke_off_goes_on_with_the_same_losses(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jbdiff.train.modules.codec import CodecTraining

    def losses(out: Path) -> list[tuple[int, float]]:
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return [(row["step"], row["loss"]) for row in rows if "loss" in row]

    def each_step(out: Path, resume: bool = False) -> RunSettings:
        return dataclasses.replace(settings(out, 6, resume), round_steps=1)

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_codec(each_step(whole), codec_job(sounds), CODEC)
    plain = CodecTraining.training_step

    def breaks(self: CodecTraining, audio: torch.Tensor, number: int) -> torch.Tensor:
        if self.step_count == 3:
            raise OSError("the power is gone")
        return plain(self, audio, number)

    monkeypatch.setattr(CodecTraining, "training_step", breaks)
    with pytest.raises(RuntimeError, match="the power is gone"):
        train_codec(each_step(broken), codec_job(sounds), CODEC)
    monkeypatch.setattr(CodecTraining, "training_step", plain)
    train_codec(each_step(broken, resume=True), codec_job(sounds), CODEC)
    assert losses(whole) == losses(broken) and len(losses(whole)) == 6
    same_weights(whole, broken)


def test_gradients_are_clipped_before_a_step(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: dict[str, list[float]] = {"codec": [], "denoiser": []}
    plain_step, plain_losses = torch.optim.AdamW.step, DenoiserTraining._losses
    part = "codec"

    def watched(self: torch.optim.AdamW, *given: Any, **named: Any) -> Any:
        result = plain_step(self, *given, **named)
        gradients = [
            p.grad.norm() for group in self.param_groups for p in group["params"] if p.grad is not None
        ]
        norms[part].append(float(torch.stack(gradients).norm()))
        return result

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    monkeypatch.setattr(
        DenoiserTraining,
        "_losses",
        lambda *given, **named: [1e4 * loss for loss in plain_losses(*given, **named)],
    )
    monkeypatch.setattr(
        "jbdiff.train.modules.codec.spectral_loss", lambda *given: 1e4 * spectral_loss(*given)
    )
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    part = "denoiser"
    train_toy_denoiser(sounds, tmp_path / "codec" / "weights.safetensors", tmp_path / "level2", 3)
    for found in norms.values():
        assert found == pytest.approx([1.0] * 3, abs=1e-3)


def test_latents_are_encoded_once(sounds: Path, tmp_path: Path) -> None:
    from jbdiff.codecs.band_codec import BandCodec
    from jbdiff.data.clips import cache_sounds
    from jbdiff.train.latents.latents import cache_latents, measure_bands

    clips, codec, said = cache_sounds(sounds, tmp_path / "audio", 44_100), BandCodec(CODEC), []
    latents = cache_latents(clips, codec, tmp_path / "latents", said.append)
    audio = torch.from_numpy(clips.clip(1)[: 190 * 512].astype(np.float32) / 32768)[None, None]
    expected = codec.encode(audio)[0].T
    # The ends differ: here the sound ends at 190 tokens.
    found = torch.from_numpy(latents.clip(1)[:150].astype(np.float32))
    torch.testing.assert_close(found, expected[:150], rtol=2e-3, atol=2e-3)
    cache_latents(clips, codec, tmp_path / "latents", said.append)
    assert said == ["encoded 3 clips"]
    measure_bands(clips, codec.analysis)
    cache_latents(clips, codec, tmp_path / "latents", said.append)
    assert len(said) == 2, "another standardisation gives other latents"


def test_the_learning_rate_rises_and_falls() -> None:
    assert learning_rate_scale(0, 0) < 0.1
    assert learning_rate_scale(0.5, 500) == 1
    assert learning_rate_scale(1.0, 900) == pytest.approx(0.05)
    assert Budget(steps=10).progress(5) == 0.5
    with pytest.raises(ValueError, match="--minutes"):
        Budget()


def test_spectral_loss_is_least_for_the_same_sound() -> None:
    torch.manual_seed(0)
    audio = 0.1 * torch.randn(2, 1, 16_384)
    quieter = 0.5 * audio
    assert float(spectral_loss(audio, audio)) < 1e-4
    assert float(spectral_loss(quieter, audio)) > 0.5
    silent = torch.zeros(1, 1, 16_384, requires_grad=True)
    spectral_loss(silent, audio[:1]).backward()
    assert silent.grad is not None and silent.grad.isfinite().all()


def test_the_discriminator_can_learn_and_teach() -> None:
    torch.manual_seed(0)
    judge = SpectrogramDiscriminator(sizes=(256,), width=4)
    real, fake = torch.randn(1, 1, 4096), torch.randn(1, 1, 4096, requires_grad=True)
    loss = discriminator_loss(judge(real), judge(fake)) + feature_loss(judge(real), judge(fake))
    loss.backward()
    assert fake.grad is not None and float(fake.grad.abs().sum()) > 0


def test_export_gives_a_stack_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jbdiff.codecs.band_codec import BandCodec
    from jbdiff.stacks.stack import load_stack
    from jbdiff.train.jobs.export import StackParts, export_stack
    from jbdiff.train.run.callbacks import save_weights

    toy = dataclasses.replace(
        POCKET,
        codec=CODEC,
        levels=(dataclasses.replace(POCKET.levels[0], denoiser=DENOISER, window_tokens=16),),
    )
    monkeypatch.setattr("jbdiff.train.jobs.export.POCKET", toy)
    save_weights(BandCodec(CODEC), tmp_path / "codec.safetensors")
    (tmp_path / "run.json").write_text(json.dumps({"codec": dataclasses.asdict(CODEC)}))
    out = export_stack(
        StackParts(tmp_path / "codec.safetensors"), tmp_path / "toy", "toy", {"licence": "CC0-1.0"}
    )
    stack = load_stack(out)
    assert stack.config.name == "toy" and stack.source["licence"] == "CC0-1.0"
    assert stack.codec.decode(torch.zeros(1, 100, 8), 2).shape == (1, 1, 8 * 512)


# Anchors


ANCHORED = dataclasses.replace(DENOISER, anchor=True)


def anchored_module(config: JointDenoiserConfig = ANCHORED) -> DenoiserTraining:
    torch.manual_seed(0)
    module = DenoiserTraining(config, Budget(steps=9), 1e-3, 2, 0, False)
    if config.anchor:
        module.begin_anchor_with(torch.rand(50, STYLE_FEATURES), torch.rand(50, MEANS))
    return module


def stretches(rows: int = 2, tokens: int = 64) -> Stretches:
    """Stretches whose bars of 32 tokens began 8 tokens before them; the last one's are not known."""
    latents = torch.randn(rows, tokens, 100, generator=torch.Generator().manual_seed(0)) / 2
    bars = torch.tensor([[8.0, 32.0]] * (rows - 1) + [[0.0, 0.0]])
    return Stretches(latents, bars)


def test_an_anchor_is_that_of_the_place_in_the_stretch() -> None:
    module, batch = anchored_module(), stretches()
    anchor = anchor_of(module.network, batch, 44)
    assert anchor.tempo.tolist() == [4 / 32, 0.0] and anchor.known.all()
    assert float(anchor.beat[0]) == (8 + 44) * 4 / 32
    assert module.network.anchor is not None
    expected = module.network.anchor.standard(measured_style(batch.latents))
    assert torch.equal(anchor.style, expected)
    nothing = anchor_of(anchored_module(DENOISER).network, batch, 32)
    assert not nothing.known.any() and not nothing.tempo.any()


def test_training_drops_either_part_of_an_anchor_at_times() -> None:
    rows = 4000
    ones = torch.ones(rows)
    anchor = Anchor(torch.zeros(rows, STYLE_FEATURES), ones.bool(), ones, ones)
    found = blurred(anchor, torch.Generator().manual_seed(0))
    styled, clocked = found.known.float(), (found.tempo > 0).float()
    assert float(styled.mean()) == pytest.approx(1 - STYLE_DROP_CHANCE, abs=0.02)
    assert float(clocked.mean()) == pytest.approx(1 - CLOCK_DROP_CHANCE, abs=0.02)
    both = (1 - STYLE_DROP_CHANCE) * (1 - CLOCK_DROP_CHANCE)
    assert float((styled * clocked).mean()) == pytest.approx(both, abs=0.02), (
        "one without regard to the other"
    )
    assert float(found.style.std()) == pytest.approx(STYLE_NOISE, rel=0.02) and torch.equal(
        found.beat, anchor.beat
    )


def test_held_out_figures_tell_what_an_anchor_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    for config, names in (
        (DENOISER, {"heldout_v", "heldout_v_without_context"}),
        (ANCHORED, {"heldout_v", "heldout_v_without_context", "heldout_v_without_anchor"}),
    ):
        module, logged = anchored_module(config), {}
        for parameter in module.average.network.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        monkeypatch.setattr(
            module, "log", lambda name, value, logged=logged, **_: logged.setdefault(name, value)
        )
        module.validation_step(stretches(tokens=48), 0)
        assert logged.keys() == names and len({float(value) for value in logged.values()}) == len(names)


def test_weights_without_anchor_and_echoes_learn_them_on_the_way(sounds: Path, tmp_path: Path) -> None:
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    codec = tmp_path / "codec" / "weights.safetensors"
    train_toy_denoiser(sounds, codec, tmp_path / "level2", 3)
    start = tmp_path / "level2" / "weights.safetensors"
    job = DenoiserJob(sounds, None, codec, 2, 2, 1e-3, start, 0, False)
    train_denoiser(settings(tmp_path / "on", 6), job)
    before, after = load_file(start), load_file(tmp_path / "on" / "weights.safetensors")
    assert (
        {name for name in after if name not in before}
        == {name for name in after if name.startswith(("anchor.", "echo_"))}
        != set()
    )
    assert bool(after["anchor.bank"].any()) and bool(after["anchor.out.weight"].any())
    # Once it is known, its units stay: what was learnt of them is in the weights.
    on = dataclasses.replace(job, start=tmp_path / "on" / "weights.safetensors", seed=1)
    train_denoiser(settings(tmp_path / "further", 3), on)
    further = load_file(tmp_path / "further" / "weights.safetensors")
    for name in ("anchor.mean", "anchor.spread", "anchor.bank"):
        assert torch.equal(after[name], further[name]), name


def test_a_resumed_anchored_run_gives_the_same_weights(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jbdiff.train.run.schedule.learning_rate_scale", lambda *_: 1.0)
    monkeypatch.setattr("jbdiff.train.modules.denoiser.ROLL_FROM", -1.0)
    monkeypatch.setattr("jbdiff.train.modules.denoiser.ROLL_CHANCE", 1.0)
    train_codec(settings(tmp_path / "codec", 3), codec_job(sounds), CODEC)
    job = DenoiserJob(sounds, None, tmp_path / "codec" / "weights.safetensors", 2, 2, 1e-3, None, 0, False)
    for name, steps, resume in (("whole", 6, False), ("broken", 3, False), ("broken", 6, True)):
        train_denoiser(settings(tmp_path / name, steps, resume), job, ANCHORED)
    same_weights(tmp_path / "whole", tmp_path / "broken")


def test_weights_to_start_from_that_are_a_web_page_are_named(tmp_path: Path) -> None:
    """A download that needed a login brings a page; it is answered in one line, as every wrong file is."""
    path = tmp_path / "weights.safetensors"
    path.write_text("<!DOCTYPE html><html>Sign in</html>")
    for load in (load_codec, load_denoiser):
        with pytest.raises(CheckpointError, match="is a web page"):
            load(path)
