"""Measures of the music at each moment, for a rack: envelope, brightness, novelty, and a gate for each block.

Shared: `block_made` belongs to the engine thread, which makes a new table and swaps one reference. `at` may be called
on any thread, without a lock. Blocks are measured before Gain and Mute: a rack may play on while the speakers are
silent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.block import Audio

STEP_SECONDS = 0.005  # of the envelope
RELEASE_SECONDS = 0.080  # in which the envelope falls to 37 % of a peak
WINDOW_FRAMES = 2048  # of the brightness
DARKEST_HZ, BRIGHTEST_HZ = 100.0, 10_000.0
GATE_SECONDS = 0.050  # length of a block's gate, but at most half of the block
SILENT = 1e-4  # peak below which there is no brightness to measure


class Measure(Enum):
    """A measure of the sound, from 0 to 1."""

    ENVELOPE = "envelope"  # peak of the sound, falling slowly
    BRIGHTNESS = "brightness"  # centre of the spectrum, from 100 Hz to 10 kHz in octaves
    NOVELTY = "novelty"  # distance of the block's latents from those of the block before; 0 repeats it
    GATE = "gate"  # 1 at the beginning of each block


@dataclass(frozen=True)
class Moment:
    """All four measures at one frame."""

    envelope: float = 0.0
    brightness: float = 0.0
    novelty: float = 0.0
    gate: float = 0.0

    def __getitem__(self, measure: Measure) -> float:
        return float(getattr(self, measure.value))


NOTHING = Moment()
At = Callable[[int], Moment]  # the moment of a frame


@dataclass(frozen=True)
class _Measured:
    start: int
    end: int
    envelope: NDArray[np.float32]  # [steps]
    brightness: NDArray[np.float32]  # [windows]
    novelty: float


class Movement:
    """The measures of the blocks, computed once a block, by frame. keep_frames: measures are kept this long."""

    def __init__(self, sample_rate: int, keep_frames: int) -> None:
        self._rate = sample_rate
        self._keep = keep_frames
        self._step = max(1, round(STEP_SECONDS * sample_rate))
        self._level = 0.0  # the envelope at the end of the last block
        self._colour = 0.0
        self._blocks: tuple[_Measured, ...] = ()  # swapped whole

    def block_made(self, samples: Audio, start_frame: int, novelty: float) -> None:
        """Measure a block, float32 `[frames, channels]`. Engine thread; takes about 2 ms for 2 s of sound."""
        mono = samples.mean(axis=1)
        end = start_frame + len(samples)
        new = _Measured(
            start_frame, end, self._envelope(mono), self._brightness(mono), min(1.0, max(0.0, novelty))
        )
        self._blocks = (*(b for b in self._blocks if b.end > end - self._keep), new)

    def at(self, frame: int) -> Moment:
        """Return the measures at a frame; all zero for a frame that no block holds. Any thread."""
        for block in self._blocks:
            if block.start <= frame < block.end:
                place = (frame - block.start) / (block.end - block.start)
                open_frames = min(GATE_SECONDS * self._rate, (block.end - block.start) / 2)
                return Moment(
                    _at(block.envelope, place),
                    _at(block.brightness, place),
                    block.novelty,
                    float(frame - block.start < open_frames),
                )
        return NOTHING

    def _envelope(self, mono: NDArray[np.float32]) -> NDArray[np.float32]:
        steps = -(-len(mono) // self._step)
        peaks = (
            np.abs(np.pad(mono, (0, steps * self._step - len(mono)))).reshape(steps, self._step).max(axis=1)
        )
        fall = math.exp(-STEP_SECONDS / RELEASE_SECONDS)
        found = np.empty(steps, np.float32)
        level = self._level
        for step, peak in enumerate(peaks):
            level = max(float(peak), level * fall)
            found[step] = min(1.0, level)
        self._level = level
        return found

    def _brightness(self, mono: NDArray[np.float32]) -> NDArray[np.float32]:
        windows = max(1, len(mono) // WINDOW_FRAMES)
        padded = np.resize(mono, WINDOW_FRAMES) if len(mono) < WINDOW_FRAMES else mono
        parts = padded[: windows * WINDOW_FRAMES].reshape(windows, WINDOW_FRAMES) * np.hanning(WINDOW_FRAMES)
        power = np.abs(np.fft.rfft(parts, axis=1)) ** 2
        hertz = np.fft.rfftfreq(WINDOW_FRAMES, 1 / self._rate)
        centre = power @ hertz / np.maximum(power.sum(axis=1), 1e-12)
        octaves = np.log(np.maximum(centre, DARKEST_HZ) / DARKEST_HZ) / math.log(BRIGHTEST_HZ / DARKEST_HZ)
        found: NDArray[np.float32] = np.clip(octaves, 0, 1).astype(np.float32)
        for window in range(windows):  # silence has no brightness: the last value stays
            if np.abs(parts[window]).max() < SILENT:
                found[window] = self._colour
            self._colour = float(found[window])
        return found


def _at(curve: NDArray[np.float32], place: float) -> float:
    return float(curve[min(len(curve) - 1, int(place * len(curve)))])
