"""The tape: it starts and ends takes, and keeps the newest blocks so that a take begins at the audible frame.

Threads: `start`, `stop` and `close` belong to the session, `block_made` to the engine, `note` to the thread that
changed a value. Any thread may read the rest. A short lock makes sure that a new take misses no block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from jbdiff_live.block import Block, Saved
from jbdiff_live.parameters import Change
from jbdiff_live.record.again.states import StateBefore
from jbdiff_live.record.always import broken_rings
from jbdiff_live.record.keep import keep_ring
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.repair import broken_takes, repair_take
from jbdiff_live.record.room import TakeRoom, nearly_full
from jbdiff_live.stack_choice import StackPlaying
from jbdiff_live.status import RecorderStatus
from jbdiff_live.system.takes_folder import AlwaysOptions

RECENT_SECONDS = 14.0  # the window draws ten seconds, and a take may begin inside the oldest block


class Tape:
    """Recordings of one session.

    `folder` holds the takes. Blocks are made at most `keep_frames` ahead. `describe(playing)` gives the facts that a
    take keeps beside its sound. `playing` is the stack of its first block, or None if there is no block yet. `room`
    measures the disk; without it the status does not say what is left. `files()` gives functions that write further
    files into the take's folder. `always`: the ring that the recorder keeps, or None.
    """

    def __init__(
        self,
        recorder: Recorder,
        folder: Path,
        sample_rate: int,
        keep_frames: int,
        describe: Callable[[StackPlaying | None], Mapping[str, object]],
        room: TakeRoom | None = None,
        files: Callable[[], Iterable[Callable[[Path], object]]] = tuple,
        always: AlwaysOptions | None = None,
    ) -> None:
        self._recorder = recorder
        self._folder = folder
        self.sample_rate = sample_rate
        self._keep_frames = int(RECENT_SECONDS * sample_rate) + keep_frames
        self._describe = describe
        self._room = room
        self._files = files
        self._always = always
        self._lock = threading.Lock()
        self._recent: tuple[Block, ...] = ()
        self._states: tuple[StateBefore, ...] = ()  # the states before them, as far as there are some
        self._record_next = False
        self._begun_by_block = False  # True if the first block began the present take

    @property
    def recent(self) -> tuple[Block, ...]:
        """The newest blocks, oldest first."""
        return self._recent

    def status(self) -> RecorderStatus:
        status = self._recorder.status()
        if self._room is None:
            return status
        left = self._room.seconds_left()
        warning = status.warning or (nearly_full(left) if status.recording else "")
        return replace(status, seconds_left=left, warning=warning)

    def at(self, frame: int) -> Block | None:
        """Return the block that holds the session's `frame`, or None if it is no longer kept."""
        return next((b for b in self._recent if b.start_frame <= frame < b.end_frame), None)

    def start(self, frame: int) -> None:
        """Record from `frame` on, including the blocks that are made and not yet played.

        A take that the first block has just begun goes on. RuntimeError: another take is being recorded.
        """
        with self._lock:
            if self._begun_by_block and self._recorder.status().recording:
                return
            self._record_next, self._begun_by_block = False, False
            self._start(frame, [block for block in self._recent if block.end_frame > frame])

    def start_with_next_block(self) -> None:
        """Record from the first frame of the next block that is made."""
        self._record_next = True

    def _start(self, frame: int, blocks: list[Block]) -> None:
        playing = blocks[0].stack if blocks else None
        first = blocks[0].index if blocks else 0
        self._recorder.start(self._folder, frame, self._describe(playing), blocks, self._files())
        for state in self._states:
            if state.index >= first:
                self._recorder.offer_state(state)

    def stop(self, end_frame: int) -> None:
        """Close the take at `end_frame`. Does nothing if none is recorded."""
        self._record_next = False
        if self._recorder.status().recording:
            self._recorder.stop(end_frame)

    def close(self) -> None:
        """Close a running take, and end the writer's thread."""
        self._recorder.close()

    @property
    def folder(self) -> Path:
        """The folder that holds the takes."""
        return self._folder

    def broken_takes(self) -> list[Path]:
        """Return the takes that a crash or a power cut broke off, and the rings. Blocks on the disk."""
        rings = [] if self._always is None else broken_rings(self._always.folder)
        return [*broken_takes(self._folder), *rings]

    def recover(self) -> list[Path]:
        """Make every broken take whole, and a take of every broken ring. Return their folders.

        TakeError: one of them cannot be read. TakeWriteError: the disk refuses.
        """
        folders = [repair_take(folder).folder for folder in broken_takes(self._folder)]
        for ring in [] if self._always is None else broken_rings(self._always.folder):
            folders.append(keep_ring(ring, self._folder))
        for folder in folders:
            self._recorder.closed(folder)
        return folders

    def keep(self, frame: int, everything: bool) -> None:
        """Make a take of the last minutes before the session's `frame`, or of everything since the music started.

        Returns at once. RuntimeError: always recording is off.
        """
        minutes = None if everything or self._always is None else self._always.keep_minutes
        playing = self._recent[-1].stack if self._recent else None
        self._recorder.keep(self._folder, frame, minutes, self._describe(playing), self._files())

    def stopped(self) -> None:
        """The music has stopped: `keep` of everything begins after this."""
        self._recorder.stopped()

    def block_made(self, block: Block) -> None:
        """Engine: keep a block and record it; never waits for the disk."""
        oldest = block.end_frame - self._keep_frames
        with self._lock:
            self._recent = (*(b for b in self._recent if b.end_frame > oldest), block)
            if self._record_next:
                self._record_next, self._begun_by_block = False, True
                self._start(block.start_frame, [block])
            else:
                self._recorder.offer(block)

    def state_kept(self, block: Block, before: Saved) -> None:
        """Engine: keep the state before a block, after `block_made`; never waits for the disk."""
        state = StateBefore(block.index, block.start_frame, before)
        with self._lock:
            oldest = self._recent[0].index if self._recent else block.index
            self._states = (*(known for known in self._states if known.index >= oldest), state)
            self._recorder.offer_state(state)

    def note(self, change: Change, frame: int) -> None:
        """Record a change of a value. frame: the audible frame at that moment. Never waits."""
        self._recorder.note(change, frame)
