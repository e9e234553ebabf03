"""What there is to know of a sound before it is used: how loud, silent, clipped, in phase. Numbers only; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]

SILENCE = 1e-5  # of full scale, -100 dB
CLICK_FRAMES = 1_000
FULL_SCALE = 0.999  # a sample that a converter may have clipped
CANCELLED = 0.02  # of the power that unrelated channels keep when they are mixed
LOUDEST = 4e9  # times full scale: 32-bit numbers that were not scaled reach 2.1e9
SPIKE = 1e-4  # mean against the peak of a file far beyond full scale: below it the peak is a damaged sample
# Of a sound to learn from: float files may go a little beyond full scale, loud masters may clip a little.
OVERSHOOT, MOST_CLIPPED = 2.0, 0.1


class UnusableSound(ValueError):
    """A sound file that can be read and has no use: silent, damaged, far outside full scale."""


class SilentSound(UnusableSound):
    """A sound file in which nothing moves."""


@dataclass
class SoundFacts:
    """What is known of a file, while it is read and at the end. `frames` counts those of the file itself.

    `peak` is the loudest sample and 1 full scale. `notes` say what a listener should know.
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
    _sum: float = 0.0  # of absolute values, all channels
    _power: float = 0.0  # of all channels
    _mixed: float = 0.0  # of their mean

    def add(self, block: Audio) -> None:
        """Looks at `[n, channels]` more."""
        if not len(block):
            return
        low, high = float(block.min()), float(block.max())
        peak = max(-low, high)
        self._low, self._high, self.peak = min(self._low, low), max(self._high, high), max(self.peak, peak)
        self.frames += len(block)
        self.channels = block.shape[1]
        if peak >= FULL_SCALE:
            self.at_full_scale += int(np.count_nonzero(np.abs(block) >= FULL_SCALE))
        scale = max(1.0, peak)  # squares of more would not be finite
        scaled = block if scale == 1 else block / np.float32(scale)
        mixed = mono_mix(scaled)
        self._sum += float(np.abs(scaled).sum(dtype=np.float64)) / self.channels * scale
        powers = np.einsum("nc,nc->c", scaled, scaled, dtype=np.float64) * scale**2
        self.powers = self.powers + powers if self.powers.shape == powers.shape else powers
        self._power += float(powers.sum()) / self.channels
        self._mixed += float(np.vdot(mixed, mixed)) * scale**2

    @property
    def silent(self) -> bool:
        """Whether nothing moves: no samples, silence, or one constant value for longer than a click."""
        moves = self._high - self._low if self.frames > CLICK_FRAMES else self.peak
        return not moves > SILENCE

    @property
    def cancels(self) -> bool:
        """The channels are opposites: their mix is next to silence though each of them sounds."""
        return self.channels > 1 and not self.silent and self._mixed * self.channels < CANCELLED * self._power

    @property
    def clipped(self) -> float:
        """Share of the samples that lie at full scale or above."""
        return self.at_full_scale / max(1, self.frames * self.channels)

    @property
    def level(self) -> float:
        """Mean absolute value against the peak, 0..1. One damaged sample hardly moves the mean."""
        return self._sum / max(1, self.frames) / max(self.peak, 1e-30)

    def refuse_to_learn(self, name: str) -> None:
        """Raises UnusableSound if a network would learn silence or clipping from it. `name` is for the message."""
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
        return 20 * math.log10(max(self.level, 1e-30))


def mono_mix(block: Audio) -> Audio:
    """The mean of all channels of `[n, channels]`, `[n]`. numpy's own over so short an axis takes 20 times as long."""
    channels = block.shape[1]
    return block[:, 0] if channels == 1 else block @ np.full(channels, 1 / channels, np.float32)
