"""The training objective of v-diffusion, used by every denoiser's training."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from jbdiff.diffusion.schedules import alpha_beta
from jbdiff.networks.denoiser import Denoiser


def v_loss(
    denoiser: Denoiser,
    x: Tensor,
    context: Tensor | None,
    sigmas: Tensor,
    noise: Tensor,
    drop: Tensor | None = None,
) -> Tensor:
    """Return the mean squared error of the predicted v (Salimans & Ho 2022, section 4): a scalar.

    x: clean latents `[b, c, t]`. noise: `[b, c, t]`, Gaussian at level 2; for levels 1 and 0, the encoded lossy audio
    of the level below. sigmas: `[b]` in 0..1. context: `[b, n, c]`. drop: `[b]` (bool); in these rows the null
    embedding takes the place of the context and is trained.
    """
    alphas, betas = alpha_beta(sigmas[:, None, None])
    v = denoiser(alphas * x + betas * noise, sigmas, context, drop)
    return F.mse_loss(v, alphas * noise - betas * x)
