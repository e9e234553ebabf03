"""The changes on their way to the sound: when each is heard, and the marks that travel with it towards *now*.

Thread: Qt's. Pure: blocks and values come in, numbers and words go out. Nothing blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jbdiff_live.beat.line import ClockSource
from jbdiff_live.block import Block, Rung
from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME, ParameterSnapshot, TakesEffect
from jbdiff_live.status import Status

AT_ONCE = frozenset(name for name, one in BY_NAME.items() if one.takes_effect is TakesEffect.NOW)
AGAIN = "again"  # no parameter: the time machine plays older music again, or new music begins after it
ACTIONS = frozenset(ACTIONS_BY_NAME) - {"tap", "panic", "marker"}  # those that a block obeys


@dataclass(frozen=True)
class Mark:
    """A change at a frame of the session. waits: no block holds it yet, so the frame is the earliest possible."""

    frame: int
    name: str
    text: str
    waits: bool = False


@dataclass(frozen=True)
class _Waiting:
    """A change that no block holds yet. seen: what was asked for. index: the first block that can obey it."""

    seen: str
    index: int
    frame: int  # of the beat for which it is held; 0 if it is not held


class Changes:
    """Follows the blocks. `look` at every status; then `marks` and `text` hold until the next look."""

    def __init__(self) -> None:
        self.marks: tuple[Mark, ...] = ()
        self._between: dict[int, tuple[Block, Block, tuple[Mark, ...]]] = {}  # by the later block's frame
        self._waiting: dict[str, _Waiting] = {}
        self._frames: dict[str, int] = {}  # where each change on its way is heard
        self._now = 0
        self._rate = 1
        self._looping = (
            False  # the newest block repeats older sound, so nobody knows when the next new one comes
        )

    def look(
        self,
        status: Status,
        blocks: Sequence[Block],
        now: ParameterSnapshot | None,
        moved: Iterable[str] = (),
    ) -> None:
        """Take in the newest blocks and the set values. moved: parameters that an LFO moves; they are left out."""
        self._now, self._rate = status.frame, status.sample_rate
        self._looping = bool(blocks) and blocks[-1].rung in (Rung.LOOP, Rung.REPEAT)
        silent = AT_ONCE | frozenset(moved)
        if status.clock.source is not ClockSource.INTERNAL:
            silent |= {"tempo", "clock"}  # the block follows the outer clock, whatever the knobs say
        made: list[Mark] = []
        kept: dict[int, tuple[Block, Block, tuple[Mark, ...]]] = {}
        for before, after in itertools.pairwise(blocks):
            known = self._between.get(after.start_frame)
            if known is None or known[0] is not before or known[1] is not after:
                known = (before, after, _marks(before, after))
            kept[after.start_frame] = known
            made += [mark for mark in known[2] if mark.name not in silent]
        self._between = kept
        self._frames = {mark.name: mark.frame for mark in made if mark.frame > status.frame}
        waits = self._look_ahead(status, blocks, now, silent)
        self._frames |= {mark.name: mark.frame for mark in waits}
        self.marks = (*made, *waits)

    def _look_ahead(
        self, status: Status, blocks: Sequence[Block], now: ParameterSnapshot | None, silent: frozenset[str]
    ) -> list[Mark]:
        """The changes that no block holds yet."""
        if not blocks or now is None or status.engine.block_duration <= 0:
            self._waiting = {}
            return []
        if status.past.ago is not None:  # what plays again keeps its own knobs
            self._waiting = {}
            return []
        newest, length = blocks[-1], round(status.engine.block_duration * status.sample_rate)
        in_work = status.seconds_queued <= status.engine.deadline_seconds
        countdown = status.clock.countdown
        due = 0 if countdown is None else status.frame + round(countdown * status.sample_rate)
        waiting: dict[str, _Waiting] = {}
        for name, seen in _texts(now, newest.heard.values, newest.heard.counts).items():
            if name in silent:
                continue
            old = self._waiting.get(name)
            index = newest.index + (2 if in_work else 1)
            if old is not None and old.seen == seen:
                index = max(old.index, newest.index + 1)
                waiting[name] = _Waiting(seen, index, due or old.frame)
            else:
                waiting[name] = _Waiting(seen, index, due)
        self._waiting = waiting
        return [
            Mark(
                max(newest.end_frame + (one.index - newest.index - 1) * length, one.frame),
                name,
                one.seen,
                True,
            )
            for name, one in waiting.items()
        ]

    def seconds(self, name: str) -> float | None:
        """Return the seconds until the newest change of a name is heard; None if none is on its way."""
        frame = self._frames.get(name)
        return None if frame is None else max(0.0, (frame - self._now) / self._rate)

    def text(self, name: str) -> str:
        """Return the words for a tile: "in 1.2 s"; empty if no change is on its way.

        While the music loops, a change that no block holds yet only "waits".
        """
        if self._looping and name in self._waiting:
            return "waits"
        seconds = self.seconds(name)
        return "" if seconds is None else f"in {seconds:.1f} s"

    @property
    def names(self) -> frozenset[str]:
        """The names with a change on its way."""
        return frozenset(self._frames)


def _marks(before: Block, after: Block) -> tuple[Mark, ...]:
    old, new = before.heard, after.heard
    found = [
        Mark(after.start_frame, name, text) for name, text in _texts(new, old.values, old.counts).items()
    ]
    if after.again is not None and (before.again is None or after.jump is not None):
        found.insert(0, Mark(after.start_frame, AGAIN, "again"))
    elif after.again is None and before.again is not None:
        found.insert(0, Mark(after.start_frame, AGAIN, "new music"))
    return tuple(found)


def _texts(now: ParameterSnapshot, values: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, str]:
    """What differs, in words: "Noise 0.62", "Re-roll". A difference that has no other text is none."""
    found: dict[str, str] = {}
    for name, value in now.values.items():
        old = values.get(name)
        parameter = BY_NAME.get(name)
        if parameter is None or old is None or old == value:
            continue
        if (text := parameter.text(value)) != parameter.text(old):
            found[name] = f"{parameter.label} {text}"
    for name in ACTIONS:
        if now.counts.get(name) != counts.get(name):
            found[name] = ACTIONS_BY_NAME[name].label
    return found
