"""Listening to a sound file while the music is stopped: an output of its own, with gain, mute, limiter and fades.

Threads: `play`, `play_feed` and `stop` belong to the session. A thread of its own reads the file, opens the output,
plays it, and closes the output again. Any thread may read the rest. The music's ring and its clock are not touched.
The session ends the listening before the music starts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jbdiff_live.audio.listening.feed import Feed, Whole
from jbdiff_live.audio.sink import AudioSink
from jbdiff_live.block import Audio
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.shown import shown

log = logging.getLogger(__name__)

LONGEST_SECONDS = 30.0
LOOK_SECONDS = 0.05
QUEUE_SECONDS = 0.5  # made ahead of the output; covers a slow disk
ROOM = 4  # queues that the ring holds: dropped sound takes room until the output has skipped it
PATIENCE_SECONDS = 6.0  # limit of the wait for the end: an output may need seconds to open


class Audition:
    """read: returns a file's sound, mono `[frames]` or `[frames, channels]`. open_sink: opens an output that plays a
    ring.
    """

    def __init__(
        self,
        read: Callable[[Path, float], Audio],
        open_sink: Callable[[RingBuffer], AudioSink],
        snapshot: Callable[[], ParameterSnapshot],
        channels: int,
        sample_rate: int,
        may_play: Callable[[], bool] = lambda: True,
        clock: Clock = MACHINE,
    ) -> None:
        """channels, sample_rate: of the ring. may_play: False as soon as the music plays. The sound then fades out."""
        self._read = read
        self._open_sink = open_sink
        self._snapshot = snapshot
        self._channels = channels
        self._sample_rate = sample_rate
        self._may_play = may_play
        self._clock = clock
        self._ending, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._name = ""
        self._feed: Feed | None = None  # given to `play_feed` last
        self._sink: AudioSink | None = None
        self._heard = 0
        self.problem = ""  # why the last sound could not be played

    @property
    def playing(self) -> str:
        """The name of the sound that is read or plays; empty if none."""
        return self._name if self._thread is not None and not self._ended.is_set() else ""

    @property
    def frames_heard(self) -> int:
        """Frames that have reached the output since the sound began, with those that a jump dropped."""
        sink = self._sink
        if sink is not None:
            self._heard = sink.frames_heard
        return self._heard

    def plays(self, feed: Feed) -> bool:
        """Return True while this feed plays."""
        return feed is self._feed and bool(self.playing)

    def play(self, path: Path) -> None:
        """Play a file from its beginning, in place of the one before. RuntimeError if that one does not end."""
        self._begin(shown(path.name), None, lambda: self._whole(path))

    def play_feed(self, feed: Feed, name: str) -> None:
        """Play a feed to its end, in place of what plays now, and close it then. RuntimeError as `play`."""
        self._begin(name, feed, lambda: feed)

    def _begin(self, name: str, feed: Feed | None, make: Callable[[], Feed]) -> None:
        self.stop()
        self.problem = ""
        self._name, self._feed, self._heard = name, feed, 0
        self._ending, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(name, make, self._ending, self._ended), name="listening", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Fade out and close the output. RuntimeError if it does not close: the sound system hangs."""
        self._ending.set()
        thread, clock = self._thread, self._clock
        if thread is None:
            return
        until = clock.now() + PATIENCE_SECONDS
        while not self._ended.is_set() and clock.now() < until:
            clock.wait_until(until, self._ended)
        if not self._ended.is_set():
            raise RuntimeError("the output that was listened to does not close; choose another sound output")
        thread.join()
        self._thread = None

    # ------------------------------------------------------------------ its own thread

    def _work(
        self, name: str, make: Callable[[], Feed], ending: threading.Event, ended: threading.Event
    ) -> None:
        try:
            feed = make()
            try:
                self._play(feed, ending)
            finally:
                feed.close()
        except Exception as error:  # the thread's top: the player must see why nothing sounds
            log.info("listening to %s", name, exc_info=error)
            self.problem = f"cannot play {name}: {shown(str(error)) or type(error).__name__}"
        finally:
            self._sink = None
            ended.set()

    def _whole(self, path: Path) -> Feed:
        """Read a file, mono on every channel."""
        sound = self._read(path, LONGEST_SECONDS)
        frames = sound[:, None] if sound.ndim == 1 else sound
        return Whole(
            np.ascontiguousarray(np.broadcast_to(frames[:, :1], (len(frames), self._channels)), np.float32)
        )

    def _play(self, feed: Feed, ending: threading.Event) -> None:
        rate = self._sample_rate
        queue = round(QUEUE_SECONDS * rate)
        ring = RingBuffer(ROOM * queue, self._channels)
        ring.answer_panics(self._snapshot().counts["panic"])  # else the output stays silent
        _fill(ring, feed, queue)
        sink = self._sink = self._open_sink(ring)
        try:
            if self._may_play() and not ending.is_set():
                sink.start()
            while ring.available and self._may_play() and not ending.is_set():
                self._clock.wait_until(self._clock.now() + LOOK_SECONDS, ending)
                if feed.jumped(ring.frames_read):
                    ring.write(feed.pull(min(queue, ring.room), ring.frames_written), joins=True)
                _fill(ring, feed, queue)
            sink.stop()
            self._heard = sink.frames_heard
        finally:
            sink.close()


def _fill(ring: RingBuffer, feed: Feed, queue: int) -> None:
    """Let the ring hold `queue` frames, as far as the feed has them and there is room."""
    missing = min(queue - ring.available, ring.room)
    if missing > 0:
        ring.write(feed.pull(missing, ring.frames_written))
