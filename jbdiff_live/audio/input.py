"""The live input: a device that is read into an `InputChain`; or its channels unchanged, for voltages.

Threads: a callback in C records into a short ring. A drain thread empties it, watches the device and opens it again
when it returns. `latest` and `piece` are for the engine thread. They copy under a lock that the drain thread also holds
for a short time; no device callback takes it. `open` and `close` belong to the session.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.live.chain import InputChain
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.audio.stream import STALLED_SECONDS
from jbdiff_live.block import SAMPLE_RATE

log = logging.getLogger(__name__)

OnFrames = Callable[[NDArray[np.float32], int], None]  # [frames, channels] and their rate

RING_FRAMES = 16_384  # a third of a second: the drain thread may be this late
NAP_SECONDS = 0.01
SOUND_CHANNELS = 2
RETRY_SECONDS = 1.5


class _InputStream:
    """One open input device. Made and closed by `LiveInput`, read by its drain thread."""

    def __init__(self, name: str | None, sample_rate: int, channels: int = SOUND_CHANNELS) -> None:
        device = portaudio.find_device(name, "input")
        self.name, self.host = device.name, device.host
        self.channels = min(channels, device.channels)
        self.rate = portaudio.best_rate(device, "input", self.channels, sample_rate)
        self._frames = np.zeros((RING_FRAMES, self.channels), np.float32)
        rtmixer = portaudio.mixer_library()
        with portaudio.calling(f"cannot open input {device.name}"):
            self._recorder = rtmixer.Recorder(
                device=device.index, channels=self.channels, samplerate=self.rate, latency="low", blocksize=0
            )
            portaudio.stream_opened()
            try:
                self._ring = rtmixer.RingBuffer(4 * self.channels, RING_FRAMES)
                self._action = self._recorder.record_ringbuffer(self._ring)
                self._recorder.start()
            except Exception:
                self._recorder.close()
                portaudio.stream_closed()
                raise
        self.latency_seconds = float(self._recorder.latency)
        self.overruns = 0
        self._moved_at = time.monotonic()

    def read(self) -> NDArray[np.float32]:
        """Return the new frames since the last call, `[frames, channels]`, device's rate; valid until the next call."""
        count = self._ring.readinto(self._frames)
        if count:
            self._moved_at = time.monotonic()
        if self._action not in self._recorder.actions:  # the ring was full: rtmixer has stopped recording
            self.overruns += 1
            self._action = self._recorder.record_ringbuffer(self._ring)
        return self._frames[:count]

    def trouble(self) -> str:
        if not self._recorder.active:
            return "it stopped"
        return "nothing comes in" if time.monotonic() - self._moved_at > STALLED_SECONDS else ""

    def close(self, dead: bool) -> None:
        dead = dead or not self._recorder.active
        if dead and self.host == portaudio.JACK:
            portaudio.abandon((self._recorder, self._ring))
            return
        if dead:
            portaudio.lost_one()
        try:
            portaudio.patiently(f"cannot close {self.name}", self._recorder.close)
        except DeviceError as error:
            log.warning("%s", error)
        finally:
            portaudio.stream_closed()


class LiveInput:
    """An input device by name. Call `open`, the rest any number of times, then `close`."""

    def __init__(
        self,
        sample_rate: int = SAMPLE_RATE,
        chain: InputChain | None = None,
        channels: int = SOUND_CHANNELS,
        on_frames: OnFrames | None = None,
    ) -> None:
        """chain: gets the sound; it stays when another device is opened.

        on_frames: gets the first `channels` channels as they come in, some hundred times a second, on the drain thread.
        It must not block.
        """
        self.chain = chain
        self._channels = channels if chain is None else chain.wanted_channels
        self._on_frames = on_frames
        self.sample_rate = sample_rate
        self.problem = ""
        self.past_overruns = (
            0  # times the drain thread was too late, with frames lost, of devices that are closed
        )
        self._stream: _InputStream | None = None
        self._name = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The device's name; empty before `open`."""
        return self._name

    @property
    def device(self) -> str:
        """The device's name and its problem, if any."""
        return f"{self._name} ({self.problem})" if self.problem else self._name

    def open(self, device: str | None) -> None:
        """Listen to a device by (part of its) name, None for the default. DeviceError leaves the old one open."""
        stream = self._open_stream(device)
        another = stream.name != self._name
        self.close()
        self._begin(stream, another)
        self._stream, self._name, self.problem = stream, stream.name, ""
        self._stop.clear()
        self._thread = threading.Thread(target=self._listen, name="live input", daemon=True)
        self._thread.start()

    def _open_stream(self, device: str | None) -> _InputStream:
        return portaudio.patiently(
            f"cannot open input {device or 'by default'}",
            lambda: self._checked(_InputStream(device, self.sample_rate, self._channels)),
            late=lambda stream: stream.close(dead=False),
        )

    def _checked(self, stream: _InputStream) -> _InputStream:
        """Return the stream if it has the chosen channels. Else close it and raise DeviceError."""
        missing = "" if self.chain is None else self.chain.missing(stream.channels)
        if not missing:
            return stream
        stream.close(dead=False)
        raise DeviceError(f"{stream.name}: {missing}; choose others with --input-channels")

    def _begin(self, stream: _InputStream, another: bool) -> None:
        if self.chain is not None:
            self.chain.begin(stream.rate, stream.latency_seconds, another)

    def close(self) -> None:
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(5.0)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(dead=False)

    @property
    def overruns(self) -> int:
        """Times frames were lost because the drain thread was too late."""
        stream = self._stream
        return self.past_overruns + (0 if stream is None else stream.overruns)

    # ------------------------------------------------------------------ drain thread

    def _listen(self) -> None:
        try:
            while not self._stop.wait(NAP_SECONDS):
                stream = self._stream
                if stream is None:
                    self._bring_back()
                    continue
                frames = stream.read()
                if self._on_frames is not None and len(frames):
                    self._on_frames(frames, stream.rate)
                if self.chain is not None:
                    self.chain.take(frames, time.monotonic())
                trouble = stream.trouble()
                if trouble:
                    self.problem = f"gone: {trouble}; waiting for it"
                    log.warning("input %s", self.device)
                    self._stream = None
                    self.past_overruns += stream.overruns
                    stream.close(dead=True)
        except Exception as error:  # the thread's top: the player must see that the input has ended
            log.exception("live input stopped")
            self.problem = f"stopped: {error}"

    def _bring_back(self) -> None:
        if self._stop.wait(RETRY_SECONDS):
            return
        try:
            portaudio.patiently("looking for sound devices", portaudio.refresh)
            stream = self._open_stream(self._name)
            self._begin(stream, another=False)
            self._stream, self.problem = stream, ""
        except DeviceError as error:
            log.info("input still gone: %s", error)
