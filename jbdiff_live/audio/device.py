"""The sink that is heard: a feeder thread between the engine's ring and a device's short ring.

Threads: the feeder renders and never waits for anything but time. `open` to `close` belong to the session and
block on the sound system. While a device is lost the feeder keeps time on a clock, so that engine and recording
go on, and a watcher thread tries to open the same device again. Streams change hands by one reference each way
(`_next` to the feeder, `_lost` and `_retired` from it); only the feeder touches the stream in use.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import numpy as np

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.cv_out import CvOut
from jbdiff_live.audio.marks import Lately, LowWater
from jbdiff_live.audio.null import Pacer, bad_sound
from jbdiff_live.audio.output import OutputStage, TimedSnapshots
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.stream import OutputStream
from jbdiff_live.clock import MACHINE, NEVER, Clock
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import AudioStatus
from jbdiff_live.thread_priority import go_first

log = logging.getLogger(__name__)

SHORT_RING_FRAMES = 4096  # 93 ms at 44.1 kHz
RETRY_SECONDS = 1.5
PATIENCE_SECONDS = 5.0  # for the feeder to answer
FROZEN_SECONDS = 0.5  # without a frame taken, the meters would show a sound that nobody hears


class DeviceSink:
    """Plays the ring on a device: open a device, start, stop, close; `open` while playing moves over.

    `short_ring_frames`, a power of two, is what covers a stall of Python and the delay of gain and mute.
    """

    def __init__(
        self,
        ring: RingBuffer,
        snapshot: Callable[[], ParameterSnapshot],
        sample_rate: int = 44_100,
        short_ring_frames: int = SHORT_RING_FRAMES,
        clock: Clock = MACHINE,
        timed: TimedSnapshots | None = None,
        cv: CvOut | None = None,
    ) -> None:
        """cv: what is played on the device's channels behind the sound."""
        if short_ring_frames < 256 or short_ring_frames & (short_ring_frames - 1):
            raise ValueError(f"short ring of {short_ring_frames} frames: needs a power of two from 256 on")
        self._stage = OutputStage(ring, snapshot, sample_rate, timed)
        self._short_ring_frames = short_ring_frames
        self._chunk = np.zeros((short_ring_frames // 16, ring.channels), np.float32)
        self._clock = clock
        self._cv = cv
        self._low_water = LowWater(clock)
        self._lately = Lately(clock)
        self._priority = ""
        self._stream: OutputStream | None = None
        self._next: OutputStream | None = None
        self._retired: OutputStream | None = None
        self._swapped = threading.Event()
        self._wanted = ""  # the device to come back to
        self._lost = ""  # words about a device that is gone
        self._broken = ""  # words about a feeder that is gone
        self._heard = 0
        self._past_underruns = self._past_dry = 0  # of streams that are closed
        self._stop = threading.Event()
        self._ended = threading.Event()  # the feeder has ended
        self._feeder: threading.Thread | None = None
        self._watcher: threading.Thread | None = None
        # `open`, watcher and `close` among themselves. The feeder never takes it.
        self._opening = threading.Lock()

    # ------------------------------------------------------------------ any thread

    @property
    def sample_rate(self) -> int:
        return self._stage.sample_rate

    @property
    def frames_heard(self) -> int:
        stream, feeder = self._stream, self._feeder
        frames = self._stage.frames_passed if stream is None or feeder is None else stream.heard()
        # Two readers may race here; either writes a frame that was true a moment ago.
        self._heard = max(self._heard, frames)
        return self._heard

    def frame_at(self, when: float) -> float:
        stream = self._stream
        return self.frames_heard if stream is None or self._feeder is None else stream.heard_at(when)

    def status(self) -> AudioStatus:
        stream, stage, feeder = self._stream, self._stage, self._feeder
        device, underruns, dry, low = self._wanted, self._past_underruns, self._past_dry, 0
        latency = usual = stalled = 0.0
        wrong_rate = no_cv = ""
        behind = stage.look_ahead / stage.sample_rate
        if stream is not None:
            device = stream.name
            if stream.rate != stage.sample_rate:
                device += f" ({stage.sample_rate} Hz resampled to {stream.rate})"
            behind += stream.latency_seconds
            latency, usual = stream.capacity / stream.rate, stream.length.usual / stream.rate
            stalled, wrong_rate, no_cv = stream.stalled_seconds, stream.wrong_rate, stream.no_cv
            underruns += stream.ran_dry + stream.device_underruns
            dry += stream.ran_dry
            low = self._low_water.frames
        return AudioStatus(
            running=feeder is not None and feeder.is_alive(),
            device=device,
            nowhere=bool(self._lost),
            stalled_seconds=stalled,
            quiet_seconds=stage.quiet_seconds,
            held=stage.held,
            sample_rate=stream.rate if stream is not None else stage.sample_rate,
            underruns=underruns,
            ran_dry=dry,
            holes_lately=self._lately.growth,
            short_frames=stage.short_frames,
            low_water_frames=low,
            latency_seconds=latency + behind,
            usual_latency_seconds=usual + behind,
            device_seconds=behind,
            peak=(0.0, 0.0) if self._lost or stalled > FROZEN_SECONDS else stage.peak,
            limited=stage.limited,
            priority=self._priority,
            problem=self._broken or self._lost or bad_sound(stage) or wrong_rate or no_cv,
        )

    # ------------------------------------------------------------------ session's thread

    def open(self, device: str | None) -> None:
        """Opens a device and moves over to it. DeviceError says why not, and the old one plays on."""
        with self._opening:
            self._hand_over(self._open_stream(device))

    def _open_stream(self, device: str | None) -> OutputStream:
        """Open a device by name, None for the default. DeviceError also when the sound system does not answer."""

        def open_stream() -> OutputStream:
            if self._stream is None:
                portaudio.refresh()
            stage = self._stage
            return OutputStream(
                device, stage.sample_rate, stage.channels, self._short_ring_frames, self._clock, self._cv
            )

        what = f"cannot open {device or 'the default output'}"
        return portaudio.patiently(what, open_stream, late=lambda stream: stream.close())

    def _hand_over(self, stream: OutputStream) -> None:
        """Gives a new stream to the feeder and closes the old one once that has let it go."""
        if self._feeder_alive:
            # Started on silence first: whether it plays is known before the old one is let go.
            try:
                stream.write(np.zeros_like(self._chunk), 0)
                stream.start()
            except DeviceError:
                stream.close()
                raise
            self._swapped.clear()
            self._next = stream
            until = self._clock.now() + PATIENCE_SECONDS
            while not self._swapped.is_set() and self._feeder_alive and self._clock.now() < until:
                self._clock.wait_until(self._clock.now() + 0.02, self._swapped)
            self._next = None
            if (
                not self._swapped.is_set()
            ):  # a stream that was taken and lost at once is the watcher's to close
                stream.close()
                raise DeviceError(f"{stream.name}: the sound was stopped meanwhile")
            old, self._retired = self._retired, None
            if old is not None:
                self._let_play_out(old)
        else:
            old, self._stream = self._stream, stream
        self._wanted = stream.name
        self._lost = ""
        if old is not None:
            self._retire(old)

    @property
    def _feeder_alive(self) -> bool:
        feeder = self._feeder
        return feeder is not None and feeder.is_alive()

    def _let_play_out(self, stream: OutputStream) -> None:
        """Waits until a stream that nobody feeds has played its fade-out, not longer than its ring lasts."""
        clock = self._clock
        until = clock.now() + 2 * stream.capacity / stream.rate
        while stream.queued and clock.now() < until:
            clock.wait_until(clock.now() + 0.005, NEVER)
        # The end of the fade is still in the device's own buffers, which stopping throws away (ALSA, PulseAudio).
        until = clock.now() + min(0.5, 2 * stream.latency_seconds + 0.05)
        while clock.now() < until:
            clock.wait_until(until, NEVER)

    def _retire(self, stream: OutputStream, dead: bool = False) -> None:
        self._past_underruns += stream.ran_dry + stream.device_underruns
        self._past_dry += stream.ran_dry
        stream.close(dead)

    def start(self) -> None:
        if self._feeder_alive:
            return
        self._stop.clear()
        self._ended.clear()
        self._broken = ""
        self._stage.resume()
        self._feeder = threading.Thread(target=self._feed, name="audio feeder", daemon=True)
        self._feeder.start()

    def stop(self) -> None:
        self._stop.set()
        feeder = self._feeder
        if feeder is None:
            return
        until = self._clock.now() + PATIENCE_SECONDS
        while not self._ended.is_set() and self._clock.now() < until:
            self._clock.wait_until(until, self._ended)
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.join(PATIENCE_SECONDS)
        stream = self._stream
        if stream is not None:
            self._let_play_out(stream)
            try:
                stream.stop()
            except DeviceError as error:
                log.warning("%s", error)
            stream.rewind()
        self._feeder = None

    def close(self) -> None:
        self.stop()
        with self._opening:
            stream, self._stream = self._stream, None
            if stream is not None:
                self._retire(stream)

    # ------------------------------------------------------------------ feeder

    def _feed(self) -> None:
        self._priority = go_first()
        log.info("audio feeder: %s priority", self._priority)
        clock = self._clock
        pacer = Pacer(clock, self._stage.sample_rate, len(self._chunk))
        nap = len(self._chunk) / self._stage.sample_rate
        try:
            if self._stream is not None:
                self._begin(self._stream)
            elif self._wanted:
                self._watch(None)
            pacer.restart()
            while not self._stop.is_set():
                new = self._next
                if new is not None:
                    self._next = None
                    self._move_over(new)
                stream = self._stream
                if stream is None:
                    if pacer.next_chunk(self._stop):
                        self._stage.render(self._chunk)
                    continue
                self._low_water.see(stream.see())
                stream.length.see(stream.queued)
                self._fill(stream, stream.capacity // 4)
                stream.keep_playing()
                stream.length.filled(stream.queued)
                trouble = stream.check()
                self._lately.see(stream.holes)
                if trouble:
                    self._lose(stream, trouble)
                    pacer.restart()
                    continue
                clock.wait_until(clock.now() + nap, self._stop)
            self._fade_out(self._stream)
        except Exception as error:  # the thread's top: the player must see why it is silent
            log.exception("audio feeder stopped")
            self._broken = f"the sound stopped: {error}"
        finally:
            self._ended.set()

    def _begin(self, stream: OutputStream) -> None:
        """Fills the short ring, then starts the device on it; one that does not start counts as lost."""
        stream.begin_at(self._stage.frames_passed)
        self._fill(stream, stream.capacity // 4)
        self._low_water.restart()
        self._lately.begin(stream.holes)
        stream.length.filled(0)
        try:
            stream.start()
        except DeviceError as error:
            self._lose(stream, str(error))

    def _fill(self, stream: OutputStream, low: int) -> None:
        """Renders until the short ring is full. A late block is waited for while more than `low` frames are left."""
        chunk, stage = self._chunk, self._stage
        while stream.room_for(len(chunk)):
            if stream.queued > low and stage.waits_for_engine(len(chunk)):
                return
            stage.render(chunk, stream.next_heard())
            stream.write(chunk, stage.frames_passed)

    def _fade_out(self, stream: OutputStream | None) -> None:
        """Pause the stage, and render what it keeps back, faded, and silence behind it.

        Also without a device, or when the device takes nothing: the next sound then fades in instead of cutting in.
        """
        clock = self._clock
        self._stage.pause()
        until = clock.now() + (0.0 if stream is None else stream.capacity / stream.rate)
        for _ in range(-(-self._stage.look_ahead // len(self._chunk)) + 1):
            while stream is not None and not stream.room_for(len(self._chunk)) and clock.now() <= until:
                clock.wait_until(clock.now() + 0.002, NEVER)
            self._stage.render(self._chunk)
            if stream is not None and stream.room_for(len(self._chunk)):
                stream.write(self._chunk, self._stage.frames_passed)

    def _move_over(self, new: OutputStream) -> None:
        """Fades the old device out and goes on with the new one, which is playing silence by now."""
        old = self._stream
        self._fade_out(old)
        self._stage.resume()
        new.begin_at(self._stage.frames_passed)
        self._fill(new, new.capacity // 4)
        new.keep_playing(count=False)
        self._low_water.restart()
        self._lately.begin(new.holes)
        new.length.filled(0)
        self._stream, self._retired = new, old
        self._swapped.set()

    def _lose(self, stream: OutputStream, trouble: str) -> None:
        """The device is gone: time goes on by the clock, and a watcher looks for it."""
        self._lost = f"{stream.name} is gone ({trouble}); playing on in silence until it is back"
        log.warning("%s", self._lost)
        self._wanted = stream.name
        self._stream = None
        self._watch(stream)

    # ------------------------------------------------------------------ watcher

    def _watch(self, lost: OutputStream | None) -> None:
        self._watcher = threading.Thread(
            target=self._bring_back, args=(lost,), name="audio watcher", daemon=True
        )
        self._watcher.start()

    def _bring_back(self, lost: OutputStream | None) -> None:
        """Close the lost stream and try to open the same device until it is back or the sink stops."""
        if lost is not None:
            try:
                self._retire(lost, dead=True)
            except Exception as error:  # whatever is wrong with the old stream, the device may come back
                log.info("closing %s: %s", lost.name, error)
        while self._wait_to_retry():
            with self._opening:
                if self._stream is not None:
                    return  # the player chose another one meanwhile
                try:
                    self._hand_over(self._open_stream(self._wanted))
                    return
                except Exception as error:  # the thread's top: it has to try again, whatever happened
                    log.info("still gone: %s", error)

    def _wait_to_retry(self) -> bool:
        """Wait some seconds. Return False when the sink stops."""
        clock = self._clock
        until = clock.now() + RETRY_SECONDS
        while clock.now() < until and not self._stop.is_set():
            clock.wait_until(until, self._stop)
        return not self._stop.is_set()
