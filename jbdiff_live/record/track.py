"""One sound of a take while it is recorded: a WAV file, or several where a disk ends a file early.

Thread: the writer's. Every method blocks on the disk and raises OSError.
"""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np

from jbdiff_live.block import Audio
from jbdiff_live.record.take import audio_name
from jbdiff_live.record.wav import WavFile

SILENCE_FRAMES = 65_536  # silence is written in pieces of this length


class Track:
    """The files `STEM.wav`, `STEM-002.wav` and so on. FAT32 ends a file at 4 GB; other disks need only the first."""

    def __init__(self, folder: Path, stem: str, rate: int, channels: int, beside: str = "") -> None:
        """beside: the stem of another sound that stays as long as this one; empty if there is none."""
        self.stem = stem
        self.beside = Track(folder, beside, rate, channels) if beside else None
        self._folder, self._rate, self._channels = folder, rate, channels
        self._files = [WavFile(folder / audio_name(1, stem), rate, channels)]

    @property
    def name(self) -> str:
        """The name of the first file."""
        return f"{self.stem}.wav"

    @property
    def frames(self) -> int:
        return sum(file.frames for file in self._files)

    @property
    def there(self) -> bool:
        """False if the newest file has been removed, or its disk."""
        return self._files[-1].path.exists()

    def append(self, samples: Audio, beside: Audio | None = None) -> None:
        """Write sound, `[frames, channels]`, and as much of the other. If the file cannot grow, go on in the next."""
        if self.beside is not None and beside is not None:
            self.beside.append(beside)
        while len(samples):
            file = self._files[-1]
            before = file.frames
            try:
                file.append(samples)
            except OSError as error:
                if error.errno != errno.EFBIG or not file.frames:
                    raise
                name = audio_name(len(self._files) + 1, self.stem)
                self._files.append(WavFile(self._folder / name, self._rate, self._channels))
            samples = samples[file.frames - before :]

    def silence(self, frames: int) -> None:
        """Write `frames` of silence."""
        silence = np.zeros((min(frames, SILENCE_FRAMES), self._channels), np.float32)
        while frames > 0:
            self.append(silence[:frames], silence[:frames])
            frames -= min(frames, len(silence))

    def cut(self, frames: int) -> None:
        """Shorten the sound to `frames`. A file that is left without sound is removed, except the first."""
        while len(self._files) > 1 and self.frames - self._files[-1].frames >= frames:
            file = self._files.pop()
            file.close()
            file.path.unlink()
        self._files[-1].cut(frames - (self.frames - self._files[-1].frames))
        if self.beside is not None:
            self.beside.cut(frames)

    def sync(self) -> None:
        self._files[-1].sync()
        if self.beside is not None:
            self.beside.sync()

    def moved_to(self, folder: Path) -> Track:
        """Return a track in another folder that begins with a copy of this sound, as far as it can still be read."""
        new = Track(folder, self.stem, self._rate, self._channels)
        try:
            for number, file in enumerate(self._files):
                if number:
                    path = folder / audio_name(number + 1, self.stem)
                    new._files.append(WavFile(path, self._rate, self._channels))
                new._files[-1].copy_from(file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            # The old disk cannot be read any more. Silence keeps the take in time.
            new.silence(self.frames - new.frames)
        if self.beside is not None:
            new.beside = self.beside.moved_to(folder)
        return new

    def close(self) -> None:
        for file in self._files:
            file.close()
        if self.beside is not None:
            self.beside.close()
