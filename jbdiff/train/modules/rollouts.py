"""Contexts that the model itself has made, many windows in a row: what a long set is played from.

A network that is trained on real contexts only takes its own small errors for music and makes more of them; after
minutes they are all there is. Here pieces are always being continued by the average. Each training step adds one
window to all of them, and what is to be predicted next is what the real piece does at that place (as in scheduled
sampling, Bengio et al. 2015, but at every depth up to `MOST_WINDOWS`). Where the bars of a piece are known, whole bars
of it come round again, so that a row goes on for longer than the piece.

A network with echoes would learn from this to mistrust them: after a free invention the real piece is in another key.
So most windows begin from the real one, noised to some level: they are in the network's own sound, and keep its notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from jbdiff.diffusion.noise import step_from
from jbdiff.networks.anchor import Anchor

STRETCH_WINDOWS = 8  # of the real piece, beside the context
HISTORY_WINDOWS = 8  # before it, for networks with echoes
MOST_WINDOWS = 64  # that a row is made long
TIRED_CHANCE = 1 / 16  # of a row to begin anew before that


@dataclass(frozen=True)
class Next:
    """What the next window of every row is made from."""

    context: Tensor  # [b, past, c]
    noise: Tensor  # [b, c, window]
    anchor: Anchor
    bars: Tensor  # [b] tokens a bar, 0 where it is not known
    real: Tensor  # [b, window, c] what the piece does there


Continue = Callable[[Next], Tensor]
"""The next window `[b, window, c]`."""


@dataclass(frozen=True)
class Rolled:
    """What to train on: context `[b, past, c]`, the real next window `[b, window, c]` and its anchor, and the noise
    `[b, c, t]` that the last window of the context was made from.
    """

    context: Tensor
    target: Tensor
    before: Tensor
    anchor: Anchor


class Rollouts:
    """Pieces being continued, one a row. `state` is kept in checkpoints: a resumed run goes on with them."""

    def __init__(self, past: int, window: int) -> None:
        self.past, self.window = past, window
        self.state: dict[str, Tensor] = {}

    def advance(
        self, fresh: Tensor, bars: Tensor, anchor: Anchor, continue_: Continue, generator: torch.Generator
    ) -> Rolled:
        """One window more for every row; rows that have come to their end, and some others, begin with `fresh`.

        `fresh` is `[b, past + n * window, c]` with n at least 2, `bars` `[b]` how many tokens a bar of each has, 0
        where it is not known; `anchor` is that of its first window. A row with bars is made up to `MOST_WINDOWS` long,
        any other n - 1 windows.
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
        # Some begin anew before their end, so that rows are of every depth at any time.
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
            new = new | (old["made"] >= most)
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
        """What each piece does after so many windows were made of it, `[b, window, c]`."""
        stretch, loop = rows["stretch"], rows["loop"][:, None]
        window = torch.arange(self.window, device=stretch.device)
        places = (self.past + rows["made"] * self.window)[:, None] + window
        places = torch.where(loop > 0, places % loop.clamp_min(1), places)
        return stretch.gather(1, places[:, :, None].expand(-1, -1, stretch.shape[2]))


def whole_bars(bars: Tensor, tokens: int) -> Tensor:
    """Tokens of as many whole bars as `tokens` hold, `[b]` whole numbers; 0 where not even one does, or none is known.

    Only bars of a whole number of tokens come round without the beat moving.
    """
    whole = (bars > 0) & ((bars - bars.round()).abs() < 1e-3) & (bars <= tokens)
    length = bars.round().long().clamp_min(1)
    return torch.where(whole, tokens // length * length, 0)
