"""Make a take of a part of the ring. Thread: any; blocks on the disk for some seconds.

The sound is copied. So the take is whole and independent of the ring, and lies on the disk of the takes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from jbdiff_live.block import Audio
from jbdiff_live.record.again.copies import copy_live, copy_of_block, with_live_after
from jbdiff_live.record.again.states import kept_states
from jbdiff_live.record.always import HEARD_AT, Span, segments
from jbdiff_live.record.events import BlockEvent, Event, JumpEvent, PlaceEvent, StackEvent
from jbdiff_live.record.heard import Place
from jbdiff_live.record.repair import repair_take
from jbdiff_live.record.take import Take, TakeError, TakeInfo, open_take
from jbdiff_live.record.writer import TakeWriter

PIECE_FRAMES = 1 << 17


def keep(
    span: Span,
    parent: Path,
    info: TakeInfo | None = None,
    files: Iterable[Callable[[Path], object]] = (),
    recovered: bool = False,
) -> Path:
    """Write a take of the span into a new folder inside `parent`, and return that folder.

    info: facts of the session; None takes those of the first segment. files: write further files. recovered: the ring
    was broken off. TakeError: a segment cannot be read. TakeWriteError: the disk refuses.
    """
    takes = [open_take(folder) for folder in span.segments]
    if not takes:
        raise TakeError("nothing was heard yet; play, and then keep it")
    first = takes[0]
    facts = first.info if info is None else info
    begin = max(0, span.start - int(first.info.details[HEARD_AT]))
    details = {name: fact for name, fact in facts.details.items() if name != HEARD_AT}
    facts = msgspec.structs.replace(
        facts,
        sound="heard",
        start_frame=first.frame_at(begin),
        started=first.info.started,
        frames=0,
        details=details,
        closed_cleanly=False,
        recovered=False,
    )
    writer = TakeWriter(parent, facts)
    values: dict[str, float] | None = None
    going: Place | None = None  # where the sound goes on, in frames of the new take
    kept = Kept()
    for take in takes:
        values = values or first_values(take, facts.start_frame)
        going = _copy(take, writer, span, going, kept)
    for write in files:
        writer.add(write)
    if values is not None:
        writer.info = msgspec.structs.replace(writer.info, values=values)
    writer.info = msgspec.structs.replace(writer.info, recovered=recovered)
    writer.finish(None)
    return writer.folder


def keep_ring(ring: Path, parent: Path) -> Path:
    """Make a take of a whole ring that was broken off, and return its folder. The ring is deleted after that.

    TakeError, TakeWriteError: as `keep`. The ring then stays.
    """
    folders = segments(ring)
    if not folders:
        raise TakeError(f"{ring}: nothing was recorded there")
    repaired = [repair_take(folders[-1]), *map(open_take, folders[:-1])]
    end = max(int(take.info.details[HEARD_AT]) + take.frames for take in repaired)
    folder = keep(Span(folders, 0, end), parent, recovered=True)
    shutil.rmtree(ring, ignore_errors=True)
    return folder


def first_values(take: Take, frame: int) -> dict[str, float] | None:
    """Return the values of the first block that reaches past `frame`; None if the segment has none."""
    for event in take.events():
        if isinstance(event, BlockEvent) and event.start_frame + event.frames > frame:
            return event.values
    return None


@dataclass
class Kept:
    """What the take has already. blocks: start frames; a block may be logged in several segments."""

    blocks: set[int] = field(default_factory=set)
    live_frames: int = 0


def _copy(take: Take, writer: TakeWriter, span: Span, going: Place | None, kept: Kept) -> Place | None:
    """Copy the part of a segment that lies in the span. Return where its sound goes on.

    going: where the sound before it went on; no place event is needed if this one goes on there. The first segment's
    blocks are copied from its last state before the span on, even if they are not heard: a replay begins there.
    """
    heard_at = int(take.info.details[HEARD_AT])
    start, end = max(0, span.start - heard_at), min(take.info.frames, span.end - heard_at)
    if end <= start:
        return going
    going = copy_events(take, writer, start, end, going, kept)
    for samples in _frames(take, start, end):
        writer.write_heard(samples, ())
    return going


def copy_events(
    take: Take, writer: TakeWriter, start: int, end: int, going: Place | None, kept: Kept
) -> Place | None:
    """Copy the events from frame `start` to `end` of a take, for sound that is going to be appended to the new one.

    going, kept, and what is returned: as in `_copy`.
    """
    offset, events = writer.frames, list(take.events())
    first, last = take.frame_at(start), take.frame_at(end)
    lead = first if kept.blocks else _last_state(take, first)
    for place in _places(events, start, end):
        here = place._replace(at=offset + place.at)
        if going is None or not _goes_on(going, here):
            writer.write(PlaceEvent(here.at, here.frame, here.moves))
        going = here
    for event in events:
        if isinstance(event, BlockEvent):
            reaches = event.start_frame + event.frames > first or event.start_frame >= lead
            wanted = reaches and event.start_frame < last
            if wanted and event.start_frame not in kept.blocks:
                kept.blocks.add(event.start_frame)
                writer.write(with_live_after(event, kept.live_frames))
                writer.add(partial(copy_of_block, take.folder, event))
            continue
        begin = lead if isinstance(event, StackEvent | JumpEvent) else first
        if not isinstance(event, PlaceEvent) and begin <= event.frame <= last:
            writer.write(event)
    kept.live_frames += copy_live(take.folder, writer.folder, take.info.sample_rate)
    return going


def _last_state(take: Take, frame: int) -> int:
    """Return the first frame behind the last state of the music up to `frame`; `frame` if there is none."""
    try:
        states = kept_states(take.folder).values()
    except TakeError:  # a replay says which one is damaged; the sound is whole without it
        return frame
    return max((state.frame for state in states if state.frame <= frame), default=frame)


def _places(events: Iterable[Event], start: int, end: int) -> list[Place]:
    """Return the places from frame `start` to `end` of a segment, with `at` counted from `start`."""
    found: list[Place] = []
    for event in events:
        if not isinstance(event, PlaceEvent) or event.at >= end:
            continue
        if event.at <= start:
            found = [Place(0, event.frame + (start - event.at) * event.moves, event.moves)]
        else:
            found.append(Place(event.at - start, event.frame, event.moves))
    return found


def _goes_on(before: Place, here: Place) -> bool:
    """Return True if the sound at `here` is what follows `before`."""
    return before.moves == here.moves and here.frame == before.frame + (here.at - before.at) * before.moves


def _frames(take: Take, start: int, end: int) -> Iterator[Audio]:
    """Give the frames from `start` to `end` in pieces."""
    at = 0
    for samples in take.blocks(PIECE_FRAMES):
        part = samples[max(0, start - at) : max(0, end - at)]
        if len(part):
            yield part
        at += len(samples)
