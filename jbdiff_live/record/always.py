"""The ring on disk: the last minutes of what was heard and of all events, for "keep that".

Thread: the writer's, except for the functions at the end. Blocks on the disk; raises `TakeWriteError`.

The ring is a row of short takes, the segments. The oldest ones are deleted as the music goes on. Because a segment is a
take, a crash loses no more of the ring than of a take. A ring is locked as long as its session writes it or somebody
recovers it, so that another instance leaves it alone.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jbdiff.file_lock import FileLock, NoLocksError, is_locked
from jbdiff_live.block import Block
from jbdiff_live.parameters import Change
from jbdiff_live.record.again.sounds import SOUNDS, SoundShelf
from jbdiff_live.record.again.states import StateBefore
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.lock import is_recorded
from jbdiff_live.record.running import Facts, RunningTake
from jbdiff_live.record.take import TakeError, TakeInfo, open_take
from jbdiff_live.record.writer import new_folder
from jbdiff_live.system.takes_folder import AlwaysOptions

log = logging.getLogger(__name__)

SEGMENT_SECONDS = 20.0
RESERVE_BYTES = 500_000_000  # left free on the disk
LOCK = "ring.lock"  # in the ring's folder
YOUNG_SECONDS = 60.0  # a ring without sound is left alone for this time: its session may be about to lock it
HEARD_AT = "heard_at"  # in a segment's details: the tap's position of its first frame


@dataclass(frozen=True)
class Span:
    """A part of the ring: the tap's positions between which it lies, and the folders of its segments, in order.

    The segments from its end to the newest one are there too, for their events.
    """

    segments: tuple[Path, ...]
    start: int
    end: int


class AlwaysRing:
    """The ring of one session. `info(frame)` gives the facts of a segment that begins at the session's `frame`.

    begins: the tap's position from which on sound is kept.
    """

    def __init__(
        self,
        options: AlwaysOptions,
        tap: HeardTap,
        facts: Callable[[], Facts],
        info: Callable[[int], TakeInfo],
        sample_rate: int,
        begins: int = 0,
    ) -> None:
        self._options, self._tap, self._facts, self._info = options, tap, facts, info
        self._begins = begins
        self._rate = sample_rate
        self._folder: Path | None = None  # of this session's segments; None before the first sound
        self._lock: FileLock | None = None  # from the first sound to the end
        self._blocks: list[Block] = []  # those that are heard from the newest segment on
        self._states: list[StateBefore] = []  # the states before them
        self._shelf: SoundShelf | None = None  # the segments share their sounds
        self._segment: RunningTake | None = None
        self._closed: list[tuple[Path, int]] = []  # folders, and the positions at which they begin
        self._number = 0
        self._run_began = 0  # position at which the music last started
        self.seconds = 0.0  # of sound that is kept; written whole, so any thread may read it
        self._held = threading.Event()  # set while a part is being copied: nothing is deleted
        self._segment_frames = round(SEGMENT_SECONDS * sample_rate)

    @property
    def parent(self) -> Path:
        """The folder in which this ring and those of other sessions lie."""
        return self._options.folder

    def resize(self, options: AlwaysOptions) -> None:
        """Take another length or size. The folder stays. What is too much is deleted now."""
        self._options = options
        self._delete_oldest()

    def write_block(self, block: Block) -> None:
        """Log a block. It is made before it plays, so the segments that follow may need it too."""
        self._blocks.append(block)
        if self._segment is not None:
            self._segment.write_block(block)

    def write_state(self, state: StateBefore) -> None:
        """Keep the state before a block, for this segment or the next."""
        self._states.append(state)
        if self._segment is not None:
            self._segment.write_state(state)

    def write_change(self, change: Change, frame: int) -> None:
        if self._segment is not None:
            self._segment.write_change(change, frame)

    @property
    def read_to(self) -> int:
        """The tap's position behind the last frame that was written."""
        return 0 if self._segment is None else self._segment.read_to

    def look(self) -> None:
        """Write what was heard meanwhile. Begin with the first sound, and a new segment after some seconds."""
        if self._segment is None:
            if self._tap.written > self._begins:
                delete_old_rings(self._options.folder)
                self._folder = new_folder(self._options.folder)
                self._lock = ring_lock(self._folder)
                self._lock.take()  # a new folder: nobody else has it
                self._shelf = SoundShelf(self._folder / SOUNDS, self._rate)
                self._begin(max(self._tap.oldest, self._begins))
            return
        self._segment.look()
        if self._segment.frames >= self._segment_frames:
            self._turn()
        oldest = self._closed[0][1] if self._closed else self._segment.heard_at or 0
        self.seconds = (self._segment.read_to - oldest) / self._rate

    def stopped(self) -> None:
        """The music has stopped: what is heard from now on belongs to the next run."""
        self._run_began = self._tap.written

    def span(self, end_frame: int, minutes: float | None) -> Span:
        """Return the last minutes before the session's `end_frame`; None: all since the music last started.

        Nothing of it is deleted until `let_go`.
        """
        self.look()
        end = self._tap.position_of(end_frame)
        end = self._tap.written if end is None else end
        self._held.set()
        if self._segment is not None:
            self._turn()
        start = self._run_began if minutes is None else end - round(minutes * 60 * self._rate)
        begins = [begin for _, begin in self._closed]
        start = max(start, begins[0] if begins else 0, 0)
        ends = [*begins[1:], self._tap.written]
        # Segments behind the end belong to it too: they may have events of its sound.
        found = [folder for (folder, _), last in zip(self._closed, ends, strict=False) if last > start]
        return Span(tuple(found) if start < end else (), start, end)

    def let_go(self) -> None:
        """The copy is made. Any thread."""
        self._held.clear()

    def close(self) -> None:
        """Close the newest segment. The ring stays on the disk until the next session begins."""
        segment, self._segment = self._segment, None
        try:
            if segment is not None:
                segment.finish(None)
        finally:
            self.release()

    def release(self) -> None:
        """Let other instances have the ring: to recover it if it was broken off, or to delete it."""
        if self._lock is not None:
            self._lock.release()

    def _begin(self, at: int) -> None:
        place = self._tap.places(at, at + 1)
        frame = place[0].frame if place else 0
        info = self._info(frame)
        info = msgspec.structs.replace(info, sound="heard", details={**info.details, HEARD_AT: at})
        self._number += 1
        assert self._folder is not None
        self._segment = RunningTake(
            self._folder, info, self._tap, self._facts, name=f"{self._number:06d}", heard_at=at,
            shelf=self._shelf,
        )  # fmt: skip
        self._blocks = [block for block in self._blocks if block.end_frame > frame]
        for block in self._blocks:
            self._segment.write_block(block)
        oldest = self._blocks[0].index if self._blocks else 0
        self._states = [state for state in self._states if state.index >= oldest]
        for state in self._states:
            self._segment.write_state(state)

    def _turn(self) -> None:
        """Close the segment, begin the next one where it ends, and delete the oldest ones."""
        segment = self._segment
        assert segment is not None
        self._segment = None
        segment.finish(None)
        self._closed.append((segment.folder, segment.heard_at or 0))
        self._begin(segment.read_to)
        self._delete_oldest()

    def _delete_oldest(self) -> None:
        """Delete the oldest segments while there are too many."""
        while self._closed and not self._held.is_set() and self._too_long():
            shutil.rmtree(self._closed.pop(0)[0], ignore_errors=True)

    def _too_long(self) -> bool:
        most = max(1, round(self._options.seconds(self._rate) / SEGMENT_SECONDS))
        if len(self._closed) >= most:
            return True
        try:
            return shutil.disk_usage(self._options.folder).free < RESERVE_BYTES
        except OSError:
            return False


# ---------------------------------------------------------------------- any thread, at a session's start


def segments(ring: Path) -> tuple[Path, ...]:
    """Return the segments of a ring in order."""
    return tuple(sorted(path.parent for path in ring.glob("*/take.json")))


def broken_rings(folder: Path) -> list[Path]:
    """Return the rings that a crash broke off, oldest first."""
    return [ring for ring in _ended(folder) if not _closed_cleanly(ring)]


def delete_old_rings(folder: Path) -> None:
    """Delete the rings of sessions that ended as they should."""
    for ring in _ended(folder):
        if _closed_cleanly(ring):
            shutil.rmtree(ring, ignore_errors=True)


def ring_lock(ring: Path) -> FileLock:
    """Return the lock of a ring, not taken yet."""
    return FileLock(ring / LOCK)


def _ended(folder: Path) -> list[Path]:
    """Return the rings that no process uses."""
    try:
        rings = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []
    return [ring for ring in rings if not _in_use(ring)]


def _in_use(ring: Path) -> bool:
    """Return True if a session writes this ring, or somebody recovers it. True also if that cannot be found out."""
    found = segments(ring)
    try:
        if not found:
            return time.time() - ring.stat().st_mtime <= YOUNG_SECONDS
        return _is_locked(ring) or is_recorded(found[-1])
    except OSError as error:
        log.info("%s: %s", ring, error)
        return True


def _is_locked(ring: Path) -> bool:
    """Return False also on a disk without locks: the newest segment then says by its times if it is recorded."""
    try:
        return (ring / LOCK).exists() and is_locked(ring / LOCK)
    except NoLocksError:
        return False


def _closed_cleanly(ring: Path) -> bool:
    found = segments(ring)
    try:
        return not found or open_take(found[-1]).info.closed_cleanly
    except TakeError as error:
        log.info("%s: %s", ring, error)
        return False
