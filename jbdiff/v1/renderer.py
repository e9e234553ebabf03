"""Works as the first implementation does, to repeat its recorded results: levels are nested.

Every window of a coarse level is cut into windows of the next finer level. Each of these is sampled from the encoded
audio of the coarser level. Each window of the finest level goes through the finisher and is crossfaded into the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from jbdiff.audio.crossfade import Crossfade, crossfade
from jbdiff.config import FinisherConfig
from jbdiff.diffusion.noise import NoiseStyle, step_from
from jbdiff.diffusion.samplers import Step
from jbdiff.diffusion.schedules import crash_sigmas
from jbdiff.geometry import Geometry
from jbdiff.networks.dance_finisher import Finisher, finish_window
from jbdiff.stacks.stack import Stack
from jbdiff.stream.window import sample_window


@dataclass(frozen=True)
class V1LevelSettings:
    """How one level is sampled. `strength`, 0..1: how much of its input an upsampling level keeps."""

    steps: int
    guidance: float
    strength: float = 0.0


@dataclass(frozen=True)
class V1Settings:
    """One v1 run, apart from its sounds."""

    levels: Mapping[int, V1LevelSettings]
    windows: int
    token_multiplier: int = 1  # length of a window, in training windows
    update_lowest_context: bool = False
    finisher: bool = True  # False: the finest level's mono on both channels, without crossfades
    finisher_steps: int = 150
    finisher_strength: float = 0.23
    finisher_seed: int = 0
    finisher_style: NoiseStyle = NoiseStyle.RANDOM
    finisher_step: float = 0.4
    fade: Crossfade = Crossfade.LINEAR


@dataclass
class V1Run:
    """The state and the results of a run: all audio of each level, contexts, finished stereo."""

    audio: Tensor  # [1, 2, n], not clamped
    contexts: dict[int, Tensor]  # level -> [1, tokens, c]
    level_audio: dict[int, list[Tensor]] = field(default_factory=dict)  # level -> [1, 1, n] each
    position: int = 0  # finished samples
    previous: Tensor | None = None  # [1, 1, n] of the finest level, before the finisher


class V1Renderer:
    """Renders a whole run of the v1 stack. Make a new one for each run, because it holds the finisher's noise.

    run = V1Renderer(stack, settings).render(base_noise, context)
    """

    def __init__(self, stack: Stack, settings: V1Settings) -> None:
        """Raises ValueError if the stack lacks a level, or a finisher that is wanted."""
        config = stack.config.finisher
        if settings.finisher and (stack.finisher is None or not isinstance(config, FinisherConfig)):
            raise ValueError(
                f"stack {stack.config.name!r} has no finisher of v1's kind; a v1 run ends with one, or turn it off"
            )
        for level in settings.levels:
            stack.config.level(level)
        self.stack, self.settings = stack, settings
        self.geometry = Geometry(stack.config)
        # The check above makes sure that it is v1's kind.
        self.finisher = cast(Finisher | None, stack.finisher) if settings.finisher else None
        self.finisher_config = config if isinstance(config, FinisherConfig) else FinisherConfig()
        self._on_step: Callable[[], None] = lambda: None
        self.levels = sorted(settings.levels, reverse=True)
        self._window = settings.token_multiplier * stack.config.level(self.levels[-1]).window_tokens
        self._frames = self.geometry.samples(self._window, self.levels[-1])
        self._generator = torch.Generator().manual_seed(settings.finisher_seed)
        self._home = self._draw()
        self._noise = self._home

    @torch.inference_mode()
    def render(
        self,
        base_noise: Tensor,
        context: Tensor,
        init: Tensor | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> V1Run:
        """Render the whole run on the device of base_noise, where the stack's modules are.

        - base_noise: `[1, c, windows * tokens]` (`noise.v1_base_noise`).
        - context: audio `[1, 1, n]` before the beginning; if it is short, zeros are put in front.
        - init: audio `[1, 1, n]` as long as the run; the coarsest level's strength is how much of it is kept.
        - on_step: called after each denoising step, `steps` times in all.

        Raises ValueError if the init has another length.
        """
        self._on_step = on_step
        self._noise = self._noise.to(base_noise.device)
        self._home = self._home.to(base_noise.device)
        coarsest = self.levels[0]
        total = self.geometry.samples(base_noise.shape[2], coarsest)
        if init is not None and init.shape != (1, 1, total):
            raise ValueError(f"init {tuple(init.shape)}; this run is [1, 1, {total}]")
        run = V1Run(
            audio=torch.zeros(1, 2, total, device=base_noise.device),
            contexts={level: self.first_context(context, level) for level in self.levels},
            level_audio={level: [] for level in self.levels},
        )
        codec = self.stack.codec
        inits = [None] * self.settings.windows if init is None else init.chunk(self.settings.windows, dim=2)
        for noise, piece in zip(base_noise.chunk(self.settings.windows, dim=2), inits, strict=True):
            start = None if piece is None else codec.encode(piece, coarsest)
            self._sample(run, 0, noise, start)
            if self.settings.update_lowest_context:
                self._update_context(run, coarsest)
        return run

    def steps(self, *, with_init: bool) -> int:
        """Return the number of denoising steps of the whole run, with the finisher's."""
        total, windows = 0, self.settings.windows
        for index, level in enumerate(self.levels):
            how = self.settings.levels[level]
            if index:
                windows *= self.geometry.hop(self.levels[index - 1]) // self.geometry.hop(level)
            kept = int(how.strength * how.steps) if index or with_init else 0
            total += windows * (how.steps - kept)
        if self.finisher is not None:
            below = 1.0 - self.settings.finisher_strength
            total += windows * (len(crash_sigmas(self.settings.finisher_steps, below)) - 1)
        return total

    def _watch(self, step: Step) -> None:
        self._on_step()

    def first_context(self, audio: Tensor, level: int) -> Tensor:
        """Return a level's first context `[1, tokens, c]`: the end of audio `[1, 1, n]`.

        If the audio is short, silence is put before it.
        """
        length = self.geometry.context_samples(level)
        audio = audio[..., -length:]
        padded = torch.nn.functional.pad(audio, (length - audio.shape[2], 0))
        return self.stack.codec.encode(padded, level).transpose(1, 2)

    def _sample(self, run: V1Run, index: int, noise: Tensor, init: Tensor | None) -> None:
        """Sample one window of the level with this index, and everything below it."""
        level = self.levels[index]
        how = self.settings.levels[level]
        _, audio = sample_window(
            self.stack,
            level,
            noise,
            run.contexts[level],
            steps=how.steps,
            guidance=how.guidance,
            init=init,
            strength=how.strength,
            callback=self._watch,
        )
        run.level_audio[level].append(audio)
        if index == len(self.levels) - 1:
            self._finish(run, audio)
            return
        finer = self.levels[index + 1]
        count = self.geometry.hop(level) // self.geometry.hop(finer)
        for piece in audio.chunk(count, dim=2):
            lossy = self.stack.codec.encode(piece, finer)
            self._sample(run, index + 1, lossy, lossy)
            self._update_context(run, finer)

    def _update_context(self, run: V1Run, level: int) -> None:
        """Encode the context of a level anew from the finished audio, averaged to mono.

        If the finished audio is shorter than the context, the end of the *present* context stays in front. So tokens of
        an earlier update can repeat, as in v1.
        """
        context = run.contexts[level]
        tokens = min(self.geometry.whole_tokens(run.position, level), context.shape[1])
        start = run.position - self.geometry.samples(tokens, level)
        finished = run.audio[..., start : run.position].mean(dim=1, keepdim=True)
        new = self.stack.codec.encode(finished, level).transpose(1, 2)
        run.contexts[level] = torch.cat([context[:, tokens:], new], dim=1)

    def _finish(self, run: V1Run, audio: Tensor) -> None:
        """Finish audio `[1, 1, n]` to stereo and add it to the result; its head is crossfaded with the tail there."""
        if self.finisher is None:
            run.audio[..., run.position : run.position + audio.shape[2]] = audio
            run.position += audio.shape[2]
            return
        fade = self.finisher_config.fade_samples
        before = audio.new_zeros(1, 1, fade) if run.previous is None else run.previous[..., -fade:]
        mono = torch.cat([before, audio], dim=2)
        stereo = torch.nn.functional.pad(mono, (0, self._noise.shape[2] - mono.shape[2])).expand(1, 2, -1)
        finished = finish_window(
            self.finisher,
            stereo,
            self._noise,
            steps=self.settings.finisher_steps,
            noise_level=1.0 - self.settings.finisher_strength,
            callback=self._watch,
        )[..., : mono.shape[2]]
        place = run.position
        run.audio[..., place : place + audio.shape[2]] = finished[..., fade:]
        if place >= fade:
            old = run.audio[..., place - fade : place].clone()
            run.audio[..., place - fade : place] = crossfade(old, finished[..., :fade], self.settings.fade)
        run.previous = audio
        run.position += audio.shape[2]
        self._noise = self._next_noise()

    def _draw(self) -> Tensor:
        """Return fresh finisher noise `[1, 2, n]`, as many whole windows as a padded piece needs."""
        window = self.finisher_config.window_samples
        count = -(-(self._frames + self.finisher_config.fade_samples) // window)
        return torch.randn(1, 2, count * window, generator=self._generator)

    def _next_noise(self) -> Tensor:
        style, step = self.settings.finisher_style, self.settings.finisher_step
        if style is NoiseStyle.CONSTANT:
            return self._noise
        fresh = self._draw().to(self._noise.device)
        if style is NoiseStyle.RANDOM:
            return fresh
        return step_from(self._home if style is NoiseStyle.REGION else self._noise, fresh, step)
