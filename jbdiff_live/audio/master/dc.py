"""The DC filter: it takes a constant offset out of the sound, and leaves sound without one alone, bit for bit.

An offset wastes headroom and makes fades thump. A first-order high-pass at 5 Hz removes it. It would also change every
sample of clean sound a little, so it fades in only while there is an offset above -60 dBFS. No thread, no device.
Nothing is allocated while sound passes.
"""

from __future__ import annotations

import math

import numpy as np

from jbdiff_live.audio.master.filters import BlockFilter, Section
from jbdiff_live.block import Audio

CUTOFF_HZ = 5.0
OFFSET = 10 ** (-60 / 20)  # of full scale, from which on the filter works
GONE = OFFSET / 2  # below it the filter rests again
FADE_SECONDS = 0.5
# The offset is measured by two low-passes of this frequency in a row. They are slow, so that a bass that sets in does
# not look like an offset: one of 32 Hz at -6 dBFS reads -65 dBFS for a moment. A large offset is found in .3 s all the
# same, one of .004 of full scale in two seconds.
MEASURE_HZ = 0.1


def first_order_high_pass(hertz: float, sample_rate: float) -> Section:
    """Return a high-pass with 6 dB per octave, 3 dB down at `hertz`."""
    turn = math.tan(math.pi * hertz / sample_rate)
    scale = 1 / (1 + turn)
    return Section(scale, -scale, 0.0, (turn - 1) * scale, 0.0)


class DcFilter:
    """The filter for chunks of up to `longest_chunk` frames."""

    def __init__(self, sample_rate: int, channels: int, longest_chunk: int) -> None:
        self._rate = sample_rate
        self._filter = BlockFilter([first_order_high_pass(CUTOFF_HZ, sample_rate)], channels)
        self._filtered = np.zeros((longest_chunk, channels), np.float32)
        self._shares = np.zeros((longest_chunk, 1), np.float32)
        self._count = np.arange(1, longest_chunk + 1, dtype=np.float32)[:, None]
        self._mean = np.zeros(channels)
        self._once = np.zeros(channels)
        self._twice = np.zeros(channels)
        self._works = False
        self._share = 0.0  # of the filtered sound in the output

    @property
    def idle(self) -> bool:
        """True while the sound passes bit for bit."""
        return self._share == 0.0 and not self._works

    @property
    def offset(self) -> float:
        """The measured offset of the sound that comes in, of full scale; that of the channel with the larger one."""
        return float(np.abs(self._twice).max())

    def begin(self) -> None:
        """Begin new sound, after silence or a jump. Its offset counts as the measured one, and leaves no thump."""
        self._filter.settle(self._twice)

    def apply(self, sound: Audio) -> None:
        """Filter `sound`, float32 `[frames, channels]`, in place, if it has an offset."""
        frames = len(sound)
        if not frames:
            return
        self._measure(sound)
        if self.idle:
            return
        if self._share == 0.0:
            self.begin()
        filtered, shares = self._filtered[:frames], self._shares[:frames]
        self._filter.apply(sound, filtered)
        step = (1.0 if self._works else -1.0) / (FADE_SECONDS * self._rate)
        np.multiply(self._count[:frames], np.float32(step), out=shares)
        shares += np.float32(self._share)
        np.clip(shares, 0.0, 1.0, out=shares)
        filtered -= sound
        filtered *= shares
        sound += filtered
        self._share = min(1.0, max(0.0, self._share + step * frames))

    def _measure(self, sound: Audio) -> None:
        np.mean(sound, axis=0, out=self._mean)
        part = 1.0 - math.exp(-2 * math.pi * MEASURE_HZ * len(sound) / self._rate)
        self._mean -= self._once
        self._mean *= part
        self._once += self._mean
        np.subtract(self._once, self._twice, out=self._mean)
        self._mean *= part
        self._twice += self._mean
        offset = max(float(self._twice.max()), -float(self._twice.min()))
        self._works = offset > (GONE if self._works else OFFSET)
