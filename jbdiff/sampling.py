"""Samplers: each a function `sample(model, x, sigmas, callback)` that takes noised x to a clean sample.

`model(x, sigma)` predicts v for x `[b, c, t]` and sigma `[b]` (`guidance.py` makes any denoiser into
one); `sigmas` `[steps + 1]` falls, its first entry is the noise level of x; `callback` watches, and may
raise to stop. One call of the model per step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from jbdiff.schedules import alpha_beta


@dataclass(frozen=True)
class Step:
    """What a callback sees after each model call."""

    index: int
    count: int
    sigma: float
    denoised: Tensor  # [b, c, t], the present guess at the clean sample


Model = Callable[[Tensor, Tensor], Tensor]
Callback = Callable[[Step], None]


class Sampler(Protocol):
    def __call__(
        self, model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None
    ) -> Tensor: ...


def sample_vddim(model: Model, x: Tensor, sigmas: Tensor, callback: Callback | None = None) -> Tensor:
    """Deterministic DDIM (Song et al. 2021, eta 0) written for v (Salimans & Ho 2022, appendix D)."""
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
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) for v: second order, one model call a step.

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
            continue  # already clean: every level that follows is 0 too
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
