"""The log of a take as a replay reads it: the blocks in order, with what happened before each, and the changes.

No thread; blocks on the disk. `read_log` raises `ReplayError` for a log that cannot be rendered again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from jbdiff_live.block import Rung
from jbdiff_live.parameters import BY_NAME, ParameterSnapshot
from jbdiff_live.record.again.states import STATES, StateFacts, kept_states
from jbdiff_live.record.events import (
    ActionEvent,
    BlockEvent,
    ChangeEvent,
    Event,
    JumpEvent,
    MarkerEvent,
    PlaceEvent,
    StackEvent,
    StateEvent,
)
from jbdiff_live.record.take import EVENTS, Take, TakeError, remedy_of_line
from jbdiff_live.replay.options import ReplayError
from jbdiff_live.shown import printable


@dataclass(frozen=True)
class LoggedBlock:
    """A block of the log. stack: it takes over with this block. jump: the time machine jumped before it.

    values, counts: what edits change: new values of parameters, and what is added to the presses of actions.
    """

    event: BlockEvent
    stack: StackEvent | None = None
    jump: JumpEvent | None = None
    values: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def index(self) -> int:
        return self.event.index

    @property
    def start_frame(self) -> int:
        return self.event.start_frame

    @property
    def end_frame(self) -> int:
        return self.event.start_frame + self.event.frames

    @property
    def edges(self) -> tuple[int, int]:
        """The frames that a block which plays again fades in and out."""
        fades = self.event.edges
        return (fades[0], fades[1]) if len(fades) == 2 else (0, 0)

    @property
    def snapshot(self) -> ParameterSnapshot:
        """The knobs with the edits."""
        return edited(self.event.snapshot, self)

    @property
    def turned(self) -> dict[str, tuple[float, ...]]:
        """The knobs that changed while the block was made, as far as no edit sets them."""
        return {name: tuple(v) for name, v in self.event.turned.items() if name not in self.values}


def edited(snapshot: ParameterSnapshot, block: LoggedBlock) -> ParameterSnapshot:
    """Return a snapshot with the edits of a block."""
    if not block.values and not block.counts:
        return snapshot
    counts = {name: n + block.counts.get(name, 0) for name, n in snapshot.counts.items()}
    return ParameterSnapshot(snapshot.version, {**snapshot.values, **block.values}, counts)


@dataclass(frozen=True)
class TakeLog:
    """A take's log. `changes`, `others`: the events beside the blocks, by their line in `events.jsonl`, from 1."""

    take: Take
    blocks: tuple[LoggedBlock, ...]
    states: dict[int, StateFacts]
    changes: dict[int, ChangeEvent | ActionEvent | MarkerEvent]
    others: dict[int, StateEvent]
    places: tuple[PlaceEvent, ...]

    @property
    def rate(self) -> int:
        return self.take.info.sample_rate

    @property
    def start_frame(self) -> int:
        return self.take.info.start_frame

    @property
    def end_frame(self) -> int:
        """The session's frame at which the take's sound ends."""
        frames = self.take.info.frames or self.take.frames  # a cluster gets a take without its sound
        if self.take.info.sound == "engine":
            return self.start_frame + frames
        at, frame, moves = 0, self.start_frame, True
        for place in self.places:
            if place.at <= frames:
                at, frame, moves = place.at, place.frame, place.moves
        return frame + (frames - at) * moves

    def block(self, index: int) -> LoggedBlock:
        """Return the block of an index. KeyError: the log has none."""
        for block in self.blocks:
            if block.index == index:
                return block
        raise KeyError(index)


def read_log(take: Take) -> TakeLog:
    """Read the log of a take. ReplayError: it has no blocks, lacks some, or is of an older version."""
    if take.info.format < 2:
        raise ReplayError(
            f"{take.folder}: a take of format 1 has no noise and no states in its log; only takes of format 2 can be "
            "rendered again"
        )
    try:
        events = list(enumerate(take.events(), 1))
        states = kept_states(take.folder)
    except TakeError as error:
        raise ReplayError(str(error)) from error
    for line, event in events:
        if isinstance(event, BlockEvent) and (wrong := _wrong(event)):
            where = f"{take.folder / EVENTS}, line {line}"
            raise ReplayError(f"{where}: {wrong}; {remedy_of_line(is_block=True)}")
    blocks = _blocks([event for _, event in events])
    if not blocks:
        raise ReplayError(f"{take.folder}: its log has no blocks; record a take while the model plays")
    if not states and not blocks[0].event.anew:
        raise ReplayError(
            f"{take.folder}: it has no folder {STATES!r}, so the music's state at its beginning is not known; "
            "takes from before this version cannot be rendered again"
        )
    return TakeLog(
        take,
        blocks,
        states,
        {n: e for n, e in events if isinstance(e, ChangeEvent | ActionEvent | MarkerEvent)},
        {n: e for n, e in events if isinstance(e, StateEvent)},
        tuple(e for _, e in events if isinstance(e, PlaceEvent)),
    )


def _wrong(event: BlockEvent) -> str:
    """Return what no block can have been made with, as the values of a damaged line; empty if all is well."""
    if event.rung.upper() not in Rung.__members__:
        return f"no amount of work is called {printable(event.rung[:40])!r}"
    old = [] if event.given is None else event.given.old
    values = [event.values, *(block.values for block in old)]
    turned = [(name, value) for name, several in event.turned.items() for value in several]
    for name, value in [*(item for each in values for item in each.items()), *turned]:
        knob = BY_NAME.get(name)
        if knob is not None and not knob.low <= value <= knob.high:
            return f"{name} = {value:g}, and it goes from {knob.low:g} to {knob.high:g}"
    return ""


def _blocks(events: list[Event]) -> tuple[LoggedBlock, ...]:
    """Join each block with the change of stack and the jump before it."""
    stacks = {event.frame: event for event in events if isinstance(event, StackEvent)}
    jumps = {event.index: event for event in events if isinstance(event, JumpEvent)}
    made = sorted((e for e in events if isinstance(e, BlockEvent)), key=lambda e: e.start_frame)
    found: list[LoggedBlock] = []
    for place, event in enumerate(made):
        # The rest of a block that a stop broke off was never heard.
        after = made[place + 1].start_frame if place + 1 < len(made) else event.start_frame + event.frames
        frames = min(event.frames, after - event.start_frame)
        if frames <= 0:
            continue
        if frames < event.frames:
            event = msgspec.structs.replace(event, frames=frames)
        found.append(LoggedBlock(event, stacks.get(event.start_frame), jumps.get(event.index)))
    return tuple(found)
