"""A sink without hardware: the same output stage, kept in time by a clock. Needs no sound library.

Threads: its own feeder thread renders; `open` to `close` belong to the session. The deadlines are absolute
(start + n frames), so waking late never adds up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from jbdiff_live.audio.live.monitor import DrySound, SentSound
from jbdiff_live.audio.output import OnHeard, OutputStage, TimedSnapshots
from jbdiff_live.beat.frame_time import FrameTime
from jbdiff_live.block import Audio
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import AudioStatus

CHUNK_FRAMES = 512
LONGEST_CATCH_UP_SECONDS = 1.0  # after a longer pause (a laptop that slept) time starts anew
NAME = "null"


class Pacer:
    """The time at which the next chunk is due. One thread."""

    def __init__(self, clock: Clock, sample_rate: int, chunk_frames: int = CHUNK_FRAMES) -> None:
        self.chunk_frames = chunk_frames
        self._clock = clock
        self._seconds = chunk_frames / sample_rate
        self.restart()

    def restart(self) -> None:
        self._began = self._clock.now()
        self._chunks = 0

    def next_chunk(self, stop: threading.Event) -> bool:
        """Wait until a chunk is due. Return False if the wait ended before that."""
        due = self._began + (self._chunks + 1) * self._seconds
        if self._clock.now() < due:
            self._clock.wait_until(due, stop)
        late = self._clock.now() - due
        if late < 0:
            return False
        self._chunks += 1
        if late > LONGEST_CATCH_UP_SECONDS:
            self.restart()
        return True


class NullSink:
    """A sink without a device, in time. `on_frames` gets a copy of every chunk, `[frames, channels]`, on the feeder."""

    def __init__(
        self,
        ring: RingBuffer,
        snapshot: Callable[[], ParameterSnapshot],
        sample_rate: int = 44_100,
        clock: Clock = MACHINE,
        on_frames: Callable[[Audio], None] | None = None,
        timed: TimedSnapshots | None = None,
        heard: OnHeard | None = None,
        headroom_db: float = 0.0,
        dry: DrySound | None = None,
        sent: SentSound | None = None,
        dc_filter: bool = False,
    ) -> None:
        """heard, headroom_db, dry, sent, dc_filter: as in `OutputStage`."""
        self._stage = OutputStage(
            ring, snapshot, sample_rate, timed, heard, headroom_db, dry, sent, dc_filter
        )
        self._time = FrameTime(sample_rate)
        self._given = 0
        self._clock = clock
        self._on_frames = on_frames
        self._problem = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def sample_rate(self) -> int:
        return self._stage.sample_rate

    @property
    def frames_heard(self) -> int:
        return self._stage.frames_passed

    def frame_at(self, when: float) -> float:
        given = self._time.frame_at(when)
        return (
            self.frames_heard if given is None else self._stage.frame_before(max(0, int(self._given - given)))
        )

    def open(self, device: str | None) -> None:
        """Accept any name: there is no device to open."""

    def start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self._problem = ""
        self._stage.resume()
        self._thread = threading.Thread(target=self._run, name="null feeder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join(5.0)

    def close(self) -> None:
        self.stop()

    def status(self) -> AudioStatus:
        thread = self._thread
        stage = self._stage
        return AudioStatus(
            running=thread is not None and thread.is_alive(),
            device=NAME,
            nowhere=True,
            held=stage.held,
            quiet_seconds=stage.quiet_seconds,
            sample_rate=stage.sample_rate,
            short_frames=stage.short_frames,
            latency_seconds=stage.look_ahead / stage.sample_rate,
            usual_latency_seconds=stage.look_ahead / stage.sample_rate,
            device_seconds=stage.look_ahead / stage.sample_rate,
            peak=stage.peak,
            limited=stage.limited,
            loudness=stage.loudness.now,
            problem=self._problem or bad_sound(stage),
        )

    def _run(self) -> None:
        try:
            self._time.restart()
            pacer = Pacer(self._clock, self._stage.sample_rate)
            chunk = np.zeros((pacer.chunk_frames, self._stage.channels), np.float32)
            while not self._stop.is_set():
                if pacer.next_chunk(self._stop):
                    self._give(chunk)
            self._stage.pause()  # the frames kept back fade out, so that a tap gets the end without a click
            self._give(chunk)
        except Exception as error:  # the thread's top: a tap that fails must not stop the music unseen
            self._problem = f"the null device stopped: {error}"
            raise

    def _give(self, chunk: Audio) -> None:
        self._stage.render(chunk, self._time.time_of(self._given))
        self._given += len(chunk)
        self._time.see(self._given, self._clock.now())
        if self._on_frames is not None:
            self._on_frames(chunk.copy())


def bad_sound(stage: OutputStage) -> str:
    """Return words for NaN or infinite frames, or an empty text."""
    if not stage.bad_frames:
        return ""
    return f"{stage.bad_frames} broken frames were replaced by silence; lower guidance, or load another patch"
