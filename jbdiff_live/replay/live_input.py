"""The dry input of a take, in time with the sound of its replay. Blocks on the disk.

The silences of late blocks are left out of a replay, and what was played in them goes with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jbdiff_live.record.events import PlaceEvent
from jbdiff_live.record.shelf.reader import TakeReader
from jbdiff_live.record.take import Take, open_take, sound_files
from jbdiff_live.record.track import Track

STEM = "input"


class _Run(NamedTuple):
    """From frame `at` of `audio.wav` on, `frames` frames of the session that begin with `frame`."""

    at: int
    frame: int
    frames: int


def write_input(take: Take, folder: Path) -> None:
    """Write `input.wav` into the folder of a replay, beside its `audio.wav`, if the take has it."""
    files = sound_files(take.folder, STEM)
    if not files:
        return
    made = open_take(folder)
    reader = TakeReader(take, files)
    track = Track(folder, STEM, made.info.sample_rate, reader.channels)
    try:
        for new, old, frames in _parts(_runs(made), _runs(take)):
            track.silence(new - track.frames)
            for piece in reader.pieces(old, old + frames):
                track.append(piece)
        track.silence(made.frames - track.frames)
    finally:
        track.close()
        reader.close()


def _runs(take: Take) -> list[_Run]:
    """Return the stretches of a take's sound in which the session's frames go on."""
    places = [event for event in take.events() if isinstance(event, PlaceEvent)]
    ends = [*(place.at for place in places[1:]), take.info.frames]
    spans = zip(places, ends, strict=True)
    found = [_Run(place.at, place.frame, end - place.at) for place, end in spans if place.moves]
    return [run for run in found if run.frames > 0]


def _parts(new: Sequence[_Run], old: Sequence[_Run]) -> Iterator[tuple[int, int, int]]:
    """Yield the parts of the session that both takes have: where they begin in both sounds, and how long they are."""
    for run in new:
        for other in old:
            first = max(run.frame, other.frame)
            frames = min(run.frame + run.frames, other.frame + other.frames) - first
            if frames > 0:
                yield run.at + first - run.frame, other.at + first - other.frame, frames
