"""BlockStream: music block by block. One step in, one block of audio out, for as long as one likes.

    stream = BlockStream(load_stack("pocket"))
    block = stream.step(BlockSettings(seed=1))      # block.audio: [1, channels, stream.block_frames]

No threads and no clocks here: whoever calls `step` decides when. At present level 2 plays alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.checkpoints import Stack
from jbdiff.crossfade import crossfade
from jbdiff.geometry import Geometry
from jbdiff.guidance import GuidedModel
from jbdiff.noise import NoiseIdentity, NoiseRegister, NoiseSettings, NoiseStyle
from jbdiff.sampling import Sampler, Step, sample_vddim
from jbdiff.schedules import linear_sigmas, noised
from jbdiff.stream_state import LevelState, StreamError, StreamState

__all__ = ["BlockSettings", "BlockStream", "StreamBlock", "StreamError", "StreamInterrupted", "StreamState"]

# A decoded sample hardly hears the tokens furthest to its right, so the delay that waits for them can be
# shorter than the decoder's whole reach; the crossfade hides the rest. A twelfth of a window.
DELAY_SHARE = 12
FADE_FRAMES = 512  # 12 ms at 44.1 kHz: long enough to hide a small step, short enough to use the best part


class StreamInterrupted(Exception):
    """`on_step` said stop. The stream is as it was before the step."""


@runtime_checkable
class Quantises(Protocol):
    """A codec whose decoder hears latents only through a codebook."""

    def quantise(self, latents: Tensor, level: int) -> Tensor: ...


@dataclass(frozen=True)
class BlockSettings:
    """Everything one block reads from the knobs."""

    seed: int = 0
    noise_style: NoiseStyle = NoiseStyle.WALK
    noise_step: float = 0.3  # 0..1
    hold: bool = False
    reroll: int = 0  # counter: a change jumps to new noise
    home: int = 0  # counter: a change returns to the home noise
    resample: float = 0.0  # 0..1: 0 is all from noise, 1 leaves the init as it is
    guidance: float = 1.5
    steps: int | None = None  # None: the stack's default

    def noise(self) -> NoiseSettings:
        return NoiseSettings(self.seed, self.noise_style, self.noise_step, self.hold, self.reroll, self.home)


@dataclass(frozen=True)
class StreamBlock:
    """One finished block."""

    audio: Tensor  # float32 [1, channels, block_frames]
    index: int
    noise: NoiseIdentity
    seconds: Mapping[str, float]  # encode, denoise, decode


class BlockStream:
    """A stack, playing. Not thread-safe: one thread owns it.

    Every block returns exactly `block_frames` samples and costs the same whatever the knobs say, but
    for `steps`. Sound leaves `latency_frames` after its place in the latents: the newest tokens lack
    their right-hand neighbours, so they are decoded again with the next block, and the two decodes
    are crossfaded where the first one ends. The first block opens with that much silence.
    """

    channels = 1

    def __init__(
        self,
        stack: Stack,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        sampler: Sampler = sample_vddim,
        delay_tokens: int | None = None,
    ) -> None:
        """Takes the stack's modules over and moves them to `device`.

        dtype: below float32, denoisers run under autocast; the sampler and the codec stay in float32.
        delay_tokens: how much of a window is left to the next block's decode. The codec's
        `decoder_margin` and one fade make the chunks equal to a decode of the whole.
        """
        self.stack = stack.to(device)
        self.device = torch.device(device)
        self.dtype = dtype
        self.geometry = Geometry(stack.config)
        self._sampler = sampler
        self._level = stack.levels[0]
        self._config = stack.config.level(self._level)
        self._codec = stack.codec
        self._denoiser = stack.denoisers[self._level]
        self._margin = self._codec.decoder_margin(self._level)
        window = self._config.window_tokens
        if delay_tokens is None:
            delay_tokens = min(self._margin, max(1, window // DELAY_SHARE))
        if not 1 <= delay_tokens <= window:
            raise ValueError(f"a delay of {delay_tokens} tokens; it may be 1 to {window}, the block's length")
        self._delay = delay_tokens
        self.sample_rate = stack.config.sample_rate
        self.block_frames = self.geometry.window_samples(self._level)
        self.latency_frames = self.geometry.samples(delay_tokens, self._level)
        self._fade = min(FADE_FRAMES, self.latency_frames)
        self._state = self._fresh_state()

    # State

    def reset(self) -> None:
        """Back to the beginning: null context, home noise, silence in the tail."""
        self._state = self._fresh_state()

    def set_context(self, audio: Tensor) -> None:
        """Conditions the next block on `audio` `[1, 1, n]`: its last two windows, or all if shorter.

        What has been played stays where it is: only the conditioning changes.
        """
        with torch.inference_mode():
            context = self._encode_context(audio)
        self._replace(self._state.block_index, context=context)

    def save(self) -> StreamState:
        """The stream between two blocks. Later steps do not touch what is returned."""
        return self._state

    def restore(self, state: StreamState) -> None:
        """Goes on from `state`, bit-exactly on the same machine. Raises StreamError if it does not fit."""
        if state.identity != self.stack.identity:
            raise StreamError(
                f"the saved state belongs to another stack ({state.identity[:12]}..., this is "
                f"{self.stack.identity[:12]}...); load that stack, or start afresh"
            )
        if set(state.levels) != set(self._state.levels):
            raise StreamError(f"the saved state has levels {sorted(state.levels)}, not {[self._level]}")
        given = state.levels[self._level]
        if not given.fits(self._fresh_state().levels[self._level], self._config.context_tokens):
            raise StreamError("the saved state has other sizes than this stream (delay_tokens differ?)")
        moved = LevelState(
            context=None if given.context is None else given.context.to(self.device),
            history=given.history.to(self.device),
            tail=given.tail.to(self.device),
            register=given.register,
        )
        self._state = StreamState(state.identity, state.block_index, {self._level: moved})

    def _fresh_state(self) -> StreamState:
        channels = self._codec.latent_channels
        level = LevelState(
            context=None,
            history=torch.zeros(1, channels, 0, device=self.device),
            tail=torch.zeros(1, 1, self._fade, device=self.device),
            register=NoiseRegister(f"level{self._level}", channels, self._config.window_tokens),
        )
        return StreamState(self.stack.identity, 0, {self._level: level})

    def _replace(self, block_index: int, **parts: Tensor | NoiseRegister | None) -> None:
        level = replace(self._state.levels[self._level], **parts)  # type: ignore[arg-type]
        self._state = StreamState(self.stack.identity, block_index, {self._level: level})

    # One block

    @torch.inference_mode()
    def step(
        self,
        settings: BlockSettings,
        *,
        init: Tensor | None = None,
        context: Tensor | None = None,
        on_step: Callable[[int, int], bool | None] | None = None,
    ) -> StreamBlock:
        """The next block.

        init: audio `[1, 1, block_frames]` that `resample` keeps to its amount; None keeps the stream's
        own last window. context: audio `[1, 1, n]` in the place of the own context, for this block
        only. on_step(done, of) runs after every denoising step; False stops.

        Raises StreamInterrupted then, StreamError when latents or audio are not finite. In both cases
        the stream is as it was before.
        """
        if not 0.0 <= settings.resample <= 1.0:
            raise ValueError(f"resample {settings.resample} is outside 0..1")
        state = self._state
        own = state.levels[self._level]
        started = time.perf_counter()
        conditioning = own.context if context is None else self._encode_context(context)
        start = self._own_window(own) if init is None else self._encode_init(init)
        encoded = time.perf_counter()
        noise, identity, register = own.register.next(settings.noise())
        latents = self._denoise(settings, noise.to(self.device), conditioning, start, on_step)
        self._check(latents, "latents", state.block_index)
        denoised = time.perf_counter()
        audio, tail = self._decode(own, latents)
        self._check(audio, "audio", state.block_index)
        self._check(tail, "audio", state.block_index)
        decoded = time.perf_counter()

        kept = max(self._config.window_tokens, self._delay + self._margin)
        self._replace(
            state.block_index + 1,
            context=self._grown_context(own.context, latents),
            history=torch.cat([own.history, latents], dim=2)[..., -kept:],
            tail=tail,
            register=register,
        )
        seconds = {"encode": encoded - started, "denoise": denoised - encoded, "decode": decoded - denoised}
        return StreamBlock(audio, state.block_index, identity, seconds)

    def _encode_context(self, audio: Tensor) -> Tensor | None:
        """Audio `[1, 1, n]` to latents `[1, tokens, c]`, right-aligned; None when shorter than a token."""
        self._check_audio(audio, "context")
        longest = self.geometry.context_samples(self._level)
        tokens = self.geometry.whole_tokens(min(audio.shape[2], longest), self._level)
        if tokens == 0:
            return None
        audio = audio[..., -self.geometry.samples(tokens, self._level) :].to(self.device, torch.float32)
        return self._codec.encode(audio, self._level).transpose(1, 2)

    def _encode_init(self, audio: Tensor) -> Tensor:
        self._check_audio(audio, "init")
        if audio.shape[2] != self.block_frames:
            raise ValueError(f"init of {audio.shape[2]} frames; a block has {self.block_frames}")
        return self._codec.encode(audio.to(self.device, torch.float32), self._level)

    def _own_window(self, own: LevelState) -> Tensor | None:
        """The last window played, or else of what the stream was primed with `[1, c, t]`."""
        window = self._config.window_tokens
        if own.history.shape[2] >= window:
            return own.history[..., -window:]
        if own.context is not None and own.context.shape[1] >= window:
            return own.context[:, -window:].transpose(1, 2)
        return None

    def _denoise(
        self,
        settings: BlockSettings,
        noise: Tensor,
        context: Tensor | None,
        init: Tensor | None,
        on_step: Callable[[int, int], bool | None] | None,
    ) -> Tensor:
        steps = settings.steps if settings.steps is not None else self._config.steps
        sigmas = linear_sigmas(steps, 1.0 - settings.resample if init is not None else 1.0)
        x = noise if init is None else noised(init, noise, sigmas[0])

        def watch(step: Step) -> None:
            if on_step is not None and on_step(step.index + 1, step.count) is False:
                raise StreamInterrupted

        reduced = self.dtype != torch.float32
        with torch.autocast(self.device.type, self.dtype if reduced else None, enabled=reduced):
            # Both branches at every scale: a guidance knob at 1 must not make blocks twice as fast.
            model = GuidedModel(
                self._denoiser, context, settings.guidance, both_branches=True, device=self.device
            )
            return self._sampler(lambda x, sigma: model(x, sigma).float(), x, sigmas, watch)

    def _decode(self, own: LevelState, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Audio to give out `[1, 1, block_frames]`, and what follows it, to fade from `[1, 1, fade]`."""
        left = own.history[..., -(self._delay + self._margin) :]
        decoded = self._codec.decode(torch.cat([left, latents], dim=2), self._level).float()
        delay, block, fade = self.latency_frames, self.block_frames, self._fade
        decoded = decoded[..., -(delay + block) :]
        if left.shape[2] == 0:
            decoded = F.pad(decoded, (delay, 0))
        # Two decodes of the same latents: alike, so a linear fade keeps their level.
        head = crossfade(own.tail, decoded[..., :fade])
        return torch.cat([head, decoded[..., fade:block]], dim=2), decoded[..., block : block + fade]

    def _grown_context(self, context: Tensor | None, latents: Tensor) -> Tensor:
        """Own latents join the context as they are; behind a codebook, as the decoder heard them."""
        if isinstance(self._codec, Quantises):
            latents = self._codec.quantise(latents, self._level)
        new = latents.transpose(1, 2)
        joined = new if context is None else torch.cat([context, new], dim=1)
        return joined[:, -self._config.context_tokens :]

    def _check_audio(self, audio: Tensor, what: str) -> None:
        if audio.ndim != 3 or audio.shape[:2] != (1, 1):
            raise ValueError(f"{what} audio is [1, 1, frames], not {tuple(audio.shape)}")

    def _check(self, values: Tensor, what: str, index: int) -> None:
        if not bool(torch.isfinite(values).all()):
            raise StreamError(
                f"block {index}: {what} of level {self._level} are not finite. Lower guidance, use float32, "
                "or reset the stream; if a fresh stream does this too, the weights are damaged"
            )
