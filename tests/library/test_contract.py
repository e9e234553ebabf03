"""Every streaming part keeps the contract of `contract.py`."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from contract import verify_contract
from contract_parts import CodecInPieces, DecoderOfBlocks, SpectralInBlocks, WaveformInBlocks
from contract_streams import CleanStage, InventStage, WholeStream

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.config import (
    BandCodecConfig,
    FinisherConfig,
    JointDenoiserConfig,
    LevelConfig,
    SpectralFinisherConfig,
    StackConfig,
)
from jbdiff.diffusion.noise import NoiseStyle
from jbdiff.networks.anchor import MEANS, STYLE_FEATURES
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.stacks.stack import Stack
from jbdiff.stream.remembering import memory
from jbdiff.stream.settings import BlockSettings, FinisherSettings, Handover, LevelSettings
from jbdiff.stream.stream import BlockStream

BANDS = BandCodecConfig(decoder_channels=16, decoder_blocks=2, local_channels=4)
MATCHED = replace(BANDS, decoder_blocks=1, detail_bands=75, latent_channels=400, match_rounds=10)


def band_codec(config: BandCodecConfig) -> BandCodec:
    torch.manual_seed(0)
    return BandCodec(config).eval().requires_grad_(False)


@pytest.mark.parametrize("level", [2, 1, 0])
def test_the_decoder_of_the_vqvae(toy_stack: Stack, level: int) -> None:
    verify_contract(CodecInPieces(toy_stack.codec, level))


def test_the_decoder_of_the_band_codec() -> None:
    verify_contract(CodecInPieces(band_codec(BANDS), 2, first=1000))


def test_the_decoder_that_matches_levels() -> None:
    verify_contract(CodecInPieces(band_codec(MATCHED), 2, first=7, least=1e-3))


def test_the_decoder_of_blocks(toy_level2: Stack) -> None:
    verify_contract(DecoderOfBlocks(toy_level2))


def lively_finisher() -> SpectralFinisher:
    """Random weights that do something at every place."""
    torch.manual_seed(3)
    net = SpectralFinisher(SpectralFinisherConfig(fine_channels=4, width=8, depth=1))
    torch.nn.init.normal_(net.out.weight, std=0.5)
    with torch.no_grad():
        net.out.bias[1] = 1.0  # type: ignore[index]
    return net.eval().requires_grad_(False)


def test_the_spectral_finisher() -> None:
    verify_contract(SpectralInBlocks(lively_finisher()))


def small_finisher() -> Finisher:
    """A waveform finisher of random weights, whose windows are 46 ms."""
    torch.manual_seed(3)
    config = FinisherConfig(
        channels=(32, 32, 32, 32), attention_layers=0, window_samples=2048, fade_samples=64
    )
    return Finisher(config).eval().requires_grad_(False)


def test_the_waveform_finisher() -> None:
    verify_contract(WaveformInBlocks(small_finisher(), unit=1536))


# Stages and streams

WALKING = BlockSettings(noise_style=NoiseStyle.WALK, steps=1, resample=0.2)


def joint_stack(remembers: bool) -> Stack:
    """A band codec and a joint denoiser. One that remembers has echoes, an anchor and a spectral finisher too.

    Random weights; layers that begin at zero do not stay there.
    """
    sizes = JointDenoiserConfig(
        window_tokens=32,
        context_tokens=64,
        width=16,
        depth=1,
        heads=2,
        line_channels=2,
        anchor=remembers,
        echo_channels=2 if remembers else 0,
    )
    level = LevelConfig(2, sizes, 32, context_windows=2, steps=2)
    finisher = lively_finisher() if remembers else None
    codec = band_codec(BandCodecConfig(decoder_channels=8, decoder_blocks=1, local_channels=2))
    config = StackConfig("mini", codec.config, (level,), None if finisher is None else finisher.config)
    denoiser = JointDenoiser(sizes)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        if denoiser.anchor is not None:
            denoiser.anchor.set_statistics(1 + torch.rand(200, STYLE_FEATURES), torch.rand(200, MEANS))
    stack = Stack(config, codec, {2: denoiser}, "mini", finisher)
    for module in stack.modules():
        module.eval().requires_grad_(False)
    return stack


def test_the_stage_that_invents(lively_stack: Stack) -> None:
    verify_contract(InventStage(lively_stack, 2, WALKING))


@pytest.mark.parametrize("hop", [None, 16])
def test_the_joint_stage_that_invents(hop: int | None) -> None:
    verify_contract(InventStage(joint_stack(remembers=False), 2, WALKING, hop))


@pytest.mark.parametrize("handover", list(Handover))
def test_the_stage_that_cleans(toy_stack: Stack, handover: Handover) -> None:
    knobs = LevelSettings(steps=1, strength=0.5, guidance=1.3, handover=handover)
    verify_contract(CleanStage(toy_stack, 1, replace(WALKING, levels={1: knobs}), hop_tokens=32))


def test_the_stream_of_levels_and_a_finisher(toy_stack: Stack) -> None:
    knobs = LevelSettings(steps=1, strength=0.5, guidance=1.3)
    levels = {1: replace(knobs, handover=Handover.PRIMED)}
    finisher = FinisherSettings(steps=1, noise_style=NoiseStyle.WALK)
    small = small_finisher()
    config = replace(toy_stack.config, finisher=small.config)
    stream = BlockStream(replace(toy_stack, config=config, finisher=small), levels=(2, 1), finisher=True)
    part = WholeStream("toy stream", stream, replace(WALKING, levels=levels, finisher=finisher))
    part.restored_after = (1,)
    verify_contract(part)


@pytest.mark.parametrize(("hop", "primed"), [(16, True), (None, False)])
def test_the_stream_that_remembers(monkeypatch: pytest.MonkeyPatch, hop: int | None, primed: bool) -> None:
    monkeypatch.setattr(memory, "SECONDS", 2.0)
    stream = BlockStream(joint_stack(remembers=True), finisher=True, hop_tokens=hop)
    settings = replace(WALKING, tempo=133.3, brightness=0.4, motion=-0.2, memory=0.7)
    sound = 0.2 * torch.randn(1, 1, stream.beginning_frames, generator=torch.Generator().manual_seed(4))
    part = WholeStream("stream that remembers", stream, settings, sound if primed else None)
    part.bound = "Echoes lie whole bars back. Older sound only helps to find the bar."
    part.slack = part.reach.before - 63  # the context of 64 tokens always counts
    part.restored_after = (0, 3)
    verify_contract(part)
