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
    """Mean squared error of the predicted v (Salimans & Ho 2022, section 4): a scalar.

    x and noise `[b, c, t]`: clean latents and what they are mixed with (Gaussian noise at level 2; the
    encoded lossy audio of the level below for the upsampling levels); sigmas `[b]` in 0..1; context
    `[b, n, c]`; drop `[b]` (bool) trains the null embedding in the place of those rows' contexts.
    """
    alphas, betas = alpha_beta(sigmas[:, None, None])
    v = denoiser(alphas * x + betas * noise, sigmas, context, drop)
    return F.mse_loss(v, alphas * noise - betas * x)
