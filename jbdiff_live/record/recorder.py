"""Record what is heard, the engine's blocks and the player's changes, without ever delaying the music.

Threads: `offer` runs on the engine's thread, and `note` on the one that changed a value (inside the store's lock).
`start`, `stop` and `close` run on the session's. All of them only append to a queue under a short lock. Only the writer
thread touches the disk. `stop` and `close` wait for the writer, for a limited number of seconds.

The writer takes the heard sound from a `HeardTap` by itself. If the disk is too slow, the queue fills. Blocks are then
dropped and counted. The take holds silence and a gap event in their place, so that it stays in time. If the disk
refuses to write, the recording ends and the status gives the reason. The written part stays, and the music goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jbdiff_live.block import Block
from jbdiff_live.parameters import Change
from jbdiff_live.record.again.states import StateBefore
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.info import take_info
from jbdiff_live.record.keeper import Always, KeepJob
from jbdiff_live.record.running import LOOK_SECONDS, Facts, RunningTake
from jbdiff_live.record.take import TakeInfo
from jbdiff_live.record.writer import TakeWriteError
from jbdiff_live.status import RecorderStatus
from jbdiff_live.system.takes_folder import TAKE_SOUNDS, AlwaysOptions

log = logging.getLogger(__name__)

QUEUE_BLOCKS = 64  # about half a minute of the pocket stack, some 10 MB
QUEUE_NOTES = 20_000  # so many wait only if the disk is stuck; the blocks' snapshots still hold every value
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class _Start:
    parent: Path
    info: TakeInfo
    blocks: tuple[Block, ...]
    files: tuple[Callable[[Path], object], ...]


@dataclass(frozen=True)
class _Note:
    change: Change
    frame: int


@dataclass(frozen=True)
class _Stopped:
    """The music has stopped."""


@dataclass(frozen=True)
class _Stop:
    end_frame: int | None
    done: threading.Event


class _Look:
    """No job: time to look at the tap and the disk."""


_LOOK = _Look()
_Job = _Start | Block | StateBefore | _Note | KeepJob | _Stopped | _Stop | _Look


class Recorder:
    """One take at a time.

    tap: gives what was heard; without it a take has the engine's blocks. sound: what the next takes have, one of
    `TAKE_SOUNDS`. facts: the session as a take logs it. fallback: a folder for a take whose own folder is removed
    while it is recorded. closed: called on the writer's thread with the folder of each closed take. always: the ring
    that is recorded from the first sound on, for `keep`. say: tells the player what became of a kept take.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        queue_blocks: int = QUEUE_BLOCKS,
        tap: HeardTap | None = None,
        sound: str = "heard",
        facts: Callable[[], Facts] = Facts,
        fallback: Path | None = None,
        closed: Callable[[Path], object] = lambda folder: None,
        always: AlwaysOptions | None = None,
        say: Callable[[str], object] = lambda text: None,
    ) -> None:
        self._sample_rate = sample_rate
        self._channels = channels
        self._queue_blocks = queue_blocks
        self._tap = tap
        self._sound = "engine" if tap is None else sound
        self._facts = facts
        self._fallback = fallback
        self.closed = closed
        self._thread: threading.Thread | None = None
        # The condition's lock guards all attributes below, except the writer's own take.
        self._ready = threading.Condition()
        self._queue: deque[_Job | None] = deque()
        self._blocks_waiting = 0
        self._notes_waiting = 0
        self._accepting = False
        self._missing_to = 0  # the session's frame up to which blocks were dropped
        self._status = RecorderStatus()
        # The writer thread's own.
        self._take: RunningTake | None = None
        self._info = partial(take_info, sample_rate, channels)
        self.always = Always(always, tap, facts, self._info, sample_rate, self.closed, say)

    # ------------------------------------------------------------------ any thread

    def status(self) -> RecorderStatus:
        warning, seconds = self._status.warning or self.always.problem, self.always.seconds
        return replace(self._status, warning=warning, sound=self._sound, always_seconds=seconds)

    def choose_sound(self, sound: str) -> None:
        """Let takes have one of `TAKE_SOUNDS`, from the next one on.

        ValueError: another word, or there is no heard sound to record.
        """
        if sound not in TAKE_SOUNDS:
            raise ValueError(f"a take with {sound!r}: choose one of {', '.join(TAKE_SOUNDS)}")
        if self._tap is None and sound != "engine":
            raise ValueError("no heard sound reaches the recorder; a take has the engine's sound")
        self._sound = sound

    def start(
        self,
        folder: Path,
        start_frame: int,
        info: Mapping[str, object],
        blocks: Iterable[Block] = (),
        files: Iterable[Callable[[Path], object]] = (),
    ) -> None:
        """Begin a take in a new folder inside `folder`. Returns at once; `status` shows a refusal of the disk.

        The take begins at the session's `start_frame`; `blocks` are those already made that reach past it.
        `info` is kept: app_version, patch, stack, stack_identity, weights_licence, values and seed have their own
        places. `files` write further files into the take's folder, on the writer's thread.
        RuntimeError while another take is being recorded.
        """
        waiting = tuple(sorted(blocks, key=lambda block: block.start_frame))
        made = self._info(Path(folder), start_frame, info, waiting, self._sound)
        start = _Start(Path(folder), made, waiting, tuple(files))
        with self._ready:
            if self._accepting:
                raise RuntimeError(f"already recording into {self._status.folder}; stop that take first")
            self._begin()
            self._accepting = True
            self._missing_to = 0
            self._status = RecorderStatus(recording=True)
            self._add(start)

    def offer(self, block: Block) -> bool:
        """Engine: queue a block; never waits. Return False if it was not taken."""
        with self._ready:
            if self.always.on:
                self._begin()
            elif not self._accepting:
                return False
            if self._blocks_waiting >= self._queue_blocks:
                if not self._accepting:
                    return False
                self._missing_to = max(self._missing_to, block.end_frame)
                self._status = replace(self._status, dropped_blocks=self._status.dropped_blocks + 1)
                return False
            self._blocks_waiting += 1
            self._add(block)
            return True

    def offer_state(self, state: StateBefore) -> None:
        """Engine: queue the state before a block that was offered; never waits. The writer keeps few of them."""
        self._put(state)

    def note(self, change: Change, frame: int) -> None:
        """Queue a change of a value, or an action. frame: the audible frame at that moment. Never waits."""
        self._put(_Note(change, frame))

    def _put(self, job: _Note | StateBefore) -> None:
        with self._ready:
            wanted = self._accepting or (self.always.on and self._thread is not None)
            if wanted and self._notes_waiting < QUEUE_NOTES:
                self._notes_waiting += 1
                self._add(job)

    def stop(self, end_frame: int | None = None) -> None:
        """End the take at the session's `end_frame` (None: with the last block), and wait until it is closed.

        Blocks are offered before they play, so frames behind `end_frame` are cut off again.
        """
        done = threading.Event()
        with self._ready:
            if not self._accepting:
                return
            self._accepting = False
            self._add(_Stop(end_frame, done))
        if not done.wait(STOP_SECONDS):
            self._complain("the disk does not answer; the take is closed when it does")

    def keep(
        self,
        folder: Path,
        end_frame: int,
        minutes: float | None,
        info: Mapping[str, object],
        files: Iterable[Callable[[Path], object]] = (),
    ) -> None:
        """Make a take of the last minutes before `end_frame`, in a new folder inside `folder`. Returns at once.

        minutes: None is everything since the music last started. RuntimeError: nothing is recorded into a ring.
        """
        if not self.always.on or self._thread is None:
            raise RuntimeError("nothing to keep: play first. Settings or --always-minutes switch it on")
        job = KeepJob(folder, end_frame, minutes, self._info(folder, 0, info, (), self._sound), tuple(files))
        with self._ready:
            self._add(job)

    def stopped(self) -> None:
        """The music has stopped: `keep` of everything begins after this."""
        with self._ready:
            if self.always.on and self._thread is not None:
                self._add(_Stopped())

    def _add(self, job: _Job | None) -> None:
        """Queue a job. The lock is held."""
        self._queue.append(job)
        self._ready.notify()

    def _begin(self) -> None:
        """Start the writer's thread. The lock is held."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End a running take and the writer thread."""
        self.stop()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._ready:
            self._add(None)
        thread.join(timeout=STOP_SECONDS)
        self.always.wait(STOP_SECONDS)

    # ------------------------------------------------------------------ the writer

    def _work(self) -> None:
        while True:
            with self._ready:
                if not self._queue:
                    idle = self._take is None and not self.always.awake
                    self._ready.wait(None if idle else LOOK_SECONDS)
                job = self._queue.popleft() if self._queue else _LOOK
                # A block counts until it is written, since it still takes memory.
                if isinstance(job, _Note | StateBefore):
                    self._notes_waiting -= 1
            if job is None:
                self.always.close()
                return
            try:
                _do_always(self.always, job)
                self._do(job)
                self._look()
            except TakeWriteError as error:
                self._fail(str(error), error)
            except Exception as error:  # the thread's top: the player sees it, and the next take may succeed
                self._fail(f"recording stopped: {error!r}", error)
            finally:
                if isinstance(job, Block):
                    with self._ready:
                        self._blocks_waiting -= 1
                elif isinstance(job, _Stop):
                    with self._ready:
                        if not self._start_waits():
                            self._status = replace(self._status, recording=False)
                    job.done.set()

    def _do(self, job: _Job) -> None:
        if isinstance(job, _Start):
            self._take = RunningTake(job.parent, job.info, self._tap, self._facts, self._fallback)
            with self._ready:
                self._status = replace(self._status, folder=self._take.folder)
            for write in job.files:
                self._take.add(write)
            for block in job.blocks:
                self._write(block)
        elif self._take is None:
            return  # the take failed: the queue's remaining items are dropped
        elif isinstance(job, Block):
            self._write(job)
        elif isinstance(job, StateBefore):
            self._take.write_state(job)
        elif isinstance(job, _Note):
            self._take.write_change(job.change, job.frame)
        elif isinstance(job, _Stop):
            take, self._take = self._take, None
            with self._ready:
                missing_to, dropped = self._missing_to, self._status.dropped_blocks
            try:
                take.finish(job.end_frame, missing_to, problem="", dropped_blocks=dropped)
            except TakeWriteError as error:
                self._complain(str(error))
            finally:
                self._show(take)
            self.closed(take.folder)

    def _look(self) -> None:
        """Write what was heard meanwhile, and show how far the take is."""
        if (take := self._take) is not None:
            try:
                take.look()
            finally:
                self._show(take)

    def _show(self, take: RunningTake) -> None:
        with self._ready:
            self._status = replace(self._status, frames=take.frames, folder=take.folder, warning=take.warning)

    def _write(self, block: Block) -> None:
        assert self._take is not None
        if block.samples.shape[1] != self._channels:
            raise ValueError(f"a block of shape {block.samples.shape} in a take of {self._channels} channels")
        self._take.write_block(block)

    def _fail(self, problem: str, error: Exception) -> None:
        """End the take after a failure, keep its written part, and show the problem to the player."""
        log.warning("recording: %s", problem, exc_info=None if isinstance(error, TakeWriteError) else error)
        take, self._take = self._take, None
        with self._ready:
            recording = self._start_waits()
            self._accepting = self._accepting and recording
            # One assignment: nobody sees the end without its reason.
            self._status = replace(self._status, recording=recording, problem=problem)
            dropped = self._status.dropped_blocks
        if take is None:
            return
        try:
            take.finish(None, 0, problem, dropped)
        except TakeWriteError as second:
            log.info("closing the broken take: %s", second)

    def _start_waits(self) -> bool:
        """Return True if the next take was asked for while this one was being closed. The lock is held."""
        return any(isinstance(job, _Start) for job in self._queue)

    def _complain(self, problem: str) -> None:
        log.warning("recording: %s", problem)
        with self._ready:
            self._status = replace(self._status, problem=problem)


def _do_always(ring: Always, job: _Job) -> None:
    """Give the ring its part of a job."""
    if isinstance(job, Block):
        ring.write_block(job)
    elif isinstance(job, StateBefore):
        ring.write_state(job)
    elif isinstance(job, _Note):
        ring.write_change(job.change, job.frame)
    elif isinstance(job, _Stopped):
        ring.stopped()
    elif isinstance(job, KeepJob):
        ring.keep(job)
    ring.look()
