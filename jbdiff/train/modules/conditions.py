"""Contexts, anchors and echoes for training: sometimes missing, short, noisy or inexact.

The instrument gives the network such conditions too, so the network has to learn to work with them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.config import JointDenoiserConfig
from jbdiff.data.clips import Stretches
from jbdiff.diffusion.noise import step_from
from jbdiff.networks.anchor import BEATS, Anchor, measured_style, no_anchor
from jbdiff.networks.echoes import Echo, echo_of
from jbdiff.networks.joint_denoiser import JointDenoiser

CONTEXT_NOISE = 0.15
DROP_CHANCE = 0.12
SHORT_CHANCE = 0.2
# For anchors. The instrument may lack either part, and a style that is measured over two windows is not exact.
STYLE_DROP_CHANCE, CLOCK_DROP_CHANCE, STYLE_NOISE = 0.15, 0.2, 0.2
# For echoes, in this order: chance that the bar is unknown, chance that a row has no echoes, largest share of echoes
# that a row drops, chance that an echo is noisy, its largest noise, and the deviation of latents that scales it.
BAR_DROP_CHANCE, NO_ECHO_CHANCE, MOST_DROPPED = 0.05, 0.08, 0.4
ECHO_NOISE_CHANCE, ECHO_NOISE, LATENT_DEVIATION = 0.3, 0.4, 0.5
SHORT_HISTORY_CHANCE = 0.35


def coin(chance: float, generator: torch.Generator) -> bool:
    """Return True with this chance, 0..1."""
    return float(torch.rand((), generator=generator, device=generator.device)) < chance


def walked(before: Tensor, fresh: Tensor, generator: torch.Generator) -> Tensor:
    """Return noise `[b, c, t]` one step of `NoiseStyle.WALK` from `before` towards `fresh`.

    Small steps are more likely.
    """
    shape = (len(before), 1, 1)
    step = (torch.rand(shape, generator=generator, device=generator.device) ** 2).to(before)
    return step_from(before, fresh, step)


def anchor_of(network: JointDenoiser, batch: Stretches, place: int, begin: int = 0) -> Anchor:
    """Return the anchor, in the network's units, of windows that begin at token `place` of the stretches.

    The style is measured from token `begin` on. If the network takes no anchor, the anchor is marked as unknown.
    """
    stretch = batch.latents
    if network.anchor is None:
        return no_anchor(len(stretch), stretch.device)
    style = network.anchor.standard(measured_style(stretch[:, begin:, : network.config.latent_channels]))
    first, bar = batch.bars.to(stretch.device).unbind(1)
    tempo = torch.where(bar > 0, BEATS / bar.clamp_min(1e-6), 0.0)
    known = torch.ones(len(stretch), dtype=torch.bool, device=stretch.device)
    return Anchor(style, known, first * tempo, tempo).at(place)


def blurred(anchor: Anchor, generator: torch.Generator) -> Anchor:
    """Return an anchor as the instrument may have it: with an inexact style, and sometimes without style or clock."""
    rows, device = len(anchor.style), generator.device
    noise = torch.randn(anchor.style.shape, generator=generator, device=device).to(anchor.style)
    chances = torch.rand(2, rows, generator=generator, device=device).to(anchor.style)
    return replace(
        anchor,
        style=anchor.style + STYLE_NOISE * noise,
        known=anchor.known & (chances[0] >= STYLE_DROP_CHANCE),
        tempo=anchor.tempo * (chances[1] >= CLOCK_DROP_CHANCE),
    )


def echoes_in_training(
    config: JointDenoiserConfig, history: Tensor, bars: Tensor, generator: torch.Generator, held: int = 0
) -> Echo | None:
    """Return echoes of the window after a history `[b, n, c]`, as the instrument may have them.

    Some are missing, some are noisy, and the history may be short. `bars` `[b]`: tokens a bar, 0 if unknown. `held`:
    how many tokens at the end of the history belong to the window. Returns None for a network that takes no echoes.
    """
    if not config.echo_channels:
        return None
    device, rows = generator.device, len(history)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device).to(history)

    known = torch.full((rows,), history.shape[1], device=history.device)
    short = config.context_tokens + random(rows) * (history.shape[1] - config.context_tokens)
    known = torch.where(random(rows) < SHORT_HISTORY_CHANCE, short.long(), known)
    bars = bars.to(history) * (random(rows) >= BAR_DROP_CHANCE)
    bands = history[..., : config.latent_channels]
    echo = echo_of(bands, bars, config.window_tokens, held, known)
    noise = torch.randn(echo.sound.shape, generator=generator, device=device)
    count = echo.known.shape[1]
    level = ECHO_NOISE * random(rows, count) * (random(rows, count) < ECHO_NOISE_CHANCE)
    echo = echo.noised(level, LATENT_DEVIATION * noise)
    keep = random(rows, count) >= MOST_DROPPED * random(rows, 1)
    return echo.kept(keep & (random(rows, 1) >= NO_ECHO_CHANCE))


def corrupt(context: Tensor, generator: torch.Generator, patch: int) -> tuple[Tensor, Tensor]:
    """Return a context `[b, n, c]` as the live instrument may have it, and which rows drop it, `[b]` (bool).

    The network continues its own output, so its small errors would add up. Noise at a random level up to CONTEXT_NOISE
    makes it robust against them. A fifth of the batches has a shorter past, in whole patches of `patch` tokens.
    """
    batch, length, _ = context.shape
    device = generator.device
    level = CONTEXT_NOISE * torch.rand(batch, 1, 1, generator=generator, device=device)
    context = context + (level * torch.randn(context.shape, generator=generator, device=device)).to(context)
    if coin(SHORT_CHANCE, generator):
        keep = int(torch.randint(1, length // patch + 1, (), generator=generator, device=device)) * patch
        context = context[:, length - keep :]
    drop = torch.rand(batch, generator=generator, device=device) < DROP_CHANCE
    return context, drop.to(context.device)
