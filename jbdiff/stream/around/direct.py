"""The way past the levels: the init's own sound goes to the finisher, in place of the sound that the levels made.

The sound of the levels leaves them late. The init's own sound waits just as long, so both lie at the same place, and
one can fade into the other. This masters a sound: the finisher alone works on it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from jbdiff.audio.crossfade import Crossfade, crossfade
from jbdiff.stream.state import DirectState

FADE_FRAMES = 1024  # 23 ms


class DirectSound:
    """The way past. It holds no state: `DirectState` goes in and comes out. None is the state before an init came."""

    def __init__(self, block_frames: int, latency_frames: int) -> None:
        """latency_frames: by which the sound of the levels is late."""
        self._block, self._latency = block_frames, latency_frames
        self._fade = min(FADE_FRAMES, block_frames)

    def mixed(
        self, state: DirectState | None, made: Tensor, init: Tensor | None, on: bool
    ) -> tuple[Tensor, DirectState | None]:
        """Return the block for the finisher, `[1, 1, block_frames]`, and the state after it.

        made `[1, 1, block_frames]`: the sound of the levels. init `[1, 1, block_frames or more]`: the block's init, or
        None. on: whether the init's own sound plays. A change fades, over the beginning of the block.
        """
        if init is None:
            return self._without(state, made), None
        waiting = self._waiting(state, init)
        sound = torch.cat([waiting, init[..., -self._block :].to(made)], dim=2)
        direct, waiting = sound[..., : self._block], sound[..., self._block :].contiguous()
        before = state is not None and state.on
        if before == on:
            return direct if on else made, DirectState(waiting, on)
        old, new = (made, direct) if on else (direct, made)
        return self._faded(old, new), DirectState(waiting, on)

    def _waiting(self, state: DirectState | None, init: Tensor) -> Tensor:
        """Return the init's sound that came before this block and has not played, `[1, 1, latency_frames]`."""
        if state is not None:
            return state.waiting
        before = init[..., : -self._block][..., max(0, init.shape[2] - self._block - self._latency) :]
        return F.pad(before, (self._latency - before.shape[2], 0))

    def _without(self, state: DirectState | None, made: Tensor) -> Tensor:
        """Return the sound of the levels, after a fade from the end of an init that came to its end."""
        if state is None or not state.on:
            return made
        fade = min(self._fade, self._latency)
        return self._faded(F.pad(state.waiting[..., :fade], (0, self._block - fade)), made, fade)

    def _faded(self, old: Tensor, new: Tensor, frames: int | None = None) -> Tensor:
        fade = self._fade if frames is None else frames
        head = crossfade(old[..., :fade], new[..., :fade], Crossfade.EQUAL_POWER)
        return torch.cat([head, new[..., fade:]], dim=2)
