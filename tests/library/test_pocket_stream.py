"""The pocket's own codec and denoiser, at toy size with random weights, through files and in the stream."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jbdiff.config import BandCodecConfig, JointDenoiserConfig, LevelConfig, StackConfig
from jbdiff.stacks.kinds import build_codec, build_denoiser
from jbdiff.stacks.stack import Stack, load_stack, save_stack
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings

CONFIG = StackConfig(
    name="mini",
    codec=BandCodecConfig(decoder_channels=16, decoder_blocks=2, local_channels=4),
    levels=(
        LevelConfig(
            level=2,
            denoiser=JointDenoiserConfig(
                latent_channels=100, window_tokens=32, context_tokens=64, patch=4, width=16, depth=2, heads=2
            ),
            window_tokens=32,
            steps=3,
            guidance=1.5,
        ),
    ),
)


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec, denoiser = build_codec(CONFIG.codec), build_denoiser(CONFIG.levels[0].denoiser)
        for parameter in denoiser.parameters():
            if not parameter.any():  # layers that begin at zero would make every v zero
                torch.nn.init.normal_(parameter, std=0.2)
    folder: Path = tmp_path_factory.mktemp("mini")
    return load_stack(save_stack(folder, CONFIG, codec, {2: denoiser}))


@pytest.mark.parametrize("frames", [0, 100, 512, 5_000, 32 * 512, 100_000])
def test_any_length_of_context_plays(mini: Stack, frames: int) -> None:
    stream = BlockStream(mini)
    noise = 0.1 * torch.randn(1, 1, frames, generator=torch.Generator().manual_seed(1))
    stream.set_context(noise)
    audio = stream.step(BlockSettings(), context=noise).audio
    assert audio.shape == (1, 1, 32 * 512) and torch.isfinite(audio).all()


def test_context_changes_what_is_played(mini: Stack) -> None:
    loud, quiet = BlockStream(mini), BlockStream(mini)
    loud.set_context(torch.randn(1, 1, 64 * 512, generator=torch.Generator().manual_seed(1)))
    quiet.set_context(torch.zeros(1, 1, 64 * 512))
    settings = BlockSettings(guidance=3.0)
    assert not torch.allclose(loud.step(settings).audio, quiet.step(settings).audio)


def test_preparing_the_context_once_changes_nothing(mini: Stack) -> None:
    net = mini.denoisers[2]
    generator = torch.Generator().manual_seed(2)
    x, context = torch.randn(2, 100, 32, generator=generator), torch.randn(2, 64, 100, generator=generator)
    sigma, drop = torch.tensor([0.2, 0.8]), torch.tensor([False, True])
    with torch.inference_mode():
        assert torch.equal(net(x, sigma, net.prepare_context(context, drop, 2)), net(x, sigma, context, drop))


def test_a_governed_stream_reports_the_strength_of_its_finisher() -> None:
    """A take repeats a block with the strength that the block reports, whatever the anchor's is."""
    stream = BlockStream(load_stack("pocket"), finisher=True, hop_tokens=16)
    assert stream.save().loudness is not None
    for finisher, strength in (
        (FinisherSettings(strength=0.3), 0.3),
        (FinisherSettings(on=False, strength=0.3), None),
    ):
        settings = BlockSettings(steps=1, anchor=0.8, finisher=finisher)
        assert stream.step(settings).finisher_strength == strength
