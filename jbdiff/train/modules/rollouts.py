"""Contexts for training that the model itself has made, many windows in a row, as in a long set.

A network that is trained on real contexts only treats its own small errors as music and enlarges them. After minutes
nothing else is left. Here the average continues pieces all the time. Each training step adds one window to every piece,
and the target is the real piece at that place. This is scheduled sampling (Bengio et al. 2015), but at every depth up
to `MOST_WINDOWS`. If the bars of a piece are known, whole bars of it are repeated, so that a row can be longer than
the piece.

From this alone, a network with echoes would learn not to trust them: after a free continuation the real piece is in
another key. So most windows start from the real window, noised to some level. They have the network's own sound and
the notes of the piece.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jbdiff.diffusion.noise import step_from
from jbdiff.networks.anchor import Anchor

STRETCH_WINDOWS = 8  # windows of the real piece after the context
HISTORY_WINDOWS = 8  # windows before it, for networks with echoes
MOST_WINDOWS = 64  # greatest length of a row
TIRED_CHANCE = 1 / 16  # chance, at each window, that a row begins anew before that length
# Latents beyond this have exploded: their deviation is .5. A row that continues itself may do that, because training
# has no governor. Its next windows would be infinite, and the weights with them.
EXPLODED = 8.0


@dataclass(frozen=True)
class Next:
    """The inputs for the next window of every row."""

    context: Tensor  # [b, past, c]
    noise: Tensor  # [b, c, window]
    anchor: Anchor
    bars: Tensor  # [b] tokens a bar, 0 if unknown
    real: Tensor  # [b, window, c] the real piece at that place


Continue = Callable[[Next], Tensor]
"""The next window `[b, window, c]`."""


@dataclass(frozen=True)
class Rolled:
    """A training batch from rollouts.

    `context` `[b, past, c]`; `target`, the real next window `[b, window, c]`, and its anchor; `before`, the noise
    `[b, c, t]` of the last window of the context.
    """

    context: Tensor
    target: Tensor
    before: Tensor
    anchor: Anchor


class Rollouts:
    """Pieces that are being continued, one per row.

    `state` is kept in checkpoints, so a resumed run goes on with them.
    """

    def __init__(self, past: int, window: int) -> None:
        self.past, self.window = past, window
        self.state: dict[str, Tensor] = {}

    def advance(
        self, fresh: Tensor, bars: Tensor, anchor: Anchor, continue_: Continue, generator: torch.Generator
    ) -> Rolled:
        """Continue every row by one window and return the next training batch.

        Rows that are at their end, and some others, begin anew with `fresh`.

        fresh: `[b, past + n * window, c]` with n at least 2. bars: `[b]`, tokens a bar of each piece, 0 if unknown.
        anchor: that of the first window of `fresh`. A row with bars gets up to `MOST_WINDOWS` windows, any other n - 1.
        Raises ValueError if n is less than 2.
        """
        windows = (fresh.shape[1] - self.past) // self.window
        if windows < 2:
            raise ValueError(f"stretches of {fresh.shape[1]} tokens leave nothing to continue")
        batch, channels = len(fresh), fresh.shape[2]
        device = generator.device

        def random(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device).to(fresh)

        draw = torch.randn(batch, channels, self.window, generator=generator, device=device).to(fresh)
        step = random(batch, 1, 1) ** 2
        # Some rows begin anew before their end, so that a batch always has rows of all depths.
        new = random(batch) < TIRED_CHANCE
        rows = {
            "stretch": fresh,
            "context": fresh[:, : self.past],
            "noise": draw,
            "made": torch.zeros(batch, dtype=torch.long, device=fresh.device),
            "loop": whole_bars(bars, fresh.shape[1]),
            "bars": bars.to(fresh),
            **anchor.rows(),
        }
        if self.state.keys() == rows.keys() and self.state["stretch"].shape == fresh.shape:
            old = {name: value.to(fresh.device) for name, value in self.state.items()}
            most = torch.where(old["loop"] > 0, MOST_WINDOWS, windows) - 1
            new = new | (old["made"] >= most) | exploded(old["context"][:, -self.window :])
            old["noise"] = step_from(old["noise"].to(fresh), draw, step)
            rows = {
                name: torch.where(new.reshape(-1, *[1] * (value.ndim - 1)), value, old[name].to(value.dtype))
                for name, value in rows.items()
            }
        anchor = Anchor.from_rows(rows)
        coming = Next(rows["context"], rows["noise"], anchor, rows["bars"], self._real(rows))
        made = continue_(coming).to(rows["context"])
        rows["context"] = torch.cat([rows["context"], made], 1)[:, -self.past :]
        rows["made"] = rows["made"] + 1
        anchor = anchor.at(self.window)
        self.state = rows | anchor.rows()
        return Rolled(rows["context"], self._real(rows), rows["noise"], anchor)

    def _real(self, rows: dict[str, Tensor]) -> Tensor:
        """Return the real window `[b, window, c]` of each piece at the place that its row has reached."""
        stretch, loop = rows["stretch"], rows["loop"][:, None]
        window = torch.arange(self.window, device=stretch.device)
        places = (self.past + rows["made"] * self.window)[:, None] + window
        places = torch.where(loop > 0, places % loop.clamp_min(1), places)
        return stretch.gather(1, places[:, :, None].expand(-1, -1, stretch.shape[2]))


def exploded(latents: Tensor) -> Tensor:
    """Return which rows `[b]` (bool) of latents `[b, ...]` have a value beyond `EXPLODED`, or one that is no number."""
    return ~(latents.flatten(1).abs().amax(1) <= EXPLODED)


def whole_bars(bars: Tensor, tokens: int) -> Tensor:
    """Return the length in tokens of the whole bars that fit into `tokens`, `[b]` whole numbers.

    0 if no bar fits or the bar is unknown. Only bars with a whole number of tokens can be repeated without moving the
    beat.
    """
    whole = (bars > 0) & ((bars - bars.round()).abs() < 1e-3) & (bars <= tokens)
    length = bars.round().long().clamp_min(1)
    return torch.where(whole, tokens // length * length, 0)
