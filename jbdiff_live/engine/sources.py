"""Sounds that the engine may continue or resample: files that move along with the blocks.

Built on the session's thread, read on the engine thread; a source never changes after it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jbdiff.audiofiles import read_audio

Mono = NDArray[np.float32]  # [frames]


@dataclass(frozen=True, eq=False)  # the same file read twice is two sources
class FileSource:
    """A sound file as mono float32 at the model's rate, read in a circle."""

    path: Path
    samples: Mono
    note: str  # what was done to it: resampled, mixed to mono, cut

    def window(self, end_frame: int, frames: int) -> Mono:
        """`frames` samples that end at `end_frame`, wrapping around the file's ends."""
        return self.samples[np.arange(end_frame - frames, end_frame) % len(self.samples)]

    def tail(self, frames: int) -> Mono:
        """The last `frames` samples, or all of a shorter file."""
        return self.samples[-frames:]


def load_file_source(path: Path, sample_rate: int, longest_seconds: float = 1200.0) -> FileSource:
    """Reads any file that soundfile reads. ValueError or OSError with the remedy when it cannot be used."""
    audio, rate = read_audio(path, sample_rate)
    notes = []
    if rate != sample_rate:
        notes.append(f"resampled from {rate} to {sample_rate} Hz")
    if audio.shape[1] > 1:
        notes.append(f"{audio.shape[1]} channels mixed to mono")
    longest = int(longest_seconds * sample_rate)
    if len(audio) > longest:
        notes.append(f"only the first {longest_seconds / 60:g} minutes are used")
    mono = np.ascontiguousarray(audio[:longest].mean(axis=1, dtype=np.float32))
    if not np.abs(mono).max() > 1e-5:
        raise ValueError(f"{path}: the file is silent; choose one with sound in it")
    return FileSource(Path(path), mono, ", ".join(notes))
