"""The last minutes of the live input, as it left the channel strip. One writer, any reader, a short lock.

No device callback takes the lock: the drain thread writes. Frames are counted from the beginning of the session, also
over a change of the device.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.block import Audio

Mono = NDArray[np.float32]  # [frames]


class InputPast:
    """A ring of the last `seconds`. It uses memory as sound comes in: 0.4 MB for a second of stereo at 44.1 kHz."""

    def __init__(self, seconds: float, sample_rate: int, channels: int) -> None:
        size = max(1, round(seconds * sample_rate))
        self._sound = np.zeros((size, channels), np.float32)
        self._presence = np.zeros(size, np.uint8)
        self._frames = 0
        self._first = 0  # first frame of the present device
        self._lock = threading.Lock()

    @property
    def frames(self) -> int:
        """Frames written since the beginning."""
        return self._frames

    def begin_anew(self) -> None:
        """Forget the frames so far: they are of another device."""
        with self._lock:
            self._first = self._frames

    def write(self, sound: Audio, presence: NDArray[np.float32]) -> None:
        """Append `[frames, channels]` and the gate's gain `[frames]`."""
        size, count = len(self._sound), len(sound)
        sound, presence = sound[-size:], presence[-size:]
        with self._lock:
            self._frames += count - len(sound)  # frames of one call that the ring cannot hold
            start = self._frames % size
            first = min(len(sound), size - start)
            rest = len(sound) - first
            self._sound[start : start + first] = sound[:first]
            self._sound[:rest] = sound[first:]
            np.multiply(presence[:first], 255.0, out=self._presence[start : start + first], casting="unsafe")
            np.multiply(presence[first:], 255.0, out=self._presence[:rest], casting="unsafe")
            self._frames += len(sound)

    def sound(self, frames: int, end: int | None = None) -> Audio:
        """Return `frames` frames that end before frame `end`, `[frames, channels]`; None is the newest.

        Frames that do not exist yet, or no longer, are silence.
        """
        out: Audio = self._read(self._sound, frames, self._frames if end is None else end)
        return out

    def mono(self, frames: int, end: int | None = None) -> tuple[Mono, Mono]:
        """Return the same frames as mono, and the gate's gain, 0 to 1; both float32 `[frames]`."""
        end = self._frames if end is None else end
        presence = self._read(self._presence, frames, end).astype(np.float32)
        presence /= 255.0
        return self._read(self._sound, frames, end).mean(axis=1), presence

    def _read(self, ring: NDArray[Any], frames: int, end: int) -> NDArray[Any]:
        out = np.zeros((frames, *ring.shape[1:]), ring.dtype)
        size = len(ring)
        with self._lock:
            low = max(self._first, self._frames - size, end - frames)
            high = min(end, self._frames)
            if high > low:
                begin, start, count = low - (end - frames), low % size, high - low
                first = min(count, size - start)
                out[begin : begin + first] = ring[start : start + first]
                out[begin + first : begin + count] = ring[: count - first]
        return out
