"""BlockStream: music block by block. One step in, one block of audio out, without end.

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

import torch
from torch import Tensor

from jbdiff.diffusion.noise import NoiseIdentity, NoiseStyle
from jbdiff.diffusion.samplers import Sampler, Step
from jbdiff.geometry import Geometry
from jbdiff.networks.plan import PlanSource
from jbdiff.stacks.stack import Stack
from jbdiff.stream.around.direct import DirectSound
from jbdiff.stream.decode import check_mono
from jbdiff.stream.execution import Execution
from jbdiff.stream.finisher import FinisherStage, finisher_stage
from jbdiff.stream.level import LevelStage
from jbdiff.stream.loudness import StreamLoudness
from jbdiff.stream.settings import (
    BlockSettings,
    FinisherSettings,
    Handover,
    LevelSettings,
    StepKnobs,
)
from jbdiff.stream.sizes import stream_parts
from jbdiff.stream.state import (
    Carried,
    LevelBeginning,
    LevelState,
    LoudnessState,
    StreamError,
    StreamState,
    check_fit,
    fitted,
    novelty,
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

OnStep = Callable[[int, int], bool | None]  # (done, of) after every denoising step; False stops
Pause = Callable[[], object]  # runs before longer work, and may wait for its turn


def no_pause() -> None:
    """Continue at once."""


class StreamInterrupted(Exception):
    """`on_step` returned False. The stream is as it was before the step."""


@dataclass(frozen=True)
class StreamBlock:
    """One finished block."""

    audio: Tensor  # float32 [1, channels, block_frames]
    index: int
    noise: NoiseIdentity  # of the coarsest level
    seconds: Mapping[str, float]  # encode, denoise, decode; and finish, if a finisher plays
    part_seconds: Mapping[str, float] = field(default_factory=dict)  # of the denoising: level2 .. finisher
    stems: Mapping[int, Tensor] = field(default_factory=dict)  # level -> its own sound [1, 1, block_frames]
    guidance: tuple[float, ...] = ()  # of the coarsest level, as read for each of its steps
    finisher_strength: float | None = None  # as read when the finisher started; None if it did not
    novelty: float = 0.0  # distance of the coarsest level's latents from the last block's, 0 to 1
    # Place in the bar, 0..4, of the block's first token, and beats a frame; None without a clock. The sound of the
    # token begins `latency_frames` after the block's first frame.
    beat: tuple[float, float] | None = None


class BlockStream:
    """A stack that plays block by block. Not thread-safe: one thread owns it.

    Every block has exactly `block_frames` samples. It takes the same time at every setting of the knobs, except `steps`
    and the finisher's switch. Sound leaves `latency_frames` after its place in the coarsest latents, because each
    level's newest tokens lack their right-hand neighbours. They are decoded again with the next block, and the two
    decodes are crossfaded where the first one ends. The finisher adds one fade. `stem_latency_frames` has the same
    number for each level's stem. The first block begins with that much silence.
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
        """Use the stack's modules, and move those that are elsewhere to `device`.

        device, dtype, sampler, graphs, compiled: see `execution.Execution`. With graphs, guidance is read once a block,
        and `on_step` runs for many steps at once. With compiled, the first block of full context takes a minute.
        `settle` records and compiles at once; `notes` says what is not recorded or compiled, and why.
        levels, finisher, token_multiplier, hop_tokens, delay_tokens: see `sizes.StreamParts`. levels None plays all.
        Beside a hop that is shorter than a window, some of the newest tokens are computed again: the knobs act sooner,
        for more work. A finisher may cost more than all levels together.

        Raises ValueError if the stack lacks what is asked for, or a length does not fit.
        """
        there = stack.config if stack.finisher is not None else replace(stack.config, finisher=None)
        self.parts = stream_parts(
            there, stack.levels, levels, finisher, token_multiplier, hop_tokens, delay_tokens
        )
        self.execution = Execution(torch.device(device), dtype, sampler, graphs, compiled)
        self.device, self.dtype, self.graphs = self.execution.device, dtype, graphs
        self.stack = stack.to(self.device)
        self.geometry = Geometry(stack.config)
        self.sample_rate = stack.config.sample_rate
        self.levels = self.parts.levels
        self.window_frames, self.block_frames = self.parts.window_frames, self.parts.block_frames
        self._coarsest, *self._finer = (
            LevelStage(
                stack,
                level,
                self.execution,
                block_frames=self.block_frames,
                token_multiplier=token_multiplier,
                delay_tokens=delay_tokens if level == self.levels[0] else None,
            )
            for level in self.levels
        )
        self.finisher_stage: FinisherStage | None = None
        if finisher:
            self.finisher_stage = finisher_stage(stack, self.block_frames, self.execution)
        self.channels = 1 if self.finisher_stage is None else self.finisher_stage.channels
        self.stem_latency_frames: dict[int, int] = {}
        delay = 0
        for stage in self.stages:
            delay += stage.latency_frames
            self.stem_latency_frames[stage.level] = delay
        self._direct = DirectSound(self.block_frames, delay)
        self.latency_frames = delay + (
            0 if self.finisher_stage is None else self.finisher_stage.latency_frames
        )
        self._loudness = StreamLoudness(self.sample_rate, self.block_frames)
        self.notes = self.execution.notes(self._coarsest.denoise.sampler, stack.codec)
        self._state = self._fresh_state()

    @property
    def stages(self) -> list[LevelStage]:
        """The levels that play, coarsest first."""
        return [self._coarsest, *self._finer]

    def settle(self, settings: BlockSettings, on_step: OnStep | None = None) -> None:
        """Warm up: generate blocks until shapes are constant and every CUDA graph and compiled network exists.

        The blocks continue a full context of noise, because to grow a real one would take more blocks. What was played
        before is lost. `on_step` as in `step`; raises what `step` raises.
        """
        longest = max(self.geometry.context_samples(level) for level in self.levels)
        generator = torch.Generator().manual_seed(0)
        self.set_context(0.1 * torch.randn(1, 1, longest, generator=generator))
        kept = max(max(stage.window, stage.delay + stage.margin) / stage.tokens for stage in self.stages)
        for _ in range(math.ceil(kept) + 1):
            self.step(settings, on_step=on_step)

    def in_float32(self) -> BlockStream:
        """Return a stream that continues at the same place with every network in float32, without graphs.

        It is slow, and safe from numbers that half precision cannot hold.
        """
        parts, exact = self.parts, self.execution.exact()
        stream = BlockStream(
            self.stack,
            device=exact.device,
            dtype=exact.dtype,
            sampler=exact.sampler,
            delay_tokens=parts.delay_tokens,
            levels=parts.levels,
            finisher=parts.finisher,
            token_multiplier=parts.token_multiplier,
            hop_tokens=parts.hop_tokens,
        )
        stream.restore(self._state)
        return stream

    # State

    def reset(self) -> None:
        """Back to the beginning: null context, home noise, silence in the tail."""
        self._state = self._fresh_state()

    def prepare_context(
        self, audio: Tensor, carried: Mapping[int, Carried] | None = None, pause: Pause = no_pause
    ) -> Mapping[int, LevelBeginning]:
        """Measure a sound for `set_context`, which then takes no time. Any thread, while the stream plays.

        audio `[1, 1, n]`; the last `beginning_frames` are used. carried: states of another stream of this stack, which
        made the sound; they are not measured again. pause: runs now and again, and may wait for its turn.
        """
        check_mono(audio, "context")
        known = {} if carried is None else carried
        with torch.inference_mode():
            return {
                stage.level: stage.beginning(audio, known.get(stage.level), pause) for stage in self.stages
            }

    @property
    def beginning_frames(self) -> int:
        """Frames of the end of a sound that a stream which begins after it uses: contexts, and the memory."""
        return max(stage.beginning_frames for stage in self.stages)

    def carried(self, settings: BlockSettings, frames: int = 0) -> Mapping[int, Carried]:
        """Anchors and memories as they were `frames` before the end of what was made, by level.

        They are for another stream of the same stack that continues there. settings: of the last block.
        """
        back = frames + self.latency_frames  # the newest tokens have not left as sound
        states = self._state.levels
        found = {stage.level: stage.carried(states[stage.level], settings, back) for stage in self.stages}
        if (loudness := self._state.loudness) is None:
            return found
        return {level: replace(carried, power=loudness.target) for level, carried in found.items()}

    def set_context(self, audio: Tensor | Mapping[int, LevelBeginning]) -> None:
        """Condition the next block of every level on audio `[1, 1, n]`, or on what `prepare_context` returned.

        Each level uses as much of the end as it takes. If an anchor has to find the beat, that takes as long as many
        steps. What was played stays where it is: only the conditioning changes.
        """
        found = self.prepare_context(audio) if isinstance(audio, Tensor) else audio
        levels = {
            stage.level: self._state.levels[stage.level].begun_after(found[stage.level])
            for stage in self.stages
        }
        if (loudness := self._state.loudness) is not None:
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
        """Return the stream between two blocks. Later steps do not change it."""
        return self._state

    def restore(self, state: StreamState) -> None:
        """Continue from `state`, bit-exactly on the same machine. Raises StreamError if it does not fit."""
        longest = {stage.level: stage.config.context_tokens + stage.held for stage in self.stages}
        check_fit(state, self._fresh_state(), longest)
        self._state = state.to(self.device)

    def restore_what_fits(self, state: StreamState) -> tuple[str, ...]:
        """Continue from a state of a stream that may have other levels, another finisher or other weights.

        Returns the names of the parts that begin afresh, because the state has none of that size. If there are none
        and the weights are the same, the stream goes on bit-exactly.
        """
        longest = {stage.level: stage.config.context_tokens + stage.held for stage in self.stages}
        found, fresh = fitted(state, self._fresh_state(), longest)
        self._state = found.to(self.device)
        return fresh

    def _fresh_state(self) -> StreamState:
        levels = {stage.level: stage.fresh_state() for stage in self.stages}
        finisher = None if self.finisher_stage is None else self.finisher_stage.fresh_state()
        loudness = LoudnessState(None, None, 0.0) if self._coarsest.steering.governs else None
        return StreamState(self.stack.identity, 0, levels, finisher, loudness)

    # One block

    @torch.inference_mode()
    def step(
        self,
        settings: BlockSettings,
        *,
        init: Tensor | None = None,
        context: Tensor | None = None,
        on_step: OnStep | None = None,
        turning: StepKnobs | None = None,
    ) -> StreamBlock:
        """Make the next block.

        init: audio `[1, 1, n]`. `resample` is the share of its last `block_frames` that is kept. Audio before them only
        helps the encoder. None takes the stream's own sound of one window before.
        `direct` passes it on to the finisher as it is.
        context: audio `[1, 1, n]` in the place of the coarsest level's own context, for this block only.
        on_step(done, of) runs after every denoising step of any part; False stops.
        turning: knobs that are read while the block is made, instead of `settings.guidance` and
        `settings.finisher.strength`. The block holds the values that were read.

        Raises StreamInterrupted if `on_step` stops, StreamError if latents or audio are not finite, ValueError if a
        setting is out of range. The stream is then as it was before.
        """
        if not 0.0 <= settings.resample <= 1.0:
            raise ValueError(f"resample {settings.resample} is outside 0..1")
        for number in settings.levels:
            if number not in self.levels:
                raise ValueError(f"settings for level {number}; this stream plays {list(self.levels)}")
        state, first = self._state, self._coarsest
        rest = sum(self.step_counts(settings).values()) - first.invented_steps(settings)
        watch = _counted(rest, on_step)
        made = first.invent(
            state.levels[first.level], settings, init, context, watch, state.block_index, turning
        )
        noise, seconds, guidance = made.noise, dict(made.seconds), made.guidance
        beat = None if made.beat is None else (made.beat[0], made.beat[1] / self.geometry.hop(first.level))
        parts = {f"level{first.level}": made.seconds["denoise"]}
        levels: dict[int, LevelState] = {first.level: made.state}
        stems = {first.level: made.audio}
        for stage in self._finer:
            made = stage.clean(state.levels[stage.level], settings, made.audio, watch, state.block_index)
            levels[stage.level], stems[stage.level] = made.state, made.audio
            seconds = {name: seconds[name] + made.seconds[name] for name in seconds}
            parts[f"level{stage.level}"] = made.seconds["denoise"]
        audio, direct = self._direct.mixed(state.direct, made.audio, init, settings.direct)
        finisher, strength = state.finisher, None
        if self.finisher_stage is not None and finisher is not None:
            began = time.perf_counter()
            finishing = _read(settings.finisher, turning)
            audio, finisher = self.finisher_stage.finish(finisher, finishing, audio, watch, state.block_index)
            strength = finishing.strength if finishing.on else None
            parts["finisher"] = seconds["finish"] = time.perf_counter() - began
        loudness = state.loudness
        if loudness is not None:
            firm = settings.anchor * (1.0 - settings.resample)
            audio, loudness = self._loudness.held(loudness, audio, firm)
        count = state.block_index + 1
        self._state = StreamState(self.stack.identity, count, levels, finisher, loudness, direct)
        new = novelty(*(each[first.level].history[..., -first.tokens :] for each in (state.levels, levels)))
        return StreamBlock(
            audio, state.block_index, noise, seconds, parts, stems, guidance, strength, new, beat
        )

    @property
    def windows(self) -> dict[str, int]:
        """Windows that a block is cut into, part by part; each takes all of a part's steps."""
        counts = {f"level{stage.level}": stage.windows for stage in self.stages}
        return counts | ({} if self.finisher_stage is None else {"finisher": self.finisher_stage.pieces})

    def follow_plan(self, source: PlanSource | None) -> None:
        """Let the coarsest level follow these plans from the next block on; None: the bars before.

        The source is no part of the state. Levels whose network has no echoes take no plan.
        """
        self._coarsest.steering.plan_source = source

    def step_counts(self, settings: BlockSettings) -> dict[str, int]:
        """Model calls of a block, part by part: level2, level1, level0, finisher, as far as they play."""
        first = self._coarsest
        counts = {f"level{first.level}": first.invented_steps(settings)}
        counts |= {f"level{stage.level}": stage.steps(settings) for stage in self._finer}
        if self.finisher_stage is not None:
            counts["finisher"] = self.finisher_stage.steps(settings.finisher)
        return counts


def _read(settings: FinisherSettings, turning: StepKnobs | None) -> FinisherSettings:
    """The finisher's settings, with the strength read from `turning` if the finisher is on."""
    if turning is None or not settings.on:
        return settings
    return replace(settings, strength=turning.finisher_strength())


def _counted(rest: int, on_step: OnStep | None) -> Callable[[Step], None]:
    """A sampler's callback that counts over a whole block; `rest` steps follow those of the coarsest level."""
    done = total = 0

    def watch(step: Step) -> None:
        nonlocal done, total
        if not done:
            total = step.count + rest  # the coarsest level comes first
        done += 1
        if on_step is not None and on_step(done, total) is False:
            raise StreamInterrupted

    return watch
