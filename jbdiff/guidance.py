"""One wrapper that turns any denoiser into the `model(x, sigma) -> v` that the samplers know."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from jbdiff.networks.anchor import Anchor
from jbdiff.networks.denoiser import Conditioned, Denoiser, Prepared, PreparesContext
from jbdiff.networks.echoes import Echo
from jbdiff.networks.joint_denoiser import JointDenoiser, Jump

# How far the spread of guided windows is rescaled, so that blocks that continue their own sound keep their loudness
# (`GuidedModel`). Measured with pocket over 29 s from two held-out pieces at guidance 1.5: the loudness rose by 3.3 dB
# and fell by 0.4 dB. With 0.7 it rose by 5.6 and 1.8 dB, and without guidance by 5.3 and 1.8 dB.
GUIDANCE_RESCALE = 1.0


def pulled_at(interval: tuple[float, float] | None, sigma: Tensor) -> Tensor:
    """Return whether guidance above 1 acts at each sigma `[...]`: bool `[...]`, on sigma's device.

    interval: lowest and highest sigma at which it acts; None is everywhere.
    """
    low, high = interval or (0.0, 1.0)
    return (sigma >= low) & (sigma <= high)


class GuidedModel:
    """Classifier-free guidance (Ho & Salimans 2022): unconditional + scale * (conditional - unconditional).

    Both branches run in one batch. Scale 1 runs the conditional branch alone, and scale 0 the unconditional one.
    `both_branches` runs both at every scale, so that every scale takes the same time. Without a context both branches
    are equal, and scale has no effect. `anchor` and `echo`, of `batch` rows, are for denoisers that take them. Both
    branches get the anchor. Only the conditional one gets the echoes, so guidance strengthens context and echoes.

    interval: lowest and highest sigma at which scales above 1 act (Kynkäänniemi et al. 2024). At other sigmas the
    conditional branch runs alone. Scales below 1 weaken the context, and act at every sigma. On a device other than
    the CPU both branches run at every step, because the value of sigma is not known here.

    rescale: moves the spread of the guided estimate of the clean window towards that of the conditional estimate
    (Lin et al. 2024, section 3.4, applied to the estimate instead of v). Without it, a block that continues its own
    sound gets a little louder each time. At scale 2.5 a minute of pocket then ends in a drone.

    null_every: n above 1 runs the unconditional branch only at the first of every n calls. The other calls reuse the
    last difference (conditional - unconditional) and run the conditional branch alone. This saves 1/2 - 1/(2 n) of the
    work of a long run. The calls of one such model belong to one run of a sampler, in order.

    scale: may change between calls if `both_branches` is set, because the work stays the same. It may then also be a
    tensor of no dimensions on the device. A recording (`stream/cuda_graphs.py`) reads the tensor at every replay.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        context: Tensor | None,
        scale: float,
        batch: int = 1,
        *,
        both_branches: bool = False,
        rescale: float = 0.0,
        null_every: int = 1,
        interval: tuple[float, float] | None = None,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if context is not None and context.shape[0] != batch:
            raise ValueError(f"context of batch {context.shape[0]} for a batch of {batch}")
        if null_every < 1:
            raise ValueError(f"null_every {null_every}: 1 runs the unconditional branch at every call")
        self.denoiser = denoiser
        self.scale: float | Tensor = scale
        self.rescale = rescale
        given = context is not None
        self.doubled = both_branches or (given and scale not in (0.0, 1.0))
        self.null_every = null_every if self.doubled and given else 1
        self.interval = interval if self.doubled else None
        self._calls = 0
        # conditional - unconditional v [b, c, t] of the last call that ran both
        self._pull: Tensor | None = None
        drop: Tensor | None = None
        self._conditional: Tensor | Prepared | None = context
        if self.doubled:
            # Made on the device, because a recording (`stream/cuda_graphs.py`) allows no copy to it.
            drop = torch.arange(2 * batch, device=device) >= batch
            context = torch.cat([context, context]) if context is not None else None
        elif given and scale == 0.0:
            drop = torch.ones(batch, dtype=torch.bool, device=device)
        self._context: Tensor | Prepared | None = context
        self._drop = drop if given else None
        if isinstance(denoiser, PreparesContext):
            rows = 2 * batch if self.doubled else batch
            if self.doubled:
                anchor, echo = anchor and anchor.doubled(), echo and echo.and_none()
            ready = prepared(denoiser, context, self._drop, rows, anchor, echo)
            self._context, self._drop = ready, None
            self._conditional = ready.first(batch) if self.doubled else ready

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return v `[b, c, t]` of x `[b, c, t]` at sigma `[b]`."""
        if not self.doubled:
            return self.denoiser(x, sigma, self._context, self._drop)
        scale = self.scale
        if self.interval is not None:
            inside = pulled_at(self.interval, sigma[0])
            if sigma.device.type == "cpu":
                if float(scale) >= 1.0 and not bool(inside):
                    return self.denoiser(x, sigma, self._conditional, None)
            else:
                most = scale.clamp(max=1.0) if isinstance(scale, Tensor) else min(scale, 1.0)
                scale = torch.where(inside, scale, most)
        if self._pull is not None and self._calls % self.null_every:
            conditional = self.denoiser(x, sigma, self._conditional, None)
            guided = conditional + (scale - 1.0) * self._pull
        else:
            v = self.denoiser(torch.cat([x, x]), torch.cat([sigma, sigma]), self._context, self._drop)
            conditional, unconditional = v.chunk(2)
            guided = unconditional + scale * (conditional - unconditional)
            if self.null_every > 1:
                self._pull = conditional - unconditional
        self._calls += 1
        if self.rescale and (isinstance(scale, Tensor) or scale != 1.0):
            guided = self._rescaled(x, sigma, guided, conditional)
        return guided

    def _rescaled(self, x: Tensor, sigma: Tensor, guided: Tensor, conditional: Tensor) -> Tensor:
        """The v whose clean estimate, alpha * x - beta * v, has a spread near that of the conditional estimate."""
        angle = sigma[:, None, None] * math.pi / 2
        alpha, beta = angle.cos(), angle.sin()
        clean = alpha * x - beta * guided
        wanted = (alpha * x - beta * conditional).std((1, 2), keepdim=True)
        spread = clean.std((1, 2), keepdim=True).clamp_min(1e-6)
        clean = clean * (1 - self.rescale + self.rescale * wanted / spread)
        # At sigma 0 the estimate no longer depends on v.
        return torch.where(beta > 1e-3, (alpha * x - clean) / beta.clamp_min(1e-3), guided)


def prepared(
    denoiser: PreparesContext,
    context: Tensor | None,
    drop: Tensor | None,
    rows: int,
    anchor: Anchor | None,
    echo: Echo | None,
) -> Prepared:
    """Return the context `[b, n, c]` prepared by the denoiser for `rows` rows; drop: `[b]` (bool) or None.

    Anchor and echo are left out if both are None, because most denoisers take neither.
    """
    if anchor is None and echo is None:
        return denoiser.prepare_context(context, drop, rows)
    return cast(Conditioned, denoiser).prepare_context(context, drop, rows, anchor, echo)


class JumpingModel:
    """A student of few steps (`networks/few_steps.py`) as `model(x, sigma) -> v`: one branch, guidance is its input.

    sigmas: `[steps + 1]`, falls evenly. The student gets the length of each step as an input. It was trained with the
    steps of v-DDIM, so sample it with v-DDIM. reach: range of guidance scales of its training; others are clamped.
    """

    def __init__(
        self,
        student: JointDenoiser,
        context: Tensor | None,
        scale: float,
        sigmas: Tensor,
        reach: tuple[float, float],
        batch: int = 1,
        *,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if context is not None and context.shape[0] != batch:
            raise ValueError(f"context of batch {context.shape[0]} for a batch of {batch}")
        self.student = student
        self._reach = reach
        length = (sigmas[0] - sigmas[1]).to(device, torch.float32)
        self._jump = Jump(torch.zeros(batch, device=device), length.expand(batch))
        self.scale = scale
        self._context = prepared(student, context, None, batch, anchor, echo)

    @property
    def scale(self) -> float | Tensor:
        """Guidance scale, a number or a tensor `[]`; it may change between calls, as `GuidedModel.scale`."""
        return self._scale

    @scale.setter
    def scale(self, scale: float | Tensor) -> None:
        low, high = self._reach
        self._scale = scale
        if isinstance(scale, Tensor):
            self._jump.guidance.copy_(scale.clamp(low, high))
        else:
            self._jump.guidance.fill_(min(max(scale, low), high))

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return v `[b, c, t]` of x `[b, c, t]` at sigma `[b]`."""
        v: Tensor = self.student(x, sigma, self._context, jump=self._jump)
        return v
