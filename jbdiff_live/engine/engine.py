"""The engine: one thread that makes block n+1 while block n plays, starting as late as it safely can.

Threads: `_run` and everything it calls is the engine thread, which may block on the model and on a full ring.
`start`, `ask_to_stop`, `stop`, `close` belong to the session, `wake` to anyone; `status` may be read by anyone (one
reference, swapped whole). The engine never drops a finished block: it waits for room. Short of time it makes cheaper
blocks (`Ladder`).
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import replace

from jbdiff_live.block import Block, BlockGenerator, Rung
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.engine.checks import check
from jbdiff_live.engine.deadline import Deadline
from jbdiff_live.engine.ladder import BlockWatch, Ladder
from jbdiff_live.engine.reach import Reach
from jbdiff_live.engine.standing import behind_sound
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import EngineState, EngineStatus

log = logging.getLogger(__name__)

# What is queued before stacks are switched, over the time that the first block is expected to take.
SWITCH_ROOM = 1.5
SWITCH_LEAST_SECONDS = 0.25
WAKING_SECONDS = 0.01  # from the moment that was waited for to the choice of a rung
STOP_SECONDS = 5.0  # that a step of a block may take at the end: stacks of v1 need one or two on a CPU


class Engine:
    """Runs a `BlockGenerator` on its own thread and fills a ring. Its blocks may change their length.

    `snapshot` gives the knobs, `queued` the frames that are made and not yet heard (ring and short ring),
    `on_block` hears of every block right after it went into the ring; it runs on the engine thread and must
    not block. A generator that raises ends in FAILED with its reason; `start` tries again.
    """

    def __init__(
        self,
        generator: BlockGenerator,
        ring: RingBuffer,
        snapshot: Callable[[], ParameterSnapshot],
        queued: Callable[[], int],
        on_block: Callable[[Block], None],
        clock: Clock = MACHINE,
        ladder: bool = True,
        knobs: Callable[[int, int], ParameterSnapshot] | None = None,
    ) -> None:
        """ladder False: every block gets all of its work, and one that is late leaves a silence.

        knobs: gives what a block follows whose first new sound is at a frame, and how many frames it has; it is called
        right before the block is made. None: the snapshot as it is.
        """
        self._generator = generator
        self._ring = ring
        self._snapshot = snapshot
        self._queued = queued
        self._on_block = on_block
        self._clock = clock
        self._cheaper = ladder
        self._knobs = knobs
        self._status = EngineStatus()
        self._delivered = 0  # frames since the music began, or began anew: without any no block can be late
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------ session's thread

    def start(self) -> None:
        """Start the thread; does nothing while it plays. RuntimeError when it still hangs after a stop."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            if self._stop.is_set():
                raise RuntimeError(f"the engine cannot start: {self._status.detail}")
            if self._status.state not in (EngineState.FAILED, EngineState.OFFLINE):
                return
            thread.join()  # it has written its last status and does nothing more
        self._stop.clear()
        self._wake.clear()
        self._status = EngineStatus(state=EngineState.LOADING)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the thread end after the step in work. Returns at once."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._stop.set()
        self._wake.set()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Ask the thread to end and wait for it. A failure stays to be read until the next start.

        TimeoutError when a step takes longer than `timeout`. The thread then ends with that step, and the status says
        what it is busy with.
        """
        thread = self._thread
        if thread is None:
            return
        before = self._status
        self.ask_to_stop()
        thread.join(timeout)
        if thread.is_alive():
            raise TimeoutError(self._hangs(thread, before, timeout))
        self._thread = None

    def _hangs(self, thread: threading.Thread, before: EngineStatus, timeout: float) -> str:
        """Put into words, and into the status, that the thread does not end."""
        if before.state in (EngineState.FAILED, EngineState.STOPPING):
            return before.detail  # said at an earlier stop
        if before.state is EngineState.RUNNING:
            state = EngineState.FAILED
            detail = (
                f"a block hangs in the model for more than {timeout:g} s; wait until it ends, or quit and start "
                "jbdiff-live again"
            )
        else:
            state = EngineState.STOPPING
            detail = f"still busy with {before.detail}; press start again when that has ended"
        self._say(state, detail)
        if not thread.is_alive():  # it ended between the two lines above: its own last word counts
            self._say(EngineState.OFFLINE, "")
        return detail

    def wake(self) -> None:
        """Something should not wait for the next deadline: a panic, a stack that is ready. Any thread."""
        self._wake.set()

    def close(self, timeout: float = STOP_SECONDS) -> None:
        """Stop the thread and let the generator's memory go. TimeoutError as in `stop`; the generator is closed."""
        try:
            self.stop(timeout)
        finally:
            self._generator.close()

    @property
    def status(self) -> EngineStatus:
        """The newest status. RUNNING with nothing left to play is COASTING: the block is late."""
        status = self._status
        if status.state is EngineState.RUNNING and self._delivered and self._queued() == 0:
            return replace(status, state=EngineState.COASTING, detail="the next block is late")
        return status

    # ------------------------------------------------------------------ engine thread

    def _run(self) -> None:
        behind_sound()
        try:
            self._say(EngineState.LOADING, "loading the model")
            if self._generator.prepare(lambda detail: self._say(EngineState.WARMING, detail), self._running):
                self._play()
            self._say(EngineState.OFFLINE, "")
        except Exception as error:  # the thread's top: whatever broke, the player must see it
            log.info("engine failed", exc_info=True)
            self._say(EngineState.FAILED, f"{error}" or type(error).__name__)

    def _play(self) -> None:
        generator, rate = self._generator, self._generator.sample_rate
        deadline = Deadline(generator.block_frames / rate)
        panics = self._snapshot().counts["panic"]
        # Panics from before the start are answered too: the output is silent until the newest one is.
        self._ring.answer_panics(panics)
        heard: ParameterSnapshot | None = None  # what the knobs were for the newest block that is no loop
        made = late = opens = 0
        ladder, reach, step_reach = Ladder(), Reach(), Reach()
        ahead = 0.0  # seconds made beyond the deadline since a stack waits to be switched to
        self._delivered = 0
        self._say(
            EngineState.RUNNING, "",
            block_duration=deadline.block_duration, deadline_seconds=deadline.seconds,
        )  # fmt: skip
        while self._wait_until_due(deadline, self._least_queued(deadline, ladder, rate), rate):
            snapshot = self._snapshot()
            if snapshot.counts["panic"] != panics:
                panics = snapshot.counts["panic"]
                self._delivered = 0
                self._say(EngineState.RUNNING, "", beginning=True)
                self._ring.answer_panics(panics)
                generator.reset(self._running)
                reach.begin()
                step_reach.begin()
            elif self._can_switch(ahead, ladder.slowness, rate):
                generator.switch()
                ladder.new_stack()
                deadline = Deadline(generator.block_frames / rate)
                ahead = 0.0
            began, ahead_of_it = self._clock.now(), self._queued() / rate
            seconds = generator.rung_seconds
            if self._cheaper and self._queued() < self._delivered:
                rung = ladder.choose(ahead_of_it, seconds)
                budget = ladder.budget(ahead_of_it, seconds)
            else:  # nothing plays that could be interrupted
                rung, budget = ladder.take_time(), math.inf
            watch = BlockWatch(self._wanted(panics), budget, self._clock.now)
            if self._knobs is not None:
                snapshot = self._knobs(self._ring.frames_written + opens, generator.block_frames)
            generated = generator.next_block(snapshot, watch, rung)
            taken = self._clock.now() - began
            if not self._running():
                return
            if self._snapshot().counts["panic"] != panics:
                continue  # a panic came in between: this block belongs to what is to be forgotten
            if generated is None:
                if watch.expected:  # broken off in time for a rung further down
                    ladder.broken_off(rung, watch.expected, seconds)
                    deadline.block_took(watch.expected)
                continue
            check(generated.samples, rung, generator.block_frames, generator.channels)
            if self._delivered:
                ladder.made(rung, None if generated.mixed else taken, seconds)
            if not generated.mixed:
                full, own = seconds[Rung.FULL], seconds[rung]
                deadline.block_took(taken * full / own if own > 0 else taken)
            late += self._delivered > 0 and self._queued() == 0
            opens = 0 if generated.stack is None else generated.stack.latency_frames
            # A block that came late was heard as soon as it was made.
            heard_after = max(taken, ahead_of_it) + opens / rate
            loops = rung >= Rung.LOOP
            if not loops:  # a loop lets no knob be heard
                reach.block(began, heard_after)
            if not loops and generated.read_at is not None:
                step_reach.block(generated.read_at, began + heard_after - generated.read_at)
            block = Block(
                generated.samples, made, self._ring.frames_written, snapshot, generated.noise, taken, rung,
                generated.stack, generated.turned, looped=heard if loops else None, beat=generated.beat,
            )  # fmt: skip
            heard = block.heard
            if not self._deliver(block):
                return
            self._delivered += block.frames
            made += 1
            ahead = 0.0 if generator.switch_seconds is None else ahead + block.frames / rate
            self._say(
                EngineState.RUNNING, "",
                blocks_made=made, block_seconds=taken, block_seconds_p99=deadline.p99,
                block_duration=deadline.block_duration, deadline_seconds=deadline.seconds,
                reach_median=reach.median, reach_p99=reach.p99,
                step_reach_median=step_reach.median, step_reach_p99=step_reach.p99,
                late_blocks=late, rung=rung, made=block.heard, beginning=False,
            )  # fmt: skip

    def _can_switch(self, ahead: float, slowness: float, rate: int) -> bool:
        """Whether a stack waits, and enough is queued to make the first block with it, which takes longer.

        While it is not, blocks are made ahead. A stack too slow to get `ahead` is left all the same.
        """
        seconds = self._generator.switch_seconds
        if seconds is None:
            return False
        needed = self._room(seconds, slowness, rate)
        return self._queued() / rate >= needed or ahead > needed + self._status.block_duration

    def _room(self, seconds: float, slowness: float, rate: int) -> float:
        """Seconds to be queued before a block that takes longer than those after it, as far as the ring has room."""
        most = (self._ring.capacity - self._generator.block_frames) / rate
        return min(SWITCH_ROOM * slowness * seconds + SWITCH_LEAST_SECONDS, most)

    def _running(self) -> bool:
        return not self._stop.is_set()

    def _wanted(self, panics: int) -> Callable[[], bool]:
        """Whether a block is still wanted: not stopped, and no panic."""
        return lambda: self._running() and self._snapshot().counts["panic"] == panics

    def _least_queued(self, deadline: Deadline, ladder: Ladder, rate: int) -> float:
        """Return the seconds of queue at which the next block is started, whatever the deadline says.

        A whole block has to fit in them: an engine that waited longer would make cheaper blocks for ever. While two
        stacks are mixed it is as much as before a switch.
        """
        mixing = self._generator.mixing_seconds
        if mixing is not None:
            return self._room(mixing, ladder.slowness, rate)
        needed = ladder.needed(Rung.FULL, self._generator.rung_seconds) + WAKING_SECONDS
        return min(deadline.most, needed)

    def _wait_until_due(self, deadline: Deadline, least: float, rate: int) -> bool:
        """Waits until the queue is down to the deadline or to `least` seconds, or a stack waits. False when the engine
        is to stop.
        """
        waited = False
        while not self._stop.is_set():
            if self._generator.switch_seconds is not None:
                return True
            spare = self._queued() / rate - max(deadline.seconds, least)
            if spare <= 0:
                if waited:
                    deadline.woke_late(-spare)
                return True
            waited = True
            self._clock.wait_until(self._clock.now() + spare, self._wake)
            if self._wake.is_set():
                self._wake.clear()
                return self._running()
        return False

    def _deliver(self, block: Block) -> bool:
        """Writes the whole block, waiting for room; False when the engine is to stop before that."""
        written = self._ring.write(block.samples)
        self._on_block(block)
        while written < block.frames:
            if self._stop.wait(0.01):
                return False
            written += self._ring.write(block.samples[written:])
        return True

    def _say(self, state: EngineState, detail: str, **changes: object) -> None:
        self._status = replace(self._status, state=state, detail=detail, **changes)  # type: ignore[arg-type]
