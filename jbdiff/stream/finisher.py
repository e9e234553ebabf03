"""The finisher of a stream: what its two kinds of stage have in common, and the one that a stack needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from jbdiff.config import SpectralFinisherConfig
from jbdiff.diffusion.samplers import Step, sample_vddim
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.networks.spectral_finisher import SpectralFinisher
from jbdiff.stacks.stack import Stack
from jbdiff.stream.cuda_graphs import RecordedSampler
from jbdiff.stream.dance_finisher import DanceStage
from jbdiff.stream.execution import Execution
from jbdiff.stream.settings import FinisherSettings
from jbdiff.stream.spectral_finisher import SpectralStage
from jbdiff.stream.state import FinisherState


class FinisherStage(Protocol):
    """A finisher at work: mono blocks in, stereo blocks out. It holds no state: `FinisherState` goes in and comes out.

    Sound leaves it `latency_frames` late. If it is switched off, the mono sound passes with the same latency.
    """

    channels: int  # of the finished sound
    block_frames: int
    latency_frames: int
    pieces: int  # network windows that a block is cut into
    dtype: torch.dtype  # of autocast around the network
    sampled: bool  # whether a sampler calls the network in several steps; such steps can be recorded

    @property
    def net(self) -> nn.Module:
        """The network."""
        ...

    def fresh_state(self) -> FinisherState:
        """Silence before, home noise."""
        ...

    def steps(self, settings: FinisherSettings) -> int:
        """Network calls of one block."""
        ...

    def finish(
        self,
        state: FinisherState,
        settings: FinisherSettings,
        mono: Tensor,
        watch: Callable[[Step], None],
        index: int,
    ) -> tuple[Tensor, FinisherState]:
        """Finish block number `index`: mono `[1, 1, block_frames]` to stereo `[1, 2, block_frames]`, not clamped.

        watch runs after every network call. Returns the sound and the state after. Raises ValueError if the strength
        is outside 0..1, StreamError if the sound is not finite.
        """
        ...

    def example(self, normal: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        """Return the inputs `[...]` of one network call. normal(*shape) returns random values."""
        ...


def finisher_stage(stack: Stack, block_frames: int, execution: Execution) -> FinisherStage | None:
    """Return the stage that plays a stack's finisher; None if the stack has none."""
    net, config = stack.finisher, stack.config.finisher
    if net is None or config is None:
        return None
    if isinstance(config, SpectralFinisherConfig):
        small = cast(SpectralFinisher, net)  # the config says which kind it is
        return SpectralStage(small, config, block_frames=block_frames, device=execution.device)
    recordings, compiler = execution.recordings(), execution.compiler()
    sampler = sample_vddim if execution.sampler is None else execution.sampler
    quick = None if compiler is None else stack.compiled_finisher(execution.dtype, compiler)
    return DanceStage(
        cast(Finisher, net) if quick is None else quick,
        config,
        block_frames=block_frames,
        device=execution.device,
        # A compiled finisher has number formats of its own.
        dtype=execution.dtype if quick is None else torch.float32,
        sampler=sampler if recordings is None else RecordedSampler(sampler, recordings),
    )
