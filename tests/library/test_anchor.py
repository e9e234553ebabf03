"""What a network is told beside its context: a style that does not drift and a clock that goes on by itself."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from jbdiff.codecs.bands import CHANNELS
from jbdiff.config import JointDenoiserConfig
from jbdiff.guidance import GuidedModel
from jbdiff.networks.anchor import (
    BANK,
    BEATS,
    CLOCK_FEATURES,
    HARMONICS,
    LOUDNESS_UNIT,
    MEAN_BANDS,
    MEANS,
    MOTIONS,
    STYLE_FEATURES,
    USUAL_TEMPO,
    Anchor,
    AnchorCondition,
    clock_features,
    measured_loudness,
    measured_style,
    no_anchor,
)
from jbdiff.networks.joint_denoiser import JointDenoiser

SIZES = JointDenoiserConfig(
    window_tokens=16, context_tokens=32, patch=4, width=16, depth=1, heads=2, line_channels=2, anchor=True
)


def lively(module: torch.nn.Module, spread: float = 0.1) -> None:
    """Layers that begin at zero would hide everything behind them."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(spread * torch.randn_like(parameter))


def network(config: JointDenoiserConfig = SIZES) -> JointDenoiser:
    torch.manual_seed(0)
    net = JointDenoiser(config)
    lively(net)
    return net.eval().requires_grad_(False)


def anchor(*tempi: float, beat: float = 1.0, seed: int = 1) -> Anchor:
    """One row a tempo, each of another style."""
    style = torch.randn(len(tempi), STYLE_FEATURES, generator=torch.Generator().manual_seed(seed))
    known = torch.ones(len(tempi), dtype=torch.bool)
    return Anchor(style, known, torch.full((len(tempi),), beat), torch.tensor(tempi))


def given(rows: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """A noisy window `[b, 100, 16]`, its noise levels `[b]` and a context `[b, 32, 100]`."""
    generator = torch.Generator().manual_seed(3)
    x, context = (
        torch.randn(rows, 100, 16, generator=generator),
        torch.randn(rows, 32, 100, generator=generator),
    )
    return x, torch.linspace(0.3, 0.9, rows), context


# The clock


def test_without_a_tempo_no_place_is_told() -> None:
    features = clock_features(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.02]), -8, 12)
    assert features.shape == (2, 20, CLOCK_FEATURES)
    assert not features[0].any() and features[1].any(1).all()


def test_the_clock_comes_round_with_every_bar_and_not_before() -> None:
    tempo = torch.tensor([BEATS / 64])  # a bar is 64 tokens
    features = clock_features(torch.tensor([0.5]), tempo, -64, 128)[0]
    torch.testing.assert_close(features[:64], features[64:128], atol=1e-4, rtol=0)
    torch.testing.assert_close(features[:64], features[128:], atol=1e-4, rtol=0)
    for shift in range(1, 64):
        assert not torch.allclose(features[:64], features[shift : 64 + shift], atol=0.05), shift
    later = clock_features(torch.tensor([0.5 + 3 * BEATS]), tempo, -64, 128)[0]
    torch.testing.assert_close(features, later, atol=1e-5, rtol=0)


def test_the_clock_is_the_cosine_and_sine_of_parts_of_a_bar() -> None:
    features = clock_features(torch.tensor([0.5]), torch.tensor([0.25]), 0, 1)[0, 0]
    angle = 2 * torch.pi * 0.5 / BEATS * torch.tensor(HARMONICS)
    expected = torch.cat(
        [angle.cos(), angle.sin(), (torch.tensor([0.25]) / USUAL_TEMPO).log2(), torch.ones(1)]
    )
    torch.testing.assert_close(features, expected)


def test_the_clock_is_as_precise_after_hours() -> None:
    tempo = torch.tensor([0.0232])
    hours = torch.tensor([1.25 + 3 * 60 * 120])  # three of them at 120 beats a minute
    now, then = (clock_features(beat, tempo, -384, 192) for beat in (torch.tensor([1.25]), hours))
    torch.testing.assert_close(now, then, atol=1e-4, rtol=0)


def test_a_later_window_is_the_same_clock_further_on() -> None:
    told = anchor(0.02, 0.0)
    late = told.at(50)
    now, then = (
        clock_features(one.beat, one.tempo, *where) for one, where in ((told, (50, 70)), (late, (0, 20)))
    )
    torch.testing.assert_close(now, then, atol=1e-5, rtol=0)
    torch.testing.assert_close(late.beat, torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(late.at(-50).beat, told.beat)
    assert late.style is told.style


def test_rows_are_doubled_and_may_be_told_nothing() -> None:
    told = anchor(0.02, 0.03, 0.04)
    twice = told.doubled()
    torch.testing.assert_close(twice.tempo, torch.cat([told.tempo, told.tempo]))
    assert twice.known.all() and twice.style.shape == (6, STYLE_FEATURES)
    nothing = no_anchor(3)
    assert not nothing.known.any() and not nothing.tempo.any() and nothing.style.shape == (3, STYLE_FEATURES)


# The style


def test_a_style_is_loudness_spread_and_motion_by_group_of_bands() -> None:
    bands = torch.zeros(1, 40, CHANNELS)
    bands[..., :MEAN_BANDS] = 2.0  # the lowest group is louder
    bands[:, ::2, -10:] = 1.0  # the highest flickers between 0 and 1
    style = measured_style(bands)[0]
    means, spreads, changes = style.split([MEANS, MOTIONS, MOTIONS])
    assert means.tolist() == pytest.approx([2.0] + [0.0] * (MEANS - 3) + [0.5, 0.5])
    assert spreads[:-1].abs().max() < 1e-6 and float(spreads[-1]) == pytest.approx(0.5, abs=0.02)
    assert changes.tolist() == pytest.approx([0.0] * (MOTIONS - 1) + [1.0])


def test_the_order_of_tokens_is_not_heard_in_the_style_but_their_motion_is() -> None:
    bands = torch.randn(2, 64, CHANNELS, generator=torch.Generator().manual_seed(0))
    still, moving = measured_style(bands.sort(dim=1).values), measured_style(bands)
    torch.testing.assert_close(
        still[:, : MEANS + MOTIONS], moving[:, : MEANS + MOTIONS], atol=1e-5, rtol=1e-5
    )
    assert (still[:, MEANS + MOTIONS :] < 0.2 * moving[:, MEANS + MOTIONS :]).all()
    torch.testing.assert_close(measured_style(bands)[1:], measured_style(bands[1:]))
    with pytest.raises(ValueError, match="1 tokens have no style"):
        measured_style(bands[:, :1])


def test_loudness_is_power_and_hears_what_levels_hardly_show() -> None:
    bands = torch.zeros(1, 100, CHANNELS)
    bands[:, ::20, :MEAN_BANDS] = 2.0  # five strokes of 20 dB
    decibels = torch.full((CHANNELS,), 10.0)
    loudness = measured_loudness(bands, decibels)[0]
    expected = 10 * math.log10(0.95 + 0.05 * 100) / LOUDNESS_UNIT
    assert loudness.tolist() == pytest.approx([expected] + [0.0] * (MEANS - 1), abs=1e-4)
    assert float(measured_style(bands)[0, 0]) == pytest.approx(0.1)
    louder = measured_loudness(bands + 0.6, decibels)[0]
    torch.testing.assert_close(louder, loudness + 1, atol=1e-4, rtol=0)


def test_styles_are_told_in_units_of_their_spread() -> None:
    condition = AnchorCondition(width=8, patch=4)
    generator = torch.Generator().manual_seed(0)
    styles = 3.0 + 2.0 * torch.randn(500, STYLE_FEATURES, generator=generator)
    loudness = torch.randn(500, MEANS, generator=generator)
    styles[:, 0] = 7.0  # what never varies is no reason to divide by zero
    condition.set_statistics(styles, loudness)
    standard = condition.standard(styles)
    assert standard.mean(0).abs().max() < 1e-4 and not standard[:, 0].any()
    torch.testing.assert_close(standard[:, 1:].std(0, correction=0), torch.ones(STYLE_FEATURES - 1))
    assert condition.bank.shape == (BANK, STYLE_FEATURES + MEANS)
    both = torch.cat([standard, loudness], 1)
    torch.testing.assert_close(condition.bank[[0, -1]], both[[0, -1]])
    assert len(condition.bank.unique(dim=0)) == BANK
    condition.set_statistics(styles[:3], loudness[:3])  # fewer styles than the bank keeps
    assert len(condition.bank.unique(dim=0)) == 3


# In a network


def test_an_untrained_anchor_changes_nothing() -> None:
    torch.manual_seed(0)
    net, plain = JointDenoiser(SIZES), JointDenoiser(dataclasses.replace(SIZES, anchor=False))
    assert net.anchor is not None
    untrained = dict(net.anchor.state_dict())
    lively(plain)
    net.load_state_dict({f"anchor.{name}": value for name, value in untrained.items()} | plain.state_dict())
    x, sigma, context = given()
    told = net(x, sigma, net.prepare_context(context, None, 2, anchor(0.02, 0.03)))
    assert torch.equal(told, plain(x, sigma, context))


def test_every_part_of_an_anchor_is_heard() -> None:
    net = network()
    x, sigma, context = given(1)

    def v(told: Anchor | None) -> Tensor:
        return net(x, sigma, net.prepare_context(context, None, 1, told))

    told = anchor(0.02)
    others = {
        "none": None,
        "style": dataclasses.replace(told, style=told.style + 1),
        "known": dataclasses.replace(told, known=torch.tensor([False])),
        "beat": dataclasses.replace(told, beat=told.beat + 0.5),
        "tempo": dataclasses.replace(told, tempo=told.tempo * 1.2),
    }
    for name, other in others.items():
        assert not torch.allclose(v(told), v(other), atol=1e-4), name
    torch.testing.assert_close(
        v(told), v(dataclasses.replace(told, beat=told.beat + BEATS)), atol=1e-4, rtol=0
    )
    unknown = others["known"]
    assert unknown is not None
    assert torch.equal(v(unknown), v(dataclasses.replace(unknown, style=-unknown.style)))


def test_the_context_has_the_clock_of_its_own_place() -> None:
    """A context is heard with the beats that lie before the window, not with the window's."""
    net = network()
    assert net.anchor is not None
    told = anchor(0.02)
    layer = net.anchor.context
    before = net.anchor.clock(told, -8, 0)
    features = clock_features(told.at(-32).beat, told.tempo, 0, 32).reshape(1, 8, -1)
    torch.testing.assert_close(before, layer(features), atol=1e-5, rtol=1e-4)
    within = net.anchor.clock(told, 0, 4)
    assert within.shape == (1, 4, SIZES.width) and not torch.allclose(within, before[:, :4], atol=1e-3)


def test_rows_whose_context_is_dropped_are_told_of_their_anchor() -> None:
    net = network()
    (x, sigma, context), told = given(), anchor(0.02, 0.03)
    drop = torch.tensor([True, False])
    both = net(x, sigma, net.prepare_context(context, drop, 2, told))
    first, second = (told.each(lambda part, row=row: part[row : row + 1]) for row in (0, 1))  # type: ignore[misc]
    dropped = net(x[:1], sigma[:1], net.prepare_context(None, None, 1, first))
    torch.testing.assert_close(both[:1], dropped, atol=1e-5, rtol=1e-4)
    kept = net(x[1:], sigma[1:], net.prepare_context(context[1:], None, 1, second))
    torch.testing.assert_close(both[1:], kept, atol=1e-5, rtol=1e-4)
    alone = net(x[:1], sigma[:1], net.prepare_context(None, None, 1, no_anchor(1)))
    assert torch.equal(alone, net(x[:1], sigma[:1], None))
    assert not torch.allclose(alone, dropped, atol=1e-3)


def test_a_network_without_an_anchor_refuses_one() -> None:
    net = network(dataclasses.replace(SIZES, anchor=False))
    _, _, context = given()
    with pytest.raises(ValueError, match="without an anchor"):
        net.prepare_context(context, None, 2, anchor(0.02, 0.03))
    assert net.prepare_context(context, None, 2).style is None


@pytest.mark.parametrize("past", [True, False])
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_guidance_is_away_from_no_context_with_the_same_anchor(past: bool, scale: float) -> None:
    net = network()
    (x, sigma, context), told = given(1), anchor(0.02)
    heard = context if past else None
    model = GuidedModel(net, heard, scale, anchor=told)
    assert model.doubled == (scale == 2.5 and past)
    conditional, unconditional = (
        net(x, sigma, net.prepare_context(one, None, 1, told)) for one in (heard, None)
    )
    expected = unconditional + scale * (conditional - unconditional)
    torch.testing.assert_close(model(x, sigma), expected, atol=1e-4, rtol=1e-4)


def test_windows_that_share_a_context_share_its_anchor() -> None:
    net = network()
    (x, sigma, context), told = given(), anchor(0.02, 0.03)
    prepared = net.prepare_context(context, None, 2, told)
    many = net(x.repeat_interleave(3, 0), sigma.repeat_interleave(3), prepared.repeat(3))
    torch.testing.assert_close(many, net(x, sigma, prepared).repeat_interleave(3, 0), atol=1e-5, rtol=1e-4)


def test_a_shorter_window_has_the_first_beats() -> None:
    net = network()
    (x, sigma, context), told = given(1), anchor(0.02)
    prepared = net.prepare_context(context, None, 1, told)
    assert prepared.clock is not None
    cut = dataclasses.replace(prepared, clock=prepared.clock[:, :2])
    assert torch.equal(net(x[..., :8], sigma, prepared), net(x[..., :8], sigma, cut))


def test_nothing_is_copied_to_the_device_while_a_context_is_prepared() -> None:
    """CUDA graphs record no copies from the CPU: all that a network adds has to be made on the device."""

    class Refusing(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func in (torch.tensor, torch.as_tensor, torch.from_numpy):
                raise AssertionError(f"{func.__name__} copies from the CPU")
            return func(*args, **(kwargs or {}))

    net = network()
    (x, sigma, context), told = given(1), anchor(0.02)
    with Refusing():
        model = GuidedModel(net, context, 2.0, anchor=told)
        model(x, sigma)
