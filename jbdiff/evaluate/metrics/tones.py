"""Figures of a transcription: number of notes, how they overlap and last, and their pitch classes.

docs/evaluation.md explains the figures. Everything here except `transcribe` works without the transcriber.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.evaluate.metrics.transcribe import (
    FRAMES_PER_SECOND,
    SETUP,
    NoJudgeError,
    Note,
    Transcription,
    judge_installed,
    transcribe,
)
from jbdiff.untyped import JsonDict

__all__ = [
    "SETUP", "NoJudgeError", "Note", "ToneFigures", "Transcription", "harmony", "judge_installed", "tone_figures",
    "tones_over_time", "transcribe",
]  # fmt: skip

ACTIVE = 0.4  # likelihood above which a key counts as sounding
STAY_SECONDS = 0.25
PITCH_CLASSES = 12


@dataclass(frozen=True)
class ToneFigures:
    """Figures of the notes of a sound.

    `notes`: notes a second. `polyphony`: mean number of keys that sound at once. `stay`: share of sounding keys that
    still sound 250 ms later, 0..1. `entropy`: of the pitch classes in bits, 0 (one class) to 3.58 (all twelve equal).
    `profile` `[12]`: seconds of notes of each pitch class, C first.
    """

    notes: float
    polyphony: float
    stay: float
    entropy: float
    profile: NDArray[np.float64]

    def as_dict(self) -> JsonDict:
        """Return the fields by name, for JSON."""
        return vars(self) | {"profile": self.profile.tolist()}


def tone_figures(sound: Transcription | NDArray[Any] | Tensor, sample_rate: int = 44_100) -> ToneFigures:
    """Return the figures of a transcription, or of audio, which is transcribed first.

    Audio: mono `[n]` or stereo `[2, n]`. For audio, raises what `transcribe` raises.
    """
    transcription = sound if isinstance(sound, Transcription) else transcribe(sound, sample_rate)
    active = transcription.posterior > ACTIVE
    later = round(STAY_SECONDS * FRAMES_PER_SECOND)
    first, second = active[:-later], active[later:]
    profile = pitch_classes(transcription.notes)
    return ToneFigures(
        notes=len(transcription.notes) / max(transcription.seconds, 1e-9),
        polyphony=float(active.sum(1).mean()) if len(active) else 0.0,
        stay=float((first & second).sum() / max(1, first.sum())),
        entropy=entropy(profile),
        profile=profile,
    )


def pitch_classes(notes: Sequence[Note]) -> NDArray[np.float64]:
    """Return the seconds of notes of each pitch class `[12]`, C first."""
    keys = np.array([note.key % PITCH_CLASSES for note in notes], int)
    lengths = np.array([note.end - note.start for note in notes], float)
    return np.bincount(keys, lengths, PITCH_CLASSES).astype(float)


def entropy(profile: NDArray[np.float64]) -> float:
    """Return the entropy in bits of a pitch-class profile `[12]`; 0 for an empty one."""
    share = profile[profile > 0] / max(float(profile.sum()), 1e-9)
    return float(-(share * np.log2(share)).sum()) + 0.0


def harmony(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the cosine of two pitch-class profiles `[12]`, 0..1; 0 if one of them is empty."""
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 0 else 0.0


def tones_over_time(transcription: Transcription, seconds: float) -> list[ToneFigures]:
    """Return the figures of each stretch of `seconds`; a last stretch that is less than half full is left out."""
    count = max(1, round(transcription.seconds / seconds))
    return [tone_figures(transcription.part(i * seconds, (i + 1) * seconds)) for i in range(count)]
