"""One level of a stream: the window it invents or cleans, its context, and a decode without seams.

Every level turns one block into one block of the same length. The coarsest makes it from noise; a finer one
cuts the audio of the level above into its own, shorter windows and denoises each from it. Where a block (a hop) is
shorter than a level's window, what was played last is held before it, and the hop is denoised beside that; before
that lies the context. How a window is denoised
is told in `window.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.audio.crossfade import crossfade
from jbdiff.codecs.band_codec import BandCodec
from jbdiff.codecs.codec import Quantises
from jbdiff.config import JointDenoiserConfig
from jbdiff.diffusion.noise import NoiseIdentity, step_from
from jbdiff.diffusion.noise_pair import NoisePair, draw_morphed
from jbdiff.diffusion.samplers import Sampler, Step
from jbdiff.diffusion.schedules import linear_sigmas, noised
from jbdiff.geometry import Geometry
from jbdiff.networks.anchor import Anchor
from jbdiff.networks.channels_last import Compiler
from jbdiff.networks.echoes import Echo
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.stacks.stack import Stack
from jbdiff.stream.anchor import StreamAnchor, stream_anchor
from jbdiff.stream.cuda_graphs import decode_obstacle, recordings_for
from jbdiff.stream.governor import StreamGovernor
from jbdiff.stream.loudness import weighted_power
from jbdiff.stream.memory import StreamMemory
from jbdiff.stream.settings import BlockSettings, Handover, StepKnobs
from jbdiff.stream.state import (
    AnchorState,
    Carried,
    GovernorState,
    LevelBeginning,
    LevelState,
    MemoryState,
    StreamError,
)
from jbdiff.stream.window import WindowDenoiser

# A decoded sample hardly hears the tokens furthest to its right, so the delay that waits for them can be
# shorter than the decoder's whole reach; the crossfade hides the rest. A twelfth of a window, and no more than a
# quarter of a hop: who chose short ones wants the knobs heard soon. Measured with pocket on encoded music, against a
# decode of the whole: -120 dB of difference with 16 tokens, -48 with 8 (hop 32), -35 with 4 (hop 16), and at none of
# them do the joins stand out among the places beside them (`scripts/measure_seams --delays`).
DELAY_SHARE = 12
DELAY_SHARE_OF_HOP = 4
# Of a window that is longer than a hop, what was played last is held before the hop: a quarter of a window, where the
# denoiser takes shorter windows than in training. What is no longer held has joined the clean context, and guides as
# well: with pocket, the error of the newest 16 tokens (v, 182 places of 14 held-out pieces) at noise levels 1, .85, .6
# and .3 is .298, .095, .073, .109 where a whole window is computed and .296, .094, .073, .110 where a third is.
HELD_SHARE = 4
AHEAD = -3  # noise index of what is invented beyond a block and forgotten; -1 and -2 are home and finisher
FADE_FRAMES = 512  # 12 ms at 44.1 kHz: long enough to hide a small step, short enough to use the best part


@runtime_checkable
class AddsDetail(Protocol):
    """A denoiser of bands that can add their mean detail; `detail_reach` tokens on each side change it."""

    detail_reach: int

    def with_detail(self, bands: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class LevelBlock:
    """One level's share of a block."""

    audio: Tensor  # [1, 1, block_frames], `latency_frames` behind its place in the latents
    state: LevelState
    noise: NoiseIdentity
    seconds: dict[str, float]  # encode, denoise, decode
    guidance: tuple[float, ...] = ()  # of every step, where it was invented


class LevelStage:
    """One level at work. It holds no state of its own: `LevelState` goes in and comes out."""

    def __init__(
        self,
        stack: Stack,
        level: int,
        *,
        block_frames: int,
        token_multiplier: int,
        device: torch.device,
        dtype: torch.dtype,
        sampler: Sampler | None,
        delay_tokens: int | None = None,
        graphs: bool = False,
        compiler: Compiler | None = None,
    ) -> None:
        self.level = level
        self.config = stack.config.level(level)
        self.geometry = Geometry(stack.config)
        self.window = self.config.window_tokens * token_multiplier
        self.tokens = self.geometry.tokens(block_frames, level)
        if self.tokens % self.window and self.window % self.tokens:
            raise ValueError(
                f"a block of {self.tokens} tokens neither divides windows of {self.window} tokens nor is made of "
                f"whole ones (level {level})"
            )
        self.windows = max(1, self.tokens // self.window)
        # Tokens before a hop that are computed with it, and known.
        self.held = max(0, self.window - self.tokens)
        denoiser = self.config.denoiser
        if isinstance(denoiser, JointDenoiserConfig):
            self.held = min(self.held, self.window // HELD_SHARE // denoiser.patch * denoiser.patch)
        self.block_frames = block_frames
        self.margin: int = stack.codec.decoder_margin(level)
        if delay_tokens is None:
            share = min(self.window // DELAY_SHARE, self.tokens // DELAY_SHARE_OF_HOP)
            delay_tokens = min(self.margin, max(1, share))
        longest = max(self.window, self.tokens)
        if not 1 <= delay_tokens <= longest:
            raise ValueError(f"a delay of {delay_tokens} tokens; it may be 1 to {longest}")
        self.delay = delay_tokens
        self.latency_frames = self.geometry.samples(delay_tokens, level)
        self.fade = min(FADE_FRAMES, self.latency_frames, block_frames)
        self._codec = stack.codec
        self.denoise = WindowDenoiser(
            stack,
            level,
            self.held,
            device=device,
            dtype=dtype,
            sampler=sampler,
            graphs=graphs,
            compiler=compiler,
        )
        self._anchor: StreamAnchor | None = None
        self._network = stack.denoisers[level]
        if isinstance(self._network, JointDenoiser) and self._network.anchor is not None:
            self._anchor = stream_anchor(stack, self._network, level)
        self._mean_detail = isinstance(self._network, AddsDetail) and self._network.detail_reach > 0
        self._memory: StreamMemory | None = None
        if isinstance(self._network, JointDenoiser) and self._network.config.echo_channels:
            rate = stack.config.sample_rate / stack.codec.hop(level)
            bands = self._network.config.latent_channels
            self._memory = StreamMemory(bands, rate, self.window, level, device)
        self._governor: StreamGovernor | None = None
        if self._memory is not None and isinstance(stack.codec, BandCodec):
            mean, spread = stack.codec.analysis.mean, stack.codec.analysis.spread
            self._governor = StreamGovernor(mean[:bands], spread[:bands], self.window)
        # What is denoised: the detail of latents is added when their bands are finished.
        self._channels: int = stack.codec.latent_channels
        if isinstance(denoiser, JointDenoiserConfig):
            self._channels = denoiser.latent_channels
        self._device = device
        self._recordings = recordings_for(device) if graphs else None

    def fresh_state(self) -> LevelState:
        """Null context, home noise, silence in the tail."""
        nothing = torch.zeros(1, self._codec.latent_channels, 0, device=self._device)
        # Each hop of a window has noise of its own, so that held noise comes round with the window.
        turns = [f"level{self.level}"] + [
            f"level{self.level}.{n}" for n in range(1, self.window // self.tokens)
        ]
        return LevelState(
            context=None,
            history=nothing,
            tail=torch.zeros(1, 1, self.fade, device=self._device),
            registers=tuple(NoisePair.fresh(turn, self._channels, self.tokens) for turn in turns),
            past_noise=nothing[:, : self._channels] if self.held else None,
            anchor=None if self._anchor is None else self._anchor.heard(None),
            memory=None if self._memory is None else self._memory.begun(None, 0.0),
            governor=None if self._governor is None else self._governor.begun(None),
        )

    @property
    def governs(self) -> bool:
        """Whether level and spread of the bands are held to those of the beginning."""
        return self._governor is not None

    @property
    def beginning_frames(self) -> int:
        """How much of the end of a sound a beginning uses."""
        context = self.geometry.context_samples(self.level)
        if self._memory is None:
            return context
        return max(context, self.geometry.samples(self._memory.tokens, self.level))

    def beginning(
        self, audio: Tensor, carried: Carried | None = None, pause: Callable[[], object] = lambda: None
    ) -> LevelBeginning:
        """Context, anchor and memory of a stream that begins after audio `[1, 1, n]`. What is `carried` from another
        stream is not measured again.
        """
        latents = self._latents(audio, self.beginning_frames)
        context = None if latents is None else latents[:, -self.config.context_tokens :]
        anchor, memory = (None, None) if carried is None else (carried.anchor, carried.memory)
        if self._anchor is not None and anchor is None:
            anchor = self._anchor.heard(context, pause)
        if self._memory is not None and memory is None:
            clock = anchor is not None and anchor.tempo > 0
            memory = self._memory.begun(latents, self._per_token(anchor, BlockSettings()) if clock else 0.0)
        governor = None if carried is None else carried.governor
        if self._governor is not None and governor is None:
            bands = None if latents is None else latents[..., : self._channels]
            governor = self._governor.begun(bands)
        power = None if carried is None else carried.power
        if self._governor is not None and power is None and latents is not None:
            power = weighted_power(audio[..., -self.beginning_frames :], self.geometry.stack.sample_rate)
        return LevelBeginning(context, anchor, memory, governor, power)

    def carried(self, own: LevelState, settings: BlockSettings, frames: int) -> Carried:
        """Anchor and memory as they were so many frames before the next token."""
        tokens = round(frames / self.geometry.hop(self.level))
        anchor, memory = own.anchor, own.memory
        if self._anchor is not None and anchor is not None:
            anchor = self._anchor.earlier(anchor, settings, tokens)
        if self._memory is not None and memory is not None:
            memory = self._memory.earlier(memory, tokens)
        return Carried(anchor, memory, own.governor)

    def began_after(self, own: LevelState, beginning: LevelBeginning) -> LevelState:
        """The state with that context, anchor and memory."""
        return replace(
            own,
            context=beginning.context,
            grown=0,
            anchor=beginning.anchor,
            memory=beginning.memory,
            governor=beginning.governor,
        )

    def began_anew(self, own: LevelState) -> LevelState:
        """The state of a stream that begins after nothing. Only the decoder still knows the sound before."""
        known = own.past_noise
        return replace(
            own,
            context=None,
            grown=0,
            past_noise=None if known is None else known[..., :0],
            anchor=None if self._anchor is None else self._anchor.heard(None),
            memory=None if self._memory is None else self._memory.begun(None, 0.0),
            governor=None if self._governor is None else self._governor.begun(None),
        )

    def _per_token(self, anchor: AnchorState | None, settings: BlockSettings) -> float:
        """Beats a token of the clock; 0 without one."""
        if self._anchor is None or anchor is None or anchor.style is None:
            return 0.0
        return self._anchor.per_token(anchor, settings)

    def default_steps(self) -> int:
        """Steps v1 takes at the stack's default strength; here every strength takes that many."""
        return self.config.steps - int(self.config.init_strength * self.config.steps)

    def steps(self, settings: BlockSettings) -> int:
        """Denoising steps one block takes on a finer level."""
        steps = settings.level(self.level).steps
        return self.windows * (self.default_steps() if steps is None else steps)

    # The coarsest level

    def invented_steps(self, settings: BlockSettings) -> int:
        """Denoising steps of one block on the coarsest level."""
        own = settings.level(self.level).steps
        steps = settings.steps if own is None else own
        return self.config.steps if steps is None else steps

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
        """A block from noise. init `[1, 1, block_frames or more]`, None for the own last window; context audio
        `[1, 1, n]` in the place of the own context. turning: guidance, read anew for every step, unless the settings
        name it for this very level.
        """
        started = time.perf_counter()
        knobs = settings.level(self.level)
        held = self._held_tokens(own)
        conditioning = self._conditioning(own, held) if context is None else self.encode_context(context)
        given = None if context is None else conditioning
        anchor, told = self._anchored(own, settings, given, held)
        memory, echo = self._remembered(own, anchor, settings, given, held, index)
        # Before so much has been played the end lies in the future: invented with the rest, and forgotten.
        invented = self.held + self.tokens - held
        start = self._own_window(own, invented) if init is None else self._encode_init(init, invented)
        encoded = time.perf_counter()
        noise, identity, registers = self._next_noise(own, settings, index)
        sigmas = linear_sigmas(
            self.invented_steps(settings),
            1.0 - settings.resample if start is not None else 1.0,
        )
        ahead = noise
        if invented > self.tokens:
            shape = (1, noise.shape[1], invented - self.tokens)
            future = draw_morphed(shape, settings.noise(), f"level{self.level}", 0, AHEAD)
            ahead = torch.cat([noise, future.to(self._device)], dim=2)
        x = ahead if start is None else noised(start[:, : self._channels], ahead, sigmas[0])
        guidance = settings.guidance if knobs.guidance is None else knobs.guidance
        read: list[float] = []

        def guide(step: int) -> float:
            new = guidance if turning is None or knobs.guidance is not None else turning.guidance(step)
            read.append(new)
            return new

        made, prepared = self.denoise(
            x, sigmas, conditioning, guide, watch, self._known(own, held), told, echo
        )
        kept = None if start is None else start[..., : self.tokens]
        bands, governor = self._governed(own, settings, made[..., : self.tokens], given, start is not None)
        latents = self._with_detail(own, bands, kept, settings.resample)
        denoised = time.perf_counter()
        audio, tail = self._decode(own, latents, index)
        history = self._grown_history(own, latents)
        if self._anchor is not None and anchor is not None:
            anchor = self._anchor.moved(anchor, settings, history, self.tokens)
        state = replace(
            own,
            history=history,
            tail=tail,
            registers=registers,
            past_noise=self._grown_noise(own, noise),
            anchor=anchor,
            memory=memory,
            governor=governor,
        )
        if knobs.update_context:
            state = replace(state, **self._grown_context(own.context, own.grown, latents))
            if self._memory is not None and memory is not None:
                state = replace(state, memory=self._memory.grown(memory, latents))
        seconds = {
            "encode": encoded - started + prepared,
            "denoise": denoised - encoded - prepared,
            "decode": time.perf_counter() - denoised,
        }
        return LevelBlock(audio, state, identity, seconds, tuple(read))

    # The finer levels

    def clean(
        self,
        own: LevelState,
        settings: BlockSettings,
        lossy: Tensor,
        watch: Callable[[Step], None],
        index: int,
    ) -> LevelBlock:
        """A block denoised from the audio of the level above, `[1, 1, block_frames]`.

        The audio is encoded in one piece, with what came before it on its left, so that the windows' seams
        are not in the latents they start from. Noise is drawn for the whole block for the same reason: each
        token of absolute time has its own, whichever window it falls into.
        """
        knobs = settings.level(self.level)
        strength = self.config.init_strength if knobs.strength is None else knobs.strength
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"strength {strength} of level {self.level} is outside 0..1")
        started = time.perf_counter()
        before = own.lower if own.lower is not None else lossy[..., :0]
        heard = torch.cat([before, lossy], dim=2)
        encoded = self._encoded(heard)[..., -self.tokens :]
        encode_seconds = time.perf_counter() - started
        fresh, identity, registers = self._next_noise(own, settings, index)
        noise = self._handover_noise(encoded, fresh, knobs.handover, knobs.priming)
        steps = self.default_steps() if knobs.steps is None else knobs.steps
        sigmas = linear_sigmas(steps, 1.0 - strength) if steps else None
        guidance = self.config.guidance if knobs.guidance is None else knobs.guidance
        held = self._held_tokens(own)
        known = self._known(own, held)
        state = own
        pieces: list[Tensor] = []
        prepared = 0.0
        for start, from_noise in zip(
            encoded.split(self.window, dim=2), noise.split(self.window, dim=2), strict=True
        ):
            if sigmas is None:
                pieces.append(start)
            else:
                x = noised(start, from_noise, sigmas[0])
                context = self._conditioning(state, held)
                piece, seconds_before = self.denoise(x, sigmas, context, lambda step: guidance, watch, known)
                pieces.append(piece)
                prepared += seconds_before
            self.check(pieces[-1], "latents", index)
            if knobs.update_context:
                state = replace(state, **self._grown_context(state.context, state.grown, pieces[-1]))
        denoised = time.perf_counter()
        latents = torch.cat(pieces, dim=2)
        audio, tail = self._decode(own, latents, index)
        reach = self.geometry.samples(self.margin, self.level)
        state = replace(
            state,
            history=self._grown_history(own, latents),
            tail=tail,
            registers=registers,
            lower=heard[..., -reach:].contiguous(),
            past_noise=self._grown_noise(own, noise),
        )
        seconds = {
            "encode": encode_seconds + prepared,
            "denoise": denoised - started - encode_seconds - prepared,
            "decode": time.perf_counter() - denoised,
        }
        return LevelBlock(audio, state, identity, seconds)

    @staticmethod
    def _handover_noise(encoded: Tensor, fresh: Tensor, handover: Handover, priming: float) -> Tensor:
        if handover is Handover.RESIDUAL:
            return encoded
        if handover is Handover.INIT:
            return fresh
        if not 0.0 <= priming <= 1.0:
            raise ValueError(f"priming {priming} is outside 0..1")
        return step_from(encoded, fresh, priming)

    # Parts

    def encode_context(self, audio: Tensor) -> Tensor | None:
        """Audio `[1, 1, n]` to latents `[1, tokens, c]`, right-aligned; None when shorter than a token."""
        check_mono(audio, "context")
        return self._latents(audio, self.geometry.context_samples(self.level))

    def _latents(self, audio: Tensor, longest: int) -> Tensor | None:
        """Latents `[1, tokens, c]` of the last `longest` frames of audio; None if it is shorter than a token."""
        tokens = self.geometry.whole_tokens(min(audio.shape[2], longest), self.level)
        if tokens == 0:
            return None
        audio = audio[..., -self.geometry.samples(tokens, self.level) :].to(self._device, torch.float32)
        return self._codec.encode(audio, self.level).transpose(1, 2)

    def _encode_init(self, audio: Tensor, tokens: int) -> Tensor:
        """Latents of the last `block_frames` of init audio, begun again where `tokens` are more than that."""
        check_mono(audio, "init")
        if audio.shape[2] < self.block_frames:
            raise ValueError(f"init of {audio.shape[2]} frames; a block has {self.block_frames}")
        whole = audio.shape[2] - audio.shape[2] % self.geometry.hop(self.level)
        audio = audio[..., -whole:].to(self._device, torch.float32)
        return _repeated(self._codec.encode(audio, self.level)[..., -self.tokens :], tokens)

    def _own_window(self, own: LevelState, tokens: int) -> Tensor | None:
        """`tokens` from one window ago on, `[1, c, t]`: own latents, or else of what the stream was primed with."""
        back = self.window
        if own.history.shape[2] >= back:
            return _repeated(own.history[..., -back:][..., :tokens], tokens)
        if own.context is not None and own.context.shape[1] >= back:
            return _repeated(own.context[:, -back:].transpose(1, 2)[..., :tokens], tokens)
        return None

    def _next_noise(
        self, own: LevelState, settings: BlockSettings, index: int
    ) -> tuple[Tensor, NoiseIdentity, tuple[NoisePair, ...]]:
        """Noise of a block `[1, c, tokens]`, its identity, and the registers after it."""
        turn = index % len(own.registers)
        noise, identity, after = own.registers[turn].next(settings.noise())
        return noise.to(self._device), identity, (*own.registers[:turn], after, *own.registers[turn + 1 :])

    def _anchored(
        self, own: LevelState, settings: BlockSettings, given: Tensor | None, held: int
    ) -> tuple[AnchorState | None, Anchor | None]:
        """The anchor's state with all that this block needs, and what the network is told of it; `given` is a context
        for this block alone, `[1, n, c]`.
        """
        if self._anchor is None or own.anchor is None:
            return own.anchor, None
        before = self._anchor.settled(own.anchor, settings, own.context)
        heard = given is not None and given.shape[1] >= self.window // 2
        style = self._anchor.style_of(given) if heard and given is not None else None
        told = self._anchor.told(before, settings, held, style)
        return before, told

    def _remembered(
        self,
        own: LevelState,
        anchor: AnchorState | None,
        settings: BlockSettings,
        given: Tensor | None,
        held: int,
        index: int,
    ) -> tuple[MemoryState | None, Echo | None]:
        """The memory before this block, and the echoes of its window; `given` is a context for this block alone,
        `[1, n, c]`.
        """
        if self._memory is None or own.memory is None:
            return own.memory, None
        memory = self._memory.at_tempo(own.memory, self._per_token(anchor, settings))
        source = memory if given is None else self._memory.of_context(memory, given)
        tokens = self.held + self.tokens
        return memory, self._memory.echo(
            source, tokens, held, settings.memory, settings.noise().nearest_seed, index * self.tokens
        )

    def _governed(
        self, own: LevelState, settings: BlockSettings, bands: Tensor, given: Tensor | None, kept: bool
    ) -> tuple[Tensor, GovernorState | None]:
        """Finished bands `[1, c, t]` held to the level and spread of the beginning, or of the context `given` for this
        block alone. What is `kept` of an init is not moved.
        """
        if self._governor is None or own.governor is None:
            return bands, own.governor
        state = own.governor
        if given is not None:
            state = replace(state, held=self._governor.begun(given[..., : self._channels]).held)
        strength = settings.anchor * (1.0 - settings.resample if kept else 1.0)
        bands, after = self._governor.governed(state, bands, settings, strength)
        return bands, after if given is None else replace(after, held=own.governor.held)

    def _with_detail(self, own: LevelState, bands: Tensor, init: Tensor | None, resample: float) -> Tensor:
        """Finished bands `[1, c, t]` with their detail. It keeps the share `resample` of what makes the detail of the
        init `[1, channels, t]` differ from its mean: at 1 the init stays as it is.
        """
        network = self._network
        if not isinstance(network, AddsDetail) or not network.detail_reach:
            return bands
        before = own.history[:, : self._channels, -network.detail_reach :]
        whole = network.with_detail(torch.cat([before, bands], 2))[..., before.shape[2] :]
        if init is None or resample == 0.0:
            return whole
        usual = network.with_detail(init[:, : self._channels])
        rest = init - usual
        rest[:, : self._channels] = 0
        return whole + resample * rest

    # What is held of a window

    def _held_tokens(self, own: LevelState) -> int:
        """Tokens at a window's beginning that were played already, and not forgotten since."""
        return 0 if own.past_noise is None else min(self.held, own.past_noise.shape[2])

    def _known(self, own: LevelState, held: int) -> tuple[Tensor, Tensor] | None:
        """Those tokens and the noise they grew from, `[1, c, held]` each."""
        if not held or own.past_noise is None:
            return None
        return own.history[:, : self._channels, -held:], own.past_noise[..., -held:]

    def _conditioning(self, own: LevelState, held: int) -> Tensor | None:
        """The context `[1, n, c]` before a window whose first `held` tokens are known."""
        if own.context is None:
            return None
        before = own.context[:, : own.context.shape[1] - min(held, own.grown)]
        return before[:, -self.config.context_tokens :] if before.shape[1] else None

    def _grown_noise(self, own: LevelState, noise: Tensor) -> Tensor | None:
        if own.past_noise is None:
            return None
        return torch.cat([own.past_noise, noise], dim=2)[..., -self.held :]

    def _encoded(self, audio: Tensor) -> Tensor:
        """The sound of the level above with what came before it, `[1, 1, n]`, as latents `[1, c, tokens]`."""

        def work(audio: Tensor) -> Tensor:
            return self._codec.encode(audio, self.level)

        whole = audio.shape[2] == self.geometry.samples(self.margin, self.level) + self.block_frames
        if self._recordings is None or not whole:
            return work(audio)
        return self._recordings("encode", work, (audio,))

    def _decoded(self, latents: Tensor, first: int) -> Tensor:
        """Latents `[1, c, t]`, the first of them the stream's number `first`, as float32 audio `[1, 1, t * hop]`."""

        def work(latents: Tensor, first: int | Tensor) -> Tensor:
            if self._mean_detail:
                audio: Tensor = self._codec.decode(latents, self.level, first, mean_detail=True)
            else:
                audio = self._codec.decode(latents, self.level, first)
            return audio.float()

        whole = latents.shape[2] == self.delay + self.margin + self.tokens
        if self._recordings is None or not whole or decode_obstacle(self._codec) is not None:
            return work(latents, first)
        return self._recordings("decode", work, (latents, torch.tensor([first])))

    def _decode(self, own: LevelState, latents: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Audio to give out `[1, 1, block_frames]`, and what follows it, to fade from `[1, 1, fade]`."""
        self.check(latents, "latents", index)
        left = own.history[..., -(self.delay + self.margin) :]
        first = index * self.tokens - left.shape[2]
        decoded = self._decoded(torch.cat([left, latents], dim=2), first)
        delay, block, fade = self.latency_frames, self.block_frames, self.fade
        decoded = decoded[..., -(delay + block) :]
        if decoded.shape[2] < delay + block:
            decoded = F.pad(decoded, (delay + block - decoded.shape[2], 0))
        # Two decodes of the same latents: alike, so a linear fade keeps their level.
        head = crossfade(own.tail, decoded[..., :fade])
        audio, tail = torch.cat([head, decoded[..., fade:block]], dim=2), decoded[..., block : block + fade]
        self.check(audio, "audio", index)
        self.check(tail, "audio", index)
        return audio, tail

    def _grown_history(self, own: LevelState, latents: Tensor) -> Tensor:
        kept = max(self.window, self.delay + self.margin)
        return torch.cat([own.history, latents], dim=2)[..., -kept:]

    def _grown_context(self, context: Tensor | None, grown: int, latents: Tensor) -> dict[str, Any]:
        """Own latents join the context as they are; behind a codebook, as the decoder heard them."""
        if isinstance(self._codec, Quantises):
            latents = self._codec.quantise(latents, self.level)
        new = latents.transpose(1, 2)
        joined = new if context is None else torch.cat([context, new], dim=1)
        joined = joined[:, -(self.config.context_tokens + self.held) :]
        return {"context": joined, "grown": min(grown + new.shape[1], joined.shape[1])}

    def check(self, values: Tensor, what: str, index: int) -> None:
        """Raises StreamError where values are not finite."""
        if not bool(torch.isfinite(values).all()):
            raise StreamError(
                f"block {index}: {what} of level {self.level} are not finite. Lower guidance, use float32, "
                "or reset the stream; if a fresh stream does this too, the weights are damaged"
            )


def _repeated(latents: Tensor, tokens: int) -> Tensor:
    """The first `tokens` of latents `[1, c, t]`, from the beginning again where there are fewer."""
    return latents.repeat(1, 1, -(-tokens // latents.shape[2]))[..., :tokens]


def check_mono(audio: Tensor, what: str) -> None:
    """Raises ValueError unless audio is `[1, 1, frames]`."""
    if audio.ndim != 3 or audio.shape[:2] != (1, 1):
        raise ValueError(f"{what} audio is [1, 1, frames], not {tuple(audio.shape)}")
