"""Written-down music for the tests of the judge: notes that are known, as a transcription and as sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from jbdiff.evaluate.metrics.transcribe import FRAMES_PER_SECOND, KEYS, LOWEST_KEY, Note, Transcription

RATE = 44_100


def transcription(notes: Sequence[Note], seconds: float) -> Transcription:
    """What a transcriber without faults would give."""
    posterior = np.zeros((round(seconds * FRAMES_PER_SECOND), KEYS), np.float32)
    for note in notes:
        first, last = (round(time * FRAMES_PER_SECOND) for time in (note.start, note.end))
        posterior[first:last, note.key - LOWEST_KEY] = 0.9
    return Transcription(tuple(notes), posterior, seconds)


def sound(notes: Sequence[Note], seconds: float, partials: int = 4) -> Tensor:
    """The same notes as mono sound `[n]`: soft attacks, a few partials."""
    audio = np.zeros(int(seconds * RATE))
    for note in notes:
        start, end = int(note.start * RATE), min(len(audio), int(note.end * RATE))
        time = np.arange(end - start) / RATE
        hertz = 440 * 2 ** ((note.key - 69) / 12)
        tone = sum(np.sin(2 * np.pi * n * hertz * time) / n**2 for n in range(1, partials + 1))
        shape = np.minimum(1, time / 0.005) * np.minimum(1, time[::-1] / 0.02) * np.exp(-1.5 * time)
        audio[start:end] += 0.15 * tone * shape
    return torch.from_numpy(audio.astype(np.float32))


def melody(seed: int, bars: int, bar: float = 2.0, semitones: int = 0, memory: bool = True) -> list[Note]:
    """Notes on eighths from a scale of C, one bar after another. With `memory` every fourth bar comes back, varied."""
    rng = np.random.default_rng(seed)
    scale = np.array([60, 62, 64, 67, 69, 72, 74, 76])
    themes = [rng.choice(scale, 8) for _ in range(4)]
    notes = []
    for number in range(bars):
        keys = themes[number % 4].copy() if memory else rng.choice(scale, 8)
        keys[rng.integers(8, size=2)] = rng.choice(scale, 2)
        for place, key in enumerate(keys.tolist()):
            start = number * bar + place * bar / 8
            notes.append(Note(start, start + 0.9 * bar / 8, key + semitones))
    return notes
