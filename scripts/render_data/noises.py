"""Sounds without a tone, written for this project (MIT): noise drums of old chips, metal, bursts, and bands of noise.

Audio is float32 `[2, frames]` at 44.1 kHz. numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from score import Hit, Noise, Wash
from sounds import Audio, place
from tempi import SAMPLE_RATE

FRAME, HOP = 2048, 512  # of the filter that moves


@lru_cache(maxsize=2)
def register(short: bool) -> NDArray[np.float64]:
    """Return the output (-1 or 1) of a shift register of 15 bits with feedback: noise of 32767 samples.

    `short`: the other tap, whose 93 samples sound like metal.
    """
    bits, found = 1, []
    for _ in range(93 if short else 32767):
        found.append(1.0 - 2.0 * (bits & 1))
        fed = (bits ^ (bits >> (6 if short else 1))) & 1
        bits = (bits >> 1) | (fed << 14)
    return np.array(found)


def stereo(sound: NDArray[np.float64]) -> Audio:
    return np.tile(sound.astype(np.float32), (2, 1))


def clocked(hertz: NDArray[np.float64], short: bool, start: int) -> NDArray[np.float64]:
    """Return the register's noise at a clock of `hertz` `[frames]`."""
    noise = register(short)
    return noise[(start + np.cumsum(hertz / SAMPLE_RATE).astype(np.int64)) % len(noise)]


def chip_noise(low: float, high: float, fastest: float, slowest: float, short: float) -> Callable[..., Audio]:
    """Return a maker of noise strokes: clock from `low` to `high` hertz, time constant from `fastest` to `slowest`."""

    def made(rng: np.random.Generator) -> Audio:
        decay = rng.uniform(fastest, slowest)
        time = np.arange(int(6 * decay * SAMPLE_RATE)) / SAMPLE_RATE
        hertz = rng.uniform(low, high) * (1 + rng.uniform(0, 1.5) * np.exp(-time / 0.02))
        noise = clocked(hertz, bool(rng.random() < short), int(rng.integers(32767)))
        return stereo(noise * np.ceil(15 * np.exp(-time / decay)) / 15)

    return made


def chip_kick(rng: np.random.Generator) -> Audio:
    """A triangle that falls in pitch, with a click of noise."""
    time = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = rng.uniform(40, 60) + rng.uniform(150, 420) * np.exp(-time / rng.uniform(0.015, 0.04))
    triangle = 1 - 4 * np.abs(np.cumsum(hertz / SAMPLE_RATE) % 1.0 - 0.5)
    click = clocked(np.full(len(time), 9000.0), False, int(rng.integers(32767))) * np.exp(-time / 0.006)
    return stereo(triangle * np.exp(-time / rng.uniform(0.06, 0.12)) + rng.uniform(0.1, 0.5) * click)


def chip_tom(rng: np.random.Generator) -> Audio:
    """A triangle that falls."""
    time = np.arange(int(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = rng.uniform(60, 220) * (1 + rng.uniform(0.5, 1.5) * np.exp(-time / 0.08))
    triangle = 1 - 4 * np.abs(np.cumsum(hertz / SAMPLE_RATE) % 1.0 - 0.5)
    return stereo(triangle * np.exp(-time / 0.1))


def hard_kick(rng: np.random.Generator) -> Audio:
    """A kick that is driven until it is nearly square."""
    time = np.arange(int(0.5 * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = rng.uniform(44, 58) + rng.uniform(200, 700) * np.exp(-time / rng.uniform(0.008, 0.03))
    body = np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE) * np.exp(-time / rng.uniform(0.1, 0.22))
    click = rng.standard_normal(len(time)) * np.exp(-time / 0.004) * rng.uniform(0.1, 0.5)
    return stereo(np.tanh((body + click) * rng.uniform(3, 14)) * np.minimum(1, np.exp(-(time - 0.2) / 0.06)))


def metal(rng: np.random.Generator) -> Audio:
    """A struck plate: many partials without order, and noise at the start."""
    decay = rng.uniform(0.04, 0.35)
    time = np.arange(int(min(1.2, 6 * decay) * SAMPLE_RATE)) / SAMPLE_RATE
    partials = np.exp(rng.uniform(np.log(280), np.log(7500), int(rng.integers(14, 30))))
    sound = rng.uniform(0.2, 1.0) * rng.standard_normal(len(time)) * np.exp(-time / 0.008)
    for hertz in partials:
        fade = np.exp(-time / (decay * rng.uniform(0.3, 1.2)))
        sound += rng.uniform(0.2, 1) / 3 * fade * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6.3))
    return stereo(np.tanh(sound * rng.uniform(0.7, 3)))


def burst(rng: np.random.Generator) -> Audio:
    """A band of noise that stops at once."""
    decay = rng.uniform(0.02, 0.12)
    frames = int(6 * decay * SAMPLE_RATE)
    low = np.exp(rng.uniform(np.log(250), np.log(6000)))
    spectrum = np.fft.rfft(rng.standard_normal(frames))
    hertz = np.fft.rfftfreq(frames, 1 / SAMPLE_RATE)
    spectrum *= np.exp(-0.5 * (np.log2(np.maximum(hertz, 20) / low) / rng.uniform(0.4, 1.4)) ** 2)
    noise = np.fft.irfft(spectrum, frames)
    return stereo(noise / np.abs(noise).max() * np.exp(-np.arange(frames) / SAMPLE_RATE / decay))


def zap(rng: np.random.Generator) -> Audio:
    """A sine that falls through the whole range in a moment, through noise."""
    time = np.arange(int(0.25 * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = 60 + rng.uniform(1500, 6000) * np.exp(-time / rng.uniform(0.008, 0.04))
    hertz = hertz * (1 + rng.uniform(0, 0.6) * rng.standard_normal(len(time)))
    return stereo(
        np.sin(2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE) * np.exp(-time / rng.uniform(0.03, 0.09))
    )


MADE: dict[str, Callable[[np.random.Generator], Audio]] = {
    "chip_kick": chip_kick,
    "chip_snare": chip_noise(5000, 16000, 0.04, 0.1, 0.0),
    "chip_hat": chip_noise(20000, 44000, 0.01, 0.03, 0.15),
    "chip_open": chip_noise(20000, 44000, 0.06, 0.14, 0.1),
    "chip_crash": chip_noise(8000, 30000, 0.2, 0.4, 0.0),
    "chip_clank": chip_noise(9000, 40000, 0.03, 0.09, 1.0),
    "chip_tom": chip_tom,
    "hard_kick": hard_kick,
    "metal": metal,
    "burst": burst,
    "zap": zap,
}


def noise_part(noise: Noise, hits: Sequence[Hit], step: float, seconds: float) -> Audio:
    """Return the bands of noise that the hits start, `[2, frames]`."""
    bus = np.zeros((2, int(seconds * SAMPLE_RATE)), np.float32)
    made = {wash.name: washed(wash, step) for wash in noise.sounds}
    for hit in hits:
        place(bus, made[hit.sound], round(hit.step * step * SAMPLE_RATE), hit.gain)
    return bus


def washed(wash: Wash, step: float) -> Audio:
    """Return one band of noise, `[2, frames]`, with a peak of 1. `step` is a sixteenth in seconds."""
    rng = np.random.default_rng(wash.seed)
    frames = int(wash.steps * step * SAMPLE_RATE)
    middle = moving_band(rng.standard_normal(frames), wash)
    side = moving_band(rng.standard_normal(frames), wash)
    place = np.linspace(0, 1, frames)
    if wash.shape == "rise":
        volume = place**1.7
    elif wash.shape == "fall":
        volume = (1 - place) ** 2
    elif wash.shape == "swell":
        volume = np.sin(np.pi * place) ** 1.5
    else:
        raise ValueError(f'no shape {wash.shape!r}; give "rise", "fall" or "swell"')
    if wash.gate:
        inside = np.arange(frames) / (step * SAMPLE_RATE) % wash.gate / wash.gate
        volume = volume * np.clip((0.55 - inside) * 40, 0, 1) * np.clip(inside * 40, 0, 1)
    edge = np.minimum(1, np.arange(frames)[::-1] / (0.01 * SAMPLE_RATE))
    sound = np.stack([middle + 0.4 * side, middle - 0.4 * side]) * volume * edge
    return np.asarray(sound / max(1e-9, float(np.abs(sound).max())), np.float32)


def moving_band(noise: NDArray[np.float64], wash: Wash) -> NDArray[np.float64]:
    """Return noise `[frames]` through a band-pass that moves, by spectra of windows that overlap."""
    padded = np.pad(noise, (FRAME, FRAME))
    window = np.hanning(FRAME + 1)[:-1]
    hertz = np.maximum(np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE), 10)
    out = np.zeros(len(padded))
    for start in range(0, len(padded) - FRAME, HOP):
        place = np.clip((start - FRAME / 2) / len(noise), 0, 1)
        centre = wash.first_hertz * (wash.last_hertz / wash.first_hertz) ** place
        gain = np.exp(-0.5 * (np.log2(hertz / centre) / wash.width) ** 2)
        spectrum = np.fft.rfft(padded[start : start + FRAME] * window)
        out[start : start + FRAME] += np.fft.irfft(spectrum * gain, FRAME)
    return out[FRAME : FRAME + len(noise)]
