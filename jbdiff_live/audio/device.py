"""The sink that is heard: a feeder thread between the engine's ring and a device's short ring.

Threads: the feeder renders and never waits for anything but time. `open` to `close` belong to the session and
block on the sound system. While a device is lost the feeder keeps time on a clock, so that engine and recording
go on, and a watcher thread tries to open the same device again. Streams change hands by one reference each way
(`_next` to the feeder, `_lost` and `_retired` from it); only the feeder touches the stream in use.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.marks import LowWater
from jbdiff_live.audio.null import MonotonicClock, Pacer, bad_sound
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.audio.priority import go_first
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.stream import OutputStream
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import AudioStatus

log = logging.getLogger(__name__)

SHORT_RING_FRAMES = 4096  # 93 ms at 44.1 kHz
RETRY_SECONDS = 1.5
PATIENCE_SECONDS = 5.0  # for the feeder to answer


def list_output_devices() -> list[str]:
    """Names to choose from, "hostapi: name", the default first; none when there is no sound (see the log)."""
    return _list("output")


def list_input_devices() -> list[str]:
    """As `list_output_devices`, for the live input."""
    return _list("input")


def _list(kind: str) -> list[str]:
    names, reason = names_or_reason(kind)
    if reason:
        log.warning("no sound %s devices: %s", kind, reason)
    return names


def names_or_reason(kind: str) -> tuple[list[str], str]:
    """Device names for "input" or "output", and why there are none."""
    try:
        portaudio.refresh()
        names = [device.name for device in portaudio.devices(kind)]
    except DeviceError as error:
        return [], str(error)
    return names, "" if names else f"this machine has no sound {kind}"


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
    ) -> None:
        if short_ring_frames < 256 or short_ring_frames & (short_ring_frames - 1):
            raise ValueError(f"short ring of {short_ring_frames} frames: needs a power of two from 256 on")
        self._stage = OutputStage(ring, snapshot, sample_rate)
        self._short_ring_frames = short_ring_frames
        self._chunk = np.zeros((short_ring_frames // 16, ring.channels), np.float32)
        self._low_water = LowWater()
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
        self._feeder: threading.Thread | None = None
        self._watcher: threading.Thread | None = None
        self._opening = (
            threading.Lock()
        )  # open, watcher and close among themselves; the feeder never takes it

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

    def status(self) -> AudioStatus:
        stream, stage, feeder = self._stream, self._stage, self._feeder
        device, latency, underruns, dry, low = self._wanted, 0.0, self._past_underruns, self._past_dry, 0
        behind = stage.look_ahead / stage.sample_rate
        if stream is not None:
            device = stream.name
            if stream.rate != stage.sample_rate:
                device += f" ({stage.sample_rate} Hz resampled to {stream.rate})"
            behind += stream.latency_seconds
            latency = stream.capacity / stream.rate
            underruns += stream.ran_dry + stream.device_underruns
            dry += stream.ran_dry
            low = self._low_water.frames
        return AudioStatus(
            running=feeder is not None and feeder.is_alive(),
            device=device,
            sample_rate=stream.rate if stream is not None else stage.sample_rate,
            underruns=underruns,
            ran_dry=dry,
            short_frames=stage.short_frames,
            low_water_frames=low,
            latency_seconds=latency + behind,
            device_seconds=behind,
            peak=stage.peak,
            limited=stage.limited,
            problem=self._broken or self._lost or bad_sound(stage),
        )

    # ------------------------------------------------------------------ session's thread

    def open(self, device: str | None) -> None:
        """Opens a device and moves over to it. DeviceError says why not, and the old one plays on."""
        with self._opening:
            if self._stream is None:
                portaudio.refresh()
            stream = OutputStream(
                device, self._stage.sample_rate, self._stage.channels, self._short_ring_frames
            )
            self._hand_over(stream)

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
            until = time.monotonic() + PATIENCE_SECONDS
            while not self._swapped.wait(0.02) and self._feeder_alive and time.monotonic() < until:
                continue
            self._next = None
            if self._stream is not stream:
                stream.close()
                raise DeviceError(f"{stream.name}: the sound was stopped meanwhile")
            old, self._retired = self._retired, None
        else:
            old, self._stream = self._stream, stream
        self._wanted = stream.name
        self._lost = ""
        if old is not None:
            self._let_play_out(old)
            self._retire(old)

    @property
    def _feeder_alive(self) -> bool:
        feeder = self._feeder
        return feeder is not None and feeder.is_alive()

    def _let_play_out(self, stream: OutputStream) -> None:
        """Waits until a stream that nobody feeds has played its fade-out, not longer than its ring lasts."""
        until = time.monotonic() + 2 * stream.capacity / stream.rate
        pause = threading.Event()
        while stream.queued and time.monotonic() < until:
            pause.wait(0.005)
        # The end of the fade is still in the device's own buffers, which stopping throws away (ALSA, PulseAudio).
        pause.wait(min(0.5, 2 * stream.latency_seconds + 0.05))

    def _retire(self, stream: OutputStream, dead: bool = False) -> None:
        self._past_underruns += stream.ran_dry + stream.device_underruns
        self._past_dry += stream.ran_dry
        stream.close(dead)

    def start(self) -> None:
        if self._feeder_alive:
            return
        self._stop.clear()
        self._broken = ""
        self._stage.resume()
        self._feeder = threading.Thread(target=self._feed, name="audio feeder", daemon=True)
        self._feeder.start()

    def stop(self) -> None:
        self._stop.set()
        feeder = self._feeder
        if feeder is None:
            return
        feeder.join(PATIENCE_SECONDS)
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
        log.info("audio feeder: %s priority", go_first())
        pacer = Pacer(MonotonicClock(), self._stage.sample_rate, len(self._chunk))
        nap = len(self._chunk) / self._stage.sample_rate
        try:
            if self._stream is not None:
                self._begin(self._stream)
            elif self._wanted:
                self._watch(None)
            pacer.restart()
            while not self._stop.is_set():
                if self._next is not None:
                    self._move_over(self._next)
                stream = self._stream
                if stream is None:
                    if pacer.next_chunk(self._stop):
                        self._stage.render(self._chunk)
                    continue
                self._low_water.see(stream.queued)
                self._fill(stream, stream.capacity // 4)
                stream.keep_playing()
                trouble = stream.check()
                if trouble:
                    self._lose(stream, trouble)
                    pacer.restart()
                    continue
                self._stop.wait(nap)
            self._stage.pause()
            if self._stream is not None:
                self._fade_out(self._stream)
        except Exception as error:  # the thread's top: the player must see why it is silent
            log.exception("audio feeder stopped")
            self._broken = f"the sound stopped: {error}"

    def _begin(self, stream: OutputStream) -> None:
        """Fills the short ring, then starts the device on it; one that does not start counts as lost."""
        stream.begin_at(self._stage.frames_passed)
        self._fill(stream, stream.capacity // 4)
        self._low_water.restart()
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
            stage.render(chunk)
            stream.write(chunk, stage.frames_passed)

    def _fade_out(self, stream: OutputStream) -> None:
        """Renders what is kept back, faded, and silence behind it; a device that takes nothing is given up."""
        pause = threading.Event()
        until = time.monotonic() + stream.capacity / stream.rate
        for _ in range(-(-self._stage.look_ahead // len(self._chunk)) + 1):
            while not stream.room_for(len(self._chunk)):
                if time.monotonic() > until:
                    return
                pause.wait(0.002)
            self._stage.render(self._chunk)
            stream.write(self._chunk, self._stage.frames_passed)

    def _move_over(self, new: OutputStream) -> None:
        """Fades the old device out and goes on with the new one, which is playing silence by now."""
        old = self._stream
        if old is not None:
            self._stage.pause()
            self._fade_out(old)
            self._stage.resume()
        new.begin_at(self._stage.frames_passed)
        self._fill(new, new.capacity // 4)
        new.keep_playing(count=False)
        self._low_water.restart()
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
        """Closes the lost stream and tries to open the same device until it is back or the sink stops."""
        if lost is not None:
            self._retire(lost, dead=True)
        while not self._stop.wait(RETRY_SECONDS):
            with self._opening:
                if self._stream is not None:
                    return  # the player chose another one meanwhile
                try:
                    portaudio.refresh()
                    self._hand_over(
                        OutputStream(
                            self._wanted,
                            self._stage.sample_rate,
                            self._stage.channels,
                            self._short_ring_frames,
                        )
                    )
                    return
                except DeviceError as error:
                    log.info("still gone: %s", error)
