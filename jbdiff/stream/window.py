"""One window of a level, from noise to clean latents: the network with its guidance, and the sampler.

The student of few steps runs when `steps` is at most its trained maximum (one branch, no guidance pass). Above that,
the denoiser runs with guidance (two branches). Levels without a student always run the denoiser.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch
from torch import Tensor

from jbdiff.diffusion.samplers import Callback, Sampler, Step, sample_vddim, sampler_named
from jbdiff.diffusion.schedules import alpha_beta, linear_sigmas, noised, truncated_sigmas
from jbdiff.guidance import GUIDANCE_RESCALE, GuidedModel, JumpingModel
from jbdiff.networks.anchor import Anchor
from jbdiff.networks.denoiser import Denoiser
from jbdiff.networks.echoes import Echo
from jbdiff.networks.plan import Plan
from jbdiff.stacks.stack import Stack
from jbdiff.stream.cuda_graphs import loop_obstacle
from jbdiff.stream.execution import Execution


class WindowDenoiser:
    """Denoises windows of one level, behind tokens that are known. Holds no state of a stream.

    held: tokens before a window that are known as soon as tensor shapes are constant. From then on whole windows are
    recorded or compiled, if `execution` asks for it and the device and the network allow it.
    """

    def __init__(self, stack: Stack, level: int, held: int, execution: Execution) -> None:
        self._config = stack.config.level(level)
        self._held = held
        self._denoiser = stack.denoisers[level]
        compiler = execution.compiler()
        self.quick: Denoiser | None = None
        if compiler is not None:
            self.quick = stack.compiled_denoiser(level, execution.dtype, compiler)
        self._few = stack.few.get(level)
        self._device, self._dtype = execution.device, execution.dtype
        chosen = execution.sampler
        self.sampler: Sampler = sampler_named(self._config.sampler) if chosen is None else chosen
        self._recordings = execution.recordings()

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
        """Denoise x `[1, c, t]` behind `known` tokens.

        sigmas `[steps + 1]` fall; x has the first. context `[1, n, c]` or None. known: latents and their noise,
        `[1, c, held]` each. guide(step) returns the guidance of a step; it is called once, right before the step.
        watch runs after each step. If the window is recorded, the steps are one piece of work: all guidance is read
        before it, and `watch` runs for every step after it.

        Returns x's part, clean, and the seconds before the first step: the context is prepared once a window.
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
            style = Anchor(*parts[:anchored]) if anchored else None
            sound = echo_from_parts(parts[anchored:])
            return self._loop(x, sigmas, context, lambda step: scales[step], None, behind, style, sound)[0]

        parts: tuple[Tensor, ...] = (
            () if anchor is None else (anchor.style, anchor.known, anchor.beat, anchor.tempo)
        )
        anchored = len(parts)
        parts += () if echo is None else echo_parts(echo)
        scales = torch.tensor([float(guide(step)) for step in range(count)])
        clean = self._recordings(
            "denoise", work, (x, sigmas, scales, context, *(known or (None, None)), *parts)
        )
        for index in range(count):
            watch(Step(index, count, float(sigmas[index]), clean))
        return clean, 0.0

    def _full(self, context: Tensor | None, known: tuple[Tensor, Tensor] | None) -> bool:
        """Whether context and held part have their constant lengths.

        Before that each block has its own shapes, and to record or compile them takes longer than to play them.
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
        """The same as a call, step by step.

        The sampler gets the true v of the known tokens. This keeps them on the straight path from their noise to their
        latents with every sampler, and the model sees them there at every step.
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
        quick: Denoiser | None = None,
    ) -> tuple[GuidedModel | JumpingModel, Sampler]:
        """Return the model that predicts v at these sigmas, and its sampler. Set the model's `scale` before a call.

        context `[1, n, c]` or None. quick: a network that replaces the level's denoiser, with the same weights.
        """
        few = self._config.few
        if self._few is not None and few is not None and self.plays_few(len(sigmas) - 1):
            student = JumpingModel(
                self._few, context, 1.0, sigmas, few.guidance, anchor=anchor, echo=echo, device=self._device
            )
            return student, sample_vddim
        # Both branches at every scale: a guidance knob that passes 1 must not change the time that a block takes.
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
        """Whether the student denoises a window of so many steps."""
        few = self._config.few
        return self._few is not None and few is not None and steps <= few.most_steps


def echo_parts(echo: Echo) -> tuple[Tensor, ...]:
    """Return the tensors `[1, ...]` of echoes and their plan; `echo_from_parts` reads them back."""
    plan = echo.plan
    return (echo.sound, echo.known, *(() if plan is None else (plan.values, plan.pool, plan.known)))


def echo_from_parts(parts: tuple[Tensor, ...]) -> Echo | None:
    """Return the echoes of the tensors `[1, ...]` of `echo_parts`; None without tensors."""
    if not parts:
        return None
    sound, known, *plan = parts
    return Echo(sound, known, Plan(*plan) if plan else None)


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
    """Sample one window of v1; return latents `[b, c, t]` (normalised, not quantised) and their audio `[b, 1, n]`.

    noise: `[b, c, t]`. context: `[b, n, c]`. init: `[b, c, t]`; with it, int(strength * steps) steps are skipped, and
    sampling starts from the init, noised to that level. Levels 1 and 0 use the encoded level below as noise and as
    init. Without an init, strength has no effect.
    """
    model = GuidedModel(stack.denoisers[level], context, guidance, noise.shape[0], device=noise.device)
    if init is None:
        sigmas, x = linear_sigmas(steps), noise
    else:
        sigmas = truncated_sigmas(steps, strength)
        x = noised(init, noise, sigmas[0])
    latents = sample_vddim(model, x, sigmas, callback)
    return latents, stack.codec.decode(latents, level)
