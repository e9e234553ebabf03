"""Read any part of a take's sound, at the take's rate or another one. Threads: one at a time. Blocks on the disk."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from jbdiff_live.block import Audio
from jbdiff_live.record.take import Take, TakeError, open_sound

PIECE_FRAMES = 1 << 16
MARGIN_BLOCKS = 4  # on each side of a resampled part, so that the filter's ends are cut off
LEAST_MARGIN = 512  # frames of that margin


class TakeReader:
    """The sound of a take as one. `frames` is its length. TakeError if a file cannot be read."""

    def __init__(self, take: Take, stem_files: tuple[Path, ...] | None = None) -> None:
        """stem_files: other files than those of `audio`, such as the engine's."""
        self.rate = take.info.sample_rate
        self._files: list[soundfile.SoundFile] = []
        try:
            for path in take.audio if stem_files is None else stem_files:
                self._files.append(open_sound(path))
        except TakeError:
            self.close()
            raise
        self._starts: list[int] = [0, *itertools.accumulate(file.frames for file in self._files)]
        self.channels = self._files[0].channels if self._files else take.info.channels

    @property
    def frames(self) -> int:
        return self._starts[-1]

    def read(self, start: int, frames: int) -> Audio:
        """Return `frames` from frame `start` on, float32 `[frames, channels]`. Silence lies around the take."""
        out = np.zeros((frames, self.channels), np.float32)
        at = max(0, start)
        end = min(start + frames, self.frames)
        while at < end:
            number = bisect.bisect_right(self._starts, at) - 1
            file, inside = self._files[number], at - self._starts[number]
            count = min(end - at, file.frames - inside)
            try:
                file.seek(inside)
                part = file.read(count, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise TakeError(f"{file.name}: {error}; copy the take before you try more") from error
            if not len(part):
                break
            out[at - start : at - start + len(part)] = part[:, : self.channels]
            at += len(part)
        return out

    def pieces(self, begin: int = 0, end: int | None = None, frames: int = PIECE_FRAMES) -> Iterator[Audio]:
        """Give a part in pieces, `[at most frames, channels]`."""
        last = self.frames if end is None else min(end, self.frames)
        for start in range(max(0, begin), last, frames):
            yield self.read(start, min(frames, last - start))

    def close(self) -> None:
        for file in self._files:
            file.close()


class Resampled:
    """A take's sound at another rate and number of channels, from any place on. `read` is as that of `TakeReader`."""

    def __init__(self, reader: TakeReader, rate: int, channels: int) -> None:
        common = math.gcd(reader.rate, rate)
        self._up, self._down = rate // common, reader.rate // common  # new frames for old frames
        self._reader, self._rate, self.channels = reader, rate, channels
        self.frames = -(-reader.frames * self._up // self._down)

    def read(self, start: int, frames: int) -> Audio:
        """Return `frames` from frame `start` on, float32 `[frames, channels]`."""
        if self._up == self._down:
            return fitted(self._reader.read(start, frames), self.channels)
        # Begin where an old frame and a new one lie at the same moment.
        margin = max(MARGIN_BLOCKS, -(-LEAST_MARGIN // self._down))
        first = start // self._up - margin
        last = -(-(start + frames) // self._up) + margin
        old = self._reader.read(first * self._down, (last - first) * self._down)
        new = soxr.resample(old, self._reader.rate, self._rate)
        at = start - first * self._up
        return fitted(np.asarray(new[at : at + frames], np.float32), self.channels)

    def close(self) -> None:
        self._reader.close()


def fitted(sound: Audio, channels: int) -> Audio:
    """Return the sound with so many channels: one is copied to all, and further ones are left out."""
    if sound.shape[1] < channels:
        return np.ascontiguousarray(np.broadcast_to(sound[:, :1], (len(sound), channels)))
    return np.ascontiguousarray(sound[:, :channels])


Step = Callable[[int, int], None]  # work that is done, of all; raises to end the job
