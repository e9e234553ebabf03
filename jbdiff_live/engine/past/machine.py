"""The time machine: it brings back the music of the last ten minutes, and lets it go on from there.

A jump goes to the beginning of an earlier block. From there the same blocks play again, sample for sample, until a hand
turns something or the newest block is over. Then the generator goes on freely, from its state at that place.

Threads: `ask` and `status` belong to any thread, `landed` to the one that makes a change; only one does at a time. The
rest belongs to the engine. While that is inside the model, the thread that asked for a jump does it (`meanwhile.py`). A
lock guards the number of blocks that is asked for. The status is one reference, swapped whole.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jbdiff_live.block import NOTHING_GIVEN, Audio, Block, BlockGenerator, Jump, Rewinds, Saved
from jbdiff_live.engine.past.deliveries import Deliveries
from jbdiff_live.engine.past.line import Entry, Line
from jbdiff_live.engine.past.presses import Presses
from jbdiff_live.parameters import BY_NAME, Change, Origin, ParameterSnapshot, TakesEffect
from jbdiff_live.scenes.view import GO_ON, PastStatus

KEPT_SECONDS = 600.0
# Ten minutes of pocket take 374 MB, and 572 MB with the shortest blocks. An original stack, whose states are larger,
# reaches less far.
KEPT_BYTES = 640 << 20
EDGE_SECONDS = 0.02  # fade at a place where the music once began anew
OTHER_STACK = "another stack played before"
NOTHING_PLAYS = "nothing plays now; press start"
NO_HANDS = frozenset({Origin.CV, Origin.REPLAY})  # a voltage moves all the time, as an LFO does
NO_TURNS = frozenset(
    {"tap", "panic", "marker"} | {p.name for p in BY_NAME.values() if p.takes_effect is TakesEffect.NOW}
)


class TimeMachine:
    """The log of what was played, and the way back in it.

    `landed` gets the changes of knobs. `others` returns a value that changes when the player changes something else
    that the music obeys, such as a file. `say` answers the player. `kept` gets each new block with the state before it,
    on the engine thread; it must not block.
    Call `begin` when the music starts and `end` when it stops. Before each block: `jump`, `again`; if that gives no
    block, `before`, `counted` and, after the block, `made`.
    """

    def __init__(
        self,
        generator: BlockGenerator,
        others: Callable[[], object] = lambda: None,
        say: Callable[[str], None] = lambda words: None,
        seconds: float = KEPT_SECONDS,
        most_bytes: int = KEPT_BYTES,
        kept: Callable[[Block, Saved], None] = lambda block, before: None,
    ) -> None:
        self._generator = generator if isinstance(generator, Rewinds) else None
        self._rate = generator.sample_rate
        self._others = others
        self._turns = 0  # changes of knobs since the session began
        self._say = say
        self._kept = kept
        self._line = Line(int(seconds * self._rate), most_bytes)
        self._lock = threading.Lock()
        self._asked = 0  # blocks to go back; below 0: forward
        self._plays = False
        self._status = PastStatus()
        self._reason = "nothing is kept yet; wait until the first block is over"
        # Engine's.
        self._next: int | None = None  # place of the next block to play again; None: the music goes on freely
        self._present: Saved | None = None  # the state behind the newest block, while older ones play again
        self._touched: object = None  # value of `_hands()` at the jump
        self._presses = Presses()
        self._newest: int | None = None  # index of the newest block of this music
        self._jumped: Jump | None = None  # for the next block
        self._resumes: int | None = None  # for the next new block, as `Block.resumes`
        self._present_resumes: int | None = None  # the same for the newest music, during a repetition
        self._deliveries = Deliveries()

    # ------------------------------------------------------------------ any thread

    def ask(self, blocks: int, silent: str = "") -> None:
        """Ask for a jump by so many blocks: above 0 back, below 0 forward. Presses add up until it is done.

        silent: why nothing plays, in words for the player; empty if the music plays.
        """
        if silent or not self._plays:
            self._say(f"{_word(blocks)}: {silent or NOTHING_PLAYS}")
            return
        with self._lock:
            self._asked += blocks

    def landed(self, change: Change) -> None:
        """Note a change that reaches the music. It ends a repetition if a hand, a scene or a patch made it."""
        if change.origin not in NO_HANDS and change.name not in NO_TURNS:
            self._turns += 1

    def _hands(self) -> object:
        return self._turns, self._others()

    @property
    def asked(self) -> bool:
        """True if a jump waits for the engine."""
        return self._asked != 0

    @property
    def status(self) -> PastStatus:
        return self._status

    # ------------------------------------------------------------------ engine thread

    def begin(self) -> None:
        """Begin new music. What was played before stays in reach, if the generator can still make it."""
        self._leave_line()
        self._newest = None
        self._plays = True
        if self._line.end > self._line.first and not self._fits(self._line[self._line.end - 1].before):
            self.forget(OTHER_STACK)
        self._tell()

    def end(self) -> None:
        """Note that the music has stopped."""
        self._plays = False
        with self._lock:
            self._asked = 0
        self._leave_line()
        self._tell()

    def begin_anew(self) -> None:
        """Begin new music after a panic. What was played stays in reach."""
        self._leave_line()
        self._newest = None
        self._deliveries.clear()
        self._tell()

    def _leave_line(self) -> None:
        """End a repetition: the music that comes next begins anew."""
        self._next = self._present = self._jumped = self._resumes = None

    def other_stack(self) -> None:
        """Make ready for a stack that takes over: it continues the music that plays, even if that plays again."""
        if self._next is not None:
            self._go_on()
        self.forget(OTHER_STACK)

    def forget(self, reason: str) -> None:
        """Forget everything that was played. reason: words for a player who wants to go back."""
        self._reason = reason
        self._next = self._present = None
        # `_jumped` stays: if no block has followed a jump yet, the output still has to crossfade.
        self._line.clear()
        self._deliveries.clear()

    def jump(self, heard: int, now: ParameterSnapshot) -> bool:
        """Do the jump that was asked for. Return True if the next block is to follow at once.

        heard: the audible frame. now: the present knobs.
        """
        with self._lock:
            blocks, self._asked = self._asked, 0
        if not blocks:
            return False
        present = self._present if self._next is not None else self.before()
        if refusal := self._refusal(blocks, present):
            self._say(f"{_word(blocks)}: {refusal}")
            return False
        self._go_to(self._place(heard, blocks), blocks, now, present)
        return True

    def jump_meanwhile(self, heard: int, now: ParameterSnapshot, before: Saved | None, room: int) -> bool:
        """Do the jump that was asked for while the engine makes a block. Return False if it is left to the engine.

        That is so if the jump is refused, or if its first block is not made yet or has more frames than `room`. Any
        thread, while the engine's thread is inside the model. before: the state before the block in the making; None
        while two stacks are mixed.
        """
        blocks = self._asked
        present = self._present if self._next is not None else before
        if not blocks or self._refusal(blocks, present):
            return False
        place = self._place(heard, blocks)
        if place == self._line.end or self._line[place].block.frames > room:
            return False
        with self._lock:
            self._asked -= blocks
        self._go_to(place, blocks, now, present)
        return True

    def _go_to(self, place: int, blocks: int, now: ParameterSnapshot, present: Saved | None) -> None:
        """Jump to a place of the line. present: the state behind the newest block."""
        if self._next is None:
            self._present = present
            self._presses.leave()
            self._present_resumes, self._resumes = self._resumes, None
        self._touched = self._hands()
        self._presses.jump(now.counts)
        line, self._next = self._line, place
        self._deliveries.clear()
        self._jumped = Jump(line[place].after if place < line.end else line[line.end - 1].block.index)
        self._say(_answer(blocks, place, line))
        self._tell()

    def _place(self, heard: int, blocks: int) -> int:
        """Return the place that lies so many blocks before the audible one, as far as the line reaches."""
        audible = self._deliveries.audible(heard)
        if audible is None:
            audible = self._line.end if self._next is None else self._next
        return min(self._line.end, max(self._line.first, audible - blocks))

    def _refusal(self, blocks: int, present: Saved | None) -> str:
        """Return why there is no jump; empty if there can be one."""
        if self._generator is None:
            return "what plays now cannot be played again"
        if blocks < 0 and self._next is None:
            return "this is the newest music already"
        if self._line.end == self._line.first:
            return self._reason
        return "" if present is not None else "one stack fades into another; press again when that is over"

    def again(self, now: Callable[[], ParameterSnapshot]) -> Block | None:
        """Return the next block to play again, as it was made; None if the music goes on freely.

        now: returns the present knobs. It makes the changes that waited for the block.
        """
        if self._next is None:
            return None
        snapshot = now()
        if not self.stored:
            self._go_on()
            return None
        return self.take_stored(snapshot)

    @property
    def stored(self) -> int:
        """Frames of the next block if it plays again; 0 if the music goes on freely from here."""
        place = self._next
        if place is None or place == self._line.end or self._hands() != self._touched:
            return 0
        return self._line[place].block.frames

    def take_stored(self, now: ParameterSnapshot) -> Block:
        """Return the next block to play again. Only if `stored` is above 0. now: the present knobs."""
        assert self._next is not None
        place, self._next = self._next, self._next + 1
        edges = _edges(self._line, place, round(EDGE_SECONDS * self._rate))
        return replace(_again(self._line[place].block, edges), asked=now.counts, jump=self._take_jump())

    def _go_on(self) -> None:
        """Let the generator go on at the place that would play next. Later blocks are forgotten."""
        assert self._generator is not None and self._next is not None and self._present is not None
        place, line = self._next, self._line
        state, counts = self._present, self._presses.present
        if place < line.end:
            entry = line[place]
            state, self._newest = entry.before, entry.after
            # Before the very first block nothing was. The presses that it has seen itself belong to it.
            counts = entry.block.snapshot.counts if entry.counts is None else entry.counts
            self._resumes = entry.block.index
        else:
            self._resumes = self._present_resumes
        self._generator.restore(state, self._present)
        self._line.cut(place)
        self._presses.go_on(counts)
        self._next = self._present = None
        self._tell()

    def counted(self, snapshot: ParameterSnapshot) -> ParameterSnapshot:
        """Return the knobs with the action counts for the generator. They differ from the store's after a jump."""
        return self._presses.counted(snapshot)

    def before(self) -> Saved | None:
        """Return the generator's state before the next block; None while two stacks are mixed."""
        return None if self._generator is None else self._generator.save()

    def marked(self, block: Block, asked: ParameterSnapshot) -> Block:
        """Return a new block with its jump, if it is the first after one. asked: the knobs as the store has them."""
        counts = None if asked.counts is block.snapshot.counts else asked.counts
        resumes, self._resumes = self._resumes, None
        anew = self._newest is None and resumes is None
        return replace(block, jump=self._take_jump(), asked=counts, anew=anew, resumes=resumes)

    def _take_jump(self) -> Jump | None:
        jump, self._jumped = self._jumped, None
        return jump

    def made(self, block: Block, before: Saved | None) -> None:
        """Keep a new block that went into the queue. before: of `before`."""
        counts = self._presses.made(block.snapshot.counts)
        after, self._newest = self._newest, block.index
        if before is None:
            self.forget(OTHER_STACK)
            return
        line = self._line
        newest = line[line.end - 1].before if line.end > line.first else None
        if newest is not None and not self._fits(newest):
            self.forget(OTHER_STACK)
            newest = None
        before = before.compact(newest)
        self._deliveries.add(block.start_frame, line.end)
        # The sounds from outside would take more memory than the music.
        kept = replace(block, jump=None, given=NOTHING_GIVEN)
        line.append(Entry(kept, before, counts, after))
        self._kept(block, before)
        self._tell()

    def played_again(self, block: Block) -> None:
        """Note that a block of `again` went into the queue."""
        if self._next is not None:
            self._deliveries.add(block.start_frame, self._next - 1)
        self._tell()

    def _fits(self, saved: Saved) -> bool:
        return self._generator is not None and self._generator.fits(saved)

    def _tell(self) -> None:
        """Set the status. The place of the newest queued block counts; right after a jump, that of the first block."""
        line = self._line
        newest = self._deliveries.newest
        place = None if self._next is None else self._next if newest is None else newest
        ago = None if place is None else line.frames_from(max(line.first, place)) / self._rate
        self._status = PastStatus(line.frames / self._rate, ago, line.nbytes)


def _edges(line: Line, place: int, frames: int) -> tuple[int, int]:
    """Return the frames that an entry's sound fades in and out where the music began anew: no silence lies between."""
    count = min(frames, line[place].block.frames)
    ends = place + 1 < line.end and line[place + 1].begins
    return count * (line[place].begins and place > line.first), count * ends


def _again(block: Block, edges: tuple[int, int]) -> Block:
    """Return an older block as it plays again. edges: of `_edges`."""
    samples = with_edges(block.samples, edges)
    return replace(block, samples=samples, edges=edges, again=block.index, anew=False, resumes=None)


def with_edges(samples: Audio, edges: tuple[int, int]) -> Audio:
    """Return a sound, `[frames, channels]`, whose first and last frames fade. edges: how many."""
    if edges == (0, 0):
        return samples
    faded = samples.copy()
    for count, part in zip(edges, (slice(None, edges[0]), slice(len(samples) - edges[1], None)), strict=True):
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 1) / (count + 1))
        shape = rise.astype(np.float32)[:, None]
        faded[part] *= shape if part.start is None else shape[::-1]
    return faded


def _word(blocks: int) -> str:
    return "Back" if blocks >= 0 else "Forward"


def _answer(blocks: int, place: int, line: Line) -> str:
    """Return the words for a jump that is done. How old the music is changes while it plays: the status has it."""
    if place == line.end:
        return "Forward: the newest music; it goes on freely"
    oldest = "" if place > line.first else "; that is as far as it goes"
    return f"{_word(blocks)}: older music plays again{oldest}; {GO_ON}"
