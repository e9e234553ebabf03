"""Excerpts for the section *tones*: whole bars of a track as context, and the following bars as the truth.

Rendered stems come with their tempo. The tempo of other music is estimated, with the estimator of the instrument's
clock.
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
)  # kinds of sound files that libsndfile cannot read
TEMPO_SECONDS = 30.0  # of a tempo estimate; with more sound, the tempi that are tried lie too far apart


@dataclass(frozen=True)
class Bars:
    """The lengths that an excerpt needs.

    The context lasts at least `context_seconds`, rounded up to whole bars. `most` and `least` are the numbers of bars
    after it, both even.
    """

    context_seconds: float
    most: int
    least: int


@dataclass(frozen=True)
class Excerpt:
    """`context` `[2, n]` and `truth` `[2, m]` of one track. The truth has `bars` bars of `bar` seconds."""

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
    # Up to a tenth of a second may be missing at the end, because the length of a bar is not exact to the sample.
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
    """Read up to `count` excerpts from a folder of sounds or of stems.

    Tracks that are too short or have no beat are left out, and `report` receives their names. Raises what `read_sounds`
    raises.
    """
    return _cut(read_sounds(folder, sample_rate, count, report), sample_rate, wanted, report)


def read_music(
    folder: Path, sample_rate: int, count: int, start: float, wanted: Bars, report: Report
) -> list[Excerpt]:
    """Read up to `count` excerpts from a folder of music files; each context begins `start` seconds into its file.

    Files that are broken, too short or without a beat are left out, and `report` receives their names. Raises OSError
    if the folder does not exist, ValueError if no file can be used.
    """
    paths = find_sounds(folder)
    others = 0
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in NOT_READ:
            others += 1
            report(f"left out: {path.name}: {path.suffix} cannot be read; convert it to WAV or FLAC first")
    if not paths:
        why = "the files above cannot be read" if others else "it holds none"
        raise ValueError(
            f"no sound file in {str(folder)!r}: {why}; give a folder of WAV, FLAC, MP3 or OGG files"
        )
    excerpts = _cut(_sounds(paths, sample_rate, count, start, report), sample_rate, wanted, report)
    if not excerpts:
        begin = f"{start:g} s, then " if start else ""
        needed = f"{begin}a context of {wanted.context_seconds:g} s and {wanted.least} bars"
        raise ValueError(
            f"none of the {len(paths)} sound files in {str(folder)!r} can be used; give files that hold {needed}"
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
