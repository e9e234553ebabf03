"""A WAV file of float32 that every program can read while it grows, and the repair of a broken header.

Threads: one at a time; every function blocks on the disk.

The header is brought up to date after every piece of sound, so a process that is killed leaves a whole file. From 4 GB
on the same 92 bytes say RF64 (EBU Tech 3306): the space for its 64-bit sizes is kept free from the beginning. So a
take has no greatest length.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jbdiff_live.block import Audio
from jbdiff_live.system.files import plain_file

HEADER_BYTES = 92
SAMPLE_BYTES = 4
FLOAT_FORMAT = 3
MOST_32_BITS = 0xFFFFFFFF


def header(rate: int, channels: int, frames: int) -> bytes:
    """Return the 92 bytes before the sound: RIFF, or RF64 if the sizes do not fit into 32 bits."""
    data = frames * channels * SAMPLE_BYTES
    riff = HEADER_BYTES - 8 + data
    long = riff > MOST_32_BITS
    sizes = struct.pack("<QQQI", riff, data, frames, 0) if long else bytes(28)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RF64" if long else b"RIFF", MOST_32_BITS if long else riff, b"WAVE"),
            struct.pack("<4sI28s", b"ds64" if long else b"JUNK", 28, sizes),
            struct.pack("<4sIHHIIHH", b"fmt ", 16, FLOAT_FORMAT, channels, rate,
                        rate * channels * SAMPLE_BYTES, channels * SAMPLE_BYTES, 8 * SAMPLE_BYTES),
            struct.pack("<4sII", b"fact", 4, MOST_32_BITS if long else frames),
            struct.pack("<4sI", b"data", MOST_32_BITS if long else data),
        )
    )  # fmt: skip


class WavFile:
    """A sound file that grows. OSError: the disk refuses; what was written until then is kept and can be read."""

    def __init__(self, path: Path, rate: int, channels: int, longer: bool = False) -> None:
        """longer: go on behind the end of a file of this class; False makes a new one."""
        self.path = path
        self.frames = 0
        self._rate, self._channels = rate, channels
        self._file = path.open("rb+" if longer else "xb+", buffering=0)
        if longer:
            self.frames = max(0, self._file.seek(0, os.SEEK_END) - HEADER_BYTES) // self._frame_bytes
            return
        try:
            _write_all(self._file, header(rate, channels, 0))
        except OSError:
            self._file.close()
            raise

    def append(self, samples: Audio) -> None:
        """Write sound behind the end, float32 `[frames, channels]`."""
        data = np.ascontiguousarray(samples, "<f4").tobytes()
        self._file.seek(self._end)
        try:
            _write_all(self._file, data)
        finally:
            whole = max(0, self._file.tell() - HEADER_BYTES) // self._frame_bytes
            self.frames = whole
            self._write_header()

    def cut(self, frames: int) -> None:
        """Shorten the file to `frames`."""
        self.frames = min(self.frames, frames)
        self._file.truncate(self._end)
        self._write_header()

    def sync(self) -> None:
        """Wait until the disk holds everything, so that a power cut loses nothing of it."""
        os.fsync(self._file.fileno())

    def copy_from(self, other: WavFile) -> None:
        """Append all sound of another file, also if its name has been removed. OSError: the disk has gone."""
        other._file.seek(HEADER_BYTES)
        left = other.frames * other._frame_bytes
        while left > 0 and (data := other._file.read(min(left, 1 << 22))):
            left -= len(data)
            self.append(np.frombuffer(data, "<f4").reshape(-1, self._channels))

    def close(self) -> None:
        self._file.close()

    @property
    def _frame_bytes(self) -> int:
        return self._channels * SAMPLE_BYTES

    @property
    def _end(self) -> int:
        return HEADER_BYTES + self.frames * self._frame_bytes

    def _write_header(self) -> None:
        self._file.seek(0)
        _write_all(self._file, header(self._rate, self._channels, self.frames))


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write all of the bytes. OSError if the file takes only a part of them."""
    rest = memoryview(data)
    while len(rest):
        written = file.write(rest)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = rest[written:]


def repair(path: Path) -> int:
    """Make the header fit the file's length, and cut a torn last frame off. Return the number of frames.

    For a file that was broken off: its sound must be the last chunk. ValueError: it is no WAV file.
    """
    with plain_file(path).open("rb+", buffering=0) as file:
        length = file.seek(0, os.SEEK_END)
        format_at, data_at = _find_chunks(file, path)
        file.seek(format_at)
        channels, rate = struct.unpack("<HI", file.read(16)[2:8])
        if not channels:
            raise ValueError(f"{path.name} has no channels; open it with a sound editor")
        frame_bytes = channels * SAMPLE_BYTES
        frames: int = (length - data_at) // frame_bytes
        file.truncate(data_at + frames * frame_bytes)
        if data_at == HEADER_BYTES:
            file.seek(0)
            _write_all(file, header(rate, channels, frames))
        else:  # written by an older version, which has no room for 64-bit sizes
            size = frames * frame_bytes
            for place, value in ((4, data_at - 8 + size), (data_at - 4, size)):
                file.seek(place)
                _write_all(file, struct.pack("<I", min(value, MOST_32_BITS)))
        with suppress(OSError):  # some network drives have no sync; the repair itself is done
            os.fsync(file.fileno())
    return frames


def _find_chunks(file: BinaryIO, path: Path) -> tuple[int, int]:
    """Return where the contents of the chunks `fmt ` and `data` begin."""
    file.seek(0)
    if file.read(12)[8:] != b"WAVE":
        raise ValueError(f"{path.name} has no WAV header; open it as raw float32 with a sound editor")
    place, format_at = 12, 0
    while len(chunk := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data" and format_at:
            return format_at, place + 8
        if name == b"fmt ":
            format_at = place + 8
        place += 8 + size + size % 2
        file.seek(place)
    raise ValueError(f"{path.name} has no sound chunk; open it as raw float32 with a sound editor")
