"""The mean detail of bands: its regression, its reach, older weights, and how stacks describe it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.codecs.bands import CHANNELS
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
from jbdiff.diffusion.schedules import SIGMA_FEATURES, sigma_features
from jbdiff.networks.detail import DetailNet, mean_of_sampling, neighbours
from jbdiff.networks.joint_denoiser import JointDenoiser

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


def test_untrained_it_is_the_regression(net: DetailNet) -> None:
    bands, detail, left = gaussian(20, seed=1)
    assert float((detail - net(bands) - left).square().mean()) < 0.02 * float(detail.square().mean())


def test_a_token_depends_on_no_more_than_the_reach(net: DetailNet) -> None:
    for layer in (net.out, net.blocks[0].narrow):
        torch.nn.init.normal_(layer.weight)  # type: ignore[arg-type]
    bands = 0.5 * torch.randn(1, CHANNELS, 48)
    moved = bands.clone()
    moved[..., 24] += 1
    changed = (net(bands) - net(moved)).abs().amax((0, 1)).nonzero().flatten() - 24
    assert (int(changed.min()), int(changed.max())) == (-net.reach, net.reach)


def test_the_bands_are_denoised_alone_and_the_detail_follows_when_they_are_finished() -> None:
    torch.manual_seed(0)
    network = JointDenoiser(JOINT)
    x, context = torch.randn(2, CHANNELS, 16), torch.randn(2, 32, 112)
    sigma = torch.tensor([0.3, 0.8])
    v = network(x, sigma, context)
    assert v.shape == x.shape
    assert torch.equal(v, network(x, sigma, context[..., :CHANNELS])), "a context's detail changes nothing"
    whole = network.with_detail(x)
    assert whole.shape == (2, 112, 16) and torch.equal(whole[:, :CHANNELS], x)
    with pytest.raises(ValueError, match=rf"\[batch, {CHANNELS}, t\]"):
        network(whole, sigma, context)


def test_the_mean_of_weights_that_sampled_the_detail_is_what_those_gave() -> None:
    """Against that network's own equations, at noise level 1 and from x = 0."""
    torch.manual_seed(3)
    width, channels = 16, 12
    old = {
        "regression": torch.randn(3 * CHANNELS, channels) / CHANNELS,
        "offset": torch.randn(channels),
        "axes": torch.linalg.qr(torch.randn(channels, channels))[0],
        "powers": torch.rand(channels),
        "into.weight": torch.randn(width, channels),
        "into.bias": torch.randn(width),
        "into_bands.weight": torch.randn(width, CHANNELS, 5) / CHANNELS,
        "into_bands.bias": torch.randn(width),
        "norm.weight": torch.randn(width),
        "norm.bias": torch.randn(width),
        "out.weight": torch.randn(channels, width),
        "out.bias": torch.randn(channels),
    }
    for name, rows, columns in (("level.0", width, SIGMA_FEATURES), ("level.2", width, width)):
        old |= {
            f"{name}.weight": torch.randn(rows, columns) / columns**0.5,
            f"{name}.bias": torch.randn(rows),
        }
    block = {"depthwise.weight": (width, 1, 7), "modulation.weight": (3 * width, width)}
    block |= {"widen.weight": (3 * width, width), "narrow.weight": (width, 3 * width)}
    for name, shape in block.items():
        old[f"blocks.0.{name}"] = torch.randn(shape) / width**0.5
        old[f"blocks.0.{name.split('.')[0]}.bias"] = torch.randn(shape[0])
    bands = 0.5 * torch.randn(2, CHANNELS, 16)

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, old[f"{name}.weight"], old[f"{name}.bias"])

    level = F.silu(linear("level.2", F.silu(linear("level.0", sigma_features(torch.ones(1))))))
    h = F.conv1d(2 * bands, old["into_bands.weight"], old["into_bands.bias"], padding=2).transpose(1, 2)
    h = h + old["into.bias"]
    shift, scale, gate = linear("blocks.0.modulation", level).chunk(3, -1)
    weight, bias = old["blocks.0.depthwise.weight"], old["blocks.0.depthwise.bias"]
    y = F.conv1d(h.transpose(1, 2), weight, bias, padding=3, groups=width).transpose(1, 2)
    y = F.layer_norm(y, (width,)) * (1 + scale) + shift
    h = h + (1 + gate) * linear("blocks.0.narrow", F.gelu(linear("blocks.0.widen", y), approximate="tanh"))
    rest = (
        linear("out", F.layer_norm(h, (width,), old["norm.weight"], old["norm.bias"])) * old["powers"].sqrt()
    )
    expected = neighbours(bands) @ old["regression"] + old["offset"]
    wanted = (expected - rest @ old["axes"].T).transpose(1, 2)

    tensors = {f"detail.{name}": value for name, value in old.items()} | {"other": torch.ones(1)}
    new = mean_of_sampling(tensors)
    assert torch.equal(new.pop("other"), torch.ones(1))
    net = DetailNet(DETAIL)
    net.load_state_dict({name.removeprefix("detail."): value for name, value in new.items()})
    torch.testing.assert_close(net(bands), wanted, atol=1e-5, rtol=1e-4)
    assert mean_of_sampling(new) == new, "weights of the new kind pass unchanged"


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
