"""Samplers: functions `sample(model, x, sigmas, callback)` that lead noised x `[b, c, t]` to a clean sample.

`model(x, sigma)` predicts v for x `[b, c, t]` and sigma `[b]` (`guidance.py` makes any denoiser into
one). `sigmas` `[steps + 1]` falls, and its first entry is the noise level of x. `callback` runs after each model
call, and may raise to stop. Every sampler calls the model once per step, so a block takes the same time with each of
them. No sampler checks whether values are finite: the caller does.

In the angle phi = sigma * pi / 2 a noised x turns from noise to sound: x = alpha D + beta E with the estimates
D of the clean sample and E of the noise, and the sampler's equation is dx/dphi = v, or
d(x / beta) = D d(alpha / beta). Along a solution D' = -beta w and E' = alpha w with w = x + x'', so that w = 0
is a point mass, and v-DDIM. `_turned` goes on from there: D as a polynomial in alpha, which has no singular
place between sigma 1 and 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from jbdiff.diffusion.schedules import alpha_beta


@dataclass(frozen=True)
class Step:
    """State of a run after a model call, for the callback."""

    index: int
    count: int
    sigma: float
    denoised: Tensor  # [b, c, t], the present estimate of the clean sample


Model = Callable[[Tensor, Tensor], Tensor]
Callback = Callable[[Step], None]


class Sampler(Protocol):
    """The type of all functions of `SAMPLERS`: they lead noised x to a clean sample."""

    def __call__(self, model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None) -> Tensor:
        """Return the clean sample `[b, c, t]`; see the module."""


def sample_vddim(model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None) -> Tensor:
    """Deterministic DDIM (Song et al. 2021, eta 0) for v (Salimans & Ho 2022, appendix D); x and result `[b, c, t]`."""
    sigmas = sigmas.to(x.device, x.dtype)
    alphas, betas = alpha_beta(sigmas)
    count = len(sigmas) - 1
    for i in range(count):
        v = model(x, sigmas[i].expand(x.shape[0]))
        denoised = alphas[i] * x - betas[i] * v
        noise = betas[i] * x + alphas[i] * v
        x = alphas[i + 1] * denoised + betas[i + 1] * noise
        if callback is not None:
            callback(Step(i, count, float(sigmas[i]), denoised))
    return x


def sample_dpmpp_2m(model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) for v: second order; x and result `[b, c, t]`.

    With lambda = log(alpha / beta) and h its growth over a step, exp(-h) = (alpha_i / alpha_next) *
    (beta_next / beta_i), so the update needs no infinite lambda at sigma 1. The first and the last
    step are of first order: before the first, and at sigma 0, h is infinite.
    """
    levels = [float(sigma) for sigma in sigmas]
    alphas, betas = (values.tolist() for values in alpha_beta(sigmas.double()))
    count = len(levels) - 1
    previous: Tensor | None = None
    previous_h = 0.0
    for i in range(count):
        sigma = torch.full((x.shape[0],), levels[i], device=x.device, dtype=x.dtype)
        denoised = alphas[i] * x - betas[i] * model(x, sigma)
        if callback is not None:
            callback(Step(i, count, levels[i], denoised))
        if levels[i] <= 0.0:
            continue  # already clean: all further levels are 0 too
        ratio = betas[i + 1] / betas[i]
        guess, h = denoised, 0.0
        if levels[i + 1] > 0.0 and levels[i] < 1.0:
            odds = (alphas[i + 1] * betas[i]) / (alphas[i] * betas[i + 1])
            h = float(torch.tensor(odds, dtype=torch.float64).log())
            if previous is not None and previous_h > 0.0:
                guess = denoised + (denoised - previous) * (h / (2 * previous_h))
        x = ratio * x + (alphas[i + 1] - alphas[i] * ratio) * guess
        previous, previous_h = denoised, h
    return x


Estimate = tuple[float, Tensor]  # an angle, and the clean sample as estimated there [b, c, t]


def _turned(x: Tensor, nodes: Sequence[Estimate], end: float) -> Tensor:
    """Return x, given at the angle of nodes[0], at the angle `end`; D is the polynomial in alpha through 1 to 3 nodes.

    The exponential Adams-Bashforth step of DEIS (Zhang & Chen 2023, equations 14 and 15) for the clean estimate,
    with alpha as the variable: the integrals of 1, alpha and alpha^2 over d(alpha / beta) are elementary and
    stay finite, times beta at the end, at sigma 0. Newton's form of the polynomial keeps them apart; the second
    one is 1 - cos(step).
    """
    start, clean = nodes[0]
    alpha, beta = math.cos(start), math.sin(start)
    step, ratio = start - end, math.sin(end) / beta
    zeroth = math.cos(end) - alpha * ratio
    x = ratio * x + zeroth * clean
    if len(nodes) == 1:
        return x
    alphas = [math.cos(angle) for angle, _ in nodes]
    first = 1 - math.cos(step)
    slope = (nodes[1][1] - clean) / (alphas[1] - alpha)
    x = x + first * slope
    if len(nodes) == 2:
        return x
    squares = (1 + alpha**2) * zeroth - math.sin(end) * step - 2 * alpha * (1 - ratio)
    second = squares + (alpha - alphas[1]) * first
    other = (nodes[2][1] - nodes[1][1]) / (alphas[2] - alphas[1])
    return x + second * (other - slope) / (alphas[2] - alpha)


class _Run:
    """One run of a sampler over `sigmas`: its angles, and the clean estimate at each angle with the callback."""

    def __init__(self, model: Model, sigmas: Tensor, callback: Callback | None) -> None:
        self.model, self.callback = model, callback
        self.levels = [float(sigma) for sigma in sigmas]
        self.angles = [level * math.pi / 2 for level in self.levels]
        self.count = len(self.levels) - 1

    def estimate(self, x: Tensor, index: int) -> Tensor:
        angle = self.angles[index]
        sigma = torch.full((x.shape[0],), self.levels[index], device=x.device, dtype=x.dtype)
        denoised = math.cos(angle) * x - math.sin(angle) * self.model(x, sigma)
        if self.callback is not None:
            self.callback(Step(index, self.count, self.levels[index], denoised))
        return denoised


def sample_deis_3(model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None) -> Tensor:
    """Third-order multistep (tAB-DEIS, Zhang & Chen 2023, equation 14): D quadratic in alpha; x, result `[b, c, t]`.

    Its error falls with the third power of the step size. The first step uses one call and has an error of the second
    power; with small steps that error remains.
    """
    run = _Run(model, sigmas, callback)
    nodes: list[Estimate] = []  # newest first
    for i in range(run.count):
        nodes = [(run.angles[i], run.estimate(x, i)), *nodes][:3]
        if run.angles[i] > 0.0:  # else already clean
            x = _turned(x, nodes, run.angles[i + 1])
    return x


def sample_unipc(model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None) -> Tensor:
    """Predictor and corrector (UniPC, Zhao et al. 2023, algorithms 1 and 2), third order; x and result `[b, c, t]`.

    The predictor uses D linear in alpha through two calls. The call at its end also corrects the step: the step is
    computed again with D quadratic through that call and the two before, without a further call. The last step has no
    call at its end, so it is not corrected.
    """
    run = _Run(model, sigmas, callback)
    nodes: list[Estimate] = []  # newest first
    before = x  # x at the newest node
    for i in range(run.count):
        here: Estimate = (run.angles[i], run.estimate(x, i))
        if run.angles[i] <= 0.0:
            continue  # already clean
        if nodes:
            x = _turned(before, [nodes[0], here, *nodes[1:]], run.angles[i])
        nodes = [here, *nodes][:2]
        before = x
        x = _turned(x, nodes, run.angles[i + 1])
    return x


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "vddim": sample_vddim,
        "dpmpp_2m": sample_dpmpp_2m,
        "deis_3": sample_deis_3,
        "unipc": sample_unipc,
    }
)


def sampler_named(name: str) -> Sampler:
    """Return the sampler of that name. Raises ValueError with the known names."""
    if name not in SAMPLERS:
        raise ValueError(f"no sampler {name!r}; known: {', '.join(SAMPLERS)}")
    return SAMPLERS[name]
