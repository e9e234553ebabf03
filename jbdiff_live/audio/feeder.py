"""The feeder: the thread that renders the engine's ring into the short ring of the stream in use.

It waits for time only. A stream goes to the feeder by the reference `_next`, and back by `_retired`. Only the feeder
touches the stream in use. Without a stream the feeder keeps time on a clock, so that engine and recording go on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import numpy as np

from jbdiff_live.audio.marks import Lately, LowWater
from jbdiff_live.audio.null import Pacer
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.stream import OutputStream
from jbdiff_live.clock import NEVER, Clock
from jbdiff_live.system.thread_priority import go_first

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0  # limit of the wait for the feeder


class Feeder:
    """The feeder. Call `start`, `ask_to_stop`, `wait`, then `forget`. `hand` gives it another stream while it runs.

    `stream` is the stream in use. While the feeder does not run, the sink sets it. `priority` is a word for its
    thread's priority. `broken` is the error that ended the thread, or empty.
    """

    def __init__(
        self,
        stage: OutputStage,
        chunk_frames: int,
        clock: Clock,
        lose: Callable[[OutputStream, str], None],
        no_stream: Callable[[], None],
    ) -> None:
        """lose: called on the feeder when the device is gone, with its stream and the reason. It takes the stream away.

        no_stream: called on the feeder when it begins without a stream.
        """
        self.stage = stage
        self._chunk = np.zeros((chunk_frames, stage.channels), np.float32)
        self._clock = clock
        self._lose = lose
        self._no_stream = no_stream
        self.low_water = LowWater(clock)
        self.lately = Lately(clock)
        self.priority = ""
        self.broken = ""
        self.stream: OutputStream | None = None
        self._next: OutputStream | None = None
        self._retired: OutputStream | None = None
        self._swapped = threading.Event()
        self.stopping = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------------ any thread

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def there(self) -> bool:
        """True from `start` to `forget`."""
        return self._thread is not None

    # ------------------------------------------------------------------ the sink's threads

    def start(self) -> None:
        self.stopping.clear()
        self._ended.clear()
        self.broken = ""
        self.stage.resume()
        self._thread = threading.Thread(target=self._feed, name="audio feeder", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the thread has ended, for some seconds at most."""
        until = self._clock.now() + PATIENCE_SECONDS
        while not self._ended.is_set() and self._clock.now() < until:
            self._clock.wait_until(until, self._ended)

    def forget(self) -> None:
        """Forget the ended thread. All rendered frames have played: now the stage gives the last one."""
        self._thread = None

    def hand(self, stream: OutputStream) -> OutputStream | None:
        """Give the running feeder a stream, and return the stream that it used before.

        The new stream first starts on silence. So the old one stays until the new one is known to play. DeviceError:
        the new one does not start, or the feeder stops meanwhile. The new one is then closed.
        """
        try:
            stream.write(np.zeros_like(self._chunk), 0)
            stream.start()
        except DeviceError:
            stream.close()
            raise
        self._swapped.clear()
        self._next = stream
        until = self._clock.now() + PATIENCE_SECONDS
        while not self._swapped.is_set() and self.alive and self._clock.now() < until:
            self._clock.wait_until(self._clock.now() + 0.02, self._swapped)
        self._next = None
        if not self._swapped.is_set():  # the watcher closes a stream that was taken and lost at once
            stream.close()
            raise DeviceError(f"{stream.name}: the sound was stopped meanwhile")
        old, self._retired = self._retired, None
        return old

    # ------------------------------------------------------------------ feeder

    def _feed(self) -> None:
        self.priority = go_first()
        log.info("audio feeder: %s priority", self.priority)
        clock = self._clock
        pacer = Pacer(clock, self.stage.sample_rate, len(self._chunk))
        nap = len(self._chunk) / self.stage.sample_rate
        try:
            if self.stream is not None:
                self._begin(self.stream)
            else:
                self._no_stream()
            pacer.restart()
            while not self.stopping.is_set():
                new = self._next
                if new is not None:
                    self._next = None
                    self._move_over(new)
                stream = self.stream
                if stream is None:
                    if pacer.next_chunk(self.stopping):
                        self.stage.render(self._chunk)
                    continue
                self.low_water.see(stream.see())
                stream.length.see(stream.queued)
                self._fill(stream, stream.capacity // 4)
                stream.keep_playing()
                stream.length.filled(stream.queued)
                trouble = stream.check()
                self.lately.see(stream.holes)
                if trouble:
                    self._lose(stream, trouble)
                    pacer.restart()
                    continue
                clock.wait_until(clock.now() + nap, self.stopping)
            self._fade_out(self.stream)
        except Exception as error:  # the thread's top: the player must see why it is silent
            log.exception("audio feeder stopped")
            self.broken = f"the sound stopped: {error}"
        finally:
            self._ended.set()

    def _begin(self, stream: OutputStream) -> None:
        """Fill the short ring, then start the device on it. A device that does not start counts as lost."""
        stream.begin_at(self.stage.frames_passed)
        self._fill(stream, stream.capacity // 4)
        self.low_water.restart()
        self.lately.begin(stream.holes)
        stream.length.filled(0)
        try:
            stream.start()
        except DeviceError as error:
            self._lose(stream, str(error))

    def _fill(self, stream: OutputStream, low: int) -> None:
        """Render until the short ring is full. Wait for a late block while more than `low` frames are left."""
        chunk, stage = self._chunk, self.stage
        while stream.room_for(len(chunk)):
            if stream.queued > low and stage.waits_for_engine(len(chunk)):
                return
            stage.render(chunk, stream.next_heard())
            stream.write(chunk, stage.frames_passed)

    def _fade_out(self, stream: OutputStream | None) -> None:
        """Pause the stage. Render the frames that it keeps back, faded, and silence after them.

        This is done also if no device takes frames. The next sound then fades in instead of cutting in.
        """
        clock = self._clock
        self.stage.pause()
        until = clock.now() + (0.0 if stream is None else stream.capacity / stream.rate)
        for _ in range(-(-self.stage.look_ahead // len(self._chunk)) + 1):
            while stream is not None and not stream.room_for(len(self._chunk)) and clock.now() <= until:
                clock.wait_until(clock.now() + 0.002, NEVER)
            self.stage.render(self._chunk)
            if stream is not None and stream.room_for(len(self._chunk)):
                stream.write(self._chunk, self.stage.frames_passed)

    def _move_over(self, new: OutputStream) -> None:
        """Fade the old device out and go on with the new one. The new one already plays silence."""
        old = self.stream
        self._fade_out(old)
        self.stage.resume()
        new.begin_at(self.stage.frames_passed)
        self._fill(new, new.capacity // 4)
        new.keep_playing(count=False)
        self.low_water.restart()
        self.lately.begin(new.holes)
        new.length.filled(0)
        self.stream, self._retired = new, old
        self._swapped.set()
