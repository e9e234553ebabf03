"""The pocket denoiser at toy size: shapes, missing and short context, work shared between steps."""

from __future__ import annotations

import pytest
import torch

from jbdiff.config import JointDenoiserConfig
from jbdiff.networks.joint_denoiser import JointDenoiser

TOY = JointDenoiserConfig(
    latent_channels=6, window_tokens=16, context_tokens=32, patch=4, width=32, depth=2, heads=2
)


@pytest.fixture
def net() -> JointDenoiser:
    torch.manual_seed(0)
    net = JointDenoiser(TOY).eval().requires_grad_(False)
    for parameter in net.parameters():  # fresh output layers are zero and would hide everything
        parameter.add_(0.1 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize("tokens", [4, 12, 16])
@pytest.mark.parametrize("past", [0, 3, 4, 10, 32, 40])
def test_v_has_the_shape_of_the_window(net: JointDenoiser, tokens: int, past: int) -> None:
    v = net(torch.randn(2, 6, tokens), torch.rand(2), torch.randn(2, past, 6))
    assert v.shape == (2, 6, tokens) and v.isfinite().all()


def test_dropped_rows_do_not_hear_the_context(net: JointDenoiser) -> None:
    x, sigma, context = torch.randn(2, 6, 16), torch.rand(2), torch.randn(2, 32, 6)
    both = net(x, sigma, context, torch.tensor([True, False]))
    torch.testing.assert_close(both[:1], net(x[:1], sigma[:1], None), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1:], net(x[1:], sigma[1:], context[1:]), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(both[1:], net(x[1:], sigma[1:], None), atol=1e-3)


def test_context_lies_right_before_the_window(net: JointDenoiser) -> None:
    """Tokens beyond the context's reach change nothing; the newest change much."""
    x, sigma, context = torch.randn(1, 6, 16), torch.rand(1), torch.randn(1, 40, 6)
    far, near = context.clone(), context.clone()
    far[:, :8] += 1
    near[:, -4:] += 1
    plain = net(x, sigma, context)
    torch.testing.assert_close(net(x, sigma, far), plain)
    assert not torch.allclose(net(x, sigma, near), plain, atol=1e-3)


def test_prepared_context_gives_the_same_v(net: JointDenoiser) -> None:
    x, sigma, context = torch.randn(2, 6, 16), torch.rand(2), torch.randn(2, 32, 6)
    drop = torch.tensor([False, True])
    prepared = net.prepare_context(context, drop, 2)
    torch.testing.assert_close(net(x, sigma, prepared), net(x, sigma, context, drop))


def test_rows_of_a_batch_do_not_hear_each_other(net: JointDenoiser) -> None:
    x, sigma, context = torch.randn(3, 6, 16), torch.rand(3), torch.randn(3, 32, 6)
    together = net(x, sigma, context)
    for row in range(3):
        alone = net(x[row : row + 1], sigma[row : row + 1], context[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-4)


def test_every_weight_gets_a_gradient(net: JointDenoiser) -> None:
    net.requires_grad_(True)
    drop = torch.tensor([False, True])
    net(torch.randn(2, 6, 16), torch.rand(2), torch.randn(2, 32, 6), drop).pow(2).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_an_untrained_net_predicts_what_a_gaussian_of_the_same_covariance_would() -> None:
    torch.manual_seed(0)
    net = JointDenoiser(TOY).eval().requires_grad_(False)
    mixing = torch.randn(24, 24) * torch.linspace(0.02, 2, 24)
    covariance = mixing @ mixing.T
    net.set_statistics(covariance)
    sigma = torch.tensor([0.3])
    alpha, beta = (sigma * torch.pi / 2).cos(), (sigma * torch.pi / 2).sin()
    x = torch.randn(1, 6, 16)
    patches = x.transpose(1, 2).reshape(4, 24)
    inverse = torch.linalg.inv(alpha**2 * covariance + beta**2 * torch.eye(24))
    clean = alpha * patches @ inverse @ covariance
    v = ((alpha * patches - clean) / beta).reshape(1, 16, 6).transpose(1, 2)
    torch.testing.assert_close(net(x, sigma), v, atol=2e-3, rtol=1e-3)


def test_wrong_shapes_are_refused_with_words(net: JointDenoiser) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        net(torch.randn(1, 6, 15), torch.rand(1))
    with pytest.raises(ValueError, match="does not fit"):
        net(torch.randn(1, 6, 20), torch.rand(1))
    with pytest.raises(ValueError, match="context"):
        net(torch.randn(1, 6, 16), torch.rand(1), torch.randn(1, 32, 5))
    with pytest.raises(ValueError, match="patch"):
        JointDenoiser(JointDenoiserConfig(window_tokens=190))
