"""Contexts, anchors and echoes as training gives them: sometimes missing, short, noisy or not exact.

The instrument gives the network such conditions too, so it has to learn to work with them.
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
# Of an anchor alone; the instrument may lack either part. A style that is measured over two windows is not exact.
STYLE_DROP_CHANCE, CLOCK_DROP_CHANCE, STYLE_NOISE = 0.15, 0.2, 0.2
# Of echoes in training: that the bar is not known, that a row has none at all, the largest share of them that a row
# drops, and how often and how strongly one is noisy, in deviations of latents.
BAR_DROP_CHANCE, NO_ECHO_CHANCE, MOST_DROPPED = 0.05, 0.08, 0.4
ECHO_NOISE_CHANCE, ECHO_NOISE, LATENT_DEVIATION = 0.3, 0.4, 0.5
SHORT_HISTORY_CHANCE = 0.35


def coin(chance: float, generator: torch.Generator) -> bool:
    """True with this chance, 0..1."""
    return float(torch.rand((), generator=generator, device=generator.device)) < chance


def walked(before: Tensor, fresh: Tensor, generator: torch.Generator) -> Tensor:
    """Noise a step on from `before`, both `[b, c, t]`, as `NoiseStyle.WALK` steps; small steps are more likely."""
    shape = (len(before), 1, 1)
    step = (torch.rand(shape, generator=generator, device=generator.device) ** 2).to(before)
    return step_from(before, fresh, step)


def anchor_of(network: JointDenoiser, batch: Stretches, place: int, begin: int = 0) -> Anchor:
    """The anchor of windows that begin at token `place` of these stretches, in the network's units; none for a network
    that takes none. The style is measured from token `begin` on.
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
    """As the instrument has it: a style that is not exact, and at times only one part or neither."""
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
    """Echoes of the window after a history `[b, n, c]`, of which `held` tokens belong to the window, as the instrument
    has them: some are missing, some are noisy, and the history may be short. None for a network that takes none.
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
    """Context `[b, n, c]` as the live instrument will have it, and which rows drop it, `[b]`.

    Noise at a random level up to CONTEXT_NOISE keeps autoregression from drifting on its own small errors; a
    fifth of the batches has a shorter past.
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
