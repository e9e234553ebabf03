"""Level 3, the planner: it invents the plan of the next bars (`plan.py`) from the bars before.

The planner works on cells, the mean levels of the bands in each sixteenth of a bar. Its window is four bars. It is a
small network of two-dimensional convolutions over bands and cells, whose weights are the same at every pitch. Two
layers of attention fetch whole columns from other times. It predicts v, as the denoiser does, and the part of v that a
Gaussian of the same covariance would predict is computed.

Beside the noisy window it sees the cells one, two, four and eight bars earlier, if they are known. Each cell that was
played has a confidence: 1 if it is clean, less the more noise it holds. Training adds noise and gives the network the
confidence, so that the errors of its own plans do not build up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jbdiff.config import PlannerConfig
from jbdiff.diffusion.schedules import SIGMA_FEATURES, alpha_beta, sigma_features
from jbdiff.networks.plan import CELLS

LAGS = (CELLS, 2 * CELLS, 4 * CELLS, 8 * CELLS)  # cells between a cell and its echoes
OCTAVE, OCTAVES = 12, 7  # the bands below are semitones
RHYTHMS = 4  # images of the bar that are learnt: which band sounds in which cell
DILATIONS = (1, 2, 4, 1, 2, 4, 1, 1)
BLURRED = 13  # bands over which the mean level is smooth


@dataclass(frozen=True)
class Past:
    """The input of a planner: cells that were played `[b, c, past]` and their confidence `[b, past]`.

    place: `[b]`, number of the window's first cell in its bar; kept: `[b, lags]`, which echoes it gets; None: all.
    """

    cells: Tensor
    known: Tensor
    place: Tensor
    kept: Tensor | None = None


@dataclass(frozen=True)
class PreparedPast:
    """The past, prepared once for every noise level.

    It holds `columns` `[b, channels, c, past]`, and images that are constant over time `[b, 3, c, left + window]`.
    """

    past: Past
    columns: Tensor
    still: Tensor

    def repeat(self, times: int) -> PreparedPast:
        """Every row `times` times over: several noise levels share one past in training."""
        parts = (self.past.cells, self.past.known, self.past.place, self.past.kept)
        cells, known, place, kept = (
            part if part is None else part.repeat_interleave(times, 0) for part in parts
        )
        assert cells is not None and known is not None and place is not None
        past = Past(cells, known, place, kept)
        return PreparedPast(
            past, self.columns.repeat_interleave(times, 0), self.still.repeat_interleave(times, 0)
        )


class ConvolutionBlock(nn.Module):
    """Convolution over neighbouring bands and cells, and over the two octaves around each band. `channels` wide."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        padding = (1, 2 * dilation)
        self.near = nn.Conv2d(channels, channels, (3, 5), padding=padding, dilation=(1, dilation))
        self.pitch = nn.Conv2d(channels, channels, (25, 1), padding=(12, 0), groups=channels, bias=False)
        self.film = nn.Linear(SIGMA_FEATURES, 3 * channels)
        self.down = nn.Conv2d(channels, channels, 1)
        nn.init.normal_(self.pitch.weight, std=0.1)
        nn.init.normal_(self.down.weight, std=0.05)
        for parameter in (self.film.weight, self.film.bias, cast(Tensor, self.down.bias)):
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor, level: Tensor) -> Tensor:
        """h `[b, channels, c, t]`, features of sigma `[b, SIGMA_FEATURES]`."""
        scale, shift, gate = self.film(level)[:, :, None, None].chunk(3, 1)
        y = self.near(h) + self.pitch(h)
        y = F.layer_norm(y.permute(0, 2, 3, 1), (y.shape[1],)).permute(0, 3, 1, 2)
        y = F.gelu(y * (1 + scale) + shift, approximate="tanh")
        return cast(Tensor, h + (1 + gate) * self.down(y))


class ColumnAttention(nn.Module):
    """Attention over time with the same weights for all bands: whole columns are fetched from other times."""

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        channels, self.heads, self.width = config.channels, config.heads, config.head_width
        inner = config.heads * config.head_width
        self.query = nn.Conv2d(channels, inner, (config.bands, 1))
        self.key = nn.Conv2d(channels, inner, (config.bands, 1))
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.bias = nn.Parameter(torch.zeros(config.heads, config.past + 2 * config.window))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    def forward(self, h: Tensor, columns: Tensor, distance: Tensor, known: Tensor) -> Tensor:
        """h `[b, channels, c, t]`; columns of the past `[b, channels, c, s]`, seen where known `[b, s]` is above 0;
        distance `[t, s + t]` is a place in the learned bias.
        """
        b, channels, bands, t = h.shape
        both = torch.cat([columns, h], 3)
        query = self.query(h)[:, :, 0].reshape(b, self.heads, self.width, t)
        key = self.key(both)[:, :, 0].reshape(b, self.heads, self.width, -1)
        value = self.value(both).reshape(b, self.heads, channels // self.heads * bands, -1)
        score = torch.einsum("bhwt,bhws->bhts", query, key) * self.width**-0.5 + self.bias[:, distance]
        seen = torch.cat([known > 0, torch.ones(b, t, dtype=torch.bool, device=h.device)], 1)
        score = score.masked_fill(~seen[:, None, None], -1e4)
        got = torch.einsum("bhts,bhvs->bhvt", score.softmax(-1).to(value.dtype), value)
        return cast(Tensor, h + self.out(got.reshape(b, channels, bands, t)))


class Planner(nn.Module):
    """The network: predicts v of a noisy plan `[b, c, window]` from the cells before it; see `forward`."""

    axes: Tensor
    powers: Tensor

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        channels, bands = config.channels, config.bands
        # Principal axes of clean cells (columns) and their variances; see `set_statistics`.
        self.register_buffer("axes", torch.eye(bands))
        self.register_buffer("powers", torch.ones(bands))
        self.into = nn.Conv2d(6 + 2 * len(LAGS), channels, (3, 3), padding=1)
        self.band = nn.Parameter(torch.zeros(channels, bands, 1))
        self.place = nn.Parameter(torch.zeros(CELLS, channels))
        self.rhythms = nn.Parameter(torch.zeros(RHYTHMS, CELLS, bands))
        self.into_rhythm = nn.Conv2d(RHYTHMS, channels, 1)
        self.level = nn.Linear(SIGMA_FEATURES, channels)
        self.into_past = nn.Conv2d(2, channels, (3, 3), padding=1)
        self.past_block = ConvolutionBlock(channels, 1)
        self.blocks = nn.ModuleList(ConvolutionBlock(channels, d) for d in DILATIONS[: config.depth])
        attended = (1, config.depth // 2 + 1)
        self.attention = nn.ModuleDict({str(place): ColumnAttention(config) for place in attended})
        self.out = nn.Conv2d(channels, 1, (3, 3), padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(cast(Tensor, self.out.bias))

    @torch.no_grad()
    def set_statistics(self, cells: Tensor) -> None:
        """Set the principal axes from clean cells `[n, c]`, before training."""
        powers, axes = torch.linalg.eigh((cells.T @ cells / len(cells)).double())
        self.powers.copy_(powers.clamp_min(1e-4))
        self.axes.copy_(axes)

    def prepare(self, past: Past) -> PreparedPast:
        """Compute everything that does not depend on the noise. Raises ValueError on shapes that do not fit."""
        bands, length = self.config.bands, self.config.past
        if past.cells.shape[1:] != (bands, length):
            raise ValueError(f"a past of {list(past.cells.shape)}: this planner takes [b, {bands}, {length}]")
        known = past.known.to(past.cells)[:, None]
        heard = (known > 0).to(past.cells)
        cells = past.cells * heard
        count = heard.sum(2, keepdim=True).clamp_min(1)
        mean = cells.sum(2, keepdim=True) / count
        spread = ((cells - mean).square() * heard).sum(2, keepdim=True).div(count).sqrt()
        edge = BLURRED // 2
        smooth = F.avg_pool1d(F.pad(mean.transpose(1, 2), (edge, edge), mode="replicate"), BLURRED, 1)
        sharp = (mean - smooth.transpose(1, 2))[:, : OCTAVE * OCTAVES, 0]
        classes = sharp.reshape(-1, OCTAVES, OCTAVE).mean(1).repeat(1, OCTAVES)
        classes = F.pad(classes, (0, bands - OCTAVE * OCTAVES))[:, :, None]
        still = torch.stack([mean, spread, 3 * classes], 1)
        still = still.expand(-1, -1, -1, self.config.left + self.config.window)
        image = torch.stack([2 * cells, known.expand(-1, bands, -1)], 1)
        h = self.into_past(image) + self.band + self._places(past.place, -length, 0)
        nothing = torch.zeros(len(h), SIGMA_FEATURES, dtype=past.cells.dtype, device=h.device)
        clean = Past(cells, past.known, past.place, past.kept)
        return PreparedPast(clean, self.past_block(h, nothing), still)

    def forward(self, x: Tensor, sigma: Tensor, past: PreparedPast) -> Tensor:
        """Noisy cells x `[b, c, window]`, sigma `[b]` in 0..1 -> v like x."""
        length, window, left = self.config.past, self.config.window, self.config.left
        alpha, beta = (part[:, None, None] for part in alpha_beta(sigma.float()))
        powers = self.powers.float()[:, None]
        power = alpha**2 * powers + beta**2
        along = torch.einsum("ca,bct->bat", self.axes, x.float())
        white = torch.einsum("ca,bat->bct", self.axes, along / power.sqrt())
        gaussian = along * (alpha * beta * (1 - powers) / power)
        clean = alpha * x - beta * torch.einsum("ca,bat->bct", self.axes, gaussian)
        level = sigma_features(sigma).to(x.dtype)
        h = self.into(self._images(white, clean, past)) + self.band + self.level(level)[:, :, None, None]
        h = h + self._places(past.past.place, -left, window) + self._rhythm(past.past.place)
        times = torch.arange(-left, window, device=x.device)
        seen = torch.cat([torch.arange(-length, 0, device=x.device), times])
        distance = (times[:, None] - seen[None]).clamp(-window, length + window - 1) + window
        for number, block in enumerate(self.blocks):
            h = block(h, level)
            if str(number) in self.attention:
                h = self.attention[str(number)](h, past.columns, distance, past.past.known)
        rest = torch.einsum("ca,bct->bat", self.axes, self.out(h)[:, 0, :, left:].float())
        rest = rest * (powers / power).sqrt()
        return torch.einsum("ca,bat->bct", self.axes, gaussian + rest)

    def _images(self, white: Tensor, clean: Tensor, past: PreparedPast) -> Tensor:
        """Input of the first layer, `[b, images, c, left + window]`: noisy and clean cells, and their echoes."""
        length, left, width = self.config.past, self.config.left, self.config.left + self.config.window
        cells, known = past.past.cells, past.past.known.to(clean)[:, None].expand(-1, self.config.bands, -1)
        line = torch.cat([cells, clean], 2)
        mask = torch.cat([known, torch.zeros_like(clean)], 2)
        first = length - left
        images = [torch.cat([2 * cells[..., first:], white], 2), 2 * line[..., first:], mask[..., first:]]
        for number, lag in enumerate(LAGS):
            before = max(0, lag - first)
            echo = F.pad(line, (before, 0))[..., -width - lag : -lag]
            there = F.pad(mask, (before, 0))[..., -width - lag : -lag]
            if past.past.kept is not None:
                keep = past.past.kept[:, number, None, None].to(clean)
                echo, there = echo * keep, there * keep
            images += [2 * echo, there]
        return torch.cat([torch.stack(images, 1), past.still.to(clean)], 1)

    def _places(self, place: Tensor, first: int, last: int) -> Tensor:
        """The learned place in the bar of cells first..last, 0 being the window's first, `[b, channels, 1, cells]`."""
        cells = (place[:, None] + torch.arange(first, last, device=place.device)) % CELLS
        return self.place[cells].permute(0, 2, 1)[:, :, None]

    def _rhythm(self, place: Tensor) -> Tensor:
        """The learned images of the bar, `[b, channels, c, left + window]`."""
        cells = (
            place[:, None] + torch.arange(-self.config.left, self.config.window, device=place.device)
        ) % CELLS
        return cast(Tensor, self.into_rhythm(self.rhythms[:, cells].permute(1, 0, 3, 2)))
