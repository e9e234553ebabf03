"""Contexts that the model itself has made, many windows in a row: what a long set is played from.

A network that is trained on real contexts only takes its own small errors for music and makes more of them; after
minutes they are all there is. Here a few pieces are always being continued by the average. Each training step adds one
window to all of them, and what is to be predicted next is what the real piece does at that place (as in scheduled
sampling, Bengio et al. 2015, but at every depth up to `MOST_WINDOWS`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_WINDOWS = 8

Continue = Callable[[Tensor, Tensor], Tensor]
"""Context `[b, past, c]` and noise `[b, c, window]` -> the next window `[b, window, c]`."""


@dataclass(frozen=True)
class Rolled:
    """What to train on: context `[b, past, c]`, the real next window `[b, window, c]`, and the noise `[b, c, window]`
    that the last window of the context was made from.
    """

    context: Tensor
    target: Tensor
    before: Tensor


class Rollouts:
    """Pieces being continued, one a row. `state` is kept in checkpoints: a resumed run goes on with them."""

    def __init__(self, past: int, window: int) -> None:
        self.past, self.window = past, window
        self.state: dict[str, Tensor] = {}

    def advance(self, fresh: Tensor, continue_: Continue, generator: torch.Generator) -> Rolled:
        """One window more for every row; rows that have come to their end, and some others, begin with `fresh`.

        `fresh` is `[b, past + n * window, c]` with n at least 2; a row is made at most n - 1 windows long.
        """
        windows = (fresh.shape[1] - self.past) // self.window
        if windows < 2:
            raise ValueError(f"stretches of {fresh.shape[1]} tokens leave nothing to continue")
        batch, channels = len(fresh), fresh.shape[2]
        draw = torch.randn(batch, channels, self.window, generator=generator).to(fresh)
        step = (torch.rand(batch, 1, 1, generator=generator) ** 2).to(fresh)
        # Some begin anew before their end, so that rows are of every depth at any time.
        tired = torch.rand(batch, generator=generator) < 1 / windows
        if self.state and self.state["stretch"].shape == fresh.shape:
            old = {name: value.to(fresh.device) for name, value in self.state.items()}
            new = (tired.to(fresh.device) | (old["made"] >= windows - 1))[:, None, None]
            stretch = torch.where(new, fresh, old["stretch"].to(fresh))
            context = torch.where(new, fresh[:, : self.past], old["context"].to(fresh))
            walked = (1 - step**2).sqrt() * old["noise"].to(fresh) + step * draw
            noise = torch.where(new, draw, walked)
            made = torch.where(new[:, 0, 0], 0, old["made"])
        else:
            stretch, context, noise = fresh, fresh[:, : self.past], draw
            made = torch.zeros(batch, dtype=torch.long, device=fresh.device)
        context = torch.cat([context, continue_(context, noise).to(context)], 1)[:, -self.past :]
        made = made + 1
        self.state = {"stretch": stretch, "context": context, "noise": noise, "made": made}
        places = (self.past + made * self.window)[:, None] + torch.arange(self.window, device=fresh.device)
        target = stretch.gather(1, places[:, :, None].expand(-1, -1, channels))
        return Rolled(context, target, noise)
