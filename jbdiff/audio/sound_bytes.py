"""The bytes of a sound file for libsndfile, with a corrected length in the header. No torch.

If a recorder is killed, a program writes into a pipe, or files are simply joined, the header gives a wrong length.
libsndfile believes the header and returns less sound, or none, without an error.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

UNKNOWN = 1 << 40  # bytes; larger than any sound file
MOST_CHUNKS = 4096
HEADER_BYTES = 1 << 16
WINDOW = 1 << 20
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")  # the identifier that a W64 file begins with
OGG_END = 4  # flag of the last page of a recording
# MPEG audio, by [version 1 or not][layer 1, 2, 3]: kbit/s by index, and samples a frame.
BITRATES = (
    (
        (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
        (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    ),
    (
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    ),
)
FRAME_SAMPLES = ((384, 1152, 1152), (384, 1152, 576))
MPEG_RATES = (44_100, 48_000, 32_000)


class SoundBytes(io.RawIOBase):
    """A part of a file, read only, with some bytes replaced and, if `endless`, without a known length.

    `farthest`: end of the bytes that were read, counted from `start`. `problem`: the error of the disk. libsndfile
    cannot pass an exception on and treats it as the end of the file.
    """

    def __init__(
        self,
        path: Path,
        replaced: Mapping[int, bytes] | None = None,
        *,
        endless: bool = False,
        start: int = 0,
        end: int | None = None,
    ) -> None:
        self._file = path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        self._start, self._end = start, size if end is None else min(end, size)
        self._replaced, self._endless = dict(replaced or {}), endless
        self._place = 0
        self.farthest = 0
        self.problem: OSError | None = None

    @property
    def size(self) -> int:
        """Bytes of the part."""
        return self._end - self._start

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the present place, in bytes from `start`."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place and return it, as `io.RawIOBase.seek` does."""
        end = UNKNOWN if self._endless else self.size
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: end}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:  # Python 3.12 has a type for buffers
        """Read into a buffer of bytes; return their number, or 0 at the end or after an error of the disk."""
        view = memoryview(buffer).cast("B")
        # In an endless file, a place counted from its assumed end is read at the true end.
        place = (
            self._place if self._place < self.size or not self._endless else self._place - UNKNOWN + self.size
        )
        wanted = max(0, min(len(view), self.size - place)) if place >= 0 else 0
        try:
            self._file.seek(self._start + max(0, place))
            data = bytearray(self._file.read(wanted))
        except OSError as error:
            self.problem = error
            return 0
        for at, new in self._replaced.items():
            first, last = max(at, place), min(at + len(new), place + len(data))
            if first < last:
                data[first - place : last - place] = new[first - at : last - at]
        view[: len(data)] = data
        self._place += len(data)
        self.farthest = max(self.farthest, place + len(data))
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


@dataclass(frozen=True)
class Header:
    """Corrections of a file's header, and notes for the user."""

    replaced: Mapping[int, bytes] = field(default_factory=dict)  # by place in the file
    endless: bool = False
    notes: tuple[str, ...] = ()
    frames: int | None = None  # counted; None if the file says how many there are


def true_header(path: Path) -> Header:
    """Return the corrected header of a file with its sound in one chunk: WAV, RF64, AU, CAF. Others stay unchanged."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(16)
        if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
            return _wave(file, size, head[:4] == b"RF64")
        if head[:4] == b".snd" and len(head) >= 12:
            start, length = struct.unpack(">II", head[4:12])
            if length == 0 and size > start:
                return Header({8: b"\xff\xff\xff\xff"})
            return _whole_or_cut(0 < length < 0xFFFFFFFF and length > size - start)
        if head[:4] == b"caff":
            return _caf(file, size)
        if head[:4] == b"FORM":
            chunks = _chunks(file, 12, size, ">I")
            return _whole_or_cut(
                any(name == b"SSND" and place + length > size for name, place, length in chunks)
            )
        if head == W64_RIFF:
            return _whole_or_cut(_w64_is_cut(file, size))
    return Header()


def _whole_or_cut(cut: bool) -> Header:
    return Header(notes=("the file is cut short",) if cut else ())


def _w64_is_cut(file: BinaryIO, size: int) -> bool:
    """Whether the data chunk of a W64 file goes beyond its end; a length of all ones is unknown."""
    place = 40
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(24)
        if len(head) < 24:
            break
        length: int = struct.unpack("<Q", head[16:])[0]
        if head[:4] == b"data":
            return size < place + length < UNKNOWN
        place += max(24, length + 7 & ~7)
    return False


def _chunks(file: BinaryIO, place: int, size: int, form: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place of the content, and length of every chunk from `place` on. `form` unpacks its length field."""
    width = struct.calcsize(form)
    for _ in range(MOST_CHUNKS):
        file.seek(place)
        head = file.read(4 + width)
        if len(head) < 4 + width:
            return
        length = struct.unpack(form, head[4:])[0]
        yield head[:4], place + 4 + width, length
        place += 4 + width + length + (length & 1 if width == 4 else 0)
        if place > size:
            return


def _wave(file: BinaryIO, size: int, long: bool) -> Header:
    """Correct a WAV file with a data chunk of length 0 before sound, one that is cut short, or sound after its end."""
    sizes = None  # place of RF64's lengths
    bytes_a_second = 0
    for name, place, length in _chunks(file, 12, size, "<I"):
        if name == b"ds64":
            sizes = place
        elif name == b"fmt " and length >= 12:
            file.seek(place + 8)
            bytes_a_second = struct.unpack("<I", file.read(4).ljust(4, b"\0"))[0]
        if name != b"data":
            continue
        rest = size - place
        if long and sizes is not None:
            file.seek(sizes + 8)
            said = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
            if 0 < said <= rest or rest <= 0:
                return Header()
            if said in (0, (1 << 64) - 1):
                return Header({sizes: struct.pack("<QQQ", size - 8, rest, 0)})
            return Header(notes=_cut_short(rest, said, bytes_a_second))
        if length == 0 and rest > 0 and not _only_chunks(file, place, size):
            return Header({place - 4: b"\xff\xff\xff\xff"})
        if rest < length < 0xFFFFFF00:
            return Header(notes=_cut_short(rest, length, bytes_a_second))
        behind = rest - length - (length & 1)
        if length < 0xFFFFFF00 and behind > HEADER_BYTES and not _only_chunks(file, size - behind, size):
            read = "all of it" if rest < 1 << 32 else "the first 4 GB"
            note = f"its header names too short a length: {read} is read"
            return Header({place - 4: b"\xff\xff\xff\xff"}, notes=(note,))
        break
    return Header()


def _only_chunks(file: BinaryIO, place: int, size: int) -> bool:
    """Whether there is nothing but whole chunks, or nothing but zeros, from `place` to the end."""
    if _only_zeros(file, place):
        return True
    for name, start, length in _chunks(file, place, size, "<I"):
        if not all(32 <= byte < 127 for byte in name) or start + length > size:
            return False
        place = start + length + (length & 1)
    return place >= size


def _only_zeros(file: BinaryIO, place: int) -> bool:
    """Whether every byte from `place` to the end is 0: what a disk or a program fills a file up with."""
    file.seek(place)
    while data := file.read(WINDOW):
        if data.count(0) != len(data):
            return False
    return True


def _cut_short(there: int, said: int, bytes_a_second: int) -> tuple[str, ...]:
    if not bytes_a_second:
        return ("the file is cut short",)
    whole = said / bytes_a_second
    return (
        f"the file is cut short: {there / bytes_a_second:.1f} s of the {whole:.1f} s that its header names",
    )


def _caf(file: BinaryIO, size: int) -> Header:
    for name, place, length in _chunks(file, 8, size, ">Q"):
        if name == b"data" and (length in (0, (1 << 64) - 1) or place + length > size):
            cut = 0 < length < UNKNOWN
            return Header({place - 8: struct.pack(">Q", size - place)}, notes=_whole_or_cut(cut).notes)
    return Header()


def stand_in(path: Path) -> str:
    """What a file holds in the place of sound, with the remedy; empty if it is not known."""
    with path.open("rb") as file:
        head = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        return "it is empty; record or export it again"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, a short text in the place of the sound; run `git lfs pull` in its folder"
    if head.lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page in the place of the sound; fetch the file itself"
    return ""


def ogg_parts(path: Path) -> tuple[list[tuple[int, int]], bool]:
    """Where each recording in an Ogg file begins and ends, in bytes: a stream saved from a radio has many.

    Also returns whether the last page is there: True if the last recording has its end.
    """
    starts, place, beginning, ended = [0], 0, True, False
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while True:
            file.seek(place)
            head = file.read(27)
            if len(head) < 27 or head[:4] != b"OggS":
                break
            table = file.read(head[26])
            first = bool(head[5] & 2)  # the page begins a logical stream
            if first and not beginning:
                starts.append(place)
            beginning = first
            place += 27 + len(table) + sum(table)
            ended = bool(head[5] & OGG_END) and place <= size
    return list(zip(starts, [*starts[1:], size], strict=True)), ended


def mpeg_header(path: Path, frames: int) -> Header:
    """Return the corrected header of an MPEG file (MP3) for which libsndfile expects only `frames` frames.

    Without a Xing header, libsndfile guesses the length from the first bit rate. With one, it only reads the first of
    several joined files, because the header counts no more.
    """
    counted, tag = _mpeg_frames(path)
    slack = 8 * FRAME_SAMPLES[0][2]
    if counted <= frames + slack:
        cut = tag is not None and counted + slack < frames  # without a tag `frames` is a guess
        return Header(frames=counted, notes=_whole_or_cut(cut).notes)
    return Header({} if tag is None else {tag: bytes(4)}, endless=True, frames=counted)


def _mpeg_frames(path: Path) -> tuple[int, int | None]:
    """Return the samples of a channel in all frames of the file, and the place of its Xing or Info tag."""
    samples, tag, place = 0, None, 0
    with path.open("rb") as file:
        while True:
            file.seek(place)
            data = file.read(WINDOW)
            if len(data) < 4:
                return samples, tag
            at = 0
            while at + 4 <= len(data):
                if data[at : at + 3] == b"ID3":
                    if at and at + 10 > len(data):
                        break  # the next window holds the whole frame
                    at += 10 + sum(
                        (byte & 127) << 7 * (3 - n) for n, byte in enumerate(data[at + 6 : at + 10])
                    )
                    continue
                length, held = _mpeg_frame(data[at : at + 4])
                if not length:
                    found = data.find(b"\xff", at + 1)
                    at = len(data) if found < 0 else found
                    continue
                if not samples:
                    for word in (b"Xing", b"Info"):
                        found = data.find(word, at, at + 48)
                        tag = place + found if found >= 0 else tag
                samples += held
                at += length
            place += at  # a header that the window cuts in two is read again


def _mpeg_frame(head: bytes) -> tuple[int, int]:
    """Return bytes and samples of the frame that begins with these four bytes; (0, 0) if they begin no frame."""
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, speed = head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] < 0xE0 or version == 1 or layer == 4 or not 0 < rate < 15 or speed == 3:
        return 0, 0
    low = int(version != 3)
    hertz = MPEG_RATES[speed] >> (0 if version == 3 else 1 if version == 2 else 2)
    samples, padding = FRAME_SAMPLES[low][layer - 1], head[2] >> 1 & 1
    bits = BITRATES[low][layer - 1][rate] * 1000
    if layer == 1:
        return (12 * bits // hertz + padding) * 4, samples
    return samples // 8 * bits // hertz + padding, samples
