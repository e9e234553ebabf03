"""Training of level 3, the planner, on v. Its knowledge of earlier bars is sometimes short, noisy or missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from jbdiff.config import PlannerConfig
from jbdiff.data.clips import Clips, Vary
from jbdiff.diffusion.schedules import alpha_beta
from jbdiff.networks.plan import CELLS, cell_means
from jbdiff.networks.planner import LAGS, Past, Planner, PreparedPast
from jbdiff.train.modules.stage import StageTraining
from jbdiff.train.run.schedule import Budget

# Chances that a row's past is short, missing, noisy, or a beat beside its place. Then the largest noise, in latents.
SHORT_CHANCE, NO_PAST_CHANCE, NOISE_CHANCE, BESIDE_CHANCE = 0.5, 0.1, 0.7, 0.15
NOISE, CELL_DEVIATION = 0.8, 0.4
MOST_DROPPED = 0.5  # largest share of its echoes that a row drops
LEVEL_POWER = 0.6  # levels are drawn as u ** 0.6: high ones are more likely, because they decide the notes
SHORTEST = 8  # least cells of a past
SHIFTS = (0.0, 0.0, 0.3, -0.3)  # how far cells lie beside the bar's, in cells
BEAT = CELLS // 4


class CellStretches(NamedTuple):
    """Cells `[b, past + window, c]`.

    `played` `[b]`: music cells at the end of the past. `place` `[b]`: number of the window's first cell in its bar.
    """

    cells: Tensor
    played: Tensor
    place: Tensor


class CellBatches(Dataset[CellStretches]):
    """Batches by number: stretches of cells from random places of the clips, each varied by `vary` if it is given."""

    def __init__(
        self,
        lines: Sequence[Sequence[Tensor]],
        config: PlannerConfig,
        batch: int,
        seed: int,
        first: int,
        count: int,
        vary: Vary | None = None,
    ) -> None:
        """`lines`: for every clip its cells `[n, c]`, one tensor for each of `SHIFTS`, or a single one (`cell_lines`).

        `batch`: rows of a batch. `first`, `count`: number of the first batch, and number of batches.
        """
        self.lines, self.config, self.batch, self.vary = lines, config, batch, vary
        self.seed, self.first, self.count = seed, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> CellStretches:
        if not 0 <= number < self.count:
            raise IndexError(number)
        rng = np.random.default_rng((self.seed, self.first + number))
        window, past = self.config.window, self.config.past
        rows, played, places = [], [], []
        for _ in range(self.batch):
            versions = self.lines[int(rng.integers(len(self.lines)))]
            line = versions[int(rng.integers(len(versions)))]
            at = int(rng.integers(SHORTEST, len(line) - window + 1))
            have = min(at, past)
            row = line[at - have : at + window]
            if self.vary is not None:
                row = self.vary(row, rng)
            rows.append(F.pad(row, (0, 0, past - have, 0)))
            played.append(have)
            places.append(at % CELLS)
        return CellStretches(torch.stack(rows), torch.tensor(played), torch.tensor(places))


def cell_lines(clips: Clips, config: PlannerConfig, shifts: Sequence[float] = SHIFTS) -> list[list[Tensor]]:
    """Return the cells `[n, c]` of every clip that has a bar and is long enough, one tensor for each shift.

    The first cell of each tensor is the first of a bar. `shifts`: in cells. Raises ValueError if no clip is left.
    """
    lines = []
    for index in range(len(clips)):
        bar = abs(clips.bars[index]) if clips.bars else 0.0
        if bar < CELLS:
            continue
        bands = torch.from_numpy(clips.clip(index)[:, : config.bands].astype(np.float32))
        if len(bands) < (config.window + SHORTEST + CELLS) * bar / CELLS:
            continue
        size = bar / CELLS
        found = {}
        for shift in set(shifts):
            # A negative shift skips one bar, so that the first cell is still the first of a bar.
            begin = shift * size if shift >= 0 else bar + shift * size
            whole = int(begin)
            found[shift] = cell_means(bands[whole:], bar, whole - begin)
        lines.append([found[shift] for shift in shifts])
    if not lines:
        seconds = config.window // CELLS + 1
        raise ValueError(
            f"no sound has {seconds} bars of a known length: add longer sounds, or describe their tempo"
        )
    return lines


class PlanTraining(StageTraining):
    """Trains a planner. Each window is noised at several levels, which share one pass over the past."""

    def __init__(
        self, config: PlannerConfig, budget: Budget, rate: float, levels: int, seed: int, bf16: bool
    ) -> None:
        super().__init__(budget, rate, seed, bf16)
        self.config, self.levels = config, levels
        self.network = Planner(config)
        self.begin_average()

    @property
    def learns(self) -> Planner:
        """The planner that is trained."""
        return self.network

    def adopt(self, network: Planner) -> None:
        """Take over trained weights."""
        self.network.load_state_dict(network.state_dict())
        self.begin_average()

    def begin_with(self, lines: Sequence[Sequence[Tensor]]) -> None:
        """Set statistics from cells `[n, c]` of real music, before the first step; see `Planner.set_statistics`."""
        self.network.set_statistics(torch.cat([versions[0] for versions in lines]))
        self.begin_average()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW, with weight decay on matrices only."""
        matrices = [p for p in self.network.parameters() if p.ndim >= 2]
        others = [p for p in self.network.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.rate, betas=(0.9, 0.98))

    def training_step(self, batch: CellStretches, batch_number: int) -> Tensor:
        """Return the loss of v, a scalar, on stretches of cells `[b, past + window, c]`."""
        generator = self.chance(self.device)
        cells = batch.cells.transpose(1, 2)
        past, window = cells[..., : self.config.past], cells[..., self.config.past :]
        loss = self._loss(self.network, blurred_past(past, batch, generator), window, generator, self.levels)
        self.log("loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: CellStretches, batch_number: int) -> None:
        """Log the held-out loss of v, and mean square errors of two guesses.

        The guesses are the first step from noise, and the last bars.
        """
        cells, past = batch.cells.transpose(1, 2), self.config.past
        network = cast(Planner, self.average.network)
        given = Past(cells[..., :past], music(past, batch.played), batch.place)
        window = cells[..., past:]
        generator = torch.Generator(window.device).manual_seed(batch_number)
        self.log("heldout_v", self._loss(network, given, window, generator, 4), prog_bar=True, sync_dist=True)
        noise = torch.randn(window.shape, generator=generator, device=window.device)
        guess = -network(noise, torch.ones(len(window), device=window.device), network.prepare(given))
        whole = batch.played >= LAGS[2]  # rows with four bars before the window
        if bool(whole.any()):
            repeat = cells[whole][..., past - LAGS[2] : past].repeat(1, 1, -(-self.config.window // LAGS[2]))
            repeat = repeat[..., : self.config.window]
            self.log("heldout_guess", F.mse_loss(guess[whole].float(), window[whole]), sync_dist=True)
            self.log("heldout_last_bars", F.mse_loss(repeat, window[whole]), sync_dist=True)

    def _loss(
        self, network: Planner, past: Past, window: Tensor, generator: torch.Generator, levels: int
    ) -> Tensor:
        """Return the mean square error of v, a scalar, over `levels` noise levels of each window `[b, c, window]`."""
        device, rows = generator.device, len(window) * levels
        part = torch.arange(levels, device=device).repeat(len(window))
        drawn = torch.rand(rows, generator=generator, device=device)
        sigma = (((part + drawn) / levels) ** LEVEL_POWER).to(window)
        x = window.repeat_interleave(levels, 0)
        noise = torch.randn(x.shape, generator=generator, device=device).to(window)
        alpha, beta = alpha_beta(sigma[:, None, None])
        with torch.autocast(window.device.type, torch.bfloat16, enabled=self.bf16):
            prepared: PreparedPast = network.prepare(past).repeat(levels)
            v = network(alpha * x + beta * noise, sigma, prepared)
        return F.mse_loss(v.float(), alpha * noise - beta * x)

    def demo(self) -> dict[str, Any]:
        """Return nothing: a plan has no sound."""
        return {}


def music(past: int, played: Tensor) -> Tensor:
    """Return a mask `[b, past]`: 1 in the last `played` `[b]` cells of a past, which are music, and 0 before."""
    return (torch.arange(past, device=played.device) >= past - played[:, None]).float()


def blurred_past(past: Tensor, batch: CellStretches, generator: torch.Generator) -> Past:
    """Return a past `[b, c, past]` as an instrument may have it: short, noisy, with few echoes, or a beat off."""
    device, (rows, bands, length) = generator.device, past.shape

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device).to(past)

    short = (SHORTEST + random(rows) * (length - SHORTEST)).long()
    played = torch.where(random(rows) < SHORT_CHANCE, torch.minimum(batch.played, short), batch.played)
    played = played * (random(rows) >= NO_PAST_CHANCE)
    level = NOISE * random(rows) * (random(rows) < NOISE_CHANCE)
    noise = torch.randn(rows, bands, length, generator=generator, device=device).to(past)
    known = music(length, played).to(past)
    cells = (past + CELL_DEVIATION * level[:, None, None] * noise) * (known > 0)[:, None]
    beats = torch.randint(0, CELLS // BEAT, (rows,), generator=generator, device=device).to(batch.place)
    place = batch.place + torch.where(random(rows) < BESIDE_CHANCE, BEAT * beats, 0)
    kept = random(rows, len(LAGS)) >= MOST_DROPPED * random(rows, 1)
    return Past(cells, known * (1 - level)[:, None], place % CELLS, kept)
