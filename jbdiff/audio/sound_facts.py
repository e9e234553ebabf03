"""Facts about a sound that decide if it can be used: loudness, silence, clipping, phase. Numbers only; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]

SILENCE = 1e-5  # of full scale, -100 dB
CLICK_FRAMES = 1_000
FULL_SCALE = 0.999  # a sample that a converter may have clipped
CANCELLED = 0.02  # least power of a mix, as a share of the power that a mix of unrelated channels keeps
LOUDEST = 4e9  # times full scale; unscaled 32-bit numbers reach 2.1e9
# Mean over peak of a file far beyond full scale. Below this the peak is a damaged sample.
SPIKE = 1e-4
# Limits of a sound for training: float files may go a little beyond full scale, loud masters may clip a little.
OVERSHOOT, MOST_CLIPPED = 2.0, 0.1


class UnusableSound(ValueError):
    """A sound file that can be read but not used: it is silent, damaged, or far beyond full scale."""


class SilentSound(UnusableSound):
    """A sound file without sound: silence, or one constant value."""


@dataclass
class SoundFacts:
    """Facts about a file, up to date while it is read.

    `frames` counts frames of the file itself. `peak` is the loudest sample; 1 is full scale. `notes` are for the user.
    """

    rate: int = 0
    channels: int = 0
    frames: int = 0
    peak: float = 0.0
    at_full_scale: int = 0  # samples
    notes: list[str] = field(default_factory=list)
    powers: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))  # sum of squares of each channel
    _low: float = math.inf
    _high: float = -math.inf
    _sum: float = 0.0  # sum of absolute values of all channels
    _power: float = 0.0  # power of all channels
    _mixed: float = 0.0  # power of their mean

    def add(self, block: Audio) -> None:
        """Add a block `[n, channels]` to the facts."""
        if not len(block):
            return
        low, high = float(block.min()), float(block.max())
        peak = max(-low, high)
        self._low, self._high, self.peak = min(self._low, low), max(self._high, high), max(self.peak, peak)
        self.frames += len(block)
        self.channels = block.shape[1]
        if peak >= FULL_SCALE:
            self.at_full_scale += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        scale = max(1.0, peak)  # squares of larger values would not be finite
        scaled = block if scale == 1 else block / np.float32(scale)
        mixed = mono_mix(scaled)
        self._sum += float(np.abs(scaled).sum(dtype=np.float64)) / self.channels * scale
        powers = np.einsum("nc,nc->c", scaled, scaled, dtype=np.float64) * scale**2
        self.powers = self.powers + powers if self.powers.shape == powers.shape else powers
        self._power += float(powers.sum()) / self.channels
        self._mixed += float(np.vdot(mixed, mixed)) * scale**2

    @property
    def silent(self) -> bool:
        """Whether there is no sound: no samples, silence, or one constant value for longer than a click."""
        moves = self._high - self._low if self.frames > CLICK_FRAMES else self.peak
        return not moves > SILENCE

    @property
    def cancels(self) -> bool:
        """Whether the channels are opposites, so that their mix is nearly silent although each of them sounds."""
        return self.channels > 1 and not self.silent and self._mixed * self.channels < CANCELLED * self._power

    @property
    def clipped(self) -> float:
        """Share of the samples at full scale or above, 0..1."""
        return self.at_full_scale / max(1, self.frames * self.channels)

    @property
    def level(self) -> float:
        """Mean absolute value over the peak, 0..1. One damaged sample raises the peak but hardly the mean."""
        return self._sum / max(1, self.frames) / max(self.peak, 1e-30)

    def refuse_to_learn(self, name: str) -> None:
        """Raise UnusableSound if a network would learn silence or clipping from it. `name` is for the message."""
        if self.silent:
            raise SilentSound(f"{name!r} is silent")
        if self.peak > OVERSHOOT:
            raise UnusableSound(
                f"{name!r} has samples of {self.peak:.3g} times full scale; export it again as 16 or 24 bit"
            )
        if self.clipped > MOST_CLIPPED:
            raise UnusableSound(
                f"{name!r} is clipped: {100 * self.clipped:.0f} % of its samples are at full scale; turn it "
                "down before it is recorded or exported"
            )

    @property
    def level_db(self) -> float:
        """`level` in dB, at most 0."""
        return 20 * math.log10(max(self.level, 1e-30))


def mono_mix(block: Audio) -> Audio:
    """Return the mean `[n]` of all channels of `[n, channels]`.

    numpy's own `mean` over so short an axis is 20 times slower.
    """
    channels = block.shape[1]
    return block[:, 0] if channels == 1 else block @ np.full(channels, 1 / channels, np.float32)
