"""What a level reads from its state before a window, and how the state grows after a block.

If a block is shorter than a window, the newest `held` tokens of the level's history lie at the beginning of the next
window: they are known, with the noise that they grew from. The context ends where they begin.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.stream.decode import repeated
from jbdiff.stream.sizes import LevelSizes
from jbdiff.stream.state import LevelState


def held_tokens(own: LevelState, sizes: LevelSizes) -> int:
    """Tokens at a window's beginning that were played already, and not forgotten since."""
    return 0 if own.past_noise is None else min(sizes.held, own.past_noise.shape[2])


def known_tokens(own: LevelState, sizes: LevelSizes) -> tuple[Tensor, Tensor] | None:
    """Those tokens and the noise they grew from, `[1, c, held]` each; None if there are none."""
    held = held_tokens(own, sizes)
    if not held or own.past_noise is None:
        return None
    return own.history[:, : sizes.channels, -held:], own.past_noise[..., -held:]


def context_before(own: LevelState, sizes: LevelSizes) -> Tensor | None:
    """The context `[1, n, c]` before the held tokens; None without a context."""
    if own.context is None:
        return None
    before = own.context[:, : own.context.shape[1] - min(held_tokens(own, sizes), own.grown)]
    return before[:, -sizes.context_tokens :] if before.shape[1] else None


def own_window(own: LevelState, sizes: LevelSizes, tokens: int) -> Tensor | None:
    """Latents `[1, c, tokens]` that begin one window ago: played ones, or else those of the context.

    They repeat if `tokens` is more than a window. None if neither is a window long.
    """
    back = sizes.window
    if own.history.shape[2] >= back:
        return repeated(own.history[..., -back:][..., :tokens], tokens)
    if own.context is not None and own.context.shape[1] >= back:
        return repeated(own.context[:, -back:].transpose(1, 2)[..., :tokens], tokens)
    return None


def grown_noise(own: LevelState, sizes: LevelSizes, noise: Tensor) -> Tensor | None:
    """`LevelState.past_noise` after a block that grew from noise `[1, c, tokens]`."""
    if own.past_noise is None:
        return None
    return torch.cat([own.past_noise, noise], dim=2)[..., -sizes.held :]


def grown_history(own: LevelState, sizes: LevelSizes, latents: Tensor) -> Tensor:
    """`LevelState.history` after latents `[1, c, tokens]`."""
    kept = max(sizes.window, sizes.delay + sizes.margin)
    return torch.cat([own.history, latents], dim=2)[..., -kept:]


def with_context(own: LevelState, sizes: LevelSizes, latents: Tensor) -> LevelState:
    """The state whose context has grown by latents `[1, c, tokens]`."""
    new = latents.transpose(1, 2)
    joined = new if own.context is None else torch.cat([own.context, new], dim=1)
    joined = joined[:, -(sizes.context_tokens + sizes.held) :]
    return replace(own, context=joined, grown=min(own.grown + new.shape[1], joined.shape[1]))
