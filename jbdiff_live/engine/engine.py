"""The engine: one thread that makes block n+1 while block n plays, starting as late as it safely can.

Threads: `_run` and everything that it calls runs on the engine thread, which may block on the model and on a full ring.
`start`, `ask_to_stop`, `stop`, `close` belong to the session. Any thread may call `wake`, `jump` and `begin_anew`, and
read `status` (one reference, swapped whole). `jump` may deliver blocks on the thread that calls it, while the engine's
thread is inside the model. The engine never drops a finished block: it waits for room. If time is short
it makes cheaper blocks (`Ladder`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from jbdiff_live.block import Block, BlockGenerator, Preparing, Rung, Saved
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.engine.checks import check
from jbdiff_live.engine.delivery import Delivery
from jbdiff_live.engine.past.machine import TimeMachine
from jbdiff_live.engine.past.meanwhile import Meanwhile, play_stored
from jbdiff_live.engine.timing.timekeeper import Timekeeper
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import EngineState, EngineStatus
from jbdiff_live.system.thread_priority import behind_sound

log = logging.getLogger(__name__)

# Blocks that play again are delivered up to this queue while the model works: a step takes less, even if slow.
MEANWHILE_SECONDS = 1.5
STOP_SECONDS = 5.0  # limit for the step in work at a stop: stacks of v1 need one or two on a CPU


class Engine:
    """The thread that runs a `BlockGenerator` and fills a ring. The length of its blocks may change.

    `snapshot` gives the knobs, `queued` the frames that are made and not yet played (ring and short ring).
    `on_block` gets every block right after it went into the ring. It runs on the engine thread and must not block.
    If the generator raises, the state becomes FAILED, with the reason; `start` tries again.
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
        past: TimeMachine | None = None,
    ) -> None:
        """ladder: False gives every block all of its work; a late block leaves a silence.

        knobs: returns a block's snapshot. Its arguments are the frame of the block's first new sound and the number of
        its frames. It is called right before the block is made. None: the block uses `snapshot`.

        past: the time machine. None: one that nobody can ask for a jump; it keeps one block.
        """
        self._generator = generator
        self._ring = ring
        self._snapshot = snapshot
        self._queued = queued
        self._clock = clock
        self._cheaper = ladder
        self._knobs = knobs
        self._past = past or TimeMachine(generator, seconds=0.0)
        self._made = 0  # blocks since the session began
        self._heard: ParameterSnapshot | None = None  # the knobs of the newest block that is no loop
        self._opens = 0  # frames of silence at the beginning of the stack's first block
        self._before: Saved | None = None  # the generator's state before the newest block
        self._status = EngineStatus()
        self._meanwhile = Meanwhile()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self.anew = threading.Event()  # set until `begin_anew` is done: blocks from before it are dropped
        self._out = Delivery(ring, on_block, self._stop, lambda: self._snapshot().counts["panic"])
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()  # a pad and the window may start at the same moment

    # ------------------------------------------------------------------ session's thread

    def start(self) -> None:
        """Start the thread. Does nothing while it plays. RuntimeError if it still hangs after a stop."""
        with self._starting:
            thread = self._thread
            if thread is not None and thread.is_alive():
                if self._stop.is_set() and self._status.state is not EngineState.OFFLINE:
                    raise RuntimeError(f"the engine cannot start: {self._status.detail}")
                if self._status.state not in (EngineState.FAILED, EngineState.OFFLINE):
                    return
                thread.join()  # it has written its last status and does nothing more
            self._stop.clear()
            self._wake.clear()
            self.anew.clear()
            self._status = EngineStatus(state=EngineState.LOADING)
            self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
            self._thread.start()

    def ask_to_stop(self) -> None:
        """Let the thread end after the step in work. Returns at once."""
        with self._starting:  # a thread that is being started has to end too
            thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._stop.set()
        self._wake.set()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Ask the thread to end and wait for it. `status` keeps a failure until the next start.

        TimeoutError if a step takes longer than `timeout`. The thread then ends after that step, and the status shows
        the work in progress.
        """
        with self._starting:
            thread = self._thread
        if thread is None:
            return
        before = self._status
        self.ask_to_stop()
        thread.join(timeout)
        if thread.is_alive():
            raise TimeoutError(self._hangs(thread, before, timeout))
        with self._starting:
            if self._thread is thread:  # else it plays again already
                self._thread = None

    def _hangs(self, thread: threading.Thread, before: EngineStatus, timeout: float) -> str:
        """Return the message for a thread that does not end, and put it into the status."""
        if before.state in (EngineState.FAILED, EngineState.STOPPING):
            return before.detail  # an earlier stop has written the message
        state, detail = _words_of_hang(before, timeout)
        self._say(state, detail)
        if not thread.is_alive():  # it ended between the two lines above: its own last status counts
            self._say(EngineState.OFFLINE, "")
        return detail

    def wake(self) -> None:
        """Wake the engine before the next deadline, for a panic or a stack that is ready. Any thread."""
        self._wake.set()

    def jump(self) -> None:
        """Do the jump that the time machine was asked for, at once if its blocks are made. Any thread."""
        self._meanwhile.act()
        self._wake.set()

    def begin_anew(self) -> None:
        """Drop the queued frames and begin the music again, before the sound device plays. Any thread."""
        self.anew.set()
        self._wake.set()

    def close(self, timeout: float = STOP_SECONDS) -> None:
        """Stop the thread and close the generator. TimeoutError as in `stop`; the generator is closed even then."""
        try:
            self.stop(timeout)
        finally:
            self._generator.close()

    @property
    def status(self) -> EngineStatus:
        """The newest status. RUNNING becomes COASTING if nothing is left to play: the block is late."""
        status = self._status
        if status.state is EngineState.RUNNING and self._out.frames and self._queued() == 0:
            return replace(status, state=EngineState.COASTING, detail="the next block is late")
        return status

    # ------------------------------------------------------------------ engine thread

    def _run(self) -> None:
        behind_sound()
        try:
            self._say(EngineState.LOADING, "loading the model")
            if self._generator.prepare(self._getting_ready, self._running):
                self._play()
            self._say(EngineState.OFFLINE, "", rung=Rung.FULL)
        except Exception as error:  # the thread's top: the player must see every failure
            log.info("engine failed", exc_info=True)
            self._say(EngineState.FAILED, f"{error}" or type(error).__name__, rung=Rung.FULL)

    def _getting_ready(self, work: Preparing) -> None:
        """Put the generator's progress into the status."""
        self._say(EngineState.WARMING if work.warming else EngineState.LOADING, work.detail)

    def _play(self) -> None:
        times = self._new_times()
        panics = self._snapshot().counts["panic"]
        # Panics from before the start are answered too: the output is silent until the newest one is answered.
        self._ring.answer_panics(panics)
        self._heard = None
        self._opens = 0
        self._out.begin()
        self._say(EngineState.RUNNING, "", **vars(times.figures))
        self._past.begin()
        try:
            while times.wait_until_due(self._stop, self._wake):
                if self.anew.is_set():
                    self.anew.clear()
                    panics = self._snapshot().counts["panic"]
                    self._begin_anew(panics)
                    times = self._new_times()  # nothing plays yet: make as many blocks as at a first start
                elif self._snapshot().counts["panic"] != panics:
                    panics = self._snapshot().counts["panic"]
                    self._begin_anew(panics)
                    times.begin_anew()
                elif times.can_switch():
                    self._past.other_stack()
                    self._generator.switch()
                    times.switched()
                self._past.jump(self._ring.frames_written - self._queued(), self._snapshot())
                block = self._past.again(self._knobs_of_block)
                block = self._new_block(times, panics) if block is None else self._numbered(block)
                if not self._running() or (block is not None and not self._out.write(block, panics)):
                    return
                if block is not None:
                    self._count(block, times)
        finally:
            self._past.end()

    def _knobs_of_block(self) -> ParameterSnapshot:
        """Return the next block's knobs, and make the changes that waited for it."""
        if self._knobs is None:
            return self._snapshot()
        return self._knobs(self._ring.frames_written + self._opens, self._generator.block_frames)

    def _new_block(self, times: Timekeeper, panics: int) -> Block | None:
        """Make a block. None: it was broken off, or a panic or jump came meanwhile, and it belongs to older music."""
        generator = self._generator
        attempt = times.begin_block(self._wanted(panics), self._out.frames)
        snapshot = self._knobs_of_block()
        counted, before, made = self._past.counted(snapshot), self._past.before(), self._made
        with self._meanwhile.doing(lambda: self._jump_meanwhile(before, panics)):
            generated = generator.next_block(counted, attempt.watch, attempt.rung)
        taken = self._clock.now() - attempt.began
        if not self._running() or self._snapshot().counts["panic"] != panics or self._made != made:
            return None
        if generated is None:
            times.broken_off(attempt)
            return None
        check(generated.samples, attempt.rung, generator.block_frames, generator.channels)
        times.block_made(attempt, generated, taken, self._out.frames)
        self._opens = 0 if generated.stack is None else generated.stack.latency_frames
        block = Block(
            generated.samples, self._made, self._ring.frames_written, counted, generated.noise, taken, attempt.rung,
            generated.stack, generated.turned, looped=self._heard if attempt.rung >= Rung.LOOP else None,
            novelty=generated.novelty,
            beat=generated.beat,
            files=generated.files,
            given=generated.given,
        )  # fmt: skip
        self._before = before
        return self._past.marked(block, snapshot)

    def _jump_meanwhile(self, before: Saved | None, panics: int) -> None:
        """Do a jump that was asked for while a block is made, and deliver the first blocks that play again.

        Runs on the thread that asked. before: the generator's state before the block in the making. The block is given
        up: the generator's state is restored when the music goes on.
        """
        snapshot = self._snapshot()
        if self._running() and snapshot.counts["panic"] == panics:
            ahead = int(MEANWHILE_SECONDS * self._generator.sample_rate)
            play_stored(
                self._past, self._ring, snapshot, before, self._queued, ahead, lambda block: self._again(block, panics)
            )  # fmt: skip

    def _again(self, block: Block, panics: int) -> None:
        block = self._numbered(block)
        self._out.write(block, panics)
        self._note(block)

    def _numbered(self, block: Block) -> Block:
        """Return a block that plays again, at its new place."""
        return replace(block, index=self._made, start_frame=self._ring.frames_written)

    def _count(self, block: Block, times: Timekeeper) -> None:
        """Note a block that was delivered, and the times."""
        self._note(block)
        times.delivered(block.frames)
        self._say(EngineState.RUNNING, "", **vars(times.figures))

    def _note(self, block: Block) -> None:
        """Note a block that was delivered."""
        self._heard = block.heard
        if block.again is None:
            self._past.made(block, self._before)
        else:
            self._past.played_again(block)
        self._made += 1
        self._say(
            EngineState.RUNNING, "", blocks_made=block.index + 1, block_seconds=block.seconds_taken, rung=block.rung,
            made=block.heard, beginning=False,
        )  # fmt: skip

    def _new_times(self) -> Timekeeper:
        return Timekeeper(self._generator, self._queued, self._ring.capacity, self._clock, self._cheaper)

    def _begin_anew(self, panics: int) -> None:
        """Answer a panic: drop the queued frames and reset the generator."""
        self._out.begin()
        self._say(EngineState.RUNNING, "", beginning=True)
        self._ring.answer_panics(panics)
        self._past.begin_anew()
        self._generator.reset(self._running)

    def _running(self) -> bool:
        return not self._stop.is_set()

    def _wanted(self, panics: int) -> Callable[[], bool]:
        """Return a function that is True until a stop, a jump or a new panic."""
        made = self._made
        return lambda: (
            self._running()
            and not self._past.asked
            and self._made == made
            and self._snapshot().counts["panic"] == panics
        )

    def _say(self, state: EngineState, detail: str, **changes: object) -> None:
        self._status = replace(self._status, state=state, detail=detail, **changes)  # type: ignore[arg-type]


def _words_of_hang(before: EngineStatus, timeout: float) -> tuple[EngineState, str]:
    """Return the state and the message for a thread that does not end. before: the status at the stop."""
    if before.state is EngineState.RUNNING:
        return EngineState.FAILED, (
            f"a block hangs in the model for more than {timeout:g} s; wait until it ends, or quit and start "
            "jbdiff-live again"
        )
    return EngineState.STOPPING, f"still busy with {before.detail}; press start again when that has ended"
