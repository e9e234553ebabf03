"""Plans made ahead with level 3 (`planner.py`), four bars at a time, from the cells before them.

A planner that is fed with its own plans makes them louder and harder, as a denoiser does. So level and spread of every
band are held near those of the bars that it began after, and its own plans have less confidence than music.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.config import PlannerConfig
from jbdiff.diffusion.samplers import sample_deis_3
from jbdiff.diffusion.schedules import linear_sigmas, noised
from jbdiff.networks.plan import CELLS
from jbdiff.networks.planner import Past, Planner
from jbdiff.stacks.weight_files import load_into, read_checkpoint

LEAST_SPREAD = 0.08  # of latents: bands that hardly move are not stretched to a rhythm
GAINS = (0.8, 1.25)  # of the spread, in one plan


@dataclass(frozen=True)
class PlanSettings:
    """How plans are made.

    start: noise level, 0..1, at which a plan begins from the four bars before; 1 begins from noise alone.
    trust: confidence in its own earlier plans, 0..1.
    """

    seed: int = 0
    steps: int = 12
    start: float = 1.0
    trust: float = 0.9


def load_planner(weights: Path) -> Planner:
    """A planner from the weights of a training run, in evaluation mode. Raises CheckpointError if they are none."""
    record = weights.parent / "run.json"
    sizes = json.loads(record.read_text()).get("plan") if record.exists() else None
    network = Planner(PlannerConfig(**sizes) if sizes else PlannerConfig())
    load_into(network, read_checkpoint(weights).tensors, "a planner of these sizes", weights.name)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def planned_cells(
    network: Planner, cells: Tensor, count: int, settings: PlanSettings = PlanSettings()
) -> Tensor:
    """`count` cells `[count, c]` after the cells `[n, c]`, which end with a bar.

    Raises ValueError if there are none, and for a planner whose window is not of whole bars.
    """
    if not len(cells):
        raise ValueError("a plan begins after at least one cell of music")
    if network.config.window % CELLS:
        raise ValueError(f"a window of {network.config.window} cells is no whole number of bars")
    line = cells
    while len(line) < len(cells) + count:
        line = torch.cat([line, held(_next(network, line, len(line) - len(cells), settings), cells)])
    return line[len(cells) : len(cells) + count]


def _next(network: Planner, line: Tensor, own: int, settings: PlanSettings) -> Tensor:
    """The next window `[window, c]` of a line whose last `own` cells were planned."""
    config = network.config
    have = min(len(line), config.past)
    past = F.pad(line[-have:].T, (config.past - have, 0))[None]
    places = torch.arange(-config.past, 0, device=line.device)[None]
    known = (places >= -have).to(line) * torch.where(places >= -own, settings.trust, 1.0)
    prepared = network.prepare(Past(past, known, torch.tensor([own % CELLS], device=line.device)))
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + own)
    noise = torch.randn(1, config.bands, config.window, generator=generator).to(line)
    sigmas = linear_sigmas(settings.steps, settings.start)
    x = noise
    if settings.start < 1 and len(line) >= CELLS:
        before = line[-min(config.window, len(line) // CELLS * CELLS) :]
        before = before.repeat(-(-config.window // len(before)), 1)[: config.window]
        x = noised(before.T[None], noise, sigmas[0])
    return sample_deis_3(lambda x, sigma: network(x, sigma, prepared), x, sigmas)[0].T


def held(plan: Tensor, cells: Tensor) -> Tensor:
    """A plan `[n, c]` with the level and the spread of every band held near those of cells of music `[m, c]`."""
    mean, spread = cells.mean(0), cells.std(0, correction=0).clamp_min(LEAST_SPREAD)
    own, wide = plan.mean(0), plan.std(0, correction=0).clamp_min(1e-4)
    moved = mean + 0.5 * spread * torch.tanh((own - mean) / spread)
    return moved + (plan - own) * (spread / wide).clamp(*GAINS)
