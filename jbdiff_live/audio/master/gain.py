"""A gain that slides to its new value, so that a stepped or fast knob makes no steps in the sound. One thread."""

from __future__ import annotations

import numpy as np

from jbdiff_live.block import Audio

RAMP_SECONDS = 0.025


class Gain:
    """The gain. It begins at 0."""

    def __init__(self, sample_rate: int, longest_chunk: int) -> None:
        self._frames = max(1, round(RAMP_SECONDS * sample_rate))
        self._count = np.arange(1, longest_chunk + 1, dtype=np.float32)[:, None]
        self._gains = np.zeros((longest_chunk, 1), np.float32)
        self._gain = self._target = self._step = 0.0
        self._left = 0

    def silence(self) -> None:
        """Be at 0 at once: the caller has faded the sound out."""
        self._gain = self._target = 0.0
        self._left = 0

    def apply(self, sound: Audio, target: float) -> bool:
        """Multiply `sound` `[frames, channels]` in place. Return False, and leave it alone, if the gain stays at 0."""
        if target != self._target:
            self._target, self._left = target, self._frames
            self._step = (target - self._gain) / self._frames
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
