"""Make a take of a part of the ring. Thread: any; blocks on the disk for some seconds.

The sound is copied. So the take is whole and independent of the ring, and lies on the disk of the takes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from jbdiff_live.block import Audio
from jbdiff_live.record.again.copies import copy_live, copy_of_block, with_live_after
from jbdiff_live.record.again.states import kept_states
from jbdiff_live.record.always import HEARD_AT, Span, ring_lock, segments
from jbdiff_live.record.events import BlockEvent, Event, JumpEvent, PlaceEvent, StackEvent, StateEvent
from jbdiff_live.record.heard import Place
from jbdiff_live.record.repair import repair_take
from jbdiff_live.record.take import INFO, Take, TakeError, TakeInfo, open_take
from jbdiff_live.record.writer import TakeWriter, dated_name

PIECE_FRAMES = 1 << 17


def keep(
    span: Span,
    parent: Path,
    info: TakeInfo | None = None,
    files: Iterable[Callable[[Path], object]] = (),
    recovered: bool = False,
) -> Path:
    """Write a take of the span into a new folder inside `parent`, and return that folder.

    info: facts of the session, dated by the press; None takes those of the first segment, dated by the last sound.
    files: write further files. recovered: the ring was broken off. TakeError: a segment cannot be read. TakeWriteError:
    the disk refuses.
    """
    takes = [open_take(folder) for folder in span.segments]
    if not takes:
        raise TakeError("nothing was heard yet; play, and then keep it")
    first = takes[0]
    facts = first.info if info is None else info
    begin = max(0, span.start - _heard_at(first))
    details = {name: fact for name, fact in facts.details.items() if name != HEARD_AT}
    facts = msgspec.structs.replace(
        facts,
        sound="heard",
        start_frame=first.frame_at(begin),
        started=_last_moment(takes[-1]) if info is None else info.started,
        frames=0,
        details=details,
        closed_cleanly=False,
        recovered=False,
    )
    writer = TakeWriter(parent, facts, name=dated_name(facts.started))
    values: dict[str, float] | None = None
    going: Place | None = None  # where the sound goes on, in frames of the new take
    begins = facts.start_frame
    events = TakeEvents(begins, _last_frame(takes, span), last_state(first, begins))
    for take in takes:
        values = values or first_values(take, begins)
        going = _copy(take, writer, span, going, events)
    for write in files:
        writer.add(write)
    if values is not None:
        writer.info = msgspec.structs.replace(writer.info, values=values)
    writer.info = msgspec.structs.replace(writer.info, recovered=recovered)
    writer.finish(None)
    return writer.folder


def keep_ring(ring: Path, parent: Path) -> Path:
    """Make a take of a whole ring that was broken off, and return its folder. The ring is deleted after that.

    TakeError, TakeWriteError: as `keep`. TakeError also if another instance recovers it now. The ring then stays.
    """
    folders = segments(ring)
    if not folders:
        raise TakeError(f"{ring}: nothing was recorded there")
    lock = ring_lock(ring)
    try:
        if not lock.take():
            raise TakeError(
                f"{ring}: another jbdiff-live recovers it now; look into the folder of takes in a moment"
            )
    except OSError as error:
        raise TakeError(f"{ring}: {error.strerror}; copy that folder before you try more") from error
    try:
        repaired = [repair_take(folders[-1]), *map(open_take, folders[:-1])]
        end = max(_heard_at(take) + take.frames for take in repaired)
        folder = keep(Span(folders, 0, end), parent, recovered=True)
    finally:
        lock.release()
    shutil.rmtree(ring, ignore_errors=True)
    return folder


def _heard_at(segment: Take) -> int:
    """Return the tap's position at which a segment begins. TakeError: it is not in its facts."""
    at = segment.info.details.get(HEARD_AT)
    if not isinstance(at, int):
        raise TakeError(
            f"{segment.folder / INFO}: no {HEARD_AT} in its details; the sound beside it can still be opened by itself"
        )
    return at


def _last_moment(segment: Take) -> str:
    """Return the moment at which a segment's sound ends, as `TakeInfo.started` has it."""
    began, seconds = segment.info.started, segment.frames / segment.info.sample_rate
    try:
        return (datetime.fromisoformat(began) + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except ValueError:
        return began


def first_values(take: Take, frame: int) -> dict[str, float] | None:
    """Return the values of the first block that reaches past `frame`; None if the segment has none."""
    for event in take.events():
        if isinstance(event, BlockEvent) and event.start_frame + event.frames > frame:
            return event.values
    return None


class TakeEvents:
    """Chooses the events of the ring that belong to a take, from the session's frame `first` to `last`.

    The segments do not divide them: blocks and changes are logged when they are made, and may belong to the sound of
    another segment. So all of them are measured by the whole take. A segment repeats the blocks, stacks and states that
    it needs; the take has each once.

    Blocks, stacks and jumps belong to it from the frame `lead` on, even if they are not heard: there is the last state
    of the music before the take, and a replay begins with it.
    """

    def __init__(self, first: int, last: int, lead: int) -> None:
        self._first, self._last, self._lead = first, last, lead
        self.live_frames = 0  # of the live input, copied so far
        self._once: set[tuple[type[Event], int]] = set()  # blocks, jumps and stacks, by their frames
        self._states: dict[str, object] = {}  # the newest value of each

    def of(self, event: Event) -> Event | None:
        """Return the event as the take has it, or None if it is not the take's."""
        if isinstance(event, PlaceEvent):
            return None  # they follow the sound: `_places`
        if isinstance(event, BlockEvent):
            reaches = event.start_frame + event.frames > self._first or event.start_frame >= self._lead
            return (
                event
                if reaches and event.start_frame < self._last and self._new(event, event.start_frame)
                else None
            )
        if isinstance(event, JumpEvent | StackEvent):
            belongs = self._lead <= event.frame <= self._last
            return event if belongs and self._new(event, event.frame) else None
        if not self._first <= event.frame <= self._last:
            return None  # states from before it: `early`
        return event if not isinstance(event, StateEvent) or self._changed(event) else None

    def _new(self, event: Event, frame: int) -> bool:
        key = type(event), frame
        known = key in self._once
        self._once.add(key)
        return not known

    def early(self, events: Iterable[Event]) -> list[StateEvent]:
        """Return the states from before the take that hold at its beginning, one of each name."""
        found = {e.name: e for e in events if isinstance(e, StateEvent) and e.frame < self._first}
        begin = [msgspec.structs.replace(state, frame=self._first) for state in found.values()]
        return [state for state in begin if self._changed(state)]

    def _changed(self, state: StateEvent) -> bool:
        known = state.name in self._states and self._states[state.name] == state.value
        self._states[state.name] = state.value
        return not known


def _last_frame(takes: Sequence[Take], span: Span) -> int:
    """Return the session's frame behind the span's last sound."""
    found = takes[0].info.start_frame
    for take in takes:
        start, end = _part(take, span)
        if end > start:
            found = take.frame_at(end)
    return found


def _part(take: Take, span: Span) -> tuple[int, int]:
    """Return the frames of a segment's sound between which it lies in the span. The second may be below the first."""
    heard_at = _heard_at(take)
    return max(0, span.start - heard_at), min(take.info.frames, span.end - heard_at)


def _copy(
    take: Take, writer: TakeWriter, span: Span, going: Place | None, wanted: TakeEvents
) -> Place | None:
    """Copy the part of a segment that lies in the span, and its events. Return where its sound goes on.

    going: where the sound before it went on; no place event is needed if this one goes on there.
    """
    start, end = _part(take, span)
    going = copy_events(take, writer, start, end, going, wanted)
    if end > start:
        for samples in _frames(take, start, end):
            writer.write_heard(samples, ())
    return going


def copy_events(
    take: Take, writer: TakeWriter, start: int, end: int, going: Place | None, wanted: TakeEvents
) -> Place | None:
    """Copy the wanted events of a take, for its sound from frame `start` to `end`, which is appended after this.

    An end below the start is no sound. going, and what is returned: as in `_copy`.
    """
    offset, events = writer.frames, list(take.events())
    for place in _places(events, start, end) if end > start else ():
        here = place._replace(at=offset + place.at)
        if going is None or not _goes_on(going, here):
            writer.write(PlaceEvent(here.at, here.frame, here.moves))
        going = here
    for state in wanted.early(events):
        writer.write(state)
    made = False  # a block of the new take
    for event in events:
        if (chosen := wanted.of(event)) is None:
            continue
        if isinstance(chosen, BlockEvent):
            made = True
            writer.add(partial(copy_of_block, take.folder, chosen))
            chosen = with_live_after(chosen, wanted.live_frames)
        writer.write(chosen)
    if made:
        wanted.live_frames += copy_live(take.folder, writer.folder, take.info.sample_rate)
    return going


def last_state(take: Take, frame: int) -> int:
    """Return the frame of the last state of the music up to `frame`; `frame` if there is none."""
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
