"""Plans for training: the music's true plan, earlier bars as a plan, noisy plans, and no plan."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.data.clips import Stretches
from jbdiff.networks.anchor import Anchor
from jbdiff.networks.echoes import Echo, echo_of
from jbdiff.networks.plan import CELLS, FORM, SHORT_FORM, Plan, cells_of, plan_of

# Shares of rows without a plan, and with the true plan of the music. All others have earlier bars as a plan.
NO_PLAN_CHANCE, TRUE_CHANCE = 0.15, 0.4
# The confidence of earlier bars as a plan. It shows the network that they are not the true plan.
REPEATED = 0.5
# chance, largest noise, and the deviation of latents that scales it
NOISE_CHANCE, NOISE, CELL_DEVIATION = 0.4, 0.6, 0.4
# chance and distance by which cells of a plan lie beside those of the bar, in cells
SHIFT_CHANCE, SHIFT = 0.5, 0.3


def true_plan(window: Tensor, place: Tensor, bars: Tensor, shift: Tensor | None = None) -> Plan:
    """Return the true plan of a window of bands `[b, t, c]`. place, bars: `[b]` in tokens; a bar of 0 gives no plan."""
    cells = _cells(window.shape[1], place, bars, shift)
    there = (bars.abs() > 0).to(window)[:, None].expand(-1, window.shape[1])
    return plan_of(window.transpose(1, 2), there, cells)


def repeated_plan(
    history: Tensor, tokens: int, place: Tensor, bars: Tensor, shift: Tensor | None = None
) -> Plan:
    """Return the bars eight bars ago in a history `[b, n, c]` as the plan of the next `tokens` tokens.

    If the history has no eight bars, four bars ago. place, bars: `[b]` in tokens. shift: `[b]` in cells.
    """
    echo = echo_of(history, bars, tokens, multiples=(FORM, SHORT_FORM))
    eight = echo.known[:, 0] > 0
    sound = torch.where(eight[:, None], echo.sound[:, 0], echo.sound[:, 1])
    return plan_of(
        sound, REPEATED * torch.where(eight, 1.0, echo.known[:, 1]), _cells(tokens, place, bars, shift)
    )


def plan_in_training(
    history: Tensor, window: Tensor, place: Tensor, bars: Tensor, generator: torch.Generator
) -> Plan:
    """Return a plan of a window `[b, t, c]` after a history `[b, n, c]`; each row gets a random kind."""
    device, rows, tokens = generator.device, len(window), window.shape[1]

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device).to(window)

    shift = (2 * random(rows) - 1) * SHIFT * (random(rows) < SHIFT_CHANCE)
    own = true_plan(window, place, bars, shift)
    repeated = repeated_plan(history, tokens, place, bars, shift)
    kind = random(rows)
    true = kind < NO_PLAN_CHANCE + TRUE_CHANCE
    values = torch.where(true[:, None, None], own.values, repeated.values)
    known = torch.where(true[:, None], own.known, repeated.known) * (kind >= NO_PLAN_CHANCE)[:, None]
    level = NOISE * random(rows) * (random(rows) < NOISE_CHANCE)
    most = int(tokens / max(1.0, float(bars.abs().clamp_min(1).min()) / CELLS)) + 2
    noise = torch.randn(rows, window.shape[2], most, generator=generator, device=device).to(window)
    cells = _cells(tokens, place, bars, shift)
    number = (cells - cells[:, :1]).clamp(max=most - 1)
    noise = noise.gather(2, number[:, None].expand(-1, window.shape[2], -1))
    values = values + CELL_DEVIATION * level[:, None, None] * noise * (known > 0)[:, None]
    return replace(own, values=values, known=known * (1 - level)[:, None])


def _cells(tokens: int, place: Tensor, bars: Tensor, shift: Tensor | None) -> Tensor:
    """Return the number of the cell of each token of a window, `[b, tokens]`; shift: `[b]`, in cells."""
    bars = bars.abs().clamp_min(1.0)
    if shift is not None:
        place = place + shift * bars / CELLS
    return cells_of(place, bars, tokens)


def place_in_bar(batch: Stretches, anchor: Anchor, past: int) -> Tensor:
    """Return the tokens from the beginning of a bar to the window, `[b]`.

    For a row that the run has continued itself, they come from the clock of the anchor. For other rows, they come from
    the place at which the row was cut.
    """
    cut = (batch.bars[:, 0] + past).to(batch.latents)
    beats = anchor.beat / anchor.tempo.clamp_min(1e-9)
    return torch.where(anchor.tempo > 0, beats.to(cut), cut)


def with_plans(echo: Echo, bands: Tensor, window: Tensor, place: Tensor, bar: Tensor) -> dict[str, Echo]:
    """Return the echoes with each kind of plan for the held-out losses, by name.

    bands: the music before, `[b, n, c]`. window: the music after it, `[b, channels, t]`. place, bar: `[b]` in tokens.
    """
    own = true_plan(window[:, : bands.shape[2]].transpose(1, 2), place, bar)
    last = repeated_plan(bands, window.shape[2], place, bar)
    silent = echo.kept(torch.zeros_like(echo.known[..., 0]))
    return {
        "true_plan": replace(echo, plan=own),
        "last_bars": replace(echo, plan=last),
        "last_bars_without_echoes": replace(silent, plan=last),
    }
