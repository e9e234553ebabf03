"""The governor of a stream: it holds the level and the spread of every band to those of the sound it began after.

A network that continues its own music makes a small error in every window, and the echoes bring the error back. Without
a governor contrast grows, tones get louder and gaps get deeper, until after a minute there is nothing else. The
governor measures what was played over the last windows. It moves the finished bands of the next window so that mean and
deviation over time come back to those of the beginning.

The knobs keep their meaning: brightness tilts the level that is held, motion widens the spread, and `anchor` is the
strength; at 0 only the limits of the codec remain.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from jbdiff.codecs.bands import LOWEST_DECIBELS
from jbdiff.stream.settings import BlockSettings
from jbdiff.stream.state import GovernorState

WINDOWS = 4  # length of the measurement of the played bands
FIRST_WINDOWS = 8  # a stream that began from nothing is held to the bands of its first windows
LEAST_SPREAD = 0.05  # of latents: bands that hardly move are not stretched to a beat
GAINS = (0.8, 1.1)  # of the deviation, in one window
MOST_SHIFT = 0.35  # of the mean, in one window, in units of latents
SPREAD_OF_MOTION = 0.5  # how much wider the held spread is at the upper end of the motion knob
TILT_OF_BRIGHTNESS = 0.6  # units of latents at both ends of the spectrum, at the ends of the knob
HIGHEST = 4.0  # of latents; music has no bands above it


class StreamGovernor:
    """The governor of a level, block by block. It holds no state: `GovernorState` goes in and comes out."""

    def __init__(self, mean: Tensor, spread: Tensor, window: int) -> None:
        """mean and spread `[c]` of the codec's bands in dB; window: tokens of the level's window."""
        self._lowest = ((LOWEST_DECIBELS - mean) / spread)[None, :, None]
        self._slope = torch.linspace(-1, 1, len(mean), device=mean.device)[None]
        self._window = window

    def begun(self, bands: Tensor | None) -> GovernorState:
        """The state of a stream that begins after bands `[1, n, c]`, or after nothing."""
        if bands is None or bands.shape[1] < self._window // 2:
            return GovernorState(None, None, 0)
        held = moments(bands.transpose(1, 2))
        return GovernorState(held, held, 0)

    def governed(
        self, state: GovernorState, bands: Tensor, settings: BlockSettings, strength: float
    ) -> tuple[Tensor, GovernorState]:
        """Finished bands `[1, c, t]`, held at this strength, 0..1, and the state after them."""
        if state.held is not None and state.played is not None and strength > 0.0:
            mean = state.held[:, 0] + settings.brightness * TILT_OF_BRIGHTNESS * self._slope
            played = state.played[:, 0]
            wider = 1 + SPREAD_OF_MOTION * settings.motion
            gain = (wider * deviation(state.held) / deviation(state.played)).clamp(*GAINS)
            shift = (mean - played).clamp(-MOST_SHIFT, MOST_SHIFT)
            moved = (bands - played[..., None]) * gain[..., None] + (played + shift)[..., None]
            bands = bands + strength * (moved - bands)
        bands = bands.clamp_max(HIGHEST).maximum(self._lowest)
        return bands, self._moved(state, bands)

    def _moved(self, state: GovernorState, bands: Tensor) -> GovernorState:
        """The state after bands `[1, c, t]` were played."""
        tokens, played, held = state.tokens + bands.shape[2], moments(bands), state.held
        if state.played is not None:
            share = min(1.0, bands.shape[2] / (WINDOWS * self._window))
            played = state.played + share * (played - state.played)
        if held is None and tokens >= FIRST_WINDOWS * self._window:
            held = played
        return replace(state, held=held, played=played, tokens=tokens)


def moments(bands: Tensor) -> Tensor:
    """Mean and mean square over time of bands `[1, c, t]`: `[1, 2, c]`. They may be averaged; deviations may not."""
    return torch.stack([bands.mean(2), bands.square().mean(2)], 1)


def deviation(moments: Tensor) -> Tensor:
    """Deviation over time `[1, c]`."""
    mean, square = moments.unbind(1)
    return (square - mean.square()).clamp_min(LEAST_SPREAD**2).sqrt()
