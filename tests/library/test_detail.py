"""Detail beside the bands: what a Gaussian knows is exact, guidance leaves it alone, stacks with it load."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jbdiff.bands import CHANNELS
from jbdiff.config import (
    POCKET,
    BandCodecConfig,
    DetailConfig,
    JointDenoiserConfig,
    LevelConfig,
    StackConfig,
    stack_from_dict,
    stack_to_dict,
)
from jbdiff.detail import DetailNet
from jbdiff.guidance import GuidedModel
from jbdiff.jointdenoiser import JointDenoiser
from jbdiff.schedules import alpha_beta

DETAIL = DetailConfig(channels=12, width=16, depth=1)
JOINT = JointDenoiserConfig(
    window_tokens=16, context_tokens=32, patch=4, width=16, depth=1, heads=2, detail=DETAIL
)


def gaussian(rows: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Bands `[rows, CHANNELS, 16]`, detail that is a linear function of them plus correlated noise, that noise."""
    generator = torch.Generator().manual_seed(seed)
    bands = 0.5 * torch.randn(rows, CHANNELS, 16, generator=generator)
    mix = torch.randn(12, CHANNELS, generator=torch.Generator().manual_seed(7)) / CHANNELS**0.5
    mould = torch.randn(12, 12, generator=torch.Generator().manual_seed(8)) / 12
    left = torch.einsum("dc,bct->bdt", mould, torch.randn(rows, 12, 16, generator=generator))
    return bands, torch.einsum("dc,bct->bdt", mix, bands) + left, left


@pytest.fixture
def net() -> DetailNet:
    torch.manual_seed(0)
    net = DetailNet(DETAIL)
    bands, detail, _ = gaussian(400)
    net.set_statistics(bands, detail)
    return net.eval().requires_grad_(False)


def test_the_regression_finds_what_follows_from_the_bands(net: DetailNet) -> None:
    bands, detail, left = gaussian(20, seed=1)
    expected = net.expected(bands).transpose(1, 2)
    assert float((detail - expected - left).square().mean()) < 0.02 * float(detail.square().mean())


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9, 1.0])
def test_untrained_it_is_as_good_as_a_gaussian_can_be(net: DetailNet, sigma: float) -> None:
    bands, detail, left = gaussian(100, seed=2)
    noise = torch.randn(detail.shape, generator=torch.Generator().manual_seed(3))
    alpha, beta = alpha_beta(torch.tensor(sigma))
    v = net(alpha * detail + beta * noise, bands, torch.full((100,), sigma))
    error = (v - (alpha * noise - beta * detail)).square().mean()
    covariance = torch.einsum("bdt,bet->de", left, left) / (100 * 16)
    powers = torch.linalg.eigvalsh(covariance)
    best = (powers / (alpha**2 * powers + beta**2)).mean()
    assert float(error) == pytest.approx(float(best), rel=0.1)


def test_v_has_all_channels_and_the_bands_learn_from_themselves_alone() -> None:
    torch.manual_seed(0)
    network = JointDenoiser(JOINT)
    torch.nn.init.normal_(network.out.weight)
    x, context = torch.randn(2, 112, 16), torch.randn(2, 32, 112)
    v = network(x, torch.tensor([0.3, 0.8]), context)
    assert v.shape == x.shape
    (v[:, CHANNELS:] - 1).square().mean().backward()
    told = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert told and all(name.startswith("detail.") for name in told)
    with pytest.raises(ValueError, match=r"\[batch, 112, t\]"):
        network(x[:, :CHANNELS], torch.tensor([0.3, 0.8]), context)


def test_guidance_is_for_the_bands() -> None:
    torch.manual_seed(0)
    network = JointDenoiser(JOINT).eval().requires_grad_(False)
    for layer in (network.out, network.modulate, network.detail.out):  # type: ignore[union-attr]
        torch.nn.init.normal_(layer.weight, std=0.3)
    x, context, sigma = torch.randn(1, 112, 16), torch.randn(1, 32, 112), torch.tensor([0.6])
    plain = network(x, sigma, context)
    guided = GuidedModel(network, context, 3.0, rescale=1.0)(x, sigma)
    torch.testing.assert_close(guided[:, CHANNELS:], plain[:, CHANNELS:])
    assert float((guided[:, :CHANNELS] - plain[:, :CHANNELS]).abs().mean()) > 1e-3


def test_a_stack_with_detail_is_described_whole_and_one_without_as_before() -> None:
    codec = BandCodecConfig(detail_bands=3, latent_channels=112, match_rounds=2)
    stack = StackConfig("small", codec, (LevelConfig(2, JOINT, window_tokens=16),))
    assert stack_from_dict(stack_to_dict(stack)) == stack
    plain = StackConfig(
        "plain", BandCodecConfig(), (LevelConfig(2, JointDenoiserConfig(), window_tokens=192),)
    )
    written = stack_to_dict(plain)
    assert "detail_bands" not in written["codec"] and "detail" not in written["levels"][0]["denoiser"]
    assert stack_from_dict(written) == plain
    assert stack_from_dict(stack_to_dict(POCKET)) == POCKET
