"""The tape: it starts and ends takes, and keeps the newest blocks so that a take begins at the audible frame.

A take that is asked for before the player's start begins with the first sound. The blocks that were made before it may
be made again, so they are in no take until then.

Threads: `start`, `stop` and `close` belong to the session, `block_made` to the engine, `note` to the thread that
changed a value. Any thread may read the rest. A short lock makes sure that a new take misses no block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from jbdiff_live.block import Block, Saved
from jbdiff_live.parameters import Change
from jbdiff_live.record.again.states import StateBefore
from jbdiff_live.record.always import broken_rings
from jbdiff_live.record.keep import keep_ring
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.repair import broken_takes, repair_take
from jbdiff_live.record.room import TakeRoom, nearly_full
from jbdiff_live.record.take import TakeError
from jbdiff_live.record.writer import TakeWriteError
from jbdiff_live.stack_choice import StackPlaying
from jbdiff_live.status import RecorderStatus
from jbdiff_live.system.takes_folder import TAKE_FILES, AlwaysOptions

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
        self._armed = False  # the next start begins a take
        self._next: Callable[[Block], bool] | None = None  # the block for which it is true begins a take
        self._states: tuple[StateBefore, ...] = ()  # the states before them, as far as there are some
        self._moved: dict[
            Path, Path | None
        ] = {}  # folders of takes that have other names now; None: in the trash
        self._begun_by_block = False  # True if the first block began the present take

    @property
    def recent(self) -> tuple[Block, ...]:
        """The newest blocks, oldest first."""
        return self._recent

    def status(self) -> RecorderStatus:
        status = replace(self._recorder.status(), takes=self._folder, always=self._always)
        if status.folder in self._moved:
            status = replace(status, folder=self._moved[status.folder])
        if self.waits:
            status = replace(status, recording=True)
        if self._room is None:
            return status
        left = self._room.seconds_left()
        left = None if left is None else left / TAKE_FILES[status.sound]
        warning = status.warning or (nearly_full(left) if status.recording else "")
        return replace(status, seconds_left=left, warning=warning)

    def at(self, frame: int) -> Block | None:
        """Return the block that holds the session's `frame`, or None if it is no longer kept."""
        return next((b for b in self._recent if b.start_frame <= frame < b.end_frame), None)

    @property
    def waits(self) -> bool:
        """True if a take was asked for that begins with the first sound."""
        return self._armed or self._next is not None

    def start(self, frame: int) -> None:
        """Record from `frame` on, including the blocks that are made and not yet played.

        A take that the first block has just begun goes on. RuntimeError: another take is being recorded.
        """
        with self._lock:
            if self._begun_by_block and self._recorder.status().recording:
                return
            self._armed, self._next, self._begun_by_block = False, None, False
            self._start(frame, self._from(frame))

    def arm(self) -> None:
        """Record from the first sound of the next start on."""
        self._armed = True

    def begin(self, frame: int, anew: bool) -> None:
        """Begin the take that `arm` asked for; does nothing without one. Call it at the player's start.

        frame: the audible one. anew: the blocks that are made are dropped, and the music begins again.
        """
        with self._lock:
            if not self._armed:
                return
            self._armed = False
            made = [] if anew else self._from(frame)
            if made:
                self._begun_by_block = True
                self._start(frame, made)
            else:
                # A block that was in work at the start is of the old music.
                self._next = (lambda block: block.anew) if anew else (lambda block: True)

    def _from(self, frame: int) -> list[Block]:
        """Return the newest blocks that reach past `frame`. The lock is held."""
        return [block for block in self._recent if block.end_frame > frame]

    def start_with_next_block(self) -> None:
        """Record from the first frame of the next block that is made."""
        self._next = lambda block: True

    def _start(self, frame: int, blocks: list[Block]) -> None:
        playing = blocks[0].stack if blocks else None
        first = blocks[0].index if blocks else 0
        self._recorder.start(self._folder, frame, self._describe(playing), blocks, self._files())
        for state in self._states:
            if state.index >= first:
                self._recorder.offer_state(state)

    def stop(self, end_frame: int) -> None:
        """Close the take at `end_frame`. Does nothing if none is recorded."""
        self._armed, self._next = False, None
        if self._recorder.status().recording:
            self._recorder.stop(end_frame)

    def close(self) -> None:
        """Close a running take, and end the writer's thread."""
        self._recorder.close()

    @property
    def folder(self) -> Path:
        """The folder that holds the takes."""
        return self._folder

    def choose_folder(self, folder: Path) -> None:
        """Let takes go into a folder, from the next one on."""
        self._folder = folder
        if self._room is not None:
            self._room.move(folder)

    def choose_sound(self, sound: str) -> None:
        """Let takes have "heard", "engine", "both" or "stems", from the next one on. ValueError: another word."""
        self._recorder.choose_sound(sound)

    def choose_always(self, options: AlwaysOptions | None) -> None:
        """Keep more or fewer of the last minutes from now on; None: none."""
        self._always = options
        self._recorder.always.choose(options)

    def broken_takes(self) -> list[Path]:
        """Return the takes that a crash or a power cut broke off, and the rings. Blocks on the disk."""
        rings = [] if self._always is None else broken_rings(self._always.folder)
        return [*broken_takes(self._folder), *rings]

    def recover(self) -> list[Path]:
        """Make every broken take whole, and a take of every broken ring. Return their folders.

        TakeError: one of them cannot be read, or the disk refuses. The others are made whole before it is raised.
        """
        rings = [] if self._always is None else broken_rings(self._always.folder)
        work: list[Callable[[], Path]] = [partial(_repaired, folder) for folder in broken_takes(self._folder)]
        work += [partial(keep_ring, ring, self._folder) for ring in rings]
        folders: list[Path] = []
        problems: list[TakeError | TakeWriteError] = []
        for recovered in work:
            try:
                folders.append(recovered())
            except (TakeError, TakeWriteError) as error:
                problems.append(error)
        for folder in folders:
            self._recorder.closed(folder)
        if problems:
            others = f"; recovered beside it: {len(folders)}" if folders else ""
            raise TakeError(f"{problems[0]}{others}") from problems[0]
        return folders

    def keep(self, frame: int, everything: bool) -> None:
        """Make a take of the last minutes before the session's `frame`, or of everything since the music started.

        Returns at once. RuntimeError: always recording is off.
        """
        minutes = None if everything or self._always is None else self._always.keep_minutes
        playing = self._recent[-1].stack if self._recent else None
        self._recorder.keep(self._folder, frame, minutes, self._describe(playing), self._files())

    def moved(self, old: Path, new: Path | None) -> None:
        """Follow the folder of the last take: `new` is its new folder, or None if it is in the trash."""
        self._moved |= {first: new for first, last in self._moved.items() if last == old} | {old: new}

    def stopped(self) -> None:
        """The music has stopped: `keep` of everything begins after this."""
        self._recorder.stopped()

    def block_made(self, block: Block) -> None:
        """Engine: keep a block and record it; never waits for the disk."""
        oldest = block.end_frame - self._keep_frames
        with self._lock:
            self._recent = (*(b for b in self._recent if b.end_frame > oldest), block)
            if self._recorder.status().recording:
                self._next = None  # the take that is being recorded goes on
            if self._next is not None and self._next(block):
                self._next, self._begun_by_block = None, True
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


def _repaired(folder: Path) -> Path:
    """Make a broken take whole, and return its folder. TakeError: it cannot be read."""
    return repair_take(folder).folder
