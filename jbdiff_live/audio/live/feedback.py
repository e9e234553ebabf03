"""The watch on feedback: the output that comes back into the input and grows. No device, no thread.

The input's drain thread calls `look` twice a second. Output and input are compared by correlation at every delay up to
a second. Plain correlation finds a howl, which is one tone. Whitened correlation (GCC-PHAT) finds music in a room, and
is low for two players of the same notes. The output in a room alone does no harm: the alarm needs a level that grows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

LOOK_SECONDS = 0.5  # between two looks
WINDOW_SECONDS = 3.0  # sound that a look compares
LONGEST_DELAY_SECONDS = 1.0
THINNED = 8  # frames in one compared sample: below 2.7 kHz, where rooms howl
ALIKE, ALIKE_WHITENED = 0.6, 0.25
GROWTH_DB = 1.5  # from each second of the window to the next
FAINT_DB = -50.0  # a first second that is softer is a pause: music that begins is no growth
LOUD = 0.9  # a peak of the input from which a correlated sound needs no growth
QUIET = 10 ** (-60 / 20)
DOWN, UP = 0.5, 10 ** (3 / 20)  # of the input, at each look
CALM_SECONDS = 4.0  # without an alarm, before the input comes up again

WORDS = (
    "feedback: the output comes back into the input and grows, so the input is turned down; use headphones, move the "
    "microphone, or lower Dry"
)

Mono = NDArray[np.float32]  # [frames]


class FeedbackWatch:
    """The watch. `duck`, 0 to 1, is the gain that the input may have; `problem` is a sentence for the player."""

    def __init__(self, sample_rate: int) -> None:
        self.duck = 1.0
        self.problem = ""
        self.frames = round(WINDOW_SECONDS * sample_rate) // (3 * THINNED) * (3 * THINNED)
        self._longest = round(LONGEST_DELAY_SECONDS * sample_rate / THINNED)
        self._calm = 0.0

    def look(self, sent: Mono, came: Mono) -> None:
        """Compare the last `frames` of the output with those of the input before trim and gate."""
        if _returns(_thinned(sent), _thinned(came), self._longest) and _grows(came):
            self.duck *= DOWN
            self.problem = WORDS
            self._calm = 0.0
            return
        self._calm += LOOK_SECONDS
        if self._calm >= CALM_SECONDS and self.duck < 1.0:
            self.duck = min(1.0, self.duck * UP)
        if self.duck == 1.0:
            self.problem = ""

    def forget(self) -> None:
        """Begin anew with another device."""
        self.duck, self.problem, self._calm = 1.0, "", 0.0


def _thinned(sound: Mono) -> Mono:
    thin: Mono = sound.reshape(-1, THINNED).mean(axis=1)
    return thin


def _returns(sent: Mono, came: Mono, longest: int) -> bool:
    """Return True if `came` holds `sent`, delayed by 1 to `longest` samples."""
    power = math.sqrt(float(sent @ sent) * float(came @ came))
    if power < QUIET**2 * len(sent):
        return False
    size = 1 << (2 * len(sent) - 1).bit_length()
    cross = np.fft.rfft(came, size) * np.conj(np.fft.rfft(sent, size))
    alike = np.abs(np.fft.irfft(cross, size)[1:longest]).max() / power
    whitened = cross / np.maximum(np.abs(cross), 1e-9 * np.abs(cross).max())
    return bool(alike > ALIKE or np.abs(np.fft.irfft(whitened, size)[1:longest]).max() > ALIKE_WHITENED)


def _grows(came: Mono) -> bool:
    """Return True if the input became louder from second to second, or is loud already."""
    if float(np.abs(came[-len(came) // 3 :]).max()) > LOUD:
        return True
    first, middle, last = (
        10 * math.log10(float(part @ part) / len(part) + 1e-12) for part in np.split(came, 3)
    )
    return first > FAINT_DB and middle - first > GROWTH_DB and last - middle > GROWTH_DB
