"""The sounds by which a stack is judged: tracks of a folder, cut into a context and its original continuation.

A folder holds sound files, or folders of stems (`jbdiff.data.stems`), of which the first mix is used. If there are
many tracks, only some are read. Of a long file only the middle is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jbdiff.audio.files import audio_blocks, find_sounds, read_header
from jbdiff.data.clips import Report
from jbdiff.data.stems import StemTrack, find_tracks, is_stems, mix
from jbdiff.evaluate.metrics.frechet import LEAST_TRACKS

LONGEST_SECONDS = 90.0  # most that is read of one track


@dataclass(frozen=True)
class Sound:
    """A track, or its middle. `audio`: `[2, n]`, float32. `bpm`: beats a minute; None except for rendered stems."""

    name: str
    audio: Tensor
    bpm: float | None = None

    @property
    def mono(self) -> Tensor:
        """The mean of both channels, `[n]`."""
        return self.audio.mean(0)


@dataclass(frozen=True)
class Piece:
    """A held-out track, cut for the evaluation. Lengths in samples are the same for all pieces."""

    name: str
    context: Tensor  # mono [n]
    original: Tensor  # [2, m]: how the track goes on after the context
    middle: Tensor  # mono [k]: for the codec


def picked(count: int, wanted: int) -> list[int]:
    """Return `wanted` of the numbers below `count` in rising order, drawn at random but the same each time.

    Returns all of them if `wanted` is `count` or more. The draw avoids patterns: files are numbered in the order in
    which they were made, and every fourth one may be of the same style.
    """
    if wanted >= count:
        return list(range(count))
    return sorted(np.random.default_rng(0).permutation(count)[:wanted].tolist())


def read_sounds(folder: Path, sample_rate: int, wanted: int, report: Report) -> Iterator[Sound]:
    """Read up to `wanted` tracks of a folder. Files that cannot be read are left out, and `report` receives the reason.

    Raises OSError if the folder does not exist, ValueError if it holds no sounds.
    """
    tracks = find_tracks(folder) if is_stems(folder) else []
    entries: list[Path] | list[StemTrack] = tracks or find_sounds(folder)
    if not entries:
        raise ValueError(
            f"no sounds in {str(folder)!r}; give a folder of sound files, or of folders of stems"
        )
    for number in picked(len(entries), wanted):
        entry = entries[number]
        try:
            if isinstance(entry, StemTrack):
                name, audio, bpm = entry.name, mix(entry, 0, tracks, sample_rate), entry.bpm
                audio = audio[: int(LONGEST_SECONDS * sample_rate)]
            else:
                name, audio, bpm = entry.name, _middle(entry, sample_rate), None
        except (OSError, ValueError) as error:
            report(f"skipped: {error}")
            continue
        yield Sound(name, as_stereo(audio), bpm)


def as_stereo(audio: NDArray[np.float32]) -> Tensor:
    """Return `[2, n]`: the first two channels of `[n, channels]`, or a mono sound twice."""
    stereo = audio[:, :2] if audio.shape[1] > 1 else audio.repeat(2, 1)
    return torch.from_numpy(np.ascontiguousarray(stereo.T))


def _middle(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Read the middle of a file, at most `LONGEST_SECONDS`: `[n, channels]`."""

    def start(frames: int) -> int:
        return max(0, (frames - int(LONGEST_SECONDS * sample_rate)) // 2)

    return read_stretch(path, sample_rate, start)


def read_stretch(path: Path, sample_rate: int, start: Callable[[int], int]) -> NDArray[np.float32]:
    """Read at most `LONGEST_SECONDS` of a file: `[n, channels]`.

    `start` takes the number of frames of the file and returns the frame to begin at. Raises what `audio_blocks` raises.
    """
    blocks = audio_blocks(path, sample_rate)
    first = next(blocks)  # raises an error in plain words if the file is broken
    rate, frames = read_header(path)
    begin = start(round(frames / rate * sample_rate))
    end, place, kept = begin + int(LONGEST_SECONDS * sample_rate), 0, []
    for block in itertools.chain([first], blocks):
        kept.append(block[max(0, begin - place) : max(0, end - place)])
        place += len(block)
        if place >= end:
            break
    return np.concatenate(kept)


def cut_piece(sound: Sound, context: int, continuation: int, middle: int, number: int) -> Piece:
    """Cut context and continuation at a random place of a track; the same `number` gives the same place.

    `context`, `continuation` and `middle` are lengths in samples. The place is random because of the section *seams*:
    if it were on the beat, the borders of blocks would fall on beats, and beats would count as seams. Raises ValueError
    if the track is too short.
    """
    length = sound.audio.shape[1]
    room = length - context - continuation
    if room < 0 or length < middle:
        raise ValueError(f"{sound.name}: {length} samples are too few")
    start = int(np.random.default_rng((1, number)).integers(room + 1))
    after, centre = start + context, (length - middle) // 2
    return Piece(
        sound.name,
        sound.mono[start:after].clone(),
        sound.audio[:, after : after + continuation].clone(),
        sound.mono[centre : centre + middle].clone(),
    )


def read_pieces(
    folder: Path, sample_rate: int, wanted: int, context: int, continuation: int, middle: int, report: Report
) -> list[Piece]:
    """Read up to `wanted` pieces of a folder.

    Tracks that are too short are left out, and `report` receives their names.
    `context`, `continuation` and `middle` are lengths in samples. Raises ValueError if fewer than `LEAST_TRACKS` are
    left, and what `read_sounds` raises.
    """
    pieces = []
    for number, sound in enumerate(read_sounds(folder, sample_rate, wanted, report)):
        try:
            pieces.append(cut_piece(sound, context, continuation, middle, number))
        except ValueError as error:
            report(f"left out: {error}")
    if len(pieces) < LEAST_TRACKS:
        needed = max(context + continuation, middle) / sample_rate
        raise ValueError(
            f"{len(pieces)} tracks of {needed:.1f} s or more in {str(folder)!r}; {LEAST_TRACKS} are needed at "
            "least, give more, or longer ones"
        )
    return pieces
