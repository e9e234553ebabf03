"""Schedules, samplers, guidance, fades and lengths, apart from recorded results."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from jbdiff.audio.crossfade import Crossfade, crossfade, weights
from jbdiff.config import POCKET, V1
from jbdiff.diffusion.samplers import SAMPLERS, Sampler, Step, sampler_named
from jbdiff.diffusion.schedules import alpha_beta, linear_sigmas, noised, truncated_sigmas
from jbdiff.geometry import Geometry
from jbdiff.guidance import GuidedModel
from jbdiff.stacks.stack import Stack

# Power of the step with which the error falls. deis_3 lies between its own order and that of its first step.
ORDERS = {"vddim": 1, "dpmpp_2m": 2, "deis_3": 2.3, "unipc": 3}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)


def gaussian_model(spread: float):
    """The exact v for data drawn from N(0, spread^2): its probability flow keeps each x's quantile."""

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        alpha, beta = alpha_beta(sigma[:, None, None])
        power = (alpha * spread) ** 2 + beta**2
        clean, noise = alpha * spread**2 * x / power, beta * x / power
        return alpha * noise - beta * clean

    return model


def solution_error(sampler: Sampler, steps: int, start: float = 1.0, end: float = 0.0) -> float:
    """Distance to the exact solution of `gaussian_model(0.5)`, whose flow scales every x alike."""
    sigmas = torch.linspace(start, end, steps + 1, dtype=torch.float64)
    alpha, beta = alpha_beta(sigmas[[0, -1]])
    spreads = ((alpha * 0.5) ** 2 + beta**2).sqrt()
    x = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sample = sampler(gaussian_model(0.5), x, sigmas)
    return float((sample - x * spreads[1] / spreads[0]).abs().mean())


@every_sampler
@pytest.mark.parametrize("start", [1.0, 0.5])
def test_samplers_reach_the_exact_solution(sampler: Sampler, start: float) -> None:
    errors = [solution_error(sampler, steps, start) for steps in (25, 100, 400)]
    assert errors[0] < 0.03 and errors[1] < 0.01 and errors[2] < 0.002
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("name", SAMPLERS)
def test_errors_fall_with_the_samplers_order(name: str) -> None:
    sampler = SAMPLERS[name]
    errors = [solution_error(sampler, steps, 0.8, 0.2) for steps in (16, 32, 64)]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(ORDERS[name], abs=0.35)


def test_higher_orders_need_fewer_steps() -> None:
    vddim = SAMPLERS["vddim"]
    for name in ("deis_3", "unipc"):
        for start, steps in itertools.product((1.0, 0.5), (4, 8, 20)):
            assert solution_error(SAMPLERS[name], steps, start) < 0.7 * solution_error(vddim, steps, start)


@every_sampler
@pytest.mark.parametrize("start", [1.0, 0.6])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_a_point_mass_is_solved_exactly(sampler: Sampler, start: float, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    clean, noise = (torch.randn(2, 4, 16, generator=generator, dtype=torch.float64) for _ in range(2))

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        alpha, beta = alpha_beta(sigma[:, None, None])
        return (alpha * x - clean) / beta

    sigmas = linear_sigmas(steps, start).double()
    sample = sampler(model, noised(clean, noise, sigmas[0]), sigmas)
    torch.testing.assert_close(sample, clean, atol=1e-9, rtol=0)


@every_sampler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_of_a_batch_go_alone_and_keep_their_type(sampler: Sampler, dtype: torch.dtype) -> None:
    x = torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(2), dtype=dtype)
    given: list[tuple[torch.Size, torch.dtype, torch.dtype]] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        given.append((sigma.shape, sigma.dtype, x.dtype))
        return gaussian_model(0.5)(x, sigma)

    sample = sampler(model, x, linear_sigmas(5))
    assert sample.dtype == dtype and sample.shape == x.shape and sample.device == x.device
    assert set(given) == {(torch.Size([3]), dtype, dtype)}
    alone = torch.cat([sampler(gaussian_model(0.5), row[None], linear_sigmas(5)) for row in x])
    torch.testing.assert_close(sample, alone)


@every_sampler
def test_callback_sees_every_call_before_the_next_and_may_stop(sampler: Sampler) -> None:
    log: list[float | str] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        log.append("call")
        return torch.zeros_like(x)

    def watch(step: Step) -> None:
        log.append(step.sigma)
        if step.index == 2:
            raise InterruptedError

    sigmas = linear_sigmas(5, 0.8)
    with pytest.raises(InterruptedError):
        sampler(model, torch.ones(1, 4, 16), sigmas, watch)
    assert log == ["call", float(sigmas[0]), "call", float(sigmas[1]), "call", float(sigmas[2])]


@every_sampler
def test_what_is_not_finite_is_handed_on_to_the_caller(sampler: Sampler) -> None:
    sample = sampler(lambda x, sigma: torch.full_like(x, math.nan), torch.ones(1, 4, 16), linear_sigmas(4))
    assert sample.isnan().all()


def test_samplers_go_by_name() -> None:
    assert {"vddim", "dpmpp_2m"} <= set(SAMPLERS) == set(ORDERS)
    assert sampler_named("vddim") is SAMPLERS["vddim"]
    with pytest.raises(ValueError, match="no sampler 'euler'; known: vddim, "):
        sampler_named("euler")


@every_sampler
@pytest.mark.parametrize("start", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_partial_denoising_stays_finite_and_makes_as_many_calls(
    sampler: Sampler, start: float, steps: int
) -> None:
    seen: list[Step] = []
    init = torch.randn(2, 4, 16)
    sigmas = linear_sigmas(steps, start)
    x = noised(init, torch.randn(2, 4, 16), sigmas[0])
    sample = sampler(gaussian_model(0.5), x, sigmas, seen.append)
    assert torch.isfinite(sample).all()
    assert [step.index for step in seen] == list(range(steps))
    assert {step.count for step in seen} == {steps}
    if start == 0.0:
        assert torch.allclose(sample, init, atol=1e-6)


def test_live_schedule_spreads_all_steps_and_v1_drops_some() -> None:
    live, v1 = linear_sigmas(10, start=0.4), truncated_sigmas(10, strength=0.6)
    assert len(live) == 11 and len(v1) == 5
    assert float(live[0]) == pytest.approx(0.4) and float(v1[0]) == pytest.approx(0.4)
    assert float(live[-1]) == float(v1[-1]) == 0.0
    assert len(truncated_sigmas(7, 0.67)) == 8 - 4
    for bad in (lambda: linear_sigmas(0), lambda: linear_sigmas(3, 1.1), lambda: truncated_sigmas(3, -0.1)):
        with pytest.raises(ValueError):
            bad()


class Watching(torch.nn.Module):
    """v = the mean of the context, 0 where it is dropped; counts calls."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x: Tensor, sigma: Tensor, context: Tensor | None = None, drop: Tensor | None = None):
        self.batches.append(x.shape[0])
        if context is None:
            return torch.zeros_like(x)
        v = torch.ones_like(x) * context.mean()
        return v if drop is None else v * (~drop[:, None, None])


@pytest.mark.parametrize(
    ("scale", "batch", "value"), [(1.0, 3, 2.0), (0.0, 3, 0.0), (4.0, 6, 8.0), (0.5, 6, 1.0)]
)
def test_guidance_runs_both_branches_in_one_batch_and_only_when_needed(
    scale: float, batch: int, value: float
) -> None:
    net = Watching()
    model = GuidedModel(net, torch.full((3, 5, 4), 2.0), scale, batch=3)
    v = model(torch.zeros(3, 4, 16), torch.ones(3))
    assert net.batches == [batch]
    assert torch.allclose(v, torch.full_like(v, value))


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_both_branches_on_request_give_the_same_result(scale: float) -> None:
    context = torch.full((1, 5, 4), 2.0)
    x, sigma = torch.zeros(1, 4, 16), torch.ones(1)
    net = Watching()
    always = GuidedModel(net, context, scale, both_branches=True)
    assert torch.allclose(always(x, sigma), GuidedModel(Watching(), context, scale)(x, sigma))
    assert net.batches == [2]


def test_outside_of_its_interval_guidance_costs_and_does_nothing(toy_stack: Stack) -> None:
    net, context = Watching(), torch.full((1, 5, 4), 2.0)
    model = GuidedModel(net, context, 4.0, both_branches=True, interval=(0.3, 0.6))
    x = torch.zeros(1, 4, 16)
    values = [float(model(x, torch.full((1,), sigma)).mean()) for sigma in (1.0, 0.59, 0.5, 0.31, 0.25)]
    assert values == [2.0, 8.0, 8.0, 8.0, 2.0]
    assert net.batches == [1, 2, 2, 2, 1]
    model.scale = 0.5  # half of the context, at every level
    assert [float(model(x, torch.full((1,), sigma)).mean()) for sigma in (1.0, 0.5)] == [1.0, 1.0]
    # So does what was prepared: the conditional branch is what it is alone.
    unet, heard = toy_stack.denoisers[2], torch.randn(2, 16, 64)
    x, sigma = torch.randn(2, 64, 16), torch.ones(2)
    guided = GuidedModel(unet, heard, 4.0, batch=2, interval=(0.0, 0.6))
    torch.testing.assert_close(guided(x, sigma), unet(x, sigma, heard), atol=1e-4, rtol=1e-4)
    everywhere = GuidedModel(unet, heard, 4.0, batch=2)
    assert torch.equal(guided(x, 0.5 * sigma), everywhere(x, 0.5 * sigma))


@pytest.mark.parametrize("scale", [4.0, torch.tensor(4.0, device="meta")])
def test_on_a_device_the_interval_is_asked_for_without_a_copy_to_the_cpu(scale: float | torch.Tensor) -> None:
    """Meta tensors have a shape and no values: whoever reads one fails, as a recording of CUDA's would."""
    net, context = Watching(), torch.zeros(1, 5, 4, device="meta")
    model = GuidedModel(
        net, context, 1.0, both_branches=True, rescale=1.0, interval=(0.3, 0.6), device="meta"
    )
    model.scale = scale
    x, sigma = torch.zeros(1, 4, 16, device="meta"), torch.ones(1, device="meta")
    assert model(x, sigma).shape == x.shape and net.batches == [2]


def test_context_prepared_once_gives_what_it_gives_every_step(toy_stack: Stack) -> None:
    net = toy_stack.denoisers[2]
    generator = torch.Generator().manual_seed(2)
    x, context = (torch.randn(2, 64, 16, generator=generator) for _ in range(2))
    drop, sigma = torch.tensor([False, True]), torch.tensor([0.3, 0.9])
    prepared = net.prepare_context(context.transpose(1, 2), drop, 2)
    assert torch.equal(net(x, sigma, prepared), net(x, sigma, context.transpose(1, 2), drop))
    everyone = torch.tensor([True, True])
    null = net.null_context.weight[None].expand(2, -1, -1)
    assert torch.allclose(net(x, sigma), net(x, sigma, torch.zeros_like(null), everyone), atol=1e-6)


@pytest.mark.parametrize("curve", list(Crossfade))
def test_fades_begin_with_one_and_end_with_the_other(curve: Crossfade) -> None:
    leaving, arriving = weights(100, curve)
    assert leaving[0] == pytest.approx(1) and arriving[0] == 0
    assert leaving[-1] == pytest.approx(0, abs=1e-6) and arriving[-1] == pytest.approx(1)


def test_equal_power_keeps_the_power_and_linear_the_amplitude() -> None:
    leaving, arriving = weights(100, Crossfade.EQUAL_POWER)
    assert torch.allclose(leaving**2 + arriving**2, torch.ones(100))
    same = torch.randn(1, 2, 100)
    assert torch.allclose(crossfade(same, same), same, atol=1e-6)
    with pytest.raises(ValueError, match="differ in shape"):
        crossfade(torch.zeros(3), torch.zeros(4))


def test_lengths_of_the_published_stack() -> None:
    v1 = Geometry(V1)
    assert [v1.hop(level) for level in (2, 1, 0)] == [128, 32, 8]
    assert [v1.window_samples(level) for level in (2, 1, 0)] == [98_304, 24_576, 6_144]
    assert v1.context_samples(2) == 2 * 98_304
    assert v1.windows_inside(1, 2) == v1.windows_inside(0, 1) == 4
    assert v1.seconds(v1.window_samples(2)) == pytest.approx(2.229, abs=1e-3)
    assert v1.frames(1.0) == 44_100
    assert v1.tokens(98_304, 2) == 768 and v1.whole_tokens(98_303, 2) == 767
    with pytest.raises(ValueError, match="whole tokens"):
        v1.tokens(98_303, 2)


def test_pocket_plays_windows_of_the_published_length() -> None:
    assert Geometry(POCKET).window_samples(2) == Geometry(V1).window_samples(2)


def test_alpha_and_beta_lie_on_the_circle() -> None:
    alpha, beta = alpha_beta(torch.tensor([0.0, 0.5, 1.0]))
    assert torch.allclose(alpha**2 + beta**2, torch.ones(3))
    assert beta.tolist() == pytest.approx([0, math.sqrt(0.5), 1])


def test_rescaled_guidance_keeps_the_spread_of_the_conditional_estimate() -> None:
    class Louder:
        """Wants x - v = a clean window of spread 1 with context and 0.5 without, whatever x is."""

        def __call__(self, x, sigma, context=None, drop=None):  # type: ignore[no-untyped-def]
            angle = sigma[:, None, None] * math.pi / 2
            clean = torch.where(drop[:, None, None], 0.5, 1.0) * target
            return (angle.cos() * x - clean) / angle.sin()

    target = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(3))
    context, sigma = torch.zeros(1, 2, 4), torch.tensor([0.6])
    x = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(4))

    def clean(rescale: float) -> torch.Tensor:
        v = GuidedModel(Louder(), context, 3.0, rescale=rescale)(x, sigma)
        angle = sigma * math.pi / 2
        return angle.cos() * x - angle.sin() * v

    torch.testing.assert_close(clean(0.0), 2.0 * target, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(clean(1.0), target, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(clean(0.5), 1.5 * target, atol=1e-4, rtol=1e-4)
