"""Record the engine's blocks and the player's changes, without ever delaying the music.

Threads: `offer` runs on the engine's thread, and `note` on the one that changed a value (inside the store's lock).
`start`, `stop` and `close` run on the session's. All of them only append to a queue under a short lock. Only the writer
thread touches the disk. `stop` and `close` wait for the writer, for a limited number of seconds.

If the disk is too slow, the queue fills. Blocks are then dropped and counted. The take holds silence and a gap event
in their place, so that it stays in time. If the disk refuses to write, the recording ends and the status gives the
reason. The written part stays, and the music goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from jbdiff_live.block import Block
from jbdiff_live.parameters import Change
from jbdiff_live.record.take import TakeInfo
from jbdiff_live.record.writer import FLOAT_BYTES, TakeWriteError, TakeWriter
from jbdiff_live.shown import shown
from jbdiff_live.status import RecorderStatus

log = logging.getLogger(__name__)

QUEUE_BLOCKS = 64  # about half a minute of the pocket stack, some 10 MB
QUEUE_NOTES = 20_000
FILE_BYTES = 3_900_000_000  # WAV counts its bytes with 32 bits
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class _Start:
    parent: Path
    info: TakeInfo
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class _Note:
    change: Change
    frame: int


@dataclass(frozen=True)
class _Stop:
    end_frame: int | None
    done: threading.Event


class Recorder:
    """One take at a time. `file_bytes` is the size at which a WAV rolls over to the next."""

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        queue_blocks: int = QUEUE_BLOCKS,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self._sample_rate = sample_rate
        self._channels = channels
        self._queue_blocks = queue_blocks
        self._file_frames = max(1, file_bytes // (FLOAT_BYTES * channels))
        self._thread: threading.Thread | None = None
        # The condition's lock guards all attributes below, except the writer's own take.
        self._ready = threading.Condition()
        self._queue: deque[_Start | Block | _Note | _Stop | None] = deque()
        self._blocks_waiting = 0
        self._notes_waiting = 0
        self._accepting = False
        self._missing_to = 0  # the session's frame up to which blocks were dropped
        self._status = RecorderStatus()
        # The writer thread's own.
        self._take: TakeWriter | None = None

    # ------------------------------------------------------------------ any thread

    def status(self) -> RecorderStatus:
        return self._status

    def start(
        self, folder: Path, start_frame: int, info: Mapping[str, object], blocks: Iterable[Block] = ()
    ) -> None:
        """Begin a take in a new folder inside `folder`. Returns at once; `status` shows a refusal of the disk.

        The take begins at the session's `start_frame`; `blocks` are those already made that reach past it.
        `info` is kept: app_version, patch, stack, stack_identity, values and seed have their own places.
        RuntimeError while another take is being recorded.
        """
        waiting = tuple(sorted(blocks, key=lambda block: block.start_frame))
        start = _Start(Path(folder), self._take_info(start_frame, info, waiting), waiting)
        with self._ready:
            if self._accepting:
                raise RuntimeError(f"already recording into {self._status.folder}; stop that take first")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
                self._thread.start()
            self._accepting = True
            self._missing_to = 0
            self._status = RecorderStatus(recording=True)
            self._queue.append(start)
            self._ready.notify()

    def offer(self, block: Block) -> bool:
        """Engine: queue a block; never waits. Return False if it was not taken."""
        with self._ready:
            if not self._accepting:
                return False
            if self._blocks_waiting >= self._queue_blocks:
                self._missing_to = max(self._missing_to, block.end_frame)
                self._status = replace(self._status, dropped_blocks=self._status.dropped_blocks + 1)
                return False
            self._blocks_waiting += 1
            self._queue.append(block)
            self._ready.notify()
            return True

    def note(self, change: Change, frame: int) -> None:
        """Queue a change of a value, or an action. frame: the audible frame at that moment. Never waits."""
        with self._ready:
            # So many changes wait only if the disk is stuck. The blocks' snapshots still hold every value.
            if self._accepting and self._notes_waiting < QUEUE_NOTES:
                self._notes_waiting += 1
                self._queue.append(_Note(change, frame))
                self._ready.notify()

    def stop(self, end_frame: int | None = None) -> None:
        """End the take at the session's `end_frame` (None: with the last block), and wait until it is closed.

        Blocks are offered before they play, so frames behind `end_frame` are cut off again.
        """
        done = threading.Event()
        with self._ready:
            if not self._accepting:
                return
            self._accepting = False
            self._queue.append(_Stop(end_frame, done))
            self._ready.notify()
        if not done.wait(STOP_SECONDS):
            self._complain("the disk does not answer; the take is closed when it does")

    def close(self) -> None:
        """End a running take and the writer thread."""
        self.stop()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._ready:
            self._queue.append(None)
            self._ready.notify()
        thread.join(timeout=STOP_SECONDS)

    # ------------------------------------------------------------------ the writer

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._queue:
                    self._ready.wait()
                job = self._queue.popleft()
                # A block counts until it is written, since it still takes memory.
                if isinstance(job, _Note):
                    self._notes_waiting -= 1
            if job is None:
                return
            try:
                self._do(job)
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

    def _do(self, job: _Start | Block | _Note | _Stop) -> None:
        if isinstance(job, _Start):
            self._take = TakeWriter(job.parent, job.info, self._file_frames)
            with self._ready:
                self._status = replace(self._status, folder=self._take.folder)
            for block in job.blocks:
                self._write(block)
        elif self._take is None:
            return  # the take failed: the queue's remaining items are dropped
        elif isinstance(job, Block):
            self._write(job)
        elif isinstance(job, _Note):
            self._take.write_change(job.change, job.frame)
        else:
            take, self._take = self._take, None
            with self._ready:
                missing_to, dropped = self._missing_to, self._status.dropped_blocks
            try:
                take.finish(job.end_frame, missing_to, problem="", dropped_blocks=dropped)
            except TakeWriteError as error:
                self._complain(str(error))
            finally:
                with self._ready:
                    self._status = replace(self._status, frames=take.frames)

    def _write(self, block: Block) -> None:
        assert self._take is not None
        if block.samples.shape[1] != self._channels:
            raise ValueError(f"a block of shape {block.samples.shape} in a take of {self._channels} channels")
        try:
            self._take.write_block(block)
        finally:
            with self._ready:
                self._status = replace(self._status, frames=self._take.frames)

    def _fail(self, problem: str, error: Exception) -> None:
        """End the take after a failure, keep its written part, and show the problem to the player."""
        log.warning("recording: %s", problem, exc_info=error)
        take, self._take = self._take, None
        with self._ready:
            if not self._start_waits():
                self._accepting = False
                self._status = replace(self._status, recording=False)
            self._status = replace(self._status, problem=problem)
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

    def _take_info(
        self, start_frame: int, facts: Mapping[str, object], blocks: tuple[Block, ...]
    ) -> TakeInfo:
        info = {key: _shown(fact) for key, fact in facts.items()}
        known = ("app_version", "patch", "stack", "stack_identity", "values", "seed")
        values = dict(info.get("values", {}))
        seed = info.get("seed", blocks[0].snapshot["seed"] if blocks else values.get("seed"))
        details = {key: value for key, value in info.items() if key not in known}
        return TakeInfo(
            sample_rate=self._sample_rate,
            channels=self._channels,
            start_frame=start_frame,
            started=datetime.now().astimezone().isoformat(timespec="seconds"),
            seed=None if seed is None else int(seed),
            values=values,
            details=msgspec.to_builtins(details, enc_hook=str),
            app_version=str(info.get("app_version", "")),
            patch=str(info.get("patch", "")),
            stack=str(info.get("stack", "")),
            stack_identity=str(info.get("stack_identity", "")),
        )


def _shown(value: object) -> Any:  # Any: facts of all kinds, which end as JSON
    """Return the same facts, with text that can be written to any file."""
    if isinstance(value, str | Path):
        return shown(value)
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    return value
