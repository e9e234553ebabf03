"""Which blocks a replay makes, and from which state. Pure, but for the facts of the states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from jbdiff_live.engine.again import StackWanted
from jbdiff_live.engine.voices.sounded import HEARD_FRAMES
from jbdiff_live.record.again.states import StateFacts
from jbdiff_live.record.take import INFO
from jbdiff_live.replay.log import LoggedBlock, TakeLog
from jbdiff_live.replay.options import ReplayError, ReplayOptions
from jbdiff_live.stack_choice import StackChoice


class _StackFacts(msgspec.Struct, frozen=True):
    """What the details of a take say about its stack; `stack_choice.take_details` writes them."""

    levels: list[int] | None = None
    finisher: bool = True
    hop: int | None = None
    steps: int | None = None


@dataclass(frozen=True)
class ReplayPlan:
    """The plan. Places count the blocks of the log.

    first: the first block that is made; `state` is the one before it, None if the music begins there. kept: the first
    block of the new take. end: the place behind the last block. pinned: indices of blocks to which the music returns.
    own_states: indices of blocks that begin from a kept state of their own, because they do not continue a block of the
    log. start_frame, end_frame: of the new take. notes: what the player should know.
    """

    log: TakeLog
    first: int
    kept: int
    end: int
    state: StateFacts | None
    pinned: frozenset[int]
    own_states: frozenset[int]
    start_frame: int
    end_frame: int
    notes: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[LoggedBlock, ...]:
        return self.log.blocks[: self.end]

    def stack_at(self, place: int) -> StackWanted:
        """Return the stack that plays from the block at `place` on."""
        return stack_at(self.log, place)


def plan_of(log: TakeLog, options: ReplayOptions) -> ReplayPlan:
    """Choose the blocks. ReplayError: there are none, or no state to begin from."""
    end_frame = log.end_frame
    if options.to_seconds is not None:
        end_frame = min(end_frame, log.start_frame + round(options.to_seconds * log.rate))
    end = sum(block.start_frame < end_frame for block in log.blocks)
    kept, notes = _kept(log, options), []
    whole = options.from_block is None and options.from_seconds is None
    if whole and _latest_begin(log, kept) is None:
        found = next((n for n in range(kept, end) if _begins(log, n)), None)
        if found is None:
            raise ReplayError(f"{log.take.folder}: no state of the music is kept, so nothing can be rendered")
        seconds = (log.blocks[found].start_frame - log.start_frame) / log.rate
        notes.append(f"the take begins in a crossfade of stacks; the replay begins {seconds:.1f} s later")
        kept = found
    if kept >= end:
        raise ReplayError("there is no block between the beginning and the end; choose a longer part")
    first = _first(log, kept, end)
    start_frame = max(log.start_frame, log.blocks[kept].start_frame)
    return ReplayPlan(
        log,
        first,
        kept,
        end,
        log.states.get(log.blocks[first].index),
        frozenset(_returns(log, first, end)),
        frozenset(log.blocks[place].index for place in _own_states(log, first, end)),
        start_frame,
        end_frame,
        tuple([*notes, *_unheard(log, first, end)]),
    )


def _kept(log: TakeLog, options: ReplayOptions) -> int:
    """Return the place of the first block of the new take."""
    if options.from_block is not None:
        for place, block in enumerate(log.blocks):
            if block.index == options.from_block:
                return place
        raise ReplayError(
            f"no block {options.from_block}; the log has {log.blocks[0].index} to {log.blocks[-1].index}"
        )
    frame = log.start_frame + round((options.from_seconds or 0.0) * log.rate)
    for place, block in enumerate(log.blocks):
        if block.end_frame > frame:
            return place
    if options.from_seconds is None:
        raise ReplayError(
            f"{log.take.folder / INFO}: it begins behind all blocks of the log; correct start_frame"
        )
    raise ReplayError(f"the take ends before second {options.from_seconds:g}; begin earlier")


def _begins(log: TakeLog, place: int) -> bool:
    """Return True if a replay can begin with the block at `place`."""
    block = log.blocks[place]
    return block.event.again is None and (block.event.anew or block.index in log.states)


def _latest_begin(log: TakeLog, place: int) -> int | None:
    """Return the last place, up to `place`, where a replay can begin."""
    return next((n for n in range(place, -1, -1) if _begins(log, n)), None)


def _first(log: TakeLog, kept: int, end: int) -> int:
    """Return the place to begin at, so that all that later blocks refer to is made again."""
    needed = kept
    while True:
        first = _latest_begin(log, needed)
        if first is None:
            begin = next((log.blocks[n].index for n in range(needed, end) if _begins(log, n)), None)
            remedy = (
                "no later state is kept" if begin is None else f"begin with --from-block {begin} or later"
            )
            raise ReplayError(
                f"no state of the music before block {log.blocks[needed].index} is kept; {remedy}"
            )
        lowest = min([first, *_referred(log, first, end)])
        if lowest < first:
            needed = lowest
            continue
        if (longer := _hears_earlier(log, first, end)) is not None:
            needed = longer
            continue
        return first


def _places(log: TakeLog) -> dict[int, int]:
    return {block.index: place for place, block in enumerate(log.blocks)}


def _referred(log: TakeLog, first: int, end: int) -> Iterator[int]:
    """Give the places of the blocks that those from `first` on play again or resume."""
    places, own = _places(log), set(_own_states(log, first, end))
    for place in range(first, end):
        event = log.blocks[place].event
        if event.again is not None and event.again in places:
            yield places[event.again]
        if event.resumes is not None and place > first and place not in own:
            yield places[event.resumes]


def _own_states(log: TakeLog, first: int, end: int) -> Iterator[int]:
    """Give the places after `first` whose block continues no block of the log, and begins from a state of its own."""
    places = _places(log)
    for place in range(first + 1, end):
        block, before = log.blocks[place], log.blocks[place - 1]
        if block.event.again is not None or block.event.anew:
            continue
        resumes = block.event.resumes
        lost = resumes not in places if resumes is not None else block.index != before.index + 1
        if not lost:
            continue
        if block.index not in log.states:
            raise ReplayError(
                f"the log lacks the block before block {block.index}, and no state is kept there: the disk was too "
                f"slow, or its file is damaged; render up to there with --to "
                f"{(block.start_frame - log.start_frame) / log.rate:.1f}"
            )
        yield place


def _returns(log: TakeLog, first: int, end: int) -> Iterator[int]:
    """Give the indices of the blocks that later ones resume."""
    for place in range(first + 1, end):
        if (resumes := log.blocks[place].event.resumes) is not None:
            yield resumes


def _needs_heard(block: LoggedBlock) -> bool:
    """Return True if a block uses the sound before it: a crossfade, a repeat, or its own sound mixed with another."""
    knobs = block.snapshot
    source = knobs.choice("context_source")
    once = source == "file" and not knobs.on("file_loop")  # its own sound takes over where the file has ended
    mixes = knobs.values.get("listen", 1.0) < 1.0 or source == "live" or once
    return block.stack is not None or block.event.rung == "repeat" or (mixes and source != "own")


def _silent_until(log: TakeLog, first: int, end: int) -> LoggedBlock | None:
    """Return the block that needs more sound than a replay from `first` has made by then; None if none does."""
    block = log.blocks[first]
    facts = log.states.get(block.index)
    if block.event.anew or facts is None or facts.heard_frames:
        return None
    for later in log.blocks[first:end]:
        if later.start_frame - block.start_frame >= HEARD_FRAMES or later.event.anew:
            return None
        if _needs_heard(later):
            return later
    return None


def _hears_earlier(log: TakeLog, first: int, end: int) -> int | None:
    """Return an earlier place to begin at, if a block needs more sound than there would be; None if all is well."""
    if _silent_until(log, first, end) is None or _latest_begin(log, first - 1) is None:
        return None
    return first - 1


def _unheard(log: TakeLog, first: int, end: int) -> Iterator[str]:
    for begin in (first, *_own_states(log, first, end)):
        block = _silent_until(log, begin, end)
        if block is not None:
            seconds = (block.start_frame - log.start_frame) / log.rate
            yield (
                f"from second {max(0.0, seconds):.1f} on the sound may differ: there it continues sound from before "
                "the take, which is not kept"
            )


def stack_at(log: TakeLog, place: int) -> StackWanted:
    """Return the stack that plays from the block at `place` on, with the fade of its change."""
    for block in log.blocks[place::-1]:
        if block.stack is not None:
            e = block.stack
            choice = StackChoice(e.stack, tuple(e.levels), e.finisher, e.hop, e.steps)
            return StackWanted(choice, e.identity, e.fade_frames)
    facts = log.states.get(log.blocks[place].index) or next(iter(log.states.values()), None)
    if facts is not None:
        choice = StackChoice(facts.stack, tuple(facts.levels), facts.finisher, facts.hop, facts.steps)
        return StackWanted(choice, facts.identity)
    info = log.take.info
    try:
        found = msgspec.convert(info.details, _StackFacts)
    except msgspec.ValidationError as error:
        raise ReplayError(f"{log.take.folder / INFO}: details, {error}; correct it") from error
    choice = StackChoice(
        info.stack, tuple(found.levels) if found.levels else None, found.finisher, found.hop, found.steps
    )
    return StackWanted(choice, info.stack_identity)


def changed_choice(choice: StackChoice, options: ReplayOptions) -> StackChoice:
    """Return the stack that plays in place of the log's. ReplayError: its blocks would have other lengths."""
    stacks = dict(options.stacks)
    levels = choice.levels if options.levels is None else options.levels
    if choice.levels is not None and levels is not None and levels[0] != choice.levels[0]:
        raise ReplayError(
            f"--levels {''.join(map(str, levels))}: the take's blocks are of level {choice.levels[0]}; "
            f"begin with {choice.levels[0]}, as in --levels {choice.levels[0]}10"
        )
    return replace(
        choice,
        stack=stacks.get(choice.stack, stacks.get("", choice.stack)),
        levels=levels,
        finisher=choice.finisher if options.finisher is None else options.finisher != "none",
        steps=choice.steps if options.steps is None else options.steps,
    )
