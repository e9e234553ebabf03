"""The way of the dry input to the output, and of the output back to the watch on feedback.

Threads: the input's drain thread calls `DrySound.write`, the rendering thread `take`, `lay_over`, `move_on` and
`SentSound.write`. Neither waits or takes a lock: each counter has one writer, as in the engine's ring.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.audio.master.gain import Gain
from jbdiff_live.block import Audio
from jbdiff_live.parameters import BY_NAME, ParameterSnapshot
from jbdiff_live.ring import RingBuffer

QUEUE_SECONDS = 0.040  # kept between the input's thread and the output's, which run every 5 to 10 ms
LONGEST_SECONDS = 0.320  # limit of what is kept after the queue ran empty several times
TOO_LONG = 3.0  # a queue of so many times its usual length is shortened
FADE_SECONDS = 0.005

# Gets frames of the input `[frames, channels]`, to be copied at once, and by how many frames the output delays them.
OnInput = Callable[[Audio, int], None]


class DrySound:
    """The dry input. Two devices never run at quite the same speed, so its queue grows or shrinks by some ms a minute.

    A queue that ran empty or grew too long fades out, and fades in again at its usual length, so it never clicks.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        longest_chunk: int,
        ahead: int,
        heard: OnInput = lambda sound, ahead: None,
    ) -> None:
        """ahead: frames by which the output stage delays all sound. heard: gets the input before the fader Dry."""
        self._heard = heard
        self.duck = 1.0  # lowered against feedback by the input's thread
        self._ring = RingBuffer(sample_rate, channels)
        self._usual, self._longest = round(QUEUE_SECONDS * sample_rate), round(LONGEST_SECONDS * sample_rate)
        self._work = np.zeros((longest_chunk, channels), np.float32)
        self._ahead = ahead
        self._line = np.zeros((ahead + longest_chunk, channels), np.float32)
        self._sounding = 0  # frames of the line that may differ from 0, from its beginning on
        self._cut = np.linspace(1.0, 0.0, ahead, dtype=np.float32)[:, None].copy()
        fade = max(1, round(FADE_SECONDS * sample_rate))
        self._fade_in = (np.arange(1, fade + 1, dtype=np.float32) / (fade + 1))[:, None].copy()
        self._fade_out = self._fade_in[::-1].copy()
        self._flows = False
        self._gain = Gain(sample_rate, longest_chunk)
        self._silent = BY_NAME["dry"].low

    def write(self, sound: Audio) -> None:
        """Add frames of the input, `[frames, channels]`. The input's thread."""
        self._ring.write(sound)

    def take(self, frames: int, knobs: ParameterSnapshot, level: float, cut: bool) -> bool:
        """Read the next `frames`, as loud as Dry says, times `level`. Return False if all that waits is silence.

        cut: fade out what waits now, and give silence after it.
        """
        decibels = knobs.values.get("dry", self._silent)
        wanted = 0.0 if decibels <= self._silent else 10.0 ** (decibels / 20.0) * self.duck * level
        new = self._line[self._ahead : self._ahead + frames]
        self._take(self._work[:frames])
        self._heard(self._work[:frames], self._ahead)
        if cut:
            if self._sounding:
                self._line[: self._ahead] *= self._cut
            new[:] = 0.0
            self._gain.silence()
        else:
            np.copyto(new, self._work[:frames])
            if self._gain.apply(new, wanted):
                self._sounding = self._ahead + frames
            else:
                new[:] = 0.0
        return self._sounding > 0

    def lay_over(self, new: Audio, delayed: Audio, sum_new: Audio, sum_delayed: Audio) -> None:
        """Write the sums of the stage's newest frames, and of its delayed ones, with the dry sound."""
        frames = len(new)
        np.add(new, self._line[self._ahead : self._ahead + frames], out=sum_new)
        np.add(delayed, self._line[:frames], out=sum_delayed)

    def move_on(self, frames: int) -> None:
        """Leave the frames behind that were played."""
        if self._sounding:
            self._line[: self._ahead] = self._line[frames : frames + self._ahead]
            self._sounding = max(0, self._sounding - frames)

    def _take(self, work: Audio) -> None:
        """Fill `work` from the queue, with a fade wherever the queue begins or ends.

        A fade out needs frames: it begins as soon as fewer are left than the next piece and a fade need.
        """
        waiting, wanted = self._ring.available, len(work)
        if not self._flows:
            work[:] = 0.0
            if waiting < max(self._usual, wanted + len(self._fade_in)):
                return
            self._skip(waiting - max(self._usual, wanted + len(self._fade_in)))
        self._ring.read(work)
        if not self._flows:
            n = min(wanted, len(self._fade_in))
            work[:n] *= self._fade_in[:n]
            self._flows = True
        left = self._ring.available
        dry = left < wanted  # the next piece would have a hole
        if dry:
            self._usual = min(self._longest, self._usual * 3 // 2)
        if dry or left > TOO_LONG * self._usual:
            n = min(wanted, len(self._fade_out))
            work[wanted - n :] *= self._fade_out[-n:]
            self._flows = False

    def _skip(self, frames: int) -> None:
        while frames > 0:
            n = min(frames, len(self._work))
            self._ring.read(self._work[:n])
            frames -= n
        self._work[:] = 0.0


class SentSound:
    """The last seconds of the output as mono, for the watch on feedback. One writer, one reader, no lock.

    A writer that overtakes the reader gives it newer frames, which does a correlation no harm.
    """

    def __init__(self, seconds: float, sample_rate: int, longest_chunk: int) -> None:
        self._sound = np.zeros(round(seconds * sample_rate), np.float32)
        self._mono = np.zeros(longest_chunk, np.float32)
        self._frames = 0

    def write(self, out: Audio) -> None:
        """Keep the next frames of the output, `[frames, channels]`. The rendering thread."""
        mono = self._mono[: len(out)]
        np.copyto(mono, out[:, 0])
        if out.shape[1] > 1:
            mono += out[:, 1]
            mono *= 0.5
        start = self._frames % len(self._sound)
        first = min(len(mono), len(self._sound) - start)
        self._sound[start : start + first] = mono[:first]
        self._sound[: len(mono) - first] = mono[first:]
        self._frames += len(mono)

    def latest(self, frames: int) -> NDArray[np.float32]:
        """Return the newest `frames` as `[frames]`, at most as many as are kept."""
        place = np.arange(self._frames - frames, self._frames) % len(self._sound)
        return self._sound[place]
