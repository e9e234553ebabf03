"""Always recording, as the recorder's writer thread sees it: the ring, and the thread that copies a part of it.

Threads: the writer's, but for `keep`'s copy, which has a thread of its own so that the writer goes on meanwhile. Any
thread may read `on` and `problem`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jbdiff_live.block import Block
from jbdiff_live.parameters import Change
from jbdiff_live.record.again.states import StateBefore
from jbdiff_live.record.always import AlwaysRing
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.keep import keep
from jbdiff_live.record.refusals import ring_refused, take_refused
from jbdiff_live.record.running import Facts
from jbdiff_live.record.take import TakeInfo, open_take
from jbdiff_live.record.writer import TakeWriteError
from jbdiff_live.shown import shown
from jbdiff_live.system.takes_folder import AlwaysOptions

log = logging.getLogger(__name__)

MakeInfo = Callable[..., TakeInfo]


@dataclass(frozen=True)
class KeepJob:
    """A wish to keep the last minutes before `end_frame`; minutes None is all since the music last started."""

    parent: Path
    end_frame: int
    minutes: float | None
    info: TakeInfo
    files: tuple[Callable[[Path], object], ...]


class Always:
    """The ring of a session, or nothing if it is off. If the disk refuses, the ring ends and takes go on without it.

    `choose` may be called by any thread; the writer takes the choice over at its next `look`.
    """

    def __init__(
        self,
        options: AlwaysOptions | None,
        tap: HeardTap | None,
        facts: Callable[[], Facts],
        info: MakeInfo,
        sample_rate: int,
        closed: Callable[[Path], object],
        say: Callable[[str], object],
    ) -> None:
        """info: `take_info` with rate and channels. closed, say: as in `Recorder`."""
        self._info, self._closed, self._say = info, closed, say
        self._rate = sample_rate
        self._values: dict[str, float] = {}  # of the newest block
        self._copier: threading.Thread | None = None
        self._tap, self._facts = tap, facts
        self._ring = None if options is None else self._new_ring(options, 0)
        self._chosen: tuple[AlwaysOptions | None] | None = None  # not taken over yet; swapped whole
        self.problem = ""

    @property
    def on(self) -> bool:
        chosen = self._chosen
        return self._ring is not None if chosen is None else chosen[0] is not None

    @property
    def awake(self) -> bool:
        """True while the writer has to look at the ring now and then."""
        return self._ring is not None or self._chosen is not None

    def choose(self, options: AlwaysOptions | None) -> None:
        """Give the ring another length or size, begin it, or end it (None). Its sound stays as far as it fits."""
        self._chosen = (options if self._tap is not None else None,)

    def _take_over(self) -> None:
        """Do what was chosen. A ring that ends waits until its copy is made."""
        chosen, ring = self._chosen, self._ring
        if chosen is None or (chosen[0] is None and self._copies):
            return
        self.problem, options = "", chosen[0]
        if options is None:
            self.close()
            self._ring = None
        elif ring is None:
            self._ring = self._new_ring(options, 0 if self._tap is None else self._tap.written)
        else:
            ring.resize(options)
        if self._chosen is chosen:  # else another choice came meanwhile
            self._chosen = None

    def _new_ring(self, options: AlwaysOptions, begins: int) -> AlwaysRing | None:
        """Return a ring. begins: the tap's position from which on sound is kept."""
        if self._tap is None:
            return None
        return AlwaysRing(options, self._tap, self._facts, self._segment_info, self._rate, begins)

    @property
    def seconds(self) -> float:
        """Seconds of sound in the ring. Any thread."""
        ring = self._ring
        return 0.0 if ring is None else ring.seconds

    @property
    def read_to(self) -> int:
        """The tap's position behind the last frame that was written."""
        return 0 if self._ring is None else self._ring.read_to

    def write_block(self, block: Block) -> None:
        self._values = dict(block.snapshot.values)
        self._take_over()  # a ring that begins now has this block
        self._do(lambda ring: ring.write_block(block))

    def write_state(self, state: StateBefore) -> None:
        self._do(lambda ring: ring.write_state(state))

    def write_change(self, change: Change, frame: int) -> None:
        self._do(lambda ring: ring.write_change(change, frame))

    def stopped(self) -> None:
        self._do(lambda ring: ring.stopped())

    def look(self) -> None:
        self._take_over()
        self._do(lambda ring: ring.look())

    def close(self) -> None:
        self._do(lambda ring: ring.close())

    def wait(self, seconds: float) -> None:
        """Wait until a copy is made, for some seconds at most. The session's thread."""
        if self._copier is not None:
            self._copier.join(seconds)

    @property
    def _copies(self) -> bool:
        return self._copier is not None and self._copier.is_alive()

    def keep(self, job: KeepJob) -> None:
        """Let a thread copy a part of the ring into a take."""
        if self._copies:
            self._say("Keep: the last one is still being copied; press again in a moment")
            return
        self._do(lambda ring: self._start_copy(ring, job))

    def _start_copy(self, ring: AlwaysRing, job: KeepJob) -> None:
        span = ring.span(job.end_frame, job.minutes)

        def copy() -> None:
            try:
                folder = keep(span, job.parent, job.info, job.files)
                seconds = open_take(folder).info.frames // self._rate
                self._say(f"kept: {seconds // 60} min {seconds % 60} s in {shown(folder)}")
                self._closed(folder)
            except (TakeWriteError, OSError, ValueError) as error:
                log.warning("keep: %s", error)
                words = take_refused(job.parent, error) if isinstance(error, OSError) else str(error)
                self._say(f"Keep: {words}")
            finally:
                ring.let_go()

        self._copier = threading.Thread(target=copy, name="keeper", daemon=True)
        self._copier.start()

    def _segment_info(self, frame: int) -> TakeInfo:
        """Return the facts of a segment that begins at the session's `frame`."""
        return self._info(Path(), frame, {"values": self._values}, (), "heard")

    def _do(self, act: Callable[[AlwaysRing], object]) -> None:
        if self._ring is None:
            return
        try:
            act(self._ring)
        except (TakeWriteError, OSError) as error:
            ring, self._ring = self._ring, None
            ring.release()
            why = error if isinstance(error, OSError) else error.__cause__
            words = ring_refused(ring.parent, why) if isinstance(why, OSError) else str(error)
            self.problem = f"always recording has ended: {words}"
            log.warning("%s", self.problem)
