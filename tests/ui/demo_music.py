"""Made-up music for a demo: kick, hats, bass and an arpeggio, the same every time."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE = 44_100
BEAT = RATE // 2  # 120 to the minute


def _kick(frames: int) -> NDArray[np.float64]:
    t = np.arange(frames) / RATE
    return np.sin(2 * np.pi * (48 * t + 90 * 0.035 * (1 - np.exp(-t / 0.035)))) * np.exp(-t / 0.16)


def _hat(frames: int, length: float, rng: np.random.Generator) -> NDArray[np.float64]:
    noise = np.diff(rng.standard_normal(frames + 1))
    return noise * np.exp(-np.arange(frames) / RATE / length) * 0.25


def _note(hz: float, frames: int, length: float, harmonics: int) -> NDArray[np.float64]:
    t = np.arange(frames) / RATE
    voice = sum(
        np.sin(2 * np.pi * hz * n * t) / n**1.3 * np.exp(-t * n / (length * 4))
        for n in range(1, harmonics + 1)
    )
    return np.asarray(voice * np.minimum(1, t / 0.004) * np.exp(-t / length))


@lru_cache(maxsize=1)
def music(bars: int = 4) -> NDArray[np.float32]:
    """Kick, hats, bass and an arpeggio that goes round: `[frames, 2]`, the same every time."""
    rng = np.random.default_rng(7)
    sixteenth, total = BEAT // 4, bars * 4 * BEAT
    out = np.zeros((total + 2 * BEAT, 2))

    def add(at: int, sound: NDArray[np.float64], level: float, pan: float = 0.0) -> None:
        out[at : at + len(sound), 0] += sound * level * (1 - max(0.0, pan))
        out[at : at + len(sound), 1] += sound * level * (1 + min(0.0, pan))

    roots = [45, 41, 48, 43]
    for bar in range(bars):
        root = roots[bar % 4]
        for step in range(16):
            at = (bar * 16 + step) * sixteenth
            if step % 4 == 0 or (bar % 4 == 3 and step == 14):
                add(at, _kick(BEAT), 0.55)
            add(at, _hat(BEAT // 2, 0.11 if step % 4 == 2 else 0.025, rng), 0.16 if step % 2 else 0.1, 0.2)
            if step % 8 == 4:
                add(at, _hat(BEAT // 2, 0.13, rng) + 0.3 * _note(190, BEAT // 2, 0.08, 2), 0.32)
            if step in (0, 3, 6, 10, 11, 14):
                add(at, _note(440 * 2 ** ((root - 12 - 69) / 12), BEAT // 2, 0.2, 8), 0.26)
            pitch = root + 24 + [0, 7, 12, 16, 19, 12, 7, 24][(step * 3 + bar) % 8]
            add(at, _note(440 * 2 ** ((pitch - 69) / 12), BEAT, 0.24, 10), 0.09, 0.7 if step % 2 else -0.7)
    out[: 2 * BEAT] += out[total:]
    swell = 0.75 + 0.25 * np.sin(2 * np.pi * np.arange(total) / total)[:, None]
    return np.asarray(np.tanh(out[:total] * swell * 1.15), np.float32)
