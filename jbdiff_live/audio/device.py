"""The sink with a device: a feeder between the engine's ring and the short ring, and the opening of devices.

Threads: the feeder (`feeder.py`) plays, and calls `_lose` when its device is gone. `open` to `close` belong to the
session and block on the sound system. While a device is lost a watcher thread tries to open the same one again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.cv_out import CvOut
from jbdiff_live.audio.feeder import Feeder
from jbdiff_live.audio.live.monitor import DrySound, SentSound
from jbdiff_live.audio.null import bad_sound
from jbdiff_live.audio.output import OnHeard, OutputStage, TimedSnapshots
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.stream import OutputStream
from jbdiff_live.clock import MACHINE, NEVER, Clock
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.ring import RingBuffer
from jbdiff_live.status import AudioStatus

log = logging.getLogger(__name__)

SHORT_RING_FRAMES = 4096  # 93 ms at 44.1 kHz
RETRY_SECONDS = 1.5
PATIENCE_SECONDS = 5.0  # limit of the wait for the watcher's end
FROZEN_SECONDS = 0.5  # after this time without a frame taken the meters show silence


class DeviceSink:
    """A sink that plays the ring on a device: `open`, `start`, `stop`, `close`. `open` while playing moves over.

    `short_ring_frames` is a power of two. The short ring covers a stall of Python, and it delays gain and mute.
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
        heard: OnHeard | None = None,
        headroom_db: float = 0.0,
        dry: DrySound | None = None,
        sent: SentSound | None = None,
        dc_filter: bool = False,
    ) -> None:
        """cv: the voltages on the device's channels after the sound. The rest from `heard` on: as in `OutputStage`."""
        if short_ring_frames < 256 or short_ring_frames & (short_ring_frames - 1):
            raise ValueError(f"short ring of {short_ring_frames} frames: needs a power of two from 256 on")
        self._stage = OutputStage(
            ring, snapshot, sample_rate, timed, heard, headroom_db, dry, sent, dc_filter
        )
        self._short_ring_frames = short_ring_frames
        self._feeder = Feeder(self._stage, short_ring_frames // 16, clock, self._lose, self._no_stream)
        self._clock = clock
        self._cv = cv
        self._wanted = ""  # the device to return to
        self._lost = ""  # the message about a lost device
        self._heard = 0
        self._past_underruns = self._past_dry = 0  # of streams that are closed
        self._watcher: threading.Thread | None = None
        # A lock for `open`, the watcher and `close`. The feeder never takes it.
        self._opening = threading.Lock()

    # ------------------------------------------------------------------ any thread

    @property
    def sample_rate(self) -> int:
        return self._stage.sample_rate

    @property
    def device(self) -> str:
        """The name of the device in use, or of the lost one."""
        return self._wanted

    @property
    def frames_heard(self) -> int:
        stream, playing = self._feeder.stream, self._feeder.there
        frames = self._stage.frames_passed if stream is None or not playing else stream.heard()
        # Two readers may race here. Each writes a frame that was true a moment ago.
        self._heard = max(self._heard, frames)
        return self._heard

    def frame_at(self, when: float) -> float:
        stream = self._feeder.stream
        return self.frames_heard if stream is None or not self._feeder.there else stream.heard_at(when)

    def status(self) -> AudioStatus:
        feeder, stage = self._feeder, self._stage
        stream = feeder.stream
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
            low = feeder.low_water.frames
        return AudioStatus(
            running=feeder.alive,
            device=device,
            nowhere=bool(self._lost),
            stalled_seconds=stalled,
            quiet_seconds=stage.quiet_seconds,
            held=stage.held,
            sample_rate=stream.rate if stream is not None else stage.sample_rate,
            underruns=underruns,
            ran_dry=dry,
            holes_lately=feeder.lately.growth,
            short_frames=stage.short_frames,
            low_water_frames=low,
            latency_seconds=latency + behind,
            usual_latency_seconds=usual + behind,
            device_seconds=behind,
            peak=(0.0, 0.0) if self._lost or stalled > FROZEN_SECONDS else stage.peak,
            limited=stage.limited,
            loudness=stage.loudness.now,
            priority=feeder.priority,
            problem=feeder.broken or self._lost or bad_sound(stage) or wrong_rate or no_cv,
        )

    # ------------------------------------------------------------------ session's thread

    def open(self, device: str | None) -> None:
        """Open a device and move over to it. DeviceError gives the reason if it fails; the old one plays on."""
        with self._opening:
            self._hand_over(self._open_stream(device))

    def _open_stream(self, device: str | None) -> OutputStream:
        """Open a device by name, None for the default. DeviceError also when the sound system does not answer."""

        def open_stream() -> OutputStream:
            if self._feeder.stream is None:
                portaudio.refresh()
            stage = self._stage
            return OutputStream(
                device, stage.sample_rate, stage.channels, self._short_ring_frames, self._clock, self._cv
            )

        what = f"cannot open {device or 'the default output'}"
        return portaudio.patiently(what, open_stream, late=lambda stream: stream.close())

    def _hand_over(self, stream: OutputStream) -> None:
        """Give a new stream to the feeder, and close the old one when the feeder has returned it."""
        if self._feeder.alive:
            old = self._feeder.hand(stream)
            if old is not None:
                self._let_play_out(old)
        else:
            old, self._feeder.stream = self._feeder.stream, stream
        self._wanted = stream.name
        self._lost = ""
        if old is not None:
            self._retire(old)

    def _let_play_out(self, stream: OutputStream) -> None:
        """Wait until a stream without a feeder has played its fade-out, but no longer than its ring lasts."""
        clock = self._clock
        until = clock.now() + 2 * stream.capacity / stream.rate
        while stream.queued and clock.now() < until:
            clock.wait_until(clock.now() + 0.005, NEVER)
        # The end of the fade is still in the device's own buffers, and a stop drops those (ALSA, PulseAudio).
        until = clock.now() + min(0.5, 2 * stream.latency_seconds + 0.05)
        while clock.now() < until:
            clock.wait_until(until, NEVER)

    def _retire(self, stream: OutputStream, dead: bool = False) -> None:
        self._past_underruns += stream.ran_dry + stream.device_underruns
        self._past_dry += stream.ran_dry
        stream.close(dead)

    def start(self) -> None:
        if not self._feeder.alive:
            self._feeder.start()

    def stop(self) -> None:
        feeder = self._feeder
        feeder.stopping.set()
        if not feeder.there:
            return
        feeder.wait()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.join(PATIENCE_SECONDS)
        stream = feeder.stream
        if stream is not None:
            self._let_play_out(stream)
            try:
                stream.stop()
            except DeviceError as error:
                log.warning("%s", error)
            stream.rewind()
        feeder.forget()

    def close(self) -> None:
        self.stop()
        with self._opening:
            stream, self._feeder.stream = self._feeder.stream, None
            if stream is not None:
                self._retire(stream)

    # ------------------------------------------------------------------ feeder

    def _no_stream(self) -> None:
        """Start a watcher that looks for the chosen device, since the feeder begins without one."""
        if self._wanted:
            self._watch(None)

    def _lose(self, stream: OutputStream, trouble: str) -> None:
        """Take a lost device away: time goes on by the clock, and a watcher looks for the device."""
        self._lost = f"{stream.name} is gone ({trouble}); playing on in silence until it is back"
        log.warning("%s", self._lost)
        self._wanted = stream.name
        self._feeder.stream = None
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
            except Exception as error:  # the device may return, whatever the old stream's error
                log.info("closing %s: %s", lost.name, error)
        while self._wait_to_retry():
            with self._opening:
                if self._feeder.stream is not None:
                    return  # the player chose another device meanwhile
                try:
                    self._hand_over(self._open_stream(self._wanted))
                    return
                except Exception as error:  # the thread's top: it must try again after every error
                    log.info("still gone: %s", error)

    def _wait_to_retry(self) -> bool:
        """Wait some seconds. Return False when the sink stops."""
        clock = self._clock
        until = clock.now() + RETRY_SECONDS
        while clock.now() < until and not self._feeder.stopping.is_set():
            clock.wait_until(until, self._feeder.stopping)
        return not self._feeder.stopping.is_set()
