"""BlockStream: music block by block. One step in, one block of audio out, for as long as one likes.

    stream = BlockStream(load_stack("pocket"))
    block = stream.step(BlockSettings(seed=1))      # block.audio: [1, channels, stream.block_frames]

The coarsest level invents a block, each finer one cleans it, the finisher makes it stereo. No threads and no
clocks here: whoever calls `step` decides when.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from jbdiff.config import JointDenoiserConfig
from jbdiff.diffusion.noise import NoiseIdentity, NoiseStyle
from jbdiff.diffusion.samplers import Sampler, Step, sample_vddim
from jbdiff.geometry import Geometry
from jbdiff.networks.channels_last import compiler_for
from jbdiff.stacks.stack import Stack
from jbdiff.stream.cuda_graphs import (
    RecordedSampler,
    decode_obstacle,
    loop_obstacle,
    recorder_for,
    recordings_for,
)
from jbdiff.stream.dance_finisher import FinisherStage, finisher_stage
from jbdiff.stream.level import LevelBlock, LevelStage, check_mono
from jbdiff.stream.loudness import StreamLoudness
from jbdiff.stream.settings import (
    BlockSettings,
    FinisherSettings,
    Handover,
    LevelSettings,
    StepKnobs,
)
from jbdiff.stream.spectral_finisher import SpectralStage
from jbdiff.stream.state import (
    Carried,
    LevelBeginning,
    LevelState,
    LoudnessState,
    StreamError,
    StreamState,
)

__all__ = [
    "BlockSettings",
    "BlockStream",
    "FinisherSettings",
    "Handover",
    "LevelSettings",
    "NoiseStyle",
    "StepKnobs",
    "StreamBlock",
    "StreamError",
    "StreamInterrupted",
    "StreamState",
]

MOST_WINDOWS = 16  # a window may be so many times longer than in training
SHORTEST_HOP = 16  # tokens: what the deepest layer of the original U-Net takes for one


class StreamInterrupted(Exception):
    """`on_step` said stop. The stream is as it was before the step."""


@dataclass(frozen=True)
class StreamBlock:
    """One finished block."""

    audio: Tensor  # float32 [1, channels, block_frames]
    index: int
    noise: NoiseIdentity  # of the coarsest level
    seconds: Mapping[str, float]  # encode, denoise, decode; finish where there is a finisher
    part_seconds: Mapping[str, float] = field(default_factory=dict)  # of the denoising: level2 .. finisher
    stems: Mapping[int, Tensor] = field(default_factory=dict)  # level -> its own sound [1, 1, block_frames]
    guidance: tuple[float, ...] = ()  # of the coarsest level, as it was read for each of its steps
    finisher_strength: float | None = None  # as it was read when the finisher started; None where it did not


class BlockStream:
    """A stack, playing. Not thread-safe: one thread owns it.

    Every block returns exactly `block_frames` samples and costs the same whatever the knobs say, but
    for `steps` and the finisher's switch. Sound leaves `latency_frames` after its place in the coarsest
    latents: each level's newest tokens lack their right-hand neighbours, so they are decoded again with the
    next block, and the two decodes are crossfaded where the first one ends; the finisher adds one fade.
    `stem_latency_frames` tells the same of each level's stem. The first block opens with that much silence.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        sampler: Sampler | None = None,
        delay_tokens: int | None = None,
        levels: Sequence[int] | None = None,
        finisher: bool = False,
        token_multiplier: int = 1,
        hop_tokens: int | None = None,
        graphs: bool = False,
        compiled: bool = False,
    ) -> None:
        """Takes the stack's modules over and moves them to `device`.

        sampler: of every part; None takes each level's own, and v-DDIM for the finisher.
        dtype: below float32, denoisers run under autocast; the sampler and the codec stay in float32.
        delay_tokens: how much of the coarsest level's window is left to the next block's decode. The codec's
        `decoder_margin` and one fade make the chunks equal to a decode of the whole.
        levels: which of the stack's levels play, such as (2, 1); None plays all. finisher: whether the stack's
        finisher makes the sound stereo; it costs far more than all levels together.
        token_multiplier: windows of every level are this many training windows long, 1 to 16.
        hop_tokens: length of a block in tokens of the coarsest level, 16 or more that divide its window; None: the
        whole window. A shorter hop hears the knobs sooner, for more work: beside each hop some of what was played is
        computed again and held, a quarter of a window where the denoiser takes shorter ones, else all of it.

        graphs: each level's steps, its decode and the finisher's steps are recorded as CUDA graphs and replayed
        (`cuda_graphs.py`), as soon as the context is full. Guidance is then read once a block, and `on_step` is told of
        steps in bunches. compiled: U-Nets and the waveform finisher are played with channels innermost, compiled,
        and in `dtype` throughout (`channels_last.py`), as soon as the context is full; the first such block takes a
        minute. Without CUDA nothing is recorded or compiled and all is as without the switches; `notes` says what is
        not, and why. `settle` gets all of that done.

        Raises ValueError where the stack lacks what is asked for.
        """
        numbers = tuple(sorted(stack.levels if levels is None else set(levels), reverse=True))
        for number in numbers:
            stack.config.level(number)
        if not numbers or numbers[0] != stack.levels[0]:
            raise ValueError(
                f"levels {list(numbers)}: the coarsest level of stack {stack.config.name!r}, "
                f"{stack.levels[0]}, invents and has to play"
            )
        if finisher and stack.finisher is None:
            raise ValueError(f"stack {stack.config.name!r} has no finisher; leave it off")
        coarsest = stack.config.level(numbers[0])
        if not 1 <= token_multiplier <= MOST_WINDOWS:
            raise ValueError(f"token multiplier {token_multiplier} is outside 1..{MOST_WINDOWS}")
        if token_multiplier > 1 and isinstance(coarsest.denoiser, JointDenoiserConfig):
            raise ValueError(
                f"token multiplier {token_multiplier}: the denoiser of stack {stack.config.name!r} takes no "
                "longer windows than in training; use 1"
            )
        self.stack = stack.to(device)
        self.device = torch.device(device)
        self.dtype = dtype
        self._parts: dict[str, Any] = {
            "sampler": sampler,
            "delay_tokens": delay_tokens,
            "levels": numbers,
            "finisher": finisher,
            "token_multiplier": token_multiplier,
            "hop_tokens": hop_tokens,
        }
        self.graphs = graphs
        self.geometry = Geometry(stack.config)
        self.sample_rate = stack.config.sample_rate
        self.levels = numbers
        self.window_frames = token_multiplier * self.geometry.window_samples(numbers[0])
        window = token_multiplier * coarsest.window_tokens
        hop = window if hop_tokens is None else hop_tokens
        if hop != window and (hop < SHORTEST_HOP or hop % SHORTEST_HOP or window % hop):
            known = [n for n in range(SHORTEST_HOP, window + 1, SHORTEST_HOP) if window % n == 0]
            raise ValueError(
                f"a hop of {hop} tokens: a window of {window} can be cut into {', '.join(map(str, known))}"
            )
        self.block_frames = self.geometry.samples(hop, numbers[0])

        def stage(level: int) -> LevelStage:
            return LevelStage(
                stack,
                level,
                block_frames=self.block_frames,
                token_multiplier=token_multiplier,
                device=self.device,
                dtype=dtype,
                sampler=sampler,
                delay_tokens=delay_tokens if level == numbers[0] else None,
                graphs=graphs,
                compiler=compiler,
            )

        compiler = compiler_for(self.device) if compiled else None
        self._coarsest, *self._finer = [stage(level) for level in numbers]
        self._finisher: FinisherStage | SpectralStage | None = None
        if finisher:
            recordings = recordings_for(self.device) if graphs else None
            finishing = sample_vddim if sampler is None else sampler
            self._finisher = finisher_stage(
                stack,
                block_frames=self.block_frames,
                device=self.device,
                dtype=dtype,
                sampler=finishing if recordings is None else RecordedSampler(finishing, recordings),
                compiler=compiler,
            )
        self.channels = 1 if self._finisher is None else self._finisher.channels
        self.stem_latency_frames: dict[int, int] = {}
        delay = 0
        for level in self.stages:
            delay += level.latency_frames
            self.stem_latency_frames[level.level] = delay
        self.latency_frames = delay + (0 if self._finisher is None else self._finisher.latency_frames)
        self._loudness = StreamLoudness(self.sample_rate, self.block_frames)
        self.notes = self._obstacles(self._coarsest.denoise.sampler) if graphs else ()
        if compiled and compiler is None:
            self.notes += (f"nothing is compiled on {self.device}: that is for CUDA, and needs Triton",)
        self._state = self._fresh_state()

    def _obstacles(self, sampler: Sampler) -> tuple[str, ...]:
        """What is not recorded although it was asked for, and why. Loops that are too long are told by their length."""
        if recorder_for(self.device) is None:
            return (f"nothing can be recorded on {self.device}: graphs are CUDA's",)
        return tuple(filter(None, (loop_obstacle(1, sampler), decode_obstacle(self.stack.codec))))

    @property
    def stages(self) -> list[LevelStage]:
        """The levels that play, coarsest first."""
        return [self._coarsest, *self._finer]

    @property
    def finisher_stage(self) -> FinisherStage | SpectralStage | None:
        """The finisher that plays, of either kind."""
        return self._finisher

    def settle(
        self, settings: BlockSettings, on_step: Callable[[int, int], bool | None] | None = None
    ) -> None:
        """Plays until blocks have the shapes that they keep, and all that is recorded or compiled for these settings
        has been: after a context of noise, as growing one takes longer. What was played before is lost. `on_step` as
        in `step`, and raises what `step` raises.
        """
        longest = max(self.geometry.context_samples(level) for level in self.levels)
        generator = torch.Generator().manual_seed(0)
        self.set_context(0.1 * torch.randn(1, 1, longest, generator=generator))
        kept = max(max(stage.window, stage.delay + stage.margin) / stage.tokens for stage in self.stages)
        for _ in range(math.ceil(kept) + 1):
            self.step(settings, on_step=on_step)

    def in_float32(self) -> BlockStream:
        """A stream that goes on where this one stands, every network in float32 as it was loaded, step by step: slow,
        and safe from numbers that half precision cannot hold.
        """
        exact = BlockStream(self.stack, device=self.device, **self._parts)
        exact.restore(self._state)
        return exact

    # State

    def reset(self) -> None:
        """Back to the beginning: null context, home noise, silence in the tail."""
        self._state = self._fresh_state()

    def prepare_context(
        self,
        audio: Tensor,
        carried: Mapping[int, Carried] | None = None,
        pause: Callable[[], object] = lambda: None,
    ) -> Mapping[int, LevelBeginning]:
        """What `set_context` does at once with what it returns. Reads nothing that a step changes, so another thread
        may do it while the stream plays; `pause` is then called now and again, and may wait for its turn. audio as in
        `set_context`; of its end `beginning_frames` are used. carried: of another stream of this stack, which made the
        sound: what need not be measured in it.
        """
        check_mono(audio, "context")
        known = {} if carried is None else carried
        with torch.inference_mode():
            return {
                stage.level: stage.beginning(audio, known.get(stage.level), pause) for stage in self.stages
            }

    @property
    def beginning_frames(self) -> int:
        """How much of the end of a sound a stream that begins after it uses: contexts, and the memory."""
        return max(stage.beginning_frames for stage in self.stages)

    def carried(self, settings: BlockSettings, frames: int = 0) -> Mapping[int, Carried]:
        """Anchors and memories as they were `frames` before the end of what was made, by level: for another stream of
        the same stack that goes on there. settings: of the last block.
        """
        back = frames + self.latency_frames  # the newest tokens have not left as sound
        found = {
            stage.level: stage.carried(self._state.levels[stage.level], settings, back)
            for stage in self.stages
        }
        loudness = self._state.loudness
        if loudness is None:
            return found
        return {level: replace(carried, power=loudness.target) for level, carried in found.items()}

    def set_context(self, audio: Tensor | Mapping[int, LevelBeginning]) -> None:
        """Conditions the next block of every level on `audio` `[1, 1, n]`: as much of its end as each takes. Where an
        anchor has to find the beat in it that takes as long as many steps; `prepare_context` does it beforehand.

        What has been played stays where it is: only the conditioning changes.
        """
        found = self.prepare_context(audio) if isinstance(audio, Tensor) else audio
        levels = {
            stage.level: stage.began_after(self._state.levels[stage.level], found[stage.level])
            for stage in self.stages
        }
        loudness = self._state.loudness
        if loudness is not None:
            loudness = replace(loudness, target=found[self._coarsest.level].power)
        self._state = replace(self._state, levels=levels, loudness=loudness)

    def forget(self) -> None:
        """Begin anew with the next block, after nothing, without a gap: the decoder joins it on to the sound before.

        The noise goes on where it is. A context may be set afterwards.
        """
        levels = {stage.level: stage.began_anew(self._state.levels[stage.level]) for stage in self.stages}
        loudness = self._state.loudness
        if loudness is not None:
            loudness = replace(loudness, target=None, played=None)
        self._state = replace(self._state, levels=levels, loudness=loudness)

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
        if set(state.levels) != set(self.levels) or (state.finisher is None) != (self._finisher is None):
            theirs = (
                f"levels {sorted(state.levels, reverse=True)}{' and a finisher' if state.finisher else ''}"
            )
            raise StreamError(
                f"the saved state has {theirs}, this stream has {list(self.levels)}"
                f"{' and a finisher' if self._finisher else ''}; make the stream with the same parts"
            )
        fresh = self._fresh_state()
        fits = all(
            state.levels[stage.level].fits(
                fresh.levels[stage.level], stage.config.context_tokens + stage.held
            )
            for stage in self.stages
        )
        finisher = state.finisher
        if finisher is not None and fresh.finisher is not None:
            fits = fits and finisher.fits(fresh.finisher)
            finisher = finisher.to(self.device)
        fits = fits and (state.loudness is None) == (fresh.loudness is None)
        if not fits:
            raise StreamError(
                "the saved state has other sizes than this stream (delay_tokens, token_multiplier or hop_tokens "
                "differ?)"
            )
        moved = {number: level.to(self.device) for number, level in state.levels.items()}
        self._state = StreamState(state.identity, state.block_index, moved, finisher, state.loudness)

    def _fresh_state(self) -> StreamState:
        levels = {stage.level: stage.fresh_state() for stage in self.stages}
        finisher = None if self._finisher is None else self._finisher.fresh_state()
        loudness = LoudnessState(None, None, 0.0) if self._coarsest.governs else None
        return StreamState(self.stack.identity, 0, levels, finisher, loudness)

    # One block

    @torch.inference_mode()
    def step(
        self,
        settings: BlockSettings,
        *,
        init: Tensor | None = None,
        context: Tensor | None = None,
        on_step: Callable[[int, int], bool | None] | None = None,
        turning: StepKnobs | None = None,
    ) -> StreamBlock:
        """The next block.

        init: audio whose last `block_frames` `resample` keeps to its amount, `[1, 1, n]`; what is before them only
        helps the encoder at their beginning. None keeps the stream's own sound of one window before.
        context: audio `[1, 1, n]` in the place of the coarsest level's own context, for this block only.
        on_step(done, of) runs after every denoising step of any part; False stops.
        turning: knobs that are read while the block is made, in the place of `settings.guidance` and
        `settings.finisher.strength`; the block says what was read.

        Raises StreamInterrupted then, StreamError when latents or audio are not finite. In both cases
        the stream is as it was before.
        """
        if not 0.0 <= settings.resample <= 1.0:
            raise ValueError(f"resample {settings.resample} is outside 0..1")
        for number in settings.levels:
            if number not in self.levels:
                raise ValueError(f"settings for level {number}; this stream plays {list(self.levels)}")
        state = self._state
        watch = self._watch(settings, on_step)
        first = self._coarsest
        made: LevelBlock = first.invent(
            state.levels[first.level], settings, init, context, watch, state.block_index, turning
        )
        noise, seconds, guidance = made.noise, dict(made.seconds), made.guidance
        parts = {f"level{first.level}": made.seconds["denoise"]}
        levels: dict[int, LevelState] = {first.level: made.state}
        stems = {first.level: made.audio}
        for stage in self._finer:
            made = stage.clean(state.levels[stage.level], settings, made.audio, watch, state.block_index)
            levels[stage.level], stems[stage.level] = made.state, made.audio
            seconds = {name: seconds[name] + made.seconds[name] for name in seconds}
            parts[f"level{stage.level}"] = made.seconds["denoise"]
        audio, finisher = made.audio, state.finisher
        strength: float | None = None
        if self._finisher is not None and finisher is not None:
            began = time.perf_counter()
            finishing = settings.finisher
            if turning is not None and finishing.on:
                finishing = replace(finishing, strength=turning.finisher_strength())
            audio, finisher = self._finisher.finish(finisher, finishing, audio, watch, state.block_index)
            strength = finishing.strength if finishing.on else None
            parts["finisher"] = seconds["finish"] = time.perf_counter() - began
        loudness = state.loudness
        if loudness is not None:
            hold = settings.anchor * (1.0 - settings.resample)
            audio, loudness = self._loudness.held(loudness, audio, hold)
        self._state = StreamState(self.stack.identity, state.block_index + 1, levels, finisher, loudness)
        return StreamBlock(audio, state.block_index, noise, seconds, parts, stems, guidance, strength)

    @property
    def windows(self) -> dict[str, int]:
        """Windows that a block is cut into, part by part; each takes all of a part's steps."""
        counts = {f"level{stage.level}": stage.windows for stage in self.stages}
        return counts | ({} if self._finisher is None else {"finisher": self._finisher.pieces})

    def step_counts(self, settings: BlockSettings) -> dict[str, int]:
        """Model calls that a block takes, part by part: level2, level1, level0, finisher, as far as they play."""
        first = self._coarsest
        counts = {f"level{first.level}": first.invented_steps(settings)}
        counts |= {f"level{stage.level}": stage.steps(settings) for stage in self._finer}
        if self._finisher is not None:
            counts["finisher"] = self._finisher.steps(settings.finisher)
        return counts

    def _watch(
        self, settings: BlockSettings, on_step: Callable[[int, int], bool | None] | None
    ) -> Callable[[Step], None]:
        """A sampler's callback that counts over the whole block."""
        rest = sum(stage.steps(settings) for stage in self._finer)
        if self._finisher is not None:
            rest += self._finisher.steps(settings.finisher)
        done = total = 0

        def watch(step: Step) -> None:
            nonlocal done, total
            if not done:
                total = step.count + rest  # the coarsest level comes first
            done += 1
            if on_step is not None and on_step(done, total) is False:
                raise StreamInterrupted

        return watch
