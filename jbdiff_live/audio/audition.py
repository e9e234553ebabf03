"""Listening to a sound file while the music is stopped: an output of its own, with gain, mute, limiter and fades.

Threads: `play` and `stop` belong to the session. A thread of its own reads the file, opens the output, plays it, and
closes the output again. Any thread may read `playing` and `problem`. The music's ring and its clock are not touched.
The session ends the listening before the music starts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jbdiff_live.audio.sink import AudioSink
from jbdiff_live.block import Audio
from jbdiff_live.clock import MACHINE, Clock
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.shown import shown

log = logging.getLogger(__name__)

LONGEST_SECONDS = 30.0
LOOK_SECONDS = 0.05
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
        may_play: Callable[[], bool] = lambda: True,
        clock: Clock = MACHINE,
    ) -> None:
        """may_play: False as soon as the music plays. The sound then fades out."""
        self._read = read
        self._open_sink = open_sink
        self._snapshot = snapshot
        self._channels = channels
        self._may_play = may_play
        self._clock = clock
        self._ending, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._name = ""
        self.problem = ""  # why the last sound could not be played

    @property
    def playing(self) -> str:
        """The name of the sound that is read or plays; empty if none."""
        return self._name if self._thread is not None and not self._ended.is_set() else ""

    def play(self, path: Path) -> None:
        """Play a file from its beginning, in place of the one before. RuntimeError if that one does not end."""
        self.stop()
        self.problem = ""
        self._name = shown(path.name)
        self._ending, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(path, self._ending, self._ended), name="listening", daemon=True
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

    def _work(self, path: Path, ending: threading.Event, ended: threading.Event) -> None:
        try:
            self._play(self._read(path, LONGEST_SECONDS), ending)
        except Exception as error:  # the thread's top: the player must see why nothing sounds
            log.info("listening to %s", path, exc_info=error)
            self.problem = f"cannot play {shown(path.name)}: {shown(str(error)) or type(error).__name__}"
        finally:
            ended.set()

    def _play(self, sound: Audio, ending: threading.Event) -> None:
        frames = sound[:, None] if sound.ndim == 1 else sound
        frames = np.ascontiguousarray(
            np.broadcast_to(frames[:, :1], (len(frames), self._channels)), np.float32
        )
        ring = RingBuffer(len(frames), self._channels)
        ring.answer_panics(self._snapshot().counts["panic"])  # else the output stays silent
        ring.write(frames)
        sink = self._open_sink(ring)
        try:
            if self._may_play() and not ending.is_set():
                sink.start()
            while ring.available and self._may_play() and not ending.is_set():
                self._clock.wait_until(self._clock.now() + LOOK_SECONDS, ending)
            sink.stop()
        finally:
            sink.close()
