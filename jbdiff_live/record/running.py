"""A take in work: it follows the tap, notes what changes in the session, and keeps the disk up to date.

Thread: the writer's. Methods block on the disk and raise `TakeWriteError`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jbdiff_live.block import Block
from jbdiff_live.parameters import Change
from jbdiff_live.record.again.sounds import SoundShelf
from jbdiff_live.record.again.states import StateBefore, TakeStates
from jbdiff_live.record.events import StateEvent, UnderrunEvent
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.take import TakeInfo
from jbdiff_live.record.writer import TakeWriteError, TakeWriter

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1  # between two looks at the tap, the session and the folder
SYNC_SECONDS = 0.3  # between two waits for the disk
PIECE_FRAMES = 1 << 17

Fact = str | int | float | bool | None


@dataclass(frozen=True)
class Facts:
    """The session as a take logs it. The counts grow from the session's beginning on."""

    frame: int = 0  # the audible one
    states: Mapping[str, Fact] = field(default_factory=dict)  # such as the device, by name
    underruns: int = 0  # of the device
    late_frames: int = 0  # silence in place of late blocks


class RunningTake:
    """One take, from its beginning to `finish`. Call `look` a few times a second."""

    def __init__(
        self,
        parent: Path,
        info: TakeInfo,
        tap: HeardTap | None = None,
        facts: Callable[[], Facts] = Facts,
        fallback: Path | None = None,
        name: str | None = None,
        heard_at: int | None = None,
        shelf: SoundShelf | None = None,
    ) -> None:
        """name: of the folder. heard_at: position of the tap at which the heard sound begins; None: at the start frame.

        shelf: of the sounds that several takes share; their states lack the sound before them. Without a tap the take
        has the engine's blocks.
        """
        self._writer = TakeWriter(parent, info, fallback, name, shelf)
        self._states = TakeStates(shelf)
        self._tap = tap
        self._facts = facts
        self.heard_at = heard_at  # of the first heard frame
        self._read_to = heard_at or 0
        self._moved_from = ""
        self._seen: Facts | None = None
        self._synced_at = time.monotonic()

    @property
    def folder(self) -> Path:
        return self._writer.folder

    @property
    def frames(self) -> int:
        return self._writer.frames

    @property
    def start_frame(self) -> int:
        return self._writer.info.start_frame

    @property
    def read_to(self) -> int:
        """The tap's position behind the last heard frame that was written."""
        return self._read_to

    @property
    def warning(self) -> str:
        """Words about a take that had to move; empty for all others."""
        return (
            f"{self._moved_from} has gone; the take goes on in {self.folder}, with all that it had"
            if self._moved_from
            else ""
        )

    def add(self, write: Callable[[Path], object]) -> None:
        """Let a function write a file of its own into the folder. If it cannot, the take goes on without it."""
        try:
            self._writer.add(write)
        except (TakeWriteError, ValueError) as error:
            log.warning("recording: %s", error)

    def write_block(self, block: Block) -> None:
        self._writer.write_block(block)
        self._states.note(block.index, block.resumes)

    def write_state(self, state: StateBefore) -> None:
        """Write a state of the music, if it is due. It comes after its block."""
        self._writer.add(lambda folder: self._states.write(folder, state))

    def write_change(self, change: Change, frame: int) -> None:
        self._writer.write_change(change, frame)

    def look(self) -> None:
        """Write what was heard meanwhile, and what changed. Move away from a folder that has gone."""
        if not self._writer.there:
            gone = self.folder
            self._writer.rescue()
            self._moved_from = str(gone)
        self._follow_tap()
        self._note_facts()
        if time.monotonic() - self._synced_at >= SYNC_SECONDS:
            self._writer.sync()
            self._synced_at = time.monotonic()

    def _follow_tap(self) -> None:
        tap = self._tap
        if tap is None or not self._writer.wants_heard:
            return
        if self.heard_at is None:
            self.heard_at = tap.position_of(self.start_frame)
            if self.heard_at is None:
                return
            self._read_to = self.heard_at
        end = tap.written
        while self._read_to < end:
            start, until = self._read_to, min(end, self._read_to + PIECE_FRAMES)
            live_input = tap.read_input(start, until) if self._writer.info.sound == "stems" else None
            samples = tap.read(start, until)
            if samples is None:
                lost = tap.oldest - start
                first = tap.places(tap.oldest, tap.oldest + 1)
                self._writer.lose_heard(lost, first[0].frame if first else self.start_frame)
                self._read_to += lost
                continue
            places = [place._replace(at=place.at - start) for place in tap.places(start, until)]
            if self._writer.frames and places and tap.goes_on(start):
                places = places[1:]
            self._writer.write_heard(samples, places, live_input)
            self._read_to = until

    def _note_facts(self) -> None:
        """Log each fact that has changed since the last look."""
        now, before = self._facts(), self._seen
        self._seen = now
        for name, value in now.states.items():
            if before is None or before.states.get(name, object()) != value:
                self._writer.write(StateEvent(now.frame, name, value))
        if before is None:
            return
        if now.underruns > before.underruns:
            self._writer.write(UnderrunEvent(now.frame, "device", now.underruns - before.underruns))
        if now.late_frames > before.late_frames:
            self._writer.write(UnderrunEvent(now.frame, "late block", now.late_frames - before.late_frames))

    def finish(
        self, end_frame: int | None, missing_to: int = 0, problem: str = "", dropped_blocks: int = 0
    ) -> None:
        """Close the take at the session's `end_frame` (None: with all that was made or heard)."""
        length: int | None = None
        if not problem:
            self.look()
            if self._tap is not None and end_frame is not None:
                end = self._tap.position_of(end_frame)
                begin = self._read_to if self.heard_at is None else self.heard_at
                length = None if end is None else end - begin
        self._writer.finish(end_frame, missing_to, problem, dropped_blocks, length)
