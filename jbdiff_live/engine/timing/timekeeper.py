"""The start and the rung of the next block, from the times of the blocks so far. Engine thread only.

Joins `Deadline` (the latest start of a block), `Ladder` (the amount of its work) and `KnobDelay` (the time from a
knob's turn to its sound). Its clock and queue are the engine's; it never touches the ring or the sound.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jbdiff_live.block import BlockGenerator, Generated, Rung
from jbdiff_live.clock import Clock
from jbdiff_live.engine.timing.deadline import Deadline
from jbdiff_live.engine.timing.knob_delay import KnobDelay
from jbdiff_live.engine.timing.ladder import BlockWatch, Ladder

# Seconds queued before a switch of stacks, over the expected seconds of the first block.
SWITCH_ROOM = 1.5
SWITCH_LEAST_SECONDS = 0.25
WAKING_SECONDS = 0.01  # time from the end of the wait to the choice of a rung


@dataclass(frozen=True)
class Attempt:
    """One try at a block. `watch` runs after each step and breaks off a block that would be late."""

    rung: Rung
    watch: BlockWatch
    began: float  # on the engine's clock, in seconds
    queued: float  # seconds of sound that were queued then
    rung_seconds: Mapping[Rung, float]  # expected seconds of each rung
    begins: bool = False  # nothing plays before it


@dataclass(frozen=True)
class Figures:
    """Measured times in seconds, under the names of `EngineStatus`."""

    block_seconds_p99: float
    block_duration: float
    deadline_seconds: float
    reach_median: float
    reach_p99: float
    step_reach_median: float
    step_reach_p99: float
    late_blocks: int


@dataclass
class Timekeeper:
    """The timing of blocks. Call `wait_until_due`, `begin_block`, then `broken_off`, or `block_made` and `delivered`.

    `queued` gives the frames that are made and not yet played. `capacity` frames fit into the ring. With `cheaper`
    False every block gets all of its work.
    """

    generator: BlockGenerator
    queued: Callable[[], int]
    capacity: int
    clock: Clock
    cheaper: bool
    _ladder: Ladder = field(default_factory=Ladder)
    _block_delay: KnobDelay = field(default_factory=KnobDelay)  # of knobs that are read once for a block
    _step_delay: KnobDelay = field(default_factory=KnobDelay)  # of knobs that are read at each step
    _ahead: float = 0.0  # seconds made beyond the deadline since a stack is ready
    _late: int = 0
    _silent: bool = True  # nothing had played when the last block began

    def __post_init__(self) -> None:
        self._rate = self.generator.sample_rate
        self._deadline = self._new_deadline()

    def _new_deadline(self) -> Deadline:
        return Deadline(self.generator.block_frames / self._rate)

    # ------------------------------------------------------------------ before a block

    def wait_until_due(self, stop: threading.Event, wake: threading.Event) -> bool:
        """Wait until the queue is short enough, a stack is ready, or `wake` is set. Return False at a stop."""
        least = self._least_queued()
        waited = False
        while not stop.is_set():
            if self.generator.switch_seconds is not None:
                return True
            spare = self._queued_seconds() - max(self._deadline.seconds, least)
            if spare <= 0:
                if waited:
                    self._deadline.woke_late(-spare)
                return True
            waited = True
            self.clock.wait_until(self.clock.now() + spare, wake)
            if wake.is_set():
                wake.clear()
                return not stop.is_set()
        return False

    def _least_queued(self) -> float:
        """Return the lowest queue, in seconds, at which the next block starts, whatever the deadline.

        A whole block has to fit in it. If the engine waited longer, it would have to make every block cheaper. While
        two stacks are mixed the value is the same as before a switch.
        """
        mixing = self.generator.mixing_seconds
        if mixing is not None:
            return self._room(mixing)
        needed = self._ladder.needed(Rung.FULL, self.generator.rung_seconds) + WAKING_SECONDS
        return min(self._deadline.most, needed)

    def can_switch(self) -> bool:
        """True if a stack is ready and enough is queued to make its first block, which takes longer.

        Until then the engine makes blocks ahead. If the playing stack is too slow for that, the switch happens anyway.
        """
        seconds = self.generator.switch_seconds
        if seconds is None:
            return False
        needed = self._room(seconds)
        return self._queued_seconds() >= needed or self._ahead > needed + self._deadline.block_duration

    def _room(self, seconds: float) -> float:
        """Return the seconds to queue before a block that takes longer than the next, within the ring's room."""
        most = (self.capacity - self.generator.block_frames) / self._rate
        return min(SWITCH_ROOM * self._ladder.slowness * seconds + SWITCH_LEAST_SECONDS, most)

    def _queued_seconds(self) -> float:
        return self.queued() / self._rate

    def begin_block(self, wanted: Callable[[], bool], delivered: int) -> Attempt:
        """Choose a rung. delivered: frames since the music began; if all of them are still queued, no block is late."""
        began, queued = self.clock.now(), self._queued_seconds()
        seconds = self.generator.rung_seconds
        silent = self.queued() >= delivered
        if silent or self._silent:  # the time until the player starts the music is no delay of a knob
            self.begin_anew()
        self._silent = silent
        begins = not self.cheaper or silent
        if not begins:
            rung = self._ladder.choose(queued, seconds)
            budget = self._ladder.budget(queued, seconds)
        else:  # nothing plays, or no block is made cheaper: none can be late
            own = seconds if self.cheaper else {Rung.FULL: seconds[Rung.FULL]}
            rung, budget = self._ladder.begin(own, self._deadline.block_duration)
        watch = BlockWatch(wanted, budget, self.clock.now)
        return Attempt(rung, watch, began, queued, seconds, begins)

    # ------------------------------------------------------------------ after a block

    def broken_off(self, attempt: Attempt) -> None:
        """Learn that a block was broken off. If it would have been late, the next try is on a cheaper rung."""
        expected = attempt.watch.expected
        if expected and attempt.begins:
            self._ladder.begin_lower()
        if expected:
            self._ladder.broken_off(attempt.rung, expected, attempt.rung_seconds)
            self._deadline.block_took(expected)

    def block_made(self, attempt: Attempt, generated: Generated, taken: float, delivered: int) -> None:
        """Learn from a block. taken: its seconds. delivered: frames before it, since the music began."""
        rung, seconds = attempt.rung, attempt.rung_seconds
        if delivered:
            self._ladder.made(rung, None if generated.mixed else taken, seconds)
        if not generated.mixed:
            full, own = seconds[Rung.FULL], seconds[rung]
            self._deadline.block_took(taken * full / own if own > 0 else taken)
        self._late += delivered > 0 and self.queued() == 0
        if rung >= Rung.LOOP:  # a loop repeats older sound: no knob affects it
            return
        opens = 0 if generated.stack is None else generated.stack.latency_frames
        # A late block plays as soon as it is made.
        heard_after = max(taken, attempt.queued) + opens / self._rate
        self._block_delay.block(attempt.began, heard_after)
        if generated.read_at is not None:
            self._step_delay.block(generated.read_at, attempt.began + heard_after - generated.read_at)

    def delivered(self, frames: int) -> None:
        """Record that a block went into the ring."""
        self._ahead = 0.0 if self.generator.switch_seconds is None else self._ahead + frames / self._rate

    # ------------------------------------------------------------------ changes

    def begin_anew(self) -> None:
        """Begin the music again: the time since the last block does not count as a delay of a knob."""
        self._block_delay.begin()
        self._step_delay.begin()

    def switched(self) -> None:
        """Forget the times of the last stack: they do not predict the next one's."""
        self._ladder.new_stack()
        self._deadline = self._new_deadline()
        self._ahead = 0.0

    @property
    def figures(self) -> Figures:
        return Figures(
            block_seconds_p99=self._deadline.p99,
            block_duration=self._deadline.block_duration,
            deadline_seconds=self._deadline.seconds,
            reach_median=self._block_delay.median,
            reach_p99=self._block_delay.p99,
            step_reach_median=self._step_delay.median,
            step_reach_p99=self._step_delay.p99,
            late_blocks=self._late,
        )
