"""What anchor, memory and governor do around the blocks of one level.

Before a block, the anchor and the echoes of the memory condition the network. After it, the governor holds the finished
bands, and all three states move on. A level has those of the three that its network and codec allow; a level without
them ignores their knobs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jbdiff.codecs.band_codec import BandCodec
from jbdiff.networks.anchor import BEATS, Anchor
from jbdiff.networks.echoes import Echo
from jbdiff.networks.joint_denoiser import JointDenoiser
from jbdiff.networks.plan import Plan, PlanSource
from jbdiff.stacks.stack import Stack
from jbdiff.stream.anchor import StreamAnchor, stream_anchor
from jbdiff.stream.governor import StreamGovernor
from jbdiff.stream.loudness import quiet_frames, weighted_power
from jbdiff.stream.remembering.memory import StreamMemory, whole_beats
from jbdiff.stream.remembering.remembered import MemoryState
from jbdiff.stream.settings import BlockSettings
from jbdiff.stream.sizes import LevelSizes
from jbdiff.stream.state import (
    AnchorState,
    Carried,
    GovernorState,
    LevelBeginning,
    LevelState,
)


@dataclass(frozen=True)
class Guides:
    """What conditions one window beside its context, and the states that it was made from."""

    anchor_state: AnchorState | None
    memory_state: MemoryState | None
    anchor: Anchor | None  # for the network
    echo: Echo | None  # for the network
    context: Tensor | None  # [1, n, c] that replaces the stream's own for this block alone
    beat: tuple[float, float] | None  # place in the bar of the window's first new token, beats a token


class Steering:
    """Anchor, memory and governor of one level. Holds no state: parts of `LevelState` go in and come out."""

    def __init__(self, stack: Stack, level: int, sizes: LevelSizes, device: torch.device) -> None:
        self._sizes = sizes
        self._sample_rate = stack.config.sample_rate
        self.anchor: StreamAnchor | None = None
        self._memory: StreamMemory | None = None
        self._governor: StreamGovernor | None = None
        self.plan_source: PlanSource | None = None  # None: the bars before are the plan
        network = stack.denoisers[level]
        if not isinstance(network, JointDenoiser):
            return
        if network.anchor is not None:
            self.anchor = stream_anchor(stack, network, level)
        if network.config.echo_channels:
            rate = stack.config.sample_rate / stack.codec.hop(level)
            bands = network.config.latent_channels
            self._memory = StreamMemory(bands, rate, sizes.window, level, device)
            if isinstance(stack.codec, BandCodec):
                mean, spread = stack.codec.analysis.mean, stack.codec.analysis.spread
                self._governor = StreamGovernor(mean[:bands], spread[:bands], sizes.window)

    @property
    def governs(self) -> bool:
        """Whether level and spread of the bands are held to those of the beginning."""
        return self._governor is not None

    @property
    def memory_frames(self) -> int:
        """Frames of sound that the memory keeps; 0 without a memory."""
        return 0 if self._memory is None else self._memory.tokens * self._sizes.hop

    # Between blocks

    def fresh(self) -> tuple[AnchorState | None, MemoryState | None, GovernorState | None]:
        """The states of a stream that begins from nothing."""
        return (
            None if self.anchor is None else self.anchor.begun(None),
            None if self._memory is None else self._memory.begun(None, 0.0),
            None if self._governor is None else self._governor.begun(None),
        )

    def beginning(
        self,
        audio: Tensor,
        latents: Tensor | None,
        context: Tensor | None,
        carried: Carried | None,
        pause: Callable[[], object],
    ) -> LevelBeginning:
        """Measure the sound that a stream begins after.

        audio `[1, 1, n]` and its latents `[1, n, c]`, of which `context` is the end; None if the sound is too short.
        Silence or a soft intro before the music is not remembered: as the plan of later bars it would be a hole.
        carried: states of another stream, which are taken and not measured. pause: runs before longer work.
        """
        anchor, memory = (None, None) if carried is None else (carried.anchor, carried.memory)
        if self.anchor is not None and anchor is None:
            anchor = self.anchor.begun(context, pause)
        if latents is not None:
            quiet = quiet_frames(audio, self._sample_rate)
            audio, latents = audio[..., quiet:], latents[:, quiet // self._sizes.hop :]
        if self._memory is not None and memory is None:
            clock = anchor is not None and anchor.tempo > 0
            per_token = self._tempo(anchor, BlockSettings()) if clock else 0.0
            memory = self._memory.begun(latents, per_token)
            if anchor is not None and clock and memory.bar:
                # Bars tell the tempo more exactly than the last two windows, which the anchor was made from.
                exact = whole_beats(memory.bar, per_token) / memory.bar
                anchor = replace(anchor, tempo=anchor.tempo * exact / per_token)
                memory = replace(memory, per_token=self._tempo(anchor, BlockSettings()))
        governor = None if carried is None else carried.governor
        if self._governor is not None and governor is None:
            governor = self._governor.begun(None if latents is None else latents[..., : self._sizes.channels])
        power = None if carried is None else carried.power
        if self._governor is not None and power is None and latents is not None:
            power = weighted_power(audio, self._sample_rate)
        return LevelBeginning(context, anchor, memory, governor, power)

    def carried(self, own: LevelState, settings: BlockSettings, tokens: int) -> Carried:
        """The states as they were so many tokens before the next one, for another stream that continues there."""
        anchor, memory = own.anchor, own.memory
        if self.anchor is not None and anchor is not None:
            anchor = self.anchor.earlier(anchor, settings, tokens)
        if self._memory is not None and memory is not None:
            memory = self._memory.earlier(memory, tokens)
        return Carried(anchor, memory, own.governor)

    def _tempo(self, anchor: AnchorState | None, settings: BlockSettings) -> float:
        """Beats a token of the tempo, whether the clock catches up with another one or not; 0 without a clock."""
        if self.anchor is None or anchor is None or anchor.style is None:
            return 0.0
        return self.anchor.steady(anchor, settings)

    # Around a block

    def before(
        self,
        own: LevelState,
        settings: BlockSettings,
        context: Tensor | None,
        held: int,
        index: int,
        free: float,
    ) -> Guides:
        """What conditions the window of block number `index`, whose first `held` tokens are known.

        context: latents `[1, n, c]` that replace the stream's own for this block alone, or None. free: 0..1, how much
        of an init does not stay; the plan of the bars before counts so much.
        Raises ValueError if `settings.memory` or `settings.theme` is outside 0..1.
        """
        state, anchor = self._anchored(own, settings, context, held)
        memory, echo = own.memory, None
        if self._memory is not None and memory is not None:
            memory = self._memory.at_tempo(memory, self._tempo(state, settings))
            memory = self._memory.jumped(memory, _left_out(own.anchor, state))
            source = memory if context is None else self._memory.of_context(memory, context)
            tokens, place = self._sizes.held + self._sizes.tokens, index * self._sizes.tokens
            seed = settings.noise().nearest_seed
            echo = self._memory.echo(source, tokens, held, settings.memory, seed, place, settings.theme)
            echo = replace(echo, plan=self._plan(source, state, free * settings.memory, held, place))
        beat = None
        if self.anchor is not None and state is not None and state.beat is not None:
            beat = state.beat, self.anchor.per_token(state, settings)
        return Guides(state, memory, anchor, echo, context, beat)

    def _plan(
        self, memory: MemoryState, anchor: AnchorState | None, share: float, held: int, first: int
    ) -> Plan:
        """The plan of a window whose first new token is number `first` of the stream. share: 0..1, of the memory."""
        tokens = self._sizes.held + self._sizes.tokens
        if self.plan_source is not None:
            return self.plan_source(first - held, tokens)
        beat = None if anchor is None else anchor.beat
        place = first % (memory.bar or 1.0) if beat is None else beat / BEATS * memory.bar
        assert self._memory is not None
        return self._memory.plan(memory, tokens, held, share, place)

    def _anchored(
        self, own: LevelState, settings: BlockSettings, context: Tensor | None, held: int
    ) -> tuple[AnchorState | None, Anchor | None]:
        """The anchor's state with a style and a beat, and the anchor that the network gets."""
        if self.anchor is None or own.anchor is None:
            return own.anchor, None
        state = self.anchor.settled(own.anchor, settings, own.context)
        style = None
        if context is not None and context.shape[1] >= self._sizes.window // 2:
            style = self.anchor.style_of(context)
        return state, self.anchor.for_window(state, settings, held, style)

    def govern(
        self, own: LevelState, settings: BlockSettings, bands: Tensor, context: Tensor | None, kept: bool
    ) -> tuple[Tensor, GovernorState | None]:
        """Move finished bands `[1, c, t]` to the level and spread of the beginning.

        context: latents `[1, n, c]` that are the beginning for this block alone, or None. kept: whether the block
        keeps a share `settings.resample` of an init; that share is not moved. Returns the bands and the state after.
        """
        if self._governor is None or own.governor is None:
            return bands, own.governor
        state = own.governor
        if context is not None:
            state = replace(state, held=self._governor.begun(context[..., : self._sizes.channels]).held)
        strength = settings.anchor * (1.0 - settings.resample if kept else 1.0)
        bands, after = self._governor.governed(state, bands, settings, strength)
        return bands, after if context is None else replace(after, held=own.governor.held)

    def after(
        self, guides: Guides, settings: BlockSettings, history: Tensor, latents: Tensor
    ) -> tuple[AnchorState | None, MemoryState | None]:
        """The states of anchor and memory after a block.

        latents `[1, c, tokens]` of the block, which are the end of `history` `[1, c, n]`. If the settings leave the
        context as it is, the memory does not grow either.
        """
        anchor, memory = guides.anchor_state, guides.memory_state
        if self.anchor is not None and anchor is not None:
            anchor = self.anchor.moved(anchor, settings, history, latents.shape[2])
        grows = settings.level(self._sizes.level).update_context
        if grows and self._memory is not None and memory is not None:
            pace = 1.0
            if guides.beat is not None and memory.per_token:
                pace = guides.beat[1] / memory.per_token
            memory = self._memory.grown(memory, latents, pace)
        return anchor, memory


def _left_out(before: AnchorState | None, now: AnchorState | None) -> int:
    """Beats, 0 to 3, by which the clock went ahead at once because an outer clock is at another beat of the bar."""
    if before is None or now is None or before.beat is None or now.beat is None:
        return 0
    return round(now.beat - before.beat) % BEATS
