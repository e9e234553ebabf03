"""The spectral finisher in a stream: mono blocks in, stereo blocks out, one pass a block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.audio.crossfade import crossfade
from jbdiff.config import SpectralFinisherConfig
from jbdiff.diffusion.noise import NoiseRegister
from jbdiff.diffusion.samplers import Step
from jbdiff.networks.spectral_finisher import IMAGE_POINTS, SpectralFinisher
from jbdiff.stream.settings import FinisherSettings
from jbdiff.stream.state import FinisherState, StreamError

STREAM = "finisher"


class SpectralStage:
    """The spectral finisher at work, as `finisher.FinisherStage`. It holds no state of its own.

    Sound leaves `latency_frames` after it came in. The end of a block, one frame of the transform long, is finished
    with the next block. Before it lies a short fade from the last block's settings to this one's.
    """

    channels = 2
    pieces = 1
    sampled = False
    dtype = torch.float32

    def __init__(
        self,
        net: SpectralFinisher,
        config: SpectralFinisherConfig,
        *,
        block_frames: int,
        device: torch.device,
    ) -> None:
        self.config = config
        self.block_frames = self.piece = block_frames
        self.fade = net.hop
        self.latency_frames = net.size + self.fade
        if block_frames % net.hop or block_frames < self.latency_frames:
            raise ValueError(
                f"a block of {block_frames} samples is not made of the finisher's frames of {net.hop}"
            )
        self.left = -(-(net.reach + self.latency_frames) // net.hop) * net.hop
        self.net, self._device = net, device

    def example(self, normal: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs of one network call: mono `[1, 1, n]` and the noise of the stereo image `[1, 1, IMAGE_POINTS]`."""
        return normal(1, 1, self.left + self.piece), normal(1, 1, IMAGE_POINTS)

    def fresh_state(self) -> FinisherState:
        """Silence before, home noise."""
        return FinisherState(
            mono=torch.zeros(1, 1, self.left, device=self._device),
            noise=torch.zeros(1, 1, 0, device=self._device),
            tail=torch.zeros(1, 2, self.fade, device=self._device),
            finished=False,
            register=NoiseRegister(STREAM, 1, IMAGE_POINTS),
        )

    def default_steps(self) -> int:
        """Always 1: the network needs one call a block."""
        return 1

    def steps(self, settings: FinisherSettings) -> int:
        """Network calls of one block."""
        return 1 if settings.on else 0

    def finish(
        self,
        state: FinisherState,
        settings: FinisherSettings,
        mono: Tensor,
        watch: Callable[[Step], None],
        index: int,
    ) -> tuple[Tensor, FinisherState]:
        """Mono `[1, 1, block_frames]` to stereo `[1, 2, block_frames]`, not clamped, and the state after."""
        strength = settings.strength_or(self.config.init_strength)
        image, _, register = state.register.next(settings.noise())
        whole = torch.cat([state.mono, mono], dim=2)
        stereo = whole.expand(1, 2, -1)
        if settings.on:
            stereo = self.net(whole.float(), image.to(self._device), 1.0 - strength)
            watch(Step(0, 1, 1.0, stereo))
            if not bool(torch.isfinite(stereo).all()):
                raise StreamError(f"block {index}: the finisher's sound is not finite; switch it off")
        kept = stereo[..., -(self.piece + self.latency_frames) :]
        # Another image or a switch changes little: both sides are the same sound, and a linear fade keeps its loudness.
        head = crossfade(state.tail, kept[..., : self.fade])
        out = torch.cat([head, kept[..., self.fade : self.piece]], dim=2)
        tail = kept[..., self.piece : self.piece + self.fade]
        return out, replace(
            state,
            mono=whole[..., -self.left :].contiguous(),
            tail=tail.contiguous(),
            finished=settings.on,
            register=register,
        )
