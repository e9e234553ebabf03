"""One level of a stream: it turns one block into one block of the same length.

The coarsest level invents a block from noise. A finer level cuts the sound of the level above into its own, shorter
windows and denoises each of them. If a block (a hop) is shorter than a window, the newest tokens are held before the
hop: they are computed again beside it, and known. Before them lies the context. `window.py` denoises a window,
`decode.py` makes sound of it, `steering.py` does what anchor, memory and governor do around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jbdiff.diffusion.noise import NoiseIdentity, NoiseSettings, step_from
from jbdiff.diffusion.noise_pair import NoisePair, draw_morphed
from jbdiff.diffusion.samplers import Step
from jbdiff.diffusion.schedules import linear_sigmas, noised
from jbdiff.geometry import Geometry
from jbdiff.stacks.stack import Stack
from jbdiff.stream.decode import AddsDetail, BlockDecoder, with_detail
from jbdiff.stream.execution import Execution
from jbdiff.stream.past import (
    context_before,
    grown_history,
    grown_noise,
    held_tokens,
    known_tokens,
    own_window,
    with_context,
)
from jbdiff.stream.settings import BlockSettings, Handover, LevelSettings, StepKnobs
from jbdiff.stream.sizes import level_sizes
from jbdiff.stream.state import Carried, LevelBeginning, LevelState
from jbdiff.stream.steering import Steering
from jbdiff.stream.window import WindowDenoiser

AHEAD = -3  # noise index of what is invented beyond a block and dropped; -1 and -2 are home and finisher


@dataclass(frozen=True)
class LevelBlock:
    """One level's share of a block."""

    audio: Tensor  # [1, 1, block_frames], `latency_frames` behind its place in the latents
    state: LevelState
    noise: NoiseIdentity
    seconds: dict[str, float]  # encode, denoise, decode
    guidance: tuple[float, ...] = ()  # of every step, if the level invented it
    # Place in the bar of its first token, and beats a token; None without a clock.
    beat: tuple[float, float] | None = None


class LevelStage:
    """One level at work. It holds no state of its own: `LevelState` goes in and comes out."""

    def __init__(
        self,
        stack: Stack,
        level: int,
        execution: Execution,
        *,
        block_frames: int,
        token_multiplier: int,
        delay_tokens: int | None = None,
    ) -> None:
        """block_frames, token_multiplier and delay_tokens as in `sizes.level_sizes`, which raises ValueError."""
        self.level = level
        self.config = stack.config.level(level)
        self.geometry = Geometry(stack.config)
        self.sizes = sizes = level_sizes(stack, level, block_frames, token_multiplier, delay_tokens)
        self.block_frames, self.latency_frames = block_frames, sizes.latency_frames
        self.window, self.windows, self.tokens = sizes.window, sizes.windows, sizes.tokens
        self.held, self.margin, self.delay = sizes.held, sizes.margin, sizes.delay
        self.denoise = WindowDenoiser(stack, level, self.held, execution)
        network = stack.denoisers[level]
        self._detail = network if isinstance(network, AddsDetail) and network.detail_reach > 0 else None
        self.adds_detail = self._detail is not None
        self._device = execution.device
        self._decoder = BlockDecoder(
            stack.codec, sizes, self._device, self.adds_detail, execution.recordings()
        )
        self.steering = Steering(stack, level, sizes, self._device)

    # Between blocks

    def fresh_state(self) -> LevelState:
        """Null context, home noise, silence in the tail."""
        nothing = torch.zeros(1, self._decoder.channels, 0, device=self._device)
        # Each hop of a window has noise of its own, so that held noise comes round with the window.
        turns = [f"level{self.level}"] + [
            f"level{self.level}.{n}" for n in range(1, self.window // self.tokens)
        ]
        anchor, memory, governor = self.steering.fresh()
        return LevelState(
            context=None,
            history=nothing,
            tail=torch.zeros(1, 1, self.sizes.fade, device=self._device),
            registers=tuple(NoisePair.fresh(turn, self.sizes.channels, self.tokens) for turn in turns),
            past_noise=nothing[:, : self.sizes.channels] if self.held else None,
            anchor=anchor,
            memory=memory,
            governor=governor,
        )

    @property
    def beginning_frames(self) -> int:
        """Frames of the end of a sound that a beginning uses."""
        return max(self.geometry.context_samples(self.level), self.steering.memory_frames)

    def beginning(
        self, audio: Tensor, carried: Carried | None = None, pause: Callable[[], object] = lambda: None
    ) -> LevelBeginning:
        """Context, anchor and memory of a stream that begins after audio `[1, 1, n]`.

        carried: states of another stream, which are not measured again. pause: runs before longer work.
        """
        latents = self._decoder.latents_of(audio, self.beginning_frames)
        context = None if latents is None else latents[:, -self.config.context_tokens :]
        return self.steering.beginning(audio[..., -self.beginning_frames :], latents, context, carried, pause)

    def began_anew(self, own: LevelState) -> LevelState:
        """The state of a stream that begins after nothing. Only the decoder still knows the sound before."""
        known = own.past_noise
        fresh = own.begun_after(LevelBeginning(None, *self.steering.fresh()))
        return replace(fresh, past_noise=None if known is None else known[..., :0])

    def carried(self, own: LevelState, settings: BlockSettings, frames: int) -> Carried:
        """Anchor and memory as they were so many frames before the next token."""
        return self.steering.carried(own, settings, round(frames / self.geometry.hop(self.level)))

    def encode_context(self, audio: Tensor) -> Tensor | None:
        """Audio `[1, 1, n]` as latents `[1, tokens, c]`, aligned to its end; None if it is shorter than a token."""
        return self._decoder.latents_of(audio, self.geometry.context_samples(self.level))

    def default_steps(self) -> int:
        """Steps v1 takes at the stack's default strength; here every strength takes that many."""
        return self.config.steps - int(self.config.init_strength * self.config.steps)

    def steps(self, settings: BlockSettings) -> int:
        """Denoising steps of one block on a finer level."""
        steps = settings.level(self.level).steps
        return self.windows * (self.default_steps() if steps is None else steps)

    def invented_steps(self, settings: BlockSettings) -> int:
        """Denoising steps of one block on the coarsest level."""
        own = settings.level(self.level).steps
        steps = settings.steps if own is None else own
        return self.config.steps if steps is None else steps

    # The coarsest level

    def invent(
        self,
        own: LevelState,
        settings: BlockSettings,
        init: Tensor | None,
        context: Tensor | None,
        watch: Callable[[Step], None],
        index: int,
        turning: StepKnobs | None = None,
    ) -> LevelBlock:
        """Make block number `index` from noise.

        init: audio `[1, 1, block_frames or more]` that `settings.resample` keeps; None keeps the own last window.
        context: audio `[1, 1, n]` that replaces the own context for this block. watch: runs after each step.
        turning: guidance is read from it before every step, unless the settings set it for this very level.
        Raises StreamError if latents or audio are not finite.
        """
        started = time.perf_counter()
        held = held_tokens(own, self.sizes)
        conditioning = context_before(own, self.sizes) if context is None else self.encode_context(context)
        # Before so much has been played the end lies in the future: it is invented with the rest, and dropped.
        invented = self.held + self.tokens - held
        start = self._start(own, init, invented)
        top = 1.0 if start is None else 1.0 - settings.resample
        given = None if context is None else conditioning
        guides = self.steering.before(own, settings, given, held, index, top)
        encoded = time.perf_counter()
        noise, identity, registers = self._next_noise(own, settings, index)
        sigmas = linear_sigmas(self.invented_steps(settings), top)
        x = _with_future(noise, invented, settings.noise(), self.level)
        if start is not None:
            x = noised(start[:, : self.sizes.channels], x, sigmas[0])
        guide = _Guidance(settings, settings.level(self.level), turning)
        made, prepared = self.denoise(
            x, sigmas, conditioning, guide, watch, known_tokens(own, self.sizes), guides.anchor, guides.echo
        )
        bands, governor = self.steering.govern(
            own, settings, made[..., : self.tokens], guides.context, start is not None
        )
        kept = None if start is None else start[..., : self.tokens]
        latents = with_detail(self._detail, own.history, bands, kept, settings.resample)
        denoised = time.perf_counter()
        audio, tail = self._decoder.decode(own.history, own.tail, latents, index)
        history = grown_history(own, self.sizes, latents)
        anchor, memory = self.steering.after(guides, settings, history, latents)
        state = replace(
            own,
            history=history,
            tail=tail,
            registers=registers,
            past_noise=grown_noise(own, self.sizes, noise),
            anchor=anchor,
            memory=memory,
            governor=governor,
        )
        if settings.level(self.level).update_context:
            state = with_context(state, self.sizes, self._decoder.as_decoded(latents))
        seconds = _seconds(started, encoded, denoised, prepared)
        return LevelBlock(audio, state, identity, seconds, tuple(guide.read), guides.beat)

    # The finer levels

    def clean(
        self,
        own: LevelState,
        settings: BlockSettings,
        lossy: Tensor,
        watch: Callable[[Step], None],
        index: int,
    ) -> LevelBlock:
        """Denoise block number `index` from the audio of the level above, `lossy` `[1, 1, block_frames]`.

        The audio is encoded in one piece, with what came before it on its left, so that the windows' seams
        are not in the latents they start from. Noise is drawn for the whole block for the same reason: each
        token of absolute time has its own, whichever window it falls into.
        Raises ValueError if strength or priming are outside 0..1, StreamError if latents or audio are not finite.
        """
        knobs = settings.level(self.level)
        strength = self.config.init_strength if knobs.strength is None else knobs.strength
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"strength {strength} of level {self.level} is outside 0..1")
        started = time.perf_counter()
        before = own.lower if own.lower is not None else lossy[..., :0]
        above = torch.cat([before, lossy], dim=2)
        encoded = self._decoder.encode(above)[..., -self.tokens :]
        encoded_at = time.perf_counter()
        fresh, identity, registers = self._next_noise(own, settings, index)
        noise = _handover_noise(encoded, fresh, knobs)
        steps = self.default_steps() if knobs.steps is None else knobs.steps
        sigmas = linear_sigmas(steps, 1.0 - strength) if steps else None
        latents, state, prepared = self._cleaned(own, knobs, encoded, noise, sigmas, watch, index)
        denoised = time.perf_counter()
        audio, tail = self._decoder.decode(own.history, own.tail, latents, index)
        reach = self.geometry.samples(self.margin, self.level)
        state = replace(
            state,
            history=grown_history(own, self.sizes, latents),
            tail=tail,
            registers=registers,
            lower=above[..., -reach:].contiguous(),
            past_noise=grown_noise(own, self.sizes, noise),
        )
        return LevelBlock(audio, state, identity, _seconds(started, encoded_at, denoised, prepared))

    def _cleaned(
        self,
        own: LevelState,
        knobs: LevelSettings,
        encoded: Tensor,
        noise: Tensor,
        sigmas: Tensor | None,
        watch: Callable[[Step], None],
        index: int,
    ) -> tuple[Tensor, LevelState, float]:
        """Denoise a block window by window; sigmas None leaves it as it is.

        encoded and noise `[1, c, tokens]`. Returns clean latents `[1, c, tokens]`, the state with its context after
        them, and the seconds that contexts took to prepare.
        """
        guidance = self.config.guidance if knobs.guidance is None else knobs.guidance
        known = known_tokens(own, self.sizes)
        state, prepared = own, 0.0
        pieces: list[Tensor] = []
        windows = (torch.split(latents, self.window, dim=2) for latents in (encoded, noise))
        for start, from_noise in zip(*windows, strict=True):
            piece = start
            if sigmas is not None:
                x = noised(start, from_noise, sigmas[0])
                context = context_before(state, self.sizes)
                piece, seconds = self.denoise(x, sigmas, context, lambda step: guidance, watch, known)
                prepared += seconds
            self._decoder.check(piece, "latents", index)
            pieces.append(piece)
            if knobs.update_context:
                state = with_context(state, self.sizes, self._decoder.as_decoded(piece))
        return torch.cat(pieces, dim=2), state, prepared

    # Parts

    def _start(self, own: LevelState, init: Tensor | None, tokens: int) -> Tensor | None:
        """Latents `[1, c, tokens]` that `resample` keeps: of the init, or of the own last window; None without."""
        if init is None:
            return own_window(own, self.sizes, tokens)
        return self._decoder.latents_of_init(init, tokens)

    def _next_noise(
        self, own: LevelState, settings: BlockSettings, index: int
    ) -> tuple[Tensor, NoiseIdentity, tuple[NoisePair, ...]]:
        """Noise of a block `[1, c, tokens]`, its identity, and the registers after it."""
        turn = index % len(own.registers)
        noise, identity, after = own.registers[turn].next(settings.noise())
        return noise.to(self._device), identity, (*own.registers[:turn], after, *own.registers[turn + 1 :])


class _Guidance:
    """Guidance of every step of a block, which is read right before the step; `read` lists what was used."""

    def __init__(self, settings: BlockSettings, knobs: LevelSettings, turning: StepKnobs | None) -> None:
        self._fixed = settings.guidance if knobs.guidance is None else knobs.guidance
        self._turning = turning if knobs.guidance is None else None
        self.read: list[float] = []

    def __call__(self, step: int) -> float:
        self.read.append(self._fixed if self._turning is None else self._turning.guidance(step))
        return self.read[-1]


def _with_future(noise: Tensor, tokens: int, settings: NoiseSettings, level: int) -> Tensor:
    """Noise of a block `[1, c, block]`, continued to so many tokens."""
    if tokens <= noise.shape[2]:
        return noise
    shape = (1, noise.shape[1], tokens - noise.shape[2])
    future = draw_morphed(shape, settings, f"level{level}", 0, AHEAD)
    return torch.cat([noise, future.to(noise.device)], dim=2)


def _handover_noise(encoded: Tensor, fresh: Tensor, knobs: LevelSettings) -> Tensor:
    """The noise that a finer level starts from: see `Handover`. Both tensors `[1, c, tokens]`."""
    if knobs.handover is Handover.RESIDUAL:
        return encoded
    if knobs.handover is Handover.INIT:
        return fresh
    if not 0.0 <= knobs.priming <= 1.0:
        raise ValueError(f"priming {knobs.priming} is outside 0..1")
    return step_from(encoded, fresh, knobs.priming)


def _seconds(started: float, encoded: float, denoised: float, prepared: float) -> dict[str, float]:
    """Seconds of a level's three parts. To prepare contexts takes `prepared` seconds, which are the encoder's."""
    return {
        "encode": encoded - started + prepared,
        "denoise": denoised - encoded - prepared,
        "decode": time.perf_counter() - denoised,
    }
