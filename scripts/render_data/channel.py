"""The sound of old game computers: a channel of pulse, triangle or saw, which plays one tone at a time.

Pulses and saws are smoothed at their edges (PolyBLEP, Välimäki and Huovilainen 2007). Old chips ran at more than a
megahertz and had nearly no aliasing.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from score import Chip
from sounds import Audio, Notes
from tempi import SAMPLE_RATE

Wave = NDArray[np.float64]
EDGE_SECONDS = 0.002  # of every note, so that it does not click louder than it did
RELEASE_SECONDS = 0.012
VIBRATO_AFTER, VIBRATO_RISE = 0.16, 0.12  # seconds
SLIDE_SECONDS = 0.04
VOLUMES = 15  # steps of the volume, as in a chip of four bits


def chip_part(chip: Chip, notes: Notes, seconds: float) -> Audio:
    """Return the channel, `[2, frames]`, both sides alike. A note ends where the next one starts.

    Notes that start together are a chord: its tones take turns, or the lowest of them plays alone.
    """
    bus = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
    chords: dict[float, list[tuple[int, int, float]]] = {}
    for pitch, velocity, start, length in notes:
        chords.setdefault(start, []).append((pitch, velocity, length))
    starts = sorted(chords)
    for start, following in pairwise([*starts, seconds]):
        pitches = sorted(pitch for pitch, _, _ in chords[start])
        velocity, length = max((velocity, length) for _, velocity, length in chords[start])
        first = round(start * SAMPLE_RATE)
        frames = min(round(min(length + RELEASE_SECONDS, following - start) * SAMPLE_RATE), len(bus) - first)
        if frames > 8:
            bus[first : first + frames] += (velocity / 127) ** 1.4 * tone(chip, pitches, frames, start)
    return np.tile(bus, (2, 1))


def tone(chip: Chip, pitches: list[int], frames: int, start: float) -> Wave:
    """Return one note or cycling chord `[frames]` with a peak of about 1.

    `start` in seconds places the moving width.
    """
    time = np.arange(frames) / SAMPLE_RATE
    pitch = np.full(frames, float(pitches[0]))
    if chip.cycle_hertz and len(pitches) > 1:
        turn = np.floor(time * chip.cycle_hertz).astype(np.int64) % len(pitches)
        pitch = np.array(pitches, float)[turn]
    rise = np.clip((time - VIBRATO_AFTER) / VIBRATO_RISE, 0, 1)
    pitch += chip.vibrato * rise * np.sin(2 * np.pi * chip.vibrato_hertz * (time - VIBRATO_AFTER))
    pitch += chip.slide * np.clip(1 - time / SLIDE_SECONDS, 0, 1)
    step = 440 * 2 ** ((pitch - 69) / 12) / SAMPLE_RATE
    phase = np.cumsum(step) % 1.0
    if chip.wave == "triangle":
        wave = np.round((1 - 4 * np.abs(phase - 0.5)) * 7.5) / 7.5
    elif chip.wave == "saw":
        wave = saw(phase, step)
    elif chip.wave == "pulse":
        width = chip.width + chip.swing * np.sin(2 * np.pi * chip.swing_hertz * (start + time))
        width = np.clip(width, 0.06, 0.94)
        wave = saw(phase, step) - saw((phase + width) % 1.0, step)  # without a constant part
    else:
        raise ValueError(f'no wave {chip.wave!r}; give "pulse", "triangle" or "saw"')
    volume = np.exp(-time / chip.decay_seconds) if chip.decay_seconds else np.ones(frames)
    volume = np.ceil(VOLUMES * volume) / VOLUMES
    edge = int(EDGE_SECONDS * SAMPLE_RATE)
    ramp = np.minimum(np.arange(frames) / edge, np.arange(frames)[::-1] / (4 * edge))
    return np.asarray(wave * volume * np.clip(ramp, 0, 1) * 0.5)


def saw(phase: Wave, step: Wave) -> Wave:
    """Return a saw from -1 to 1 of a phase `[frames]` (0..1) that grows by `step`; its edges are smoothed."""
    wave = 2 * phase - 1
    after, before = phase < step, phase > 1 - step
    place = phase[after] / step[after]
    wave[after] -= 2 * place - place**2 - 1
    place = (phase[before] - 1) / step[before]
    wave[before] -= place**2 + 2 * place + 1
    return wave
