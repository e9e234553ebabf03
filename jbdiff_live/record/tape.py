"""What is recorded and from which frame on: keeps the newest blocks, so that a take begins with what is heard now.

Threads: `start`, `stop` and `close` belong to the session, `block_made` to the engine, `note` to whichever changed a
value; the rest anyone may read. A short lock keeps a block from falling between the newest blocks and a new take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from jbdiff_live.block import Block
from jbdiff_live.parameters import Change
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.stack_choice import StackPlaying
from jbdiff_live.status import RecorderStatus

RECENT_SECONDS = 14.0  # the window draws ten of them, and a recording may begin inside the oldest


class Tape:
    """Recordings of one session.

    `folder` is where takes go. `keep_frames` is how far blocks are made ahead at most. `describe(playing)` gives what a
    take keeps beside its sound; `playing` is the stack of its first block, None when there is no block yet.
    """

    def __init__(
        self,
        recorder: Recorder,
        folder: Path,
        sample_rate: int,
        keep_frames: int,
        describe: Callable[[StackPlaying | None], Mapping[str, object]],
    ) -> None:
        self._recorder = recorder
        self._folder = folder
        self.sample_rate = sample_rate
        self._keep_frames = int(RECENT_SECONDS * sample_rate) + keep_frames
        self._describe = describe
        self._lock = threading.Lock()
        self._recent: tuple[Block, ...] = ()
        self._record_next = False
        self._begun_by_block = False  # the take that is recorded, if one is

    @property
    def recent(self) -> tuple[Block, ...]:
        """The newest blocks, oldest first."""
        return self._recent

    def status(self) -> RecorderStatus:
        return self._recorder.status()

    def at(self, frame: int) -> Block | None:
        """The block that holds the session's `frame`, if it is still kept."""
        return next((b for b in self._recent if b.start_frame <= frame < b.end_frame), None)

    def start(self, frame: int) -> None:
        """Record from `frame` on, with the blocks that are made and not heard yet.

        A take that the first block has just begun goes on. Raises RuntimeError if another take is being recorded.
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
        self._recorder.start(self._folder, frame, self._describe(playing), blocks)

    def stop(self, end_frame: int) -> None:
        """Close the take at `end_frame`; does nothing when none is recorded."""
        self._record_next = False
        if self._recorder.status().recording:
            self._recorder.stop(end_frame)

    def close(self) -> None:
        """Close a take that is left, and end the writer's thread."""
        self._recorder.close()

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

    def note(self, change: Change, frame: int) -> None:
        """A value changed while `frame` was being heard. Never waits."""
        self._recorder.note(change, frame)
