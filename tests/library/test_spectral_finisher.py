"""The spectral finisher: stereo without loss of the middle, noise as a stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.config import (
    BandCodecConfig,
    JointDenoiserConfig,
    LevelConfig,
    NoiseStyle,
    SpectralFinisherConfig,
    StackConfig,
    stack_from_dict,
    stack_to_dict,
)
from jbdiff.diffusion.samplers import Step
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.spectral_finisher import IMAGE_POINTS, KNEE, SpectralFinisher, rounded
from jbdiff.stacks.stack import load_stack, save_stack
from jbdiff.stream.spectral_finisher import SpectralStage
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings

SMALL = SpectralFinisherConfig(fine_channels=4, width=8, depth=1)
CPU = torch.device("cpu")


def lively(config: SpectralFinisherConfig = SMALL) -> SpectralFinisher:
    """Random weights that do something at every place."""
    torch.manual_seed(3)
    net = SpectralFinisher(config)
    torch.nn.init.normal_(net.out.weight, std=0.5)
    with torch.no_grad():
        net.out.bias[1] = 1.0  # type: ignore[index]
    return net.eval().requires_grad_(False)


def music(tokens: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.1 * torch.randn(1, 1, tokens * 512, generator=generator)


def image(seed: int = 0) -> Tensor:
    return torch.randn(1, 1, IMAGE_POINTS, generator=torch.Generator().manual_seed(seed))


def ignore(step: Step) -> None:
    """What nobody watches."""


def played(net: SpectralFinisher, mono: Tensor, tokens: int, settings: FinisherSettings) -> Tensor:
    stage = SpectralStage(net, net.config, block_frames=tokens * 512, device=CPU)
    state, out = stage.fresh_state(), []
    for index, block in enumerate(mono.split(tokens * 512, dim=2)):
        audio, state = stage.finish(state, settings, block, ignore, index)
        out.append(audio)
    return torch.cat(out, 2)[..., stage.latency_frames :]


ON = FinisherSettings(seed=5, noise_style=NoiseStyle.CONSTANT, strength=0.0)


def test_switched_off_and_full_strength_give_the_mono_sound() -> None:
    mono = music(64)
    for settings in (replace(ON, on=False), replace(ON, strength=1.0)):
        out = played(lively(), mono, 32, settings)
        wanted = mono[..., : out.shape[2]].expand(1, 2, -1)
        torch.testing.assert_close(out, wanted, atol=1e-5, rtol=0)


def test_the_less_is_kept_the_further_it_goes() -> None:
    mono, net = music(64), lively()
    far = []
    for strength in (1.0, 0.75, 0.5, 0.25, 0.0):
        out = played(net, mono, 64, replace(ON, strength=strength))
        far.append(float((out - mono[..., : out.shape[2]]).square().mean()))
    assert far == sorted(far) and far[-1] > 10 * far[1] > 0


def test_another_seed_is_another_stage_with_the_same_middle() -> None:
    net, mono = lively(), music(64)
    one, other = (net(mono, image(seed)) for seed in (0, 1))
    torch.testing.assert_close(one.mean(1), other.mean(1), atol=1e-5, rtol=0)
    assert float((one - other).square().mean()) > 0.01 * float(one.square().mean())


def test_held_noise_stays_and_walking_noise_moves() -> None:
    mono = music(64)
    for style in (NoiseStyle.CONSTANT, NoiseStyle.WALK):
        stage = SpectralStage(lively(), SMALL, block_frames=16 * 512, device=CPU)
        state, images = stage.fresh_state(), []
        for index, block in enumerate(mono.split(16 * 512, dim=2)):
            settings = replace(ON, noise_style=style, noise_step=0.5)
            _, state = stage.finish(state, settings, block, ignore, index)
            images.append(state.register.current)
        assert all(torch.equal(a, images[0]) for a in images) == (style is NoiseStyle.CONSTANT)


def test_peaks_are_rounded_and_what_is_quiet_is_left_alone() -> None:
    quiet = torch.linspace(-KNEE, KNEE, 101)
    assert torch.equal(rounded(quiet), quiet)
    loud = torch.linspace(KNEE, 8.0, 500)
    bent = rounded(loud)
    assert bool((bent.diff() >= 0).all()) and float(bent.max()) <= 1.0
    torch.testing.assert_close(rounded(-loud), -bent)
    out = lively()(30 * music(32), image())
    assert float(out.abs().max()) <= 1.0


def test_silence_stays_silent_and_shapes_that_do_not_fit_are_refused() -> None:
    net = lively()
    assert float(net(torch.zeros(1, 1, 8192), image()).abs().max()) == 0.0
    with pytest.raises(ValueError, match="does not fit"):
        net(torch.zeros(1, 1, 8200), image())
    with pytest.raises(ValueError, match="does not fit"):
        net(torch.zeros(1, 2, 8192), image())


STACK = StackConfig(
    name="toy",
    codec=BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2),
    levels=(
        LevelConfig(2, JointDenoiserConfig(window_tokens=32, context_tokens=64, width=16, depth=1, heads=2),
                    window_tokens=32, steps=2),
    ),
    finisher=SMALL,
)  # fmt: skip


def test_a_stack_with_it_is_saved_loaded_and_played_bit_exactly_from_a_saved_state(tmp_path: Path) -> None:
    assert stack_from_dict(stack_to_dict(STACK)) == STACK
    torch.manual_seed(0)
    denoiser = JointDenoiser(STACK.level(2).denoiser)  # type: ignore[arg-type]
    codec = BandCodec(STACK.codec)  # type: ignore[arg-type]
    save_stack(tmp_path / "toy", STACK, codec, {2: denoiser}, finisher=lively(), dtype=torch.float32)
    stack = load_stack(tmp_path / "toy")
    settings = BlockSettings(seed=3, finisher=FinisherSettings(noise_style=NoiseStyle.WALK))
    for hop in (None, 16):
        stream = BlockStream(stack, finisher=True, hop_tokens=hop)
        first = [stream.step(settings) for _ in range(3)]
        assert stream.channels == 2 and first[0].audio.shape == (1, 2, stream.block_frames)
        assert stream.step_counts(settings)["finisher"] == 1
        state = stream.save()
        wanted = stream.step(settings).audio
        again = BlockStream(stack, finisher=True, hop_tokens=hop)
        again.restore(type(state).from_bytes(state.to_bytes()))
        assert torch.equal(again.step(settings).audio, wanted)
