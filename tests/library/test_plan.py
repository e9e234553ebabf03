"""Plans: cells in the right places, means over them, and a denoiser that follows a plan as far as it is known."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from jbdiff.config import POCKET, JointDenoiserConfig, stack_from_dict, stack_to_dict
from jbdiff.guidance import GuidedModel
from jbdiff.networks.echoes import Echo, no_echo
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.plan import CELLS, Plan, cell_means, cell_pool, cells_of, plan_of
from jbdiff.stream.window import echo_from_parts, echo_parts

PLAIN = JointDenoiserConfig(
    latent_channels=100,
    window_tokens=16,
    context_tokens=32,
    patch=4,
    width=16,
    depth=1,
    heads=2,
    echo_channels=4,
)
PLANNED = dataclasses.replace(PLAIN, plan=True)


def test_cells_are_counted_from_the_beginning_of_the_bar() -> None:
    cells = cells_of(torch.tensor([0.0, 40.0, -8.0]), torch.tensor([64.0, 64.0, 64.0]), 8)
    assert cells.tolist() == [[0] * 4 + [1] * 4, [10] * 4 + [11] * 4, [-2] * 4 + [-1] * 4]
    # 2.5 tokens a cell: the middle of a token decides.
    assert cells_of(torch.zeros(1), torch.tensor([40.0]), 10)[0].tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]


def test_a_plan_has_the_means_of_a_sound_over_its_cells() -> None:
    torch.manual_seed(0)
    sound, cells = torch.randn(1, 3, 8), torch.tensor([[0, 0, 1, 1, 1, 2, 2, 2]])
    plan = plan_of(sound, torch.ones(1, 8), cells)
    for cell in range(3):
        own = cells[0] == cell
        mean = sound[0][:, own].mean(1, keepdim=True)
        torch.testing.assert_close(plan.values[0][:, own], mean.expand(-1, int(own.sum())))
    torch.testing.assert_close(plan.values @ plan.pool, plan.values)  # a plan is its own mean
    assert plan.known.tolist() == [[1.0] * 8]


def test_tokens_that_are_not_known_do_not_enter_a_plan() -> None:
    sound = torch.tensor([[[1.0, 9.0, 3.0, 9.0, 9.0, 9.0]]])
    plan = plan_of(sound, torch.tensor([[1.0, 0.0, 0.5, 0.5, 0.0, 0.0]]), torch.tensor([[0, 0, 1, 1, 2, 2]]))
    assert plan.values[0, 0].tolist() == [1.0, 1.0, 6.0, 6.0, 0.0, 0.0]
    assert plan.known[0].tolist() == [0.5, 0.5, 0.5, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("bar", [160.0, 171.3])
def test_means_of_cells_that_begin_between_tokens(bar: float) -> None:
    """Of a straight line the mean over a cell is its value in the cell's middle."""
    line = (
        torch.arange(600.0, dtype=torch.float64)[:, None] + 0.5
    )  # the value of a token is the place of its middle
    place = 25.0
    means = cell_means(line, bar, place)
    size = bar / CELLS
    first = (-place % size) + size / 2
    expected = first + size * torch.arange(len(means), dtype=torch.float64)
    # Within a token the sum is a straight line, not the square that a sloping line asks for.
    torch.testing.assert_close(means[:, 0], expected, atol=0.02, rtol=0)
    assert len(means) == int((600 - (-place % size)) / size)


def test_too_short_a_sound_has_no_cells() -> None:
    assert cell_means(torch.zeros(3, 2), 160.0, 0.0).shape == (0, 2)


def trained(config: JointDenoiserConfig) -> JointDenoiser:
    """Random weights everywhere, also in layers that begin at zero."""
    torch.manual_seed(0)
    network = JointDenoiser(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def with_plan(plan: Plan | None) -> Echo:
    return dataclasses.replace(no_echo(1, 100, 16), plan=plan)


def a_plan(known: float = 1.0) -> Plan:
    cells = torch.arange(16)[None] // 4
    return plan_of(torch.randn(1, 100, 16), torch.full((1, 16), known), cells)


def test_what_is_learnt_for_plans_begins_as_no_change_and_a_plan_that_is_not_known_is_none() -> None:
    plain = trained(PLAIN)
    planned = JointDenoiser(PLANNED).eval().requires_grad_(False)
    own = {name: value for name, value in planned.state_dict().items() if name.startswith("plan_inputs.")}
    planned.load_state_dict(own | plain.state_dict())
    x, sigma, context, plan = torch.randn(1, 100, 16), torch.tensor([0.7]), torch.randn(1, 32, 100), a_plan()

    def estimate(network: JointDenoiser, plan: Plan | None) -> Tensor:
        return network(x, sigma, network.prepare_context(context, None, 1, echo=with_plan(plan)))

    unknown = dataclasses.replace(plan, known=torch.zeros(1, 16))
    for given in (None, unknown, plan):
        torch.testing.assert_close(estimate(planned, given), estimate(plain, given))
    torch.testing.assert_close(estimate(plain, unknown), estimate(plain, None))


def test_from_pure_noise_the_estimate_has_the_means_of_the_plan() -> None:
    planned = trained(PLAIN)
    for parts in (
        planned.lines.out,
        planned.echo_lines.out,
    ):  # what comes after the plan would move the estimate again
        torch.nn.init.zeros_(parts.weight)
        torch.nn.init.zeros_(parts.bias)
    x, plan = torch.randn(1, 100, 16), a_plan()
    v = planned(x, torch.ones(1), planned.prepare_context(None, None, 1, echo=with_plan(plan)))
    torch.testing.assert_close(-v @ plan.pool, plan.values, atol=1e-4, rtol=1e-4)


def test_values_and_confidence_of_a_plan_reach_the_estimate() -> None:
    network = trained(PLANNED)
    x, sigma, context, plan = torch.randn(1, 100, 16), torch.tensor([0.7]), torch.randn(1, 32, 100), a_plan()

    def estimate(plan: Plan | None) -> Tensor:
        return network(x, sigma, network.prepare_context(context, None, 1, echo=with_plan(plan)))

    whole = estimate(plan)
    for other in (
        None,
        dataclasses.replace(plan, known=0.5 * plan.known),
        dataclasses.replace(plan, values=0.5 * plan.values),
    ):
        assert float((estimate(other) - whole).abs().max()) > 1e-3


def test_both_branches_of_guidance_have_the_plan() -> None:
    network = trained(PLANNED)
    x, sigma, context, plan = torch.randn(1, 100, 16), torch.tensor([0.5]), torch.randn(1, 32, 100), a_plan()

    def branch(drop: bool) -> Tensor:
        told = network.prepare_context(context, torch.tensor([drop]), 1, echo=with_plan(plan))
        return network(x, sigma, told)

    guided = GuidedModel(network, context, 2.0, echo=with_plan(plan))(x, sigma)
    torch.testing.assert_close(
        guided, branch(True) + 2.0 * (branch(False) - branch(True)), atol=1e-3, rtol=1e-3
    )


def test_echoes_and_their_plan_pass_through_a_recording_as_tensors() -> None:
    for echo in (with_plan(a_plan()), with_plan(None)):
        back = echo_from_parts(echo_parts(echo))
        assert back is not None and torch.equal(back.known, echo.known)
        assert (back.plan is None) == (echo.plan is None)
        if back.plan is not None and echo.plan is not None:
            assert torch.equal(back.plan.values, echo.plan.values) and torch.equal(
                back.plan.pool, echo.plan.pool
            )
    assert echo_from_parts(()) is None


def test_rows_of_a_plan_are_repeated_and_taken_alone() -> None:
    plan = a_plan()
    two = plan.doubled()
    assert two.values.shape[0] == 2 and torch.equal(two.first(1).pool, plan.pool)
    assert torch.equal(plan.repeat(3).known, plan.known.expand(3, -1))
    pool = cell_pool(torch.tensor([[0, 0, 1]]))
    assert torch.equal(pool, torch.tensor([[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]]))


def test_plan_inputs_need_echoes() -> None:
    with pytest.raises(ValueError, match="need echoes"):
        JointDenoiser(dataclasses.replace(PLANNED, echo_channels=0))


def test_stacks_without_a_plan_keep_their_identity() -> None:
    level = POCKET.level(2)
    without = dataclasses.replace(POCKET, levels=(dataclasses.replace(level, denoiser=PLAIN),))
    assert "plan" not in stack_to_dict(without)["levels"][0]["denoiser"]
    planned = dataclasses.replace(POCKET, levels=(dataclasses.replace(level, denoiser=PLANNED),))
    assert stack_from_dict(stack_to_dict(planned)) == planned
