"""The section *few-steps*: distance of a student's windows to those of its teacher with 50 steps.

Both start from the same noise after the same context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.diffusion.samplers import sample_vddim
from jbdiff.diffusion.schedules import linear_sigmas
from jbdiff.evaluate.figures import Figure
from jbdiff.evaluate.metrics.measures import mel_distance
from jbdiff.guidance import GUIDANCE_RESCALE, GuidedModel, JumpingModel, pulled_at
from jbdiff.networks.anchor import Anchor
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.stack import Stack
from jbdiff.stream.anchor import stream_anchor
from jbdiff.stream.stream import BlockSettings

TEACHER_STEPS = 50
TRIED = (4, 2, 1)


@dataclass(frozen=True)
class _Case:
    """One window to generate: context `[1, n, c]`, noise `[1, c, t]`, and the anchor if the network takes one."""

    context: Tensor
    noise: Tensor
    anchor: Anchor | None


def _cases(stack: Stack, contexts: Sequence[Tensor], seeds: int) -> list[_Case]:
    config, codec = stack.config.level(2), stack.codec
    network = cast(JointDenoiser, stack.denoisers[2])
    anchors = None if network.anchor is None else stream_anchor(stack, network, 2)
    found = []
    for number, context in enumerate(contexts):
        whole = len(context) // codec.hop(2) * codec.hop(2)
        latents = codec.encode(context[None, None, -whole:], 2).transpose(1, 2)
        anchor = None
        if anchors is not None:
            state = anchors.settled(anchors.begun(latents), BlockSettings(), latents)
            anchor = anchors.for_window(state, BlockSettings(), 0)
        for seed in range(seeds):
            chance = torch.Generator().manual_seed(1000 * number + seed)
            noise = torch.randn(1, network.config.latent_channels, config.window_tokens, generator=chance)
            found.append(_Case(latents, noise, anchor))
    return found


def _student(steps: int) -> str:
    return f"student, {steps}, one branch"


def _teacher(steps: int) -> str:
    return f"teacher, {steps}, guided"


def teacher_steps(rows: int, interval: tuple[float, float] | None) -> int:
    """Return the largest number of v-DDIM steps for which a guided teacher needs at most `rows` network rows.

    A step inside the guidance interval has two branches and takes two rows. A step outside takes one. At least 1.
    """

    def needed(steps: int) -> int:
        return steps + int(pulled_at(interval, linear_sigmas(steps)[:-1]).sum())

    return max([steps for steps in range(1, rows + 1) if needed(steps) <= rows], default=1)


@torch.inference_mode()
def few_figures(
    stack: Stack, contexts: Sequence[Tensor], seeds: int, report: Callable[[str], None]
) -> list[Figure]:
    """Return the mel distances in dB between windows of few steps and the teacher's windows of 50 steps.

    They are measured for the student with 4, 2 and 1 steps. For comparison they are also measured for the teacher with
    as few steps and with its usual number. The bound: the student's distance with four steps is below the teacher's
    distance for the same work.

    `contexts`: mono `[n]` each. Returns an empty list if the stack has no student. Raises ValueError if the stack has
    no band codec.
    """
    level = stack.config.level(2)
    if level.few is None or 2 not in stack.few:
        return []
    codec = stack.codec
    if not isinstance(codec, BandCodec):
        raise ValueError("students of few steps belong to stacks with a band codec")
    network = cast(JointDenoiser, stack.denoisers[2])

    same_work = teacher_steps(TRIED[0], level.guidance_interval)
    teacher = partial(_teachers_window, stack)
    ways: list[tuple[str, Callable[[_Case, int], Tensor], int]] = [
        (_teacher(steps), teacher, steps) for steps in sorted({level.steps, same_work, *TRIED}, reverse=True)
    ]
    ways += [(_student(steps), partial(_students_window, stack), steps) for steps in TRIED]
    apart: dict[str, list[float]] = {name: [] for name, _, _ in ways}
    cases = _cases(stack, contexts, seeds)
    others: list[float] = []
    before: Tensor | None = None

    def sound(latents: Tensor) -> Tensor:
        return codec.decode(network.with_detail(latents), mean_detail=True)[0, 0]

    for number, case in enumerate(cases):
        wanted = sound(teacher(case, TEACHER_STEPS))
        for name, way, steps in ways:
            apart[name].append(mel_distance(wanted, sound(way(case, steps)), codec.sample_rate))
        if before is not None and number % seeds:
            others.append(mel_distance(wanted, before, codec.sample_rate))
        before = wanted
    report(f"  {len(cases)} windows, with {TEACHER_STEPS} steps and with few")
    return _few_figures(apart, others, same_work)


def _teachers_window(stack: Stack, case: _Case, steps: int) -> Tensor:
    """Return a window `[1, c, t]` of the guided denoiser."""
    level = stack.config.level(2)
    model = GuidedModel(
        stack.denoisers[2],
        case.context,
        level.guidance,
        both_branches=True,
        rescale=GUIDANCE_RESCALE,
        interval=level.guidance_interval,
        anchor=case.anchor,
    )
    return sample_vddim(model, case.noise, linear_sigmas(steps))


def _students_window(stack: Stack, case: _Case, steps: int) -> Tensor:
    """Return a window `[1, c, t]` of the student."""
    level, sigmas = stack.config.level(2), linear_sigmas(steps)
    assert level.few is not None
    model = JumpingModel(
        stack.few[2], case.context, level.guidance, sigmas, level.few.guidance, anchor=case.anchor
    )
    return sample_vddim(model, case.noise, sigmas)


def _few_figures(apart: Mapping[str, list[float]], others: list[float], same_work: int) -> list[Figure]:
    """Return the figures. `apart`: distances in dB by method; `others`: those of windows from other noise."""
    section = f"few steps: to {TEACHER_STEPS} of the teacher"
    figures = []
    for name, values in apart.items():
        high, note = None, ""
        if name == _student(TRIED[0]):
            high = float(np.mean(apart[_teacher(same_work)]))
            note = f"its teacher's {same_work} are as much work"
        figures.append(Figure(section, name, float(np.mean(values)), "dB", high=high, note=note))
    if others:
        figures.append(Figure(section, "from other noise", float(np.mean(others)), "dB", note="for scale"))
    return figures
