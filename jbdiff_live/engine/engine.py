"""The engine: one thread that makes block n+1 while block n plays, starting as late as it safely can.

Threads: `run` and everything it calls is the engine thread, which may block on the model and on a full ring.
`start`, `stop`, `wake` belong to the session; `status` may be read by anyone (one reference, swapped whole).
The engine never drops a finished block: it waits for room. Short of time it makes cheaper blocks (`Ladder`).
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from jbdiff_live.block import Block, BlockGenerator, Rung
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
        clock: Callable[[], float] = time.monotonic,
        ladder: bool = True,
    ) -> None:
        """ladder False: every block gets all of its work, and one that is late leaves a silence."""
        self._generator = generator
        self._ring = ring
        self._snapshot = snapshot
        self._queued = queued
        self._on_block = on_block
        self._clock = clock
        self._cheaper = ladder
        self._status = EngineStatus()
        self._delivered = 0  # frames since the music began, or began anew: without any no block can be late
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------ session's thread

    def start(self) -> None:
        """Starts the thread; does nothing while it runs."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self._status = EngineStatus(state=EngineState.LOADING)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Asks the thread to end and waits for it. Raises TimeoutError if the generator hangs."""
        thread = self._thread
        if thread is None:
            return
        self._stop.set()
        self._wake.set()
        thread.join(timeout)
        if thread.is_alive():
            raise TimeoutError(f"the engine did not stop within {timeout:g} s: a block hangs in the model")
        self._thread = None

    def wake(self) -> None:
        """Something should not wait for the next deadline: a panic, a stack that is ready. Any thread."""
        self._wake.set()

    def close(self) -> None:
        """Stops the thread and lets the generator's memory go."""
        self.stop()
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
            if self._generator.prepare(
                lambda detail: self._say(EngineState.WARMING, detail), lambda: not self._stop.is_set()
            ):
                self._play()
            self._say(EngineState.OFFLINE, "")
        except Exception as error:  # the thread's top: whatever broke, the player must see it
            log.info("engine failed", exc_info=True)
            self._say(EngineState.FAILED, f"{error}" or type(error).__name__)

    def _play(self) -> None:
        generator, rate = self._generator, self._generator.sample_rate
        deadline = Deadline(generator.block_frames / rate)
        panics = self._snapshot().counts["panic"]
        made = late = 0
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
                generator.reset()
                self._ring.request_drain()
                self._delivered = 0
                reach.begin()
                step_reach.begin()
            elif self._can_switch(ahead, ladder.slowness, rate):
                generator.switch()
                deadline = Deadline(generator.block_frames / rate)
                ahead = 0.0
            began, ahead_of_it = self._clock(), self._queued() / rate
            rung, budget, seconds = Rung.FULL, math.inf, generator.rung_seconds
            if (
                self._cheaper and self._queued() < self._delivered
            ):  # else nothing plays that could be interrupted
                rung = ladder.choose(ahead_of_it, seconds)
                budget = ladder.budget(ahead_of_it, seconds)
            watch = BlockWatch(self._wanted(panics), budget, self._clock)
            generated = generator.next_block(snapshot, watch, rung)
            taken = self._clock() - began
            if self._snapshot().counts["panic"] != panics:
                continue  # a panic came in between: this block belongs to what is to be forgotten
            if generated is None:
                if watch.expected:  # broken off in time for a rung further down
                    ladder.broken_off(rung, watch.expected, seconds)
                    deadline.block_took(watch.expected)
                continue
            if not np.isfinite(generated.samples).all():
                raise RuntimeError(
                    "the model made a block that is not finite; lower guidance, or load another patch, "
                    "and press start"
                )
            if rung is Rung.REPEAT:
                ladder.rested()
            if not generated.mixed:
                if self._delivered:
                    ladder.took(rung, taken, seconds)
                full, own = seconds[Rung.FULL], seconds[rung]
                deadline.block_took(taken * full / own if own > 0 else taken)
            late += self._delivered > 0 and self._queued() == 0
            opens = 0 if generated.stack is None else generated.stack.latency_frames
            # A block that came late was heard as soon as it was made.
            heard_after = max(taken, ahead_of_it) + opens / rate
            reach.block(began, heard_after)
            if generated.read_at is not None:
                step_reach.block(generated.read_at, began + heard_after - generated.read_at)
            block = Block(
                generated.samples, made, self._ring.frames_written, snapshot, generated.noise, taken, rung,
                generated.stack, generated.turned,
            )  # fmt: skip
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
                late_blocks=late, rung=rung, made=block.heard,
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

    def _wanted(self, panics: int) -> Callable[[], bool]:
        """Whether a block is still wanted: not stopped, and no panic."""
        return lambda: not self._stop.is_set() and self._snapshot().counts["panic"] == panics

    def _least_queued(self, deadline: Deadline, ladder: Ladder, rate: int) -> float:
        """Seconds that are left queued whatever the deadline says: who waited until a whole block does not fit any more
        would make cheaper ones for ever. While stacks are mixed as much as before a switch.
        """
        mixing = self._generator.mixing_seconds
        if mixing is not None:
            return self._room(mixing, ladder.slowness, rate)
        needed = ladder.needed(self._generator.rung_seconds[Rung.FULL]) + WAKING_SECONDS
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
            if self._wake.wait(spare):
                self._wake.clear()
                return not self._stop.is_set()
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
