"""What the section *tones* puts to a stack: whole bars of a track as context, and the bars that follow as the truth.

Rendered stems say their tempo. Of other music the tempo is estimated, as the instrument's clock estimates it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from jbdiff.audio.files import find_sounds
from jbdiff.data.clips import Report
from jbdiff.evaluate.material import Sound, as_stereo, picked, read_sounds, read_stretch
from jbdiff.evaluate.metrics.changes import BEATS, bar_seconds

NOT_READ = frozenset(
    (".m4a", ".mp4", ".aac", ".wma", ".mka", ".webm")
)  # sounds that libsndfile does not know
TEMPO_SECONDS = 30.0  # that a tempo is estimated from: from more, the tempi that are tried lie too far apart


@dataclass(frozen=True)
class Bars:
    """How much is asked of a track: the context lasts at least so many seconds, rounded up to whole bars.

    `most` and `least` are numbers of bars that follow, both even.
    """

    context_seconds: float
    most: int
    least: int


@dataclass(frozen=True)
class Excerpt:
    """`context` `[2, n]` and `truth` `[2, m]` of one track, `bars` of `bar` seconds in the truth."""

    name: str
    context: Tensor
    truth: Tensor
    bar: float
    bars: int


def cut_excerpt(sound: Sound, sample_rate: int, wanted: Bars) -> Excerpt:
    """Return the excerpt at the beginning of a sound. Raises ValueError if the sound is too short or has no beat."""
    seconds = sound.audio.shape[1] / sample_rate
    if seconds < wanted.context_seconds:
        raise ValueError(
            f"{sound.name}: {seconds:.1f} s are too short for a context of {wanted.context_seconds:g} s"
        )
    if sound.bpm is not None:
        bar = 60 * BEATS / sound.bpm
    else:
        try:
            bar = bar_seconds(sound.mono[: int(TEMPO_SECONDS * sample_rate)], sample_rate)
        except ValueError as error:
            raise ValueError(f"{sound.name}: {error}") from error
    before = math.ceil(wanted.context_seconds / bar - 1e-6)
    # A tenth of a second may lack at the end: bars are not known to the sample.
    room = int((seconds + 0.1) / bar) - before
    bars = min(wanted.most, room // 2 * 2)
    if bars < wanted.least:
        needed = (before + wanted.least) * bar
        raise ValueError(
            f"{sound.name}: {seconds:.1f} s are too short; {needed:.1f} s are needed, a context of {before} bars and "
            f"{wanted.least} bars after it"
        )
    start, end = (round(count * bar * sample_rate) for count in (before, before + bars))
    return Excerpt(sound.name, sound.audio[:, :start].clone(), sound.audio[:, start:end].clone(), bar, bars)


def _cut(sounds: Iterable[Sound], sample_rate: int, wanted: Bars, report: Report) -> list[Excerpt]:
    found = []
    for sound in sounds:
        try:
            found.append(cut_excerpt(sound, sample_rate, wanted))
        except ValueError as error:
            report(f"left out: {error}")
    return found


def read_excerpts(folder: Path, sample_rate: int, count: int, wanted: Bars, report: Report) -> list[Excerpt]:
    """Up to `count` excerpts of a folder of sounds or of stems. Tracks that do not serve are named and left out.

    Raises what `read_sounds` raises.
    """
    return _cut(read_sounds(folder, sample_rate, count, report), sample_rate, wanted, report)


def read_music(
    folder: Path, sample_rate: int, count: int, start: float, wanted: Bars, report: Report
) -> list[Excerpt]:
    """Up to `count` excerpts of anybody's music; each context begins `start` seconds into its file.

    Files that cannot be read or are too short are named and left out. Raises OSError if there is no folder, ValueError
    if no file serves.
    """
    paths = find_sounds(folder)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in NOT_READ:
            report(f"left out: {path.name}: {path.suffix} cannot be read; convert it to WAV or FLAC first")
    excerpts = _cut(_sounds(paths, sample_rate, count, start, report), sample_rate, wanted, report)
    if not excerpts:
        needed = f"{start:g} s and a context of {wanted.context_seconds:g} s and {wanted.least} bars"
        raise ValueError(
            f"none of the {len(paths)} sound files in {str(folder)!r} serves; give files that are longer than {needed}"
        )
    return excerpts


def _sounds(paths: list[Path], sample_rate: int, count: int, start: float, report: Report) -> Iterator[Sound]:
    for number in picked(len(paths), count):
        try:
            audio = read_stretch(paths[number], sample_rate, lambda _frames: round(start * sample_rate))
        except (OSError, ValueError) as error:
            report(f"left out: {error}")
            continue
        yield Sound(paths[number].name, as_stereo(audio))
