"""Echoes: the right place of the bar, fractional bars, confidence, and a network that is unchanged without them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from jbdiff.config import JointDenoiserConfig
from jbdiff.guidance import GuidedModel
from jbdiff.networks.echoes import BARS, Echo, echo_of, no_echo
from jbdiff.networks.joint_denoiser import JointDenoiser

PLAIN = JointDenoiserConfig(
    latent_channels=100, window_tokens=16, context_tokens=32, patch=4, width=16, depth=1, heads=2
)
ECHOING = dataclasses.replace(PLAIN, echo_channels=4)


def counted(tokens: int) -> Tensor:
    """A history whose tokens say how far they lie before its end: -tokens .. -1, `[1, tokens, 1]`."""
    return torch.arange(-tokens, 0).float().reshape(1, -1, 1)


def places(echo: Echo, number: int) -> list[int | None]:
    """Where each token of an echo comes from; None if it is not known."""
    sound, known = echo.sound[0, number, 0].tolist(), echo.known[0, number].tolist()
    return [int(place) if there else None for place, there in zip(sound, known, strict=True)]


def test_an_echo_lies_whole_bars_back() -> None:
    echo = echo_of(counted(100), torch.tensor([10.0]), 16)
    # One bar back, and two for what lies more than a bar ahead.
    assert places(echo, 0) == [*range(-10, 0), *range(-10, -4)]
    assert places(echo, 1) == list(range(-40, -24)) and places(echo, 2) == list(range(-80, -64))


def test_tokens_that_were_played_already_have_echoes_too() -> None:
    echo = echo_of(counted(100), torch.tensor([10.0]), 16, held=6)
    assert places(echo, 0) == list(range(-16, 0))
    assert places(echo, 1) == list(range(-46, -30))


def test_what_was_never_played_is_not_known_and_silent() -> None:
    echo = echo_of(counted(45), torch.tensor([10.0]), 16)
    assert places(echo, 1) == list(range(-40, -24)) and places(echo, 2) == [None] * 16
    assert float(echo.sound[0, 2].abs().max()) == 0
    short = echo_of(counted(45), torch.tensor([10.0]), 16, known=torch.tensor([36]))
    assert places(short, 1) == [None] * 4 + list(range(-36, -24)), "the rest of the history may not be used"
    nothing = echo_of(counted(45), torch.tensor([0.0]), 16)
    assert float(nothing.known.max()) == 0, "without a bar there is no echo"
    assert echo_of(torch.zeros(1, 0, 1), torch.tensor([10.0]), 16).known.max() == 0


@pytest.mark.parametrize("bar", [10.3, 13.25, 7.5, 16.0])
def test_a_bar_of_a_fractional_number_of_tokens_does_not_drift(bar: float) -> None:
    echo = echo_of(counted(400), torch.tensor([bar]), 64)
    for number, multiple in enumerate(BARS):
        for token, place in enumerate(places(echo, number)):
            assert place is not None
            bars = (token - place) / (bar * multiple)
            assert abs(bars - round(bars)) * bar * multiple <= 0.5 + 1e-4, (token, place)
            assert place < 0


def test_noise_lowers_the_confidence_and_dropped_echoes_are_silent() -> None:
    echo = echo_of(counted(100), torch.tensor([10.0]), 16)
    noisy = echo.noised(torch.tensor([[0.5, 0.0, 0.0]]), torch.ones_like(echo.sound))
    assert torch.equal(noisy.sound[:, 0], echo.sound[:, 0] + 0.5) and torch.equal(
        noisy.sound[:, 1], echo.sound[:, 1]
    )
    assert noisy.known[0, :, 0].tolist() == [0.5, 1.0, 1.0]
    kept = echo.kept(torch.tensor([[True, False, True]]))
    assert kept.known[0, :, 0].tolist() == [1.0, 0.0, 1.0] and float(kept.sound[0, 1].abs().max()) == 0
    unknown = no_echo(1, 1, 16).noised(torch.ones(1, 3), torch.ones(1, 3, 1, 16))
    assert float(unknown.sound.abs().max()) == 0, "noise is not put where nothing was played"


def trained(config: JointDenoiserConfig) -> JointDenoiser:
    """Random weights everywhere, also in layers that begin at zero."""
    torch.manual_seed(0)
    network = JointDenoiser(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_echoes_begin_as_no_change() -> None:
    plain = trained(PLAIN)
    torch.manual_seed(1)
    echoing = JointDenoiser(ECHOING).eval().requires_grad_(False)
    own = {name: value for name, value in echoing.state_dict().items() if name.startswith("echo_")}
    echoing.load_state_dict(own | plain.state_dict())
    x, sigma, context = torch.randn(2, 100, 16), torch.tensor([0.3, 0.9]), torch.randn(2, 32, 100)
    echo = echo_of(torch.randn(2, 64, 100), torch.tensor([10.0, 12.0]), 16)
    prepared = echoing.prepare_context(context, None, 2, echo=echo)
    torch.testing.assert_close(echoing(x, sigma, prepared), plain(x, sigma, context))


def test_every_echo_and_its_confidence_reach_the_estimate() -> None:
    network = trained(ECHOING)
    x, sigma, context = torch.randn(1, 100, 16), torch.tensor([0.7]), torch.randn(1, 32, 100)
    echo = echo_of(torch.randn(1, 100, 100), torch.tensor([10.0]), 16)

    def estimate(echo: Echo | None) -> Tensor:
        return network(x, sigma, network.prepare_context(context, None, 1, echo=echo))

    whole = estimate(echo)
    for number in range(len(BARS)):
        keep = torch.ones(1, len(BARS), dtype=torch.bool)
        keep[0, number] = False
        assert float((estimate(echo.kept(keep)) - whole).abs().max()) > 1e-3
    less = dataclasses.replace(echo, known=0.5 * echo.known)
    assert float((estimate(less) - whole).abs().max()) > 1e-3
    torch.testing.assert_close(estimate(None), estimate(no_echo(1, 100, 16)))


def test_guidance_pulls_away_from_what_there_is_without_context_and_echoes() -> None:
    network = trained(ECHOING)
    x, sigma, context = torch.randn(1, 100, 16), torch.tensor([0.5]), torch.randn(1, 32, 100)
    echo = echo_of(torch.randn(1, 100, 100), torch.tensor([10.0]), 16)

    def branch(drop: bool) -> Tensor:
        given = None if drop else echo
        return network(x, sigma, network.prepare_context(context, torch.tensor([drop]), 1, echo=given))

    guided = GuidedModel(network, context, 2.0, echo=echo)(x, sigma)
    torch.testing.assert_close(
        guided, branch(True) + 2.0 * (branch(False) - branch(True)), atol=1e-3, rtol=1e-3
    )


def test_a_network_without_echoes_says_so() -> None:
    with pytest.raises(ValueError, match="without echoes"):
        JointDenoiser(PLAIN).prepare_context(None, None, 1, echo=no_echo(1, 100, 16))
