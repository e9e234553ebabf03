"""Effects that belong to a sound and so are part of its stem: tape echo, spring reverb, width, saturation, a guitar
amplifier, and the coarse samples of old chips.

All work on audio `[2, frames]` and give the same length back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, lfilter, sosfilt
from score import Amp, Crush, Drive, Effect, Spring, TapeEcho, Widen
from sounds import Audio
from tempi import SAMPLE_RATE

ECHOES = 8
LEAST = 0.02  # echoes softer than this are left out


def apply(effect: Effect, audio: Audio, step_seconds: float) -> Audio:
    if isinstance(effect, TapeEcho):
        return tape_echo(audio, effect, step_seconds)
    if isinstance(effect, Spring):
        return spring(audio, effect)
    if isinstance(effect, Widen):
        return widened(audio, effect)
    if isinstance(effect, Drive):
        peak = max(1e-6, float(np.abs(audio).max()))
        return np.tanh(audio * (effect.amount / peak)).astype(np.float32)
    if isinstance(effect, Amp):
        return amplified(audio, effect)
    if isinstance(effect, Crush):
        return crushed(audio, effect)
    raise TypeError(f"no effect {effect!r}")


def low_passed(audio: Audio, hertz: float) -> Audio:
    """One pole down: 6 dB an octave above `hertz`."""
    pole = float(np.exp(-2 * np.pi * hertz / SAMPLE_RATE))
    return lfilter([1 - pole], [1, -pole], audio, axis=1).astype(np.float32)


def high_passed(audio: Audio, hertz: float) -> Audio:
    return audio - low_passed(audio, hertz)


class Delay:
    """Delays a sound by a number of frames `[frames]`, which may change with time and need not be whole."""

    def __init__(self, frames: NDArray[np.float64]) -> None:
        now = np.arange(len(frames))
        place = np.clip(now - frames, 0, len(frames) - 1.001)
        self._left = place.astype(np.int64)
        self._mix = (place - self._left).astype(np.float32)
        self._silent = now < frames

    def __call__(self, audio: Audio) -> Audio:
        moved = audio[:, self._left] * (1 - self._mix) + audio[:, self._left + 1] * self._mix
        moved[:, self._silent] = 0
        return moved.astype(np.float32)


def tape_echo(audio: Audio, effect: TapeEcho, step_seconds: float) -> Audio:
    """Add repeats from side to side. Each repeat passes the tape once more: duller, thinner, a little out of time."""
    frames = effect.steps * step_seconds * SAMPLE_RATE
    time = np.arange(audio.shape[1]) / SAMPLE_RATE
    later = Delay(frames + effect.wow * SAMPLE_RATE * np.sin(2 * np.pi * 0.7 * time))
    repeat = audio.mean(0, keepdims=True)  # the tape is mono
    total, gain = audio.copy(), effect.wet
    for number in range(1, ECHOES + 1):
        if gain < LEAST or number * frames >= audio.shape[1]:
            break
        repeat = high_passed(low_passed(later(repeat), effect.dark_hertz), 180)
        near, far = (1.0, 0.5) if number % 2 else (0.5, 1.0)
        total += gain * repeat * np.array([[near], [far]], np.float32)
        gain *= effect.feedback
    return total


def spring(audio: Audio, effect: Spring) -> Audio:
    """Add echoes of two springs, left and right: low sounds arrive before high ones, and each pass is duller."""
    rng = np.random.default_rng(effect.seed)
    length = int(effect.seconds * SAMPLE_RATE)
    impulse = np.zeros((2, length))
    for side in range(2):
        trip = rng.uniform(0.033, 0.052)
        for number in range(1, int(effect.seconds / trip)):
            start = int(number * trip * SAMPLE_RATE)
            span = int(min(0.012 * number + 0.01, 0.12) * SAMPLE_RATE)
            span = min(span, length - start)
            if span < 64:
                break
            ramp = np.arange(span) / span
            chirp = np.sin(2 * np.pi * np.cumsum(150 + 3200 * ramp**1.5) / SAMPLE_RATE + rng.uniform(0, 6.28))
            fade = np.sin(np.pi * ramp) * np.exp(-4.0 * number * trip / effect.seconds)
            impulse[side, start : start + span] += chirp * fade * (-1) ** number / np.sqrt(span)
    impulse /= np.sqrt((impulse**2).sum(1, keepdims=True)) + 1e-9
    wet = np.stack([fftconvolve(audio.mean(0), row)[: audio.shape[1]] for row in impulse])
    return (audio + effect.wet * high_passed(wet.astype(np.float32), 150)).astype(np.float32)


def widened(audio: Audio, effect: Widen) -> Audio:
    """Add two copies of the middle, which move in time: one left, one right."""
    time = np.arange(audio.shape[1]) / SAMPLE_RATE
    middle = audio.mean(0, keepdims=True)
    sides = []
    for base, phase in ((0.011, 0.0), (0.017, 2.1)):
        frames = (base + 0.002 * np.sin(2 * np.pi * effect.hertz * time + phase)) * SAMPLE_RATE
        sides.append(Delay(frames)(middle)[0])
    wet = high_passed(np.stack(sides), 160)
    # Opposite signs, so that the middle does not change.
    side = (wet[0] - wet[1]) / 2
    return (audio + effect.amount * np.stack([side, -side])).astype(np.float32)


def amplified(audio: Audio, effect: Amp) -> Audio:
    """Return a guitar `[2, frames]` through an amplifier: distorted a little unevenly, then a loudspeaker's band.

    Lows are cut before the distortion, as amplifiers do: otherwise they make it muddy.
    """
    tight = high_passed(low_passed(audio, 7000), 40 + 6 * min(effect.drive, 20))
    loud = max(1e-6, float(np.quantile(np.abs(tight), 0.998)))
    driven = np.tanh(tight * (effect.drive / loud) + 0.2) - np.tanh(0.2)
    box = butter(3, effect.high_hertz, output="sos", fs=SAMPLE_RATE)
    presence = butter(2, (1500, 4000), "bandpass", output="sos", fs=SAMPLE_RATE)
    low = butter(2, 70, "highpass", output="sos", fs=SAMPLE_RATE)
    sound = sosfilt(low, sosfilt(box, driven, axis=1), axis=1)
    return (sound + 0.9 * sosfilt(presence, sound, axis=1)).astype(np.float32)


def crushed(audio: Audio, effect: Crush) -> Audio:
    """Return a sound `[2, frames]` of which each sample is held until the next one of the slower clock."""
    held = np.floor(np.arange(audio.shape[1]) * (effect.hertz / SAMPLE_RATE)) * (SAMPLE_RATE / effect.hertz)
    coarse = audio[:, np.minimum(held.astype(np.int64), audio.shape[1] - 1)]
    levels = 2.0 ** (effect.bits - 1) / max(1e-6, float(np.abs(audio).max()))
    return (np.round(coarse * levels) / levels).astype(np.float32)
