"""Loudness while the music plays, as EBU R 128 defines it: momentary, short-term and integrated. No thread, no device.

The filters and gates are those of ITU-R BS.1770-4. `jbdiff.evaluate.metrics.loudness` measures whole sounds by the same
standard; this meter gets its sound in chunks, and the walls of the design keep the two apart.
"""

from __future__ import annotations

import math

import numpy as np

from jbdiff_live.audio.master.filters import BlockFilter, Section
from jbdiff_live.block import Audio
from jbdiff_live.status import Loudness

STEP_SECONDS = 0.1
MOMENTARY_STEPS, SHORT_TERM_STEPS = 4, 30
OFFSET = -0.691  # dB: a sine of 997 Hz at 0 dBFS in one channel reads -3.01 LUFS
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0
# Blocks are counted in classes of 0.1 LU from -70 to +10 LUFS, so that hours need no more memory than a minute.
CLASS_LU, CLASSES = 0.1, 800


def k_weighting(sample_rate: float) -> tuple[Section, Section]:
    """Return the two filters of BS.1770 for a sample rate: a shelf above 1.7 kHz, and a high-pass at 38 Hz.

    These frequencies, gains and qualities give the standard's coefficients at 48 kHz (Mansbridge et al. 2012).
    """
    k, q = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    scale = 1 + k / q + k * k
    shelf = Section(
        (high + band * k / q + k * k) / scale,
        2 * (k * k - high) / scale,
        (high - band * k / q + k * k) / scale,
        2 * (k * k - 1) / scale,
        (1 - k / q + k * k) / scale,
    )
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    scale = 1 + k / q + k * k
    return shelf, Section(1.0, -2.0, 1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale)


class LoudnessMeter:
    """The meter. `see` on one thread; `now` is swapped whole, so any thread may read it. Each channel weighs 1."""

    def __init__(self, sample_rate: int, channels: int, longest_chunk: int) -> None:
        """longest_chunk: most frames that `see` gets at once."""
        self.now = Loudness()
        self._filter = BlockFilter(k_weighting(sample_rate), channels)
        self._step = round(STEP_SECONDS * sample_rate)
        self._weighted = np.zeros((longest_chunk, channels))
        self._steps = np.zeros(SHORT_TERM_STEPS)  # mean power of the last steps, in a circle
        self._powers = np.zeros(CLASSES)  # sum of the powers of the blocks in each class of loudness
        self._counts = np.zeros(CLASSES, np.int64)
        self._asked_restart = False
        self._clear()

    def restart(self) -> None:
        """Begin to measure anew with the next chunk. Any thread."""
        self._asked_restart = True

    def _clear(self) -> None:
        self._asked_restart = False
        self._sum, self._frames, self._seen = 0.0, 0, 0
        self._highest = 0.0  # linear true peak
        self._steps[:] = 0.0
        self._powers[:] = 0.0
        self._counts[:] = 0
        self._filter.reset()
        self.now = Loudness()

    def see(self, sound: Audio, true_peak: float = 0.0) -> None:
        """Measure the next frames, float32 `[frames, channels]`. true_peak: theirs, linear."""
        if self._asked_restart:
            self._clear()
        self._highest = max(self._highest, true_peak)
        weighted = self._weighted[: len(sound)]
        self._filter.apply(sound, weighted)
        start = 0
        while start < len(weighted):
            piece = weighted[start : start + self._step - self._frames]
            flat = piece.reshape(-1)
            self._sum += float(np.dot(flat, flat))
            self._frames += len(piece)
            start += len(piece)
            if self._frames == self._step:
                self._end_step()

    def _end_step(self) -> None:
        self._steps[self._seen % SHORT_TERM_STEPS] = self._sum / self._step
        self._seen += 1
        self._sum, self._frames = 0.0, 0
        momentary = self._mean(MOMENTARY_STEPS)
        level = _lufs(momentary)
        if level is not None:
            place = min(CLASSES - 1, int((level - ABSOLUTE_GATE) / CLASS_LU))
            self._powers[place] += momentary
            self._counts[place] += 1
        highest = 20 * math.log10(self._highest) if self._highest > 0 else None
        self.now = Loudness(level, _lufs(self._mean(SHORT_TERM_STEPS)), self._integrated(), highest)

    def _mean(self, steps: int) -> float:
        """Return the mean power of the last steps; 0 before there are that many."""
        if self._seen < steps:
            return 0.0
        return float(np.mean(self._steps[np.arange(self._seen - steps, self._seen) % SHORT_TERM_STEPS]))

    def _integrated(self) -> float | None:
        count = int(self._counts.sum())
        if not count:
            return None
        gate = _lufs(float(self._powers.sum()) / count)
        if gate is None:
            return None
        first = max(0, math.ceil((gate + RELATIVE_GATE - ABSOLUTE_GATE) / CLASS_LU))
        kept = int(self._counts[first:].sum())
        return _lufs(float(self._powers[first:].sum()) / kept) if kept else None


def _lufs(power: float) -> float | None:
    """Return the loudness of a weighted power; None below -70 LUFS."""
    level = OFFSET + 10 * math.log10(power) if power > 0 else -math.inf
    return level if level >= ABSOLUTE_GATE else None
