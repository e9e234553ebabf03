"""The waveform finisher in a stream: mono blocks in, stereo blocks out, every window filled with real sound.

A block is cut into equal pieces; each is finished in a window of the trained length, whose left part is sound
that has been finished before. At full size a piece of 49 152 samples sits behind 16 384 known ones in 65 536,
so that three quarters of each call are kept; the first implementation kept a fifth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.audio.crossfade import Crossfade, crossfade
from jbdiff.config import FinisherConfig
from jbdiff.diffusion.noise import NoiseRegister, draw
from jbdiff.diffusion.samplers import Sampler, Step
from jbdiff.diffusion.schedules import crash_place, crash_sigmas_from, noised
from jbdiff.networks.channels_last import TokenFinisher
from jbdiff.networks.dance_finisher import Finisher
from jbdiff.stream.settings import FinisherSettings
from jbdiff.stream.state import FinisherState, StreamError

STREAM = "finisher"


class DanceStage:
    """The waveform finisher at work, as `finisher.FinisherStage`. It holds no state of its own.

    Sound leaves `latency_frames` (one fade) after it came in. The end of a window waits for the next one, and the two
    are crossfaded there. Both are finished from the same sound and the same noise, so they are alike and the crossfade
    is linear. When the finisher is switched on or off they differ, and the crossfade has equal power.
    """

    channels = 2
    sampled = True

    def __init__(
        self,
        net: Finisher | TokenFinisher,
        config: FinisherConfig,
        *,
        block_frames: int,
        device: torch.device,
        dtype: torch.dtype,
        sampler: Sampler,
    ) -> None:
        self.config = config
        self.block_frames = block_frames
        self.fade = config.fade_samples
        self.latency_frames = config.fade_samples
        self.pieces = next(
            count
            for count in range(1, block_frames + 1)
            if block_frames % count == 0 and block_frames // count + self.fade <= config.window_samples
        )
        self.piece = block_frames // self.pieces
        self.left = config.window_samples - self.piece
        if self.piece < self.fade:
            raise ValueError(f"fades of {self.fade} samples do not fit into pieces of {self.piece}")
        self.net, self.dtype, self._device, self._sampler = net, dtype, device, sampler

    def example(self, normal: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        """Inputs of one network call: stereo `[1, 2, window]` and its sigma `[1]`."""
        return normal(1, 2, self.config.window_samples), torch.full((1,), 0.5, device=self._device)

    def fresh_state(self) -> FinisherState:
        """Silence before, home noise."""
        return FinisherState(
            mono=torch.zeros(1, 1, self.left, device=self._device),
            noise=torch.zeros(1, 2, 0, device=self._device),
            tail=torch.zeros(1, 2, self.fade, device=self._device),
            finished=False,
            register=NoiseRegister(STREAM, 2, self.piece),
        )

    def default_steps(self) -> int:
        """Steps v1 takes at the stack's default strength; here every strength takes that many."""
        return int(self.config.steps * crash_place(1.0 - self.config.init_strength))

    def steps(self, settings: FinisherSettings) -> int:
        """Denoising steps of one block."""
        if not settings.on:
            return 0
        return self.pieces * (self.default_steps() if settings.steps is None else settings.steps)

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
        steps = self.default_steps() if settings.steps is None else settings.steps
        sigmas = crash_sigmas_from(steps, 1.0 - strength)
        out: list[Tensor] = []
        for piece in torch.split(mono, self.piece, dim=2):
            fresh, _, register = state.register.next(settings.noise())
            before = state.noise
            if before.shape[2] < self.left:  # only before the first piece
                shape = (1, 2, self.left - before.shape[2])
                before = torch.cat(
                    [draw(shape, settings.seed, STREAM, 0, -2).to(self._device), before], dim=2
                )
            noise = torch.cat([before, fresh.to(self._device)], dim=2)
            whole = torch.cat([state.mono, piece], dim=2)
            stereo = whole.expand(1, 2, -1)
            if settings.on:
                stereo = self._denoise(stereo, noise, sigmas, watch)
                if not bool(torch.isfinite(stereo).all()):
                    raise StreamError(
                        f"block {index}: the finisher's sound is not finite. Use float32, or switch it off"
                    )
            kept = stereo[..., -(self.piece + self.fade) :]
            alike = state.finished == settings.on
            curve = Crossfade.LINEAR if alike else Crossfade.EQUAL_POWER
            out += [crossfade(state.tail, kept[..., : self.fade], curve), kept[..., self.fade : -self.fade]]
            state = replace(
                state,
                mono=whole[..., -self.left :],
                noise=noise[..., -self.left :],
                tail=kept[..., -self.fade :].contiguous(),
                finished=settings.on,
                register=register,
            )
        return torch.cat(out, dim=2), state

    def _denoise(
        self, stereo: Tensor, noise: Tensor, sigmas: Tensor, watch: Callable[[Step], None]
    ) -> Tensor:
        reduced = self.dtype != torch.float32
        with torch.autocast(self._device.type, self.dtype if reduced else None, enabled=reduced):
            x = noised(stereo, noise, sigmas[0])
            return self._sampler(lambda x, sigma: self.net(x, sigma).float(), x, sigmas, watch)
