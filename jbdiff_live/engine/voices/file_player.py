"""The file player: which part of a file plays, and where in it the music is. No torch.

Engine thread. The place in a file follows from the place in the music and from the knobs alone. So a log of both plays
the same frames again. Both roles, Context and Init, obey the same knobs, and each has its own place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jbdiff.audio.beat import BEATS
from jbdiff_live.block import FilePlace, Mono
from jbdiff_live.engine.voices.sources import FileSource, Sources
from jbdiff_live.parameters import ParameterSnapshot

ROLES = ("context", "init")
Began = Mapping[str, tuple[FileSource, int]]  # by role: a file, and the frame of the music at which it began
EDGE_FRAMES = 96  # 2 ms: the file itself, in the output, fades at both ends of its part


def place_in(
    snapshot: ParameterSnapshot, file: FileSource, played: int, beat: float, sample_rate: int
) -> FilePlace:
    """Return the part of a file that the knobs ask for, and the place in it.

    played: frames of the music since the file began. beat: frames in a beat of the music's clock; 0 if it is unknown.
    Then the file's own tempo counts, and without one a bar is a second. A start behind the file's end is its last bar.
    """
    values = snapshot.values
    start, length = int(values.get("file_start", 0)), int(values.get("file_length", 0))
    found = file.beat
    if beat <= 0 and found is not None:
        beat = 60.0 * sample_rate / found.tempo
    bar = BEATS * beat if beat > 0 else float(sample_rate)
    whole = len(file.samples)
    first = 0.0 if found is None or start == 0 else found.first
    begin = min(round(first + start * bar), max(0, whole - round(bar)))
    frames = whole - begin if length == 0 else min(round(length * bar), whole - begin)
    return FilePlace(played, begin, max(1, frames), values.get("file_loop", 1.0) >= 0.5)


def piece(file: FileSource, place: FilePlace, first: int, frames: int) -> tuple[Mono, NDArray[np.bool_]]:
    """Return frames of a file's part, and where it sounds; both `[frames]`.

    first: of the piece, counted from the part's beginning. A part that does not loop is silent outside of its length.
    """
    at = np.arange(first, first + frames)
    if place.loops:
        return file.samples[place.begin + at % place.frames], np.ones(frames, np.bool_)
    inside = (at >= 0) & (at < place.frames)
    sound = file.samples[place.begin + at.clip(0, place.frames - 1)] * inside
    return sound.astype(np.float32), inside


class FilesBegan:
    """Where in the music each file began to play. `began` is replaced as a whole, so it may be kept as it is."""

    def __init__(self) -> None:
        self.began: Began = {}

    def look(self, sources: Sources, position: int) -> None:
        """Let a file that came since the last block begin at this frame of the music. Does nothing the second time."""
        for role in ROLES:
            file, played = sources.loaded(role), sources.played.get(role)
            known = self.began.get(role)
            if file is not None and (played is not None or known is None or known[0] is not file):
                self.began = {**self.began, role: (file, position - (played or 0))}

    def played(self, role: str, position: int) -> int:
        """Return the frames of the music since the file of a role began."""
        known = self.began.get(role)
        return position if known is None else position - known[1]


@dataclass(frozen=True)
class DrySpot:
    """What the dry file played last: its place at the end of the last block, and its gain."""

    file: FileSource
    place: FilePlace
    gain: float


class DryFile:
    """The file itself in the output. A change of gain, place or file fades, over the beginning of the block."""

    def __init__(self, fade_frames: int) -> None:
        self._fade = fade_frames
        self.last: DrySpot | None = None  # None: it was silent

    def sound(
        self, file: FileSource | None, place: FilePlace | None, gain: float, frames: int
    ) -> Mono | None:
        """Return the next `frames` `[frames]`, or None if all of them are silence.

        place: at the first of them. Both are None if no file plays.
        """
        now = None
        if file is not None and place is not None and gain > 0:
            now = DrySpot(file, place, gain)
        before, self.last = self.last, None if now is None else _moved(now, frames)
        if now is None and before is None:
            return None
        if now is not None and now == before:
            return _dry(now, frames)
        fade = min(self._fade, frames)
        rising = ((np.arange(fade) + 1) / (fade + 1)).astype(np.float32)
        out = np.zeros(frames, np.float32) if now is None else _dry(now, frames)
        out[:fade] *= rising
        if before is not None:
            out[:fade] += _dry(before, fade) * rising[::-1]
        return out


def _moved(spot: DrySpot, frames: int) -> DrySpot:
    place = spot.place
    after = FilePlace(place.played + frames, place.begin, place.frames, place.loops)
    return DrySpot(spot.file, after, spot.gain)


def _dry(spot: DrySpot, frames: int) -> Mono:
    """Return frames of a file as loud as it plays, with a short fade at both ends of its part.

    Before the file's beginning, which sounds as late as the music, there is silence.
    """
    place = spot.place
    sound, _ = piece(spot.file, place, place.played, frames)
    at = np.arange(place.played, place.played + frames)
    inside = at % place.frames
    edge = np.minimum(inside + 1, place.frames - inside) / EDGE_FRAMES
    gain = np.where(at < 0, 0.0, np.minimum(edge, 1.0) * spot.gain)
    return sound * gain.astype(np.float32)
