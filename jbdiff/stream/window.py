"""One window of a level, from noise to clean latents: the network with its guidance, and the sampler.

Where a level has a student of few steps, it plays as often as no more steps are asked for than it was taught, with one
branch; more steps are the denoiser's, with two.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jbdiff.diffusion.samplers import Callback, Sampler, Step, sample_vddim, sampler_named
from jbdiff.diffusion.schedules import alpha_beta, linear_sigmas, noised, truncated_sigmas
from jbdiff.guidance import GUIDANCE_RESCALE, GuidedModel, JumpingModel
from jbdiff.networks.anchor import Anchor
from jbdiff.networks.channels_last import Compiler
from jbdiff.networks.echoes import Echo
from jbdiff.stacks.stack import Stack
from jbdiff.stream.cuda_graphs import loop_obstacle, recordings_for


class WindowDenoiser:
    """Denoises windows of one level, behind tokens that are known. Holds no state of a stream.

    `held`: tokens before a window that are known when all of its shapes are those that they keep. sampler None: the
    level's own. graphs: whole windows are recorded, where the device can (`cuda_graphs.py`). compiler: windows of those
    shapes are denoised by a compiled network, where there is a form of it for that (`networks/channels_last.py`).
    """

    def __init__(
        self,
        stack: Stack,
        level: int,
        held: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
        sampler: Sampler | None,
        graphs: bool,
        compiler: Compiler | None = None,
    ) -> None:
        self._config = stack.config.level(level)
        self._held = held
        self._denoiser = stack.denoisers[level]
        self.quick: Any = None
        if compiler is not None:
            self.quick = stack.compiled_network(self._denoiser, dtype, compiler)
        self._few = stack.few.get(level)
        self._device, self._dtype = device, dtype
        self.sampler: Sampler = sampler_named(self._config.sampler) if sampler is None else sampler
        self._recordings = recordings_for(device) if graphs else None

    def __call__(
        self,
        x: Tensor,
        sigmas: Tensor,
        context: Tensor | None,
        guide: Callable[[int], float],
        watch: Callable[[Step], None],
        known: tuple[Tensor, Tensor] | None = None,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
    ) -> tuple[Tensor, float]:
        """Denoises x `[1, c, t]` behind `known` (latents, their noise) and returns x's part, clean, and the seconds
        that went by before the first step: however many steps follow, the context is prepared once. `guide` is asked
        for the guidance of every step, once and right before it. Recorded, all is one piece of work: guidance is asked
        for before it begins, and `watch` hears of the steps when they are done.
        """
        count = len(sigmas) - 1
        sampler = sample_vddim if self.plays_few(count) else self.sampler
        if (
            self._recordings is None
            or not self._full(context, known)
            or loop_obstacle(count, sampler) is not None
        ):
            return self._loop(x, sigmas, context, guide, watch, known, anchor, echo)

        def work(
            x: Tensor,
            sigmas: Tensor,
            scales: Tensor,
            context: Tensor | None,
            latents: Tensor | None,
            noise: Tensor | None,
            *parts: Tensor,
        ) -> Tensor:
            behind = None if latents is None or noise is None else (latents, noise)
            told = Anchor(*parts[:anchored]) if anchored else None
            sound = Echo(*parts[anchored:]) if parts[anchored:] else None
            return self._loop(x, sigmas, context, lambda step: scales[step], None, behind, told, sound)[0]

        parts: tuple[Tensor, ...] = (
            () if anchor is None else (anchor.style, anchor.known, anchor.beat, anchor.tempo)
        )
        anchored = len(parts)
        parts += () if echo is None else (echo.sound, echo.known)
        scales = torch.tensor([float(guide(step)) for step in range(count)])
        clean = self._recordings(
            "denoise", work, (x, sigmas, scales, context, *(known or (None, None)), *parts)
        )
        for index in range(count):
            watch(Step(index, count, float(sigmas[index]), clean))
        return clean, 0.0

    def _full(self, context: Tensor | None, known: tuple[Tensor, Tensor] | None) -> bool:
        """Whether context and held part have the lengths that they keep. Before that each block has shapes of its
        own, and recording and compiling take longer than playing.
        """
        held = 0 if known is None else known[0].shape[2]
        return context is not None and context.shape[1] == self._config.context_tokens and held == self._held

    def _loop(
        self,
        x: Tensor,
        sigmas: Tensor,
        context: Tensor | None,
        guide: Callable[[int], float | Tensor],
        watch: Callback | None,
        known: tuple[Tensor, Tensor] | None,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
    ) -> tuple[Tensor, float]:
        """What the call returns, step by step.

        The sampler is given the true v of what is known, which keeps it on the straight path from its noise to
        its latents, whatever the sampler; the model sees it there at every step.
        """
        held = 0
        if known is not None:
            held = known[0].shape[2]
            x = torch.cat([noised(*known, sigmas[0]), x], dim=2)
        quick = self.quick if self._full(context, known) else None
        reduced = self._dtype != torch.float32 and quick is None
        with torch.autocast(self._device.type, self._dtype if reduced else None, enabled=reduced):
            began = time.perf_counter()
            model, sampler = self.model(sigmas, context, anchor, echo, quick)
            prepared = time.perf_counter() - began
            steps = itertools.count()

            def predict(x: Tensor, sigma: Tensor) -> Tensor:
                model.scale = guide(next(steps))
                v = model(x, sigma).float()
                if known is not None:
                    alpha, beta = alpha_beta(sigma[0])
                    v = torch.cat([alpha * known[1] - beta * known[0], v[..., held:]], dim=2)
                return v

            return sampler(predict, x, sigmas, watch)[..., held:], prepared

    def model(
        self,
        sigmas: Tensor,
        context: Tensor | None,
        anchor: Anchor | None = None,
        echo: Echo | None = None,
        quick: Any = None,
    ) -> tuple[GuidedModel | JumpingModel, Sampler]:
        """What predicts v over these levels, its scale still to be set, and the sampler that goes with it. quick: a
        network in the place of the level's denoiser.
        """
        few = self._config.few
        if self._few is not None and few is not None and self.plays_few(len(sigmas) - 1):
            student = JumpingModel(
                self._few, context, 1.0, sigmas, few.guidance, anchor=anchor, echo=echo, device=self._device
            )
            return student, sample_vddim
        # Both branches at scale 1 as above it: a knob that passes there must not make blocks faster, or slower again.
        guided = GuidedModel(
            self._denoiser if quick is None else quick,
            context,
            1.0,
            both_branches=True,
            rescale=GUIDANCE_RESCALE,
            interval=self._config.guidance_interval,
            anchor=anchor,
            echo=echo,
            device=self._device,
        )
        return guided, self.sampler

    def plays_few(self, steps: int) -> bool:
        """Whether a window of so many steps is the student's."""
        few = self._config.few
        return self._few is not None and few is not None and steps <= few.most_steps


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
    callback: Callback | None = None,
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
    latents = sample_vddim(model, x, sigmas, callback)
    return latents, stack.codec.decode(latents, level)
