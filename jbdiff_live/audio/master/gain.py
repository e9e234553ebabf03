"""A gain that slides to its new value, so that a stepped or fast knob makes no steps in the sound. One thread."""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio

RAMP_SECONDS = 0.025  # slide of the gain from its present value


class Gain:
    """The gain. It begins at `gain`."""

    def __init__(self, sample_rate: int, longest_chunk: int, gain: float = 0.0) -> None:
        self._sample_rate = sample_rate
        self._count = np.arange(1, longest_chunk + 1, dtype=np.float32)[:, None]
        self._gains = np.zeros((longest_chunk, 1), np.float32)
        self._gain = self._target = gain
        self._step = 0.0
        self._left = 0

    def silence(self) -> None:
        """Be at 0 at once: the caller has faded the sound out."""
        self._gain = self._target = 0.0
        self._left = 0

    def apply(self, sound: Audio, target: float, seconds: float = RAMP_SECONDS) -> bool:
        """Multiply `sound` `[frames, channels]` in place. Return False, and leave it alone, if the gain stays at 0.

        seconds: of the slide to a new target. One that has begun keeps its own.
        """
        if target != self._target:
            self._target, self._left = target, max(1, round(seconds * self._sample_rate))
            self._step = (target - self._gain) / self._left
        if not self._left and self._gain == 0.0:
            return False
        ramped = min(self._left, len(sound))
        if ramped:
            gains = self._gains[:ramped]
            np.multiply(self._count[:ramped], self._step, out=gains)
            gains += self._gain
            sound[:ramped] *= gains
            self._gain += self._step * ramped
            self._left -= ramped
            if not self._left:
                self._gain = target
        if ramped < len(sound) and self._gain != 1.0:
            sound[ramped:] *= np.float32(self._gain)
        return True
