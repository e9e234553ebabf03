"""The first implementation's way of working, window by window, where a recorded result needs it."""

from __future__ import annotations

import torch
from torch import Tensor

from jbdiff.checkpoints import Stack
from jbdiff.guidance import GuidedModel
from jbdiff.sampling import sample_vddim
from jbdiff.schedules import linear_sigmas, noised, truncated_sigmas


@torch.inference_mode()
def sample_window(
    stack: Stack,
    level: int,
    noise: Tensor,
    context: Tensor | None,
    *,
    steps: int,
    guidance: float,
    init: Tensor | None = None,
    strength: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """One window of v1: latents `[b, c, t]` (normalised, not quantised) and their audio `[b, 1, n]`.

    noise `[b, c, t]` and context `[b, n, c]`. With init `[b, c, t]`, int(strength * steps) steps are
    skipped and sampling starts from the init noised to that level; upsampling levels pass the encoded
    lower level as noise and as init alike. Without init, strength means nothing.
    """
    model = GuidedModel(stack.denoisers[level], context, guidance, noise.shape[0], device=noise.device)
    if init is None:
        sigmas, x = linear_sigmas(steps), noise
    else:
        sigmas = truncated_sigmas(steps, strength)
        x = noised(init, noise, sigmas[0])
    latents = sample_vddim(model, x, sigmas)
    return latents, stack.codec.decode(latents, level)
