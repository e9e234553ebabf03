"""The planner: it sees what it should, at the right distance, and nothing of what it should not."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from jbdiff.config import PlannerConfig
from jbdiff.networks.plan import CELLS
from jbdiff.networks.planner import LAGS, Past, Planner
from jbdiff.stream.planning import PlanSettings, held, planned_cells

SMALL = PlannerConfig(channels=8, depth=2, window=32, past=128, left=16, heads=2, head_width=4)


def trained() -> Planner:
    """Random weights everywhere, also in layers that begin at zero."""
    torch.manual_seed(0)
    network = Planner(SMALL).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def past(cells: Tensor | None = None, known: Tensor | None = None) -> Past:
    torch.manual_seed(1)
    cells = torch.randn(1, SMALL.bands, SMALL.past) if cells is None else cells
    return Past(cells, torch.ones(1, SMALL.past) if known is None else known, torch.tensor([4]))


def estimate(network: Planner, given: Past, sigma: float = 1.0) -> Tensor:
    torch.manual_seed(2)
    x = torch.randn(1, SMALL.bands, SMALL.window)
    return network(x, torch.tensor([sigma]), network.prepare(given))


def test_an_untrained_planner_is_the_gaussian_estimate() -> None:
    network = Planner(SMALL).eval()
    cells = 0.5 * torch.randn(4000, SMALL.bands) @ torch.diag(torch.linspace(0.2, 1.0, SMALL.bands))
    network.set_statistics(cells)
    with torch.no_grad():
        v = estimate(network, past(), 0.5)
    torch.manual_seed(2)
    x = torch.randn(1, SMALL.bands, SMALL.window)
    alpha = beta = 0.5**0.5
    clean = alpha * x - beta * v
    covariance = (cells.T @ cells / len(cells)).double()
    wiener = covariance @ torch.linalg.inv(alpha**2 * covariance + beta**2 * torch.eye(SMALL.bands)) * alpha
    torch.testing.assert_close(clean[0], (wiener @ x[0].double()).float(), atol=1e-3, rtol=1e-3)


def test_what_is_not_known_has_no_influence() -> None:
    network, known = trained(), torch.ones(1, SMALL.past)
    known[:, :50] = 0
    one, other = torch.randn(1, SMALL.bands, SMALL.past), torch.randn(1, SMALL.bands, SMALL.past)
    other[..., 50:] = one[..., 50:]
    torch.testing.assert_close(estimate(network, past(one, known)), estimate(network, past(other, known)))


def test_confidence_and_place_in_the_bar_reach_the_estimate() -> None:
    network, given = trained(), past()
    whole = estimate(network, given)
    for other in (
        dataclasses.replace(given, known=0.5 * given.known),
        dataclasses.replace(given, place=torch.tensor([5])),
    ):
        assert float((estimate(network, other) - whole).abs().max()) > 1e-4
    same = dataclasses.replace(given, place=torch.tensor([4 + CELLS]))
    torch.testing.assert_close(estimate(network, same), whole)


def changed_cells(network: Planner, kept: Tensor, place: int) -> Tensor:
    """How much each cell of the estimate depends on the cell `place` of the past, `[window]`."""
    cells = torch.zeros(1, SMALL.bands, SMALL.past)
    moved = cells.clone()
    moved[..., place] = 3.0
    one, other = (estimate(network, dataclasses.replace(past(part), kept=kept)) for part in (cells, moved))
    return (one - other).abs().sum((0, 1))


@pytest.mark.parametrize("number", [2, 3])
def test_an_echo_lies_its_lag_back(number: int) -> None:
    """Of the lags that reach farther back than the cells beside the window."""
    network = trained()
    network.attention.clear()  # what is left between times are convolutions over a few cells, and the echoes
    kept = torch.zeros(1, len(LAGS))
    kept[0, number] = 1
    place = SMALL.past + 9 - LAGS[number]
    seen = changed_cells(network, kept, place)
    assert int(seen.argmax()) in range(6, 13)
    # Without the echo the place is seen in the mean of the past alone, which is the same in every cell.
    assert float(changed_cells(network, torch.zeros_like(kept), place).max()) < 0.5 * float(seen.max())


@pytest.mark.parametrize("number", range(len(LAGS)))
def test_every_echo_can_be_left_out(number: int) -> None:
    network, kept = trained(), torch.ones(1, len(LAGS))
    whole = estimate(network, dataclasses.replace(past(), kept=kept))
    torch.testing.assert_close(whole, estimate(network, past()))
    kept = kept.clone()
    kept[0, number] = 0
    assert float((estimate(network, dataclasses.replace(past(), kept=kept)) - whole).abs().max()) > 1e-4


def test_several_levels_share_one_past() -> None:
    network, given = trained(), dataclasses.replace(past(), kept=torch.ones(1, len(LAGS)))
    x, sigma = torch.randn(2, SMALL.bands, SMALL.window), torch.tensor([0.3, 0.8])
    prepared = network.prepare(given)
    together = network(x, sigma, prepared.repeat(2))
    for row in range(2):
        alone = network(x[row : row + 1], sigma[row : row + 1], prepared)
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-4)


def test_a_past_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="past of"):
        Planner(SMALL).prepare(Past(torch.zeros(1, 100, 5), torch.zeros(1, 5), torch.tensor([0])))


# Plans ahead


def test_plans_go_on_four_bars_at_a_time_and_are_the_same_for_the_same_seed() -> None:
    network, cells = trained(), torch.randn(40, SMALL.bands, generator=torch.Generator().manual_seed(3))
    few = PlanSettings(seed=1, steps=2)
    plan = planned_cells(network, cells, 50, few)
    assert plan.shape == (50, SMALL.bands)
    assert torch.equal(planned_cells(network, cells, 40, few), plan[:40]), (
        "what comes later changes nothing before"
    )
    assert not torch.allclose(planned_cells(network, cells, 40, PlanSettings(seed=2, steps=2)), plan[:40])


def test_a_plan_that_begins_from_the_bars_before_at_no_noise_repeats_them() -> None:
    cells = torch.randn(64, SMALL.bands, generator=torch.Generator().manual_seed(3))
    plan = planned_cells(trained(), cells, 32, PlanSettings(steps=1, start=0.0))
    torch.testing.assert_close(plan, held(cells[-32:], cells), atol=1e-4, rtol=1e-4)


def test_level_and_spread_of_a_plan_are_held() -> None:
    torch.manual_seed(0)
    cells = torch.randn(400, 3) * torch.tensor([0.5, 0.2, 0.0]) + torch.tensor([0.0, 1.0, -1.0])
    plan = 1.2 * (cells - cells.mean(0)) + cells.mean(0) + 3.0
    after = held(plan, cells)
    torch.testing.assert_close(after.std(0), cells.std(0), atol=1e-3, rtol=1e-3)
    assert bool(((after.mean(0) - cells.mean(0)).abs() <= 0.5 * cells.std(0).clamp_min(0.08) + 1e-4).all())


def test_nothing_to_begin_after_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one cell"):
        planned_cells(trained(), torch.zeros(0, SMALL.bands), 16)
    odd = Planner(dataclasses.replace(SMALL, window=20))
    with pytest.raises(ValueError, match="whole number of bars"):
        planned_cells(odd, torch.zeros(8, SMALL.bands), 16)
