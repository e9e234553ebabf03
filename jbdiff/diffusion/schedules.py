"""The noise levels of a sampler's steps. sigma is in 0..1: 1 is pure noise, 0 is clean.

v-diffusion (Salimans & Ho 2022): angle = sigma * pi / 2, alpha = cos(angle), beta = sin(angle),
and a noised x is alpha * clean + beta * noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def alpha_beta(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of the clean signal and of the noise at sigma, `[...]` each, in sigma's shape."""
    angle = sigma * math.pi / 2
    return angle.cos(), angle.sin()


SIGMA_FEATURES = 128


def sigma_features(sigma: Tensor) -> Tensor:
    """Sines and cosines of the noise level `[b]`, at rates of 1 to 200: `[b, SIGMA_FEATURES]`."""
    rates = torch.exp(torch.linspace(0, math.log(200), SIGMA_FEATURES // 2, device=sigma.device))
    angle = sigma.float()[:, None] * rates
    return torch.cat([angle.sin(), angle.cos()], -1)


def linear_sigmas(steps: int, start: float = 1.0) -> Tensor:
    """Return sigmas `[steps + 1]` from `start` down to 0, evenly spaced.

    This is the live schedule. If a share of an init is kept, `start` is smaller. The remaining range then gets the
    same number of steps, so that a block takes the same time.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps: a schedule needs at least 1")
    if not 0.0 <= start <= 1.0:
        raise ValueError(f"start level {start} is outside 0..1")
    return torch.linspace(start, 0.0, steps + 1)


def truncated_sigmas(steps: int, strength: float) -> Tensor:
    """Return the full linear schedule without its first n = int(strength * steps) levels, `[steps + 1 - n]`.

    The first implementation keeps part of an init this way: fewer steps with the same spacing. For offline
    compatibility only. At strength 1 no step remains.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"init strength {strength} is outside 0..1")
    return linear_sigmas(steps)[int(strength * steps) :]


def noised(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Return `clean` `[...]` noised to the level `sigma` (a scalar tensor) with `noise` `[...]`, in the same shape."""
    alpha, beta = alpha_beta(sigma)
    return alpha * clean + beta * noise


def crash_sigmas(steps: int, below: float = math.inf) -> Tensor:
    """Return the finisher's schedule `[n]`: falling sigmas below `below`, the last one 0; n is at most `steps + 1`.

    For `steps + 1` even points u, beta = sin(u * pi / 2)^2 gives the noise level (Harmonai's "crash" schedule). It is
    denser near both ends than the linear schedule.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps: a schedule needs at least 1")
    beta = torch.sin(torch.linspace(0, 1, steps + 1) * math.pi / 2) ** 2
    alpha = (1 - beta**2) ** 0.5
    sigmas = torch.atan2(beta, alpha) / math.pi * 2
    return sigmas[sigmas < below].flip(0)


def crash_place(sigma: float) -> float:
    """Place 0..1 of the noise level sigma on the even scale u of the crash schedule."""
    beta = math.sin(sigma * math.pi / 2)
    return 2 / math.pi * math.asin(math.sqrt(beta))


def crash_sigmas_from(steps: int, start: float) -> Tensor:
    """Return sigmas `[steps + 1]` from `start` down to 0, even on the scale of the crash schedule.

    This is the live version of `crash_sigmas(..., below)`: every start has the same number of steps.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps: a schedule needs at least 1")
    if not 0.0 <= start <= 1.0:
        raise ValueError(f"start level {start} is outside 0..1")
    beta = torch.sin(torch.linspace(crash_place(start), 0, steps + 1) * math.pi / 2) ** 2
    return torch.asin(beta.clamp(max=1.0)) / math.pi * 2
