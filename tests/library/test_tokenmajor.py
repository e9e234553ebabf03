"""Channels innermost compute what the networks themselves do, and streams play them where they are compiled."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import torch
from torch import nn

from jbdiff.bench.checks import relative_error
from jbdiff.bench.measure import random_stack
from jbdiff.config import (
    BandCodecConfig,
    FinisherConfig,
    JointDenoiserConfig,
    LevelConfig,
    StackConfig,
    UNetConfig,
    VQVAEConfig,
)
from jbdiff.machine import random_weights
from jbdiff.networks.channels_last import TokenDouble, TokenHalve, compiler_for, token_major
from jbdiff.networks.compiled import CompiledNetworks
from jbdiff.networks.dance_finisher import Double, Finisher, Halve
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.unet import UNet
from jbdiff.stacks.stack import Stack
from jbdiff.stream.stream import BlockSettings, BlockStream, FinisherSettings, LevelSettings

SMALL_UNET = UNetConfig(
    channels=(16, 32, 32, 64), factors=(1, 2, 1, 2), items=(1, 2, 3, 1), attentions=(0, 0, 1, 0),
    cross_attentions=(0, 1, 0, 1), attention_heads=2, attention_features=8, embedding_max_length=64,
    modulation_features=48,
)  # fmt: skip
SMALL_FINISHER = FinisherConfig(
    channels=(32, 32, 64), attention_layers=1, window_samples=2048, fade_samples=64, steps=4
)
SMALL_STACK = StackConfig(
    name="small",
    codec=VQVAEConfig(width=8, depth=2, codebook_size=32),
    levels=tuple(LevelConfig(level=n, denoiser=SMALL_UNET, window_tokens=32, steps=3) for n in (2, 1, 0)),
    finisher=SMALL_FINISHER,
)
BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 0.1}


def filled(net: nn.Module) -> Any:
    random_weights(net, torch.Generator().manual_seed(secrets.randbelow(2**31)))
    return net.eval().requires_grad_(False)


@pytest.mark.parametrize("dtype", BOUNDS)
@torch.inference_mode()
def test_unet_is_the_same_with_channels_innermost(dtype: torch.dtype) -> None:
    net: UNet = filled(UNet(SMALL_UNET))
    quick = token_major(net, dtype)
    x, context = torch.randn(2, 64, 32), torch.randn(2, 64, 64)
    sigma, drop = torch.tensor([0.2, 0.9]), torch.tensor([False, True])
    for told in ((context, drop), (context[:, :48], drop), (context, None), (None, None)):
        wanted = net(x, sigma, *told)
        own = quick(x, sigma, *told)
        assert own.dtype == torch.float32
        assert relative_error(own, wanted, x) < BOUNDS[dtype]
    prepared = quick.prepare_context(context, drop, 2)
    assert torch.equal(quick(x, sigma, prepared), quick(x, sigma, context, drop))
    with pytest.raises(ValueError, match="65 tokens"):
        quick.prepare_context(torch.zeros(1, 65, 64), None, 1)


@pytest.mark.parametrize("dtype", BOUNDS)
@torch.inference_mode()
def test_finisher_is_the_same_with_channels_innermost(dtype: torch.dtype) -> None:
    net: Finisher = filled(Finisher(SMALL_FINISHER))
    x, sigma = torch.randn(2, 2, 2048), torch.tensor([0.1, 0.8])
    assert relative_error(token_major(net, dtype)(x, sigma), net(x, sigma), x) < BOUNDS[dtype]


@torch.inference_mode()
def test_filters_reach_over_the_edges_as_they_did() -> None:
    x = torch.randn(1, 3, 16)
    for filtered, own in ((Halve(), TokenHalve()), (Double(), TokenDouble())):
        torch.testing.assert_close(own(x.transpose(1, 2)).transpose(1, 2), filtered(x))


def test_other_networks_have_no_such_form() -> None:
    with pytest.raises(ValueError, match="JointDenoiser"):
        token_major(JointDenoiser(JointDenoiserConfig(width=64, depth=1)), torch.float32)


def settings() -> BlockSettings:
    each = {level: LevelSettings(steps=2) for level in (2, 1, 0)}
    return BlockSettings(guidance=2.0, levels=each, finisher=FinisherSettings(steps=2))


def test_a_stream_compiles_each_network_once_and_plays_it_when_it_has_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[nn.Module] = []
    monkeypatch.setattr("jbdiff.stream.execution.compiler_for", lambda device: asked.append)
    stack: Stack = random_stack(SMALL_STACK)
    plain = BlockStream(stack, finisher=True)
    quick = BlockStream(stack, finisher=True, compiled=True, dtype=torch.float32)
    assert quick.notes == ()
    assert len(asked) == 4
    BlockStream(stack, finisher=True, compiled=True, dtype=torch.float32)
    assert len(asked) == 4
    calls: list[nn.Module] = []
    for net in asked:
        net.register_forward_hook(lambda net, *_: calls.append(net))
    quick.step(settings())
    assert quick.stages[0].denoise.quick not in calls  # without a context its shapes would change
    plain.settle(settings())
    calls.clear()
    quick.restore(plain.save())
    own, wanted = quick.step(settings()).audio, plain.step(settings()).audio
    # Two steps of guidance, each of both branches in one call, in every window of every level.
    for stage in quick.stages:
        assert calls.count(stage.denoise.quick) == 2 * stage.windows
    assert quick.finisher_stage is not None
    assert calls.count(quick.finisher_stage.net) == 2 * quick.finisher_stage.pieces
    assert relative_error(own, wanted, torch.zeros_like(wanted)) < 1e-3


def test_a_settled_stream_keeps_its_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    stream = BlockStream(random_stack(SMALL_STACK), hop_tokens=16)
    for net in stream.stack.denoisers.values():
        net.depths[0].down.register_forward_hook(lambda _, inputs, out: shapes.append(tuple(out.shape)))
    stream.settle(settings())
    lengths = []
    for _ in range(3):
        shapes.clear()
        stream.step(settings())
        lengths.append(list(shapes))
    assert lengths[0] == lengths[1] == lengths[2]
    assert all(stage.denoise._held == stage.held for stage in stream.stages)


def test_without_cuda_nothing_is_compiled_and_the_stream_says_so() -> None:
    assert compiler_for(torch.device("cpu")) is None
    stream = BlockStream(random_stack(SMALL_STACK), compiled=True)
    assert stream.notes == ("nothing is compiled on cpu: that is for CUDA, and needs Triton",)
    assert not stream.stack.compiled


def test_the_instrument_compiles_where_it_pays() -> None:
    from jbdiff_live.engine.voices.torch_setup import device_options

    stack = random_stack(SMALL_STACK)
    assert device_options(stack, "cpu") == {}
    assert device_options(stack, "cuda") == {"graphs": True, "compiled": True, "dtype": torch.float16}
    joint = LevelConfig(level=2, denoiser=JointDenoiserConfig(width=64, depth=1), window_tokens=192)
    other = random_stack(StackConfig(name="joint", codec=BandCodecConfig(), levels=(joint,)))
    assert device_options(other, "cuda") == {"graphs": True, "compiled": False, "dtype": torch.float32}


def test_a_network_is_compiled_once_for_each_precision() -> None:
    stack, compiled, asked = random_stack(SMALL_STACK), CompiledNetworks(), list[nn.Module]()
    quick = compiled.of(stack.denoisers[2], torch.float16, asked.append)
    assert quick is not None and asked == [quick]
    assert compiled.of(stack.denoisers[2], torch.float16, asked.append) is quick
    exact = compiled.of(stack.denoisers[2], torch.float32, asked.append)
    assert exact is not quick and asked == [quick, exact] and compiled.networks() == (quick, exact)
    assert compiled.of(nn.Identity(), torch.float32, asked.append) is None and len(asked) == 2
