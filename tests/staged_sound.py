"""A sound system of the test's own, on a turned clock, whose devices misbehave when they are asked to.

`staged(clock)` puts it in the place of `jbdiff_live.audio.portaudio`. All else is real: the sink, its feeder and
watcher, the stream, the output stage. A device drops frames, vanishes and returns, hangs, or runs at a wrong rate.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest import mock

import numpy as np
from turned_clock import TurnedClock

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.sink import DeviceError

T = TypeVar("T")
RATE = 44_100
DROP_SECONDS = 0.5  # between two holes of a device that drops
USERS = ("device", "stream", "closing", "names", "input")  # modules of `jbdiff_live.audio` that use PortAudio


class StagedDevice:
    """An output and input by name. The test writes the first four; the rest says what came out of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.losses = 0  # a stream that was open then is dead for ever
        self._there = True
        self.hangs = False  # it is there, and takes no frames
        self.speed = 1.0  # frames that it takes over those that it promised
        self.drops = False  # it loses frames and counts an underflow now and then
        self.loudest = 0.0  # peak since the test set it to 0
        self.largest_step = 0.0  # between neighbouring frames, over all that was played without a break
        self.frames = 0
        self.channels = 2
        self.captured: list[np.ndarray] | None = None  # what was played, if the test puts a list here
        self.incoming: list[np.ndarray] = []  # frames `[n, channels]` that come in next

    @property
    def there(self) -> bool:
        return self._there

    @there.setter
    def there(self, there: bool) -> None:
        self.losses += self._there and not there
        self._there = there

    @contextlib.contextmanager
    def answers(self) -> Iterator[None]:
        if not self.there:
            raise DeviceError(f"{self.name} is not there")
        if self.hangs:
            raise DeviceError(f"{self.name} does not answer")
        yield


class StagedRing:
    """`rtmixer.RingBuffer` of float32 frames. `play` does what the device would have done by now."""

    def __init__(self, elementsize: int, size: int) -> None:
        self._data = np.zeros((size, elementsize // 4), np.float32)
        self._written = self._read = 0
        self.play: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> int:
        return self._written - self._read

    @property
    def read_available(self) -> int:
        self.play()
        return self.waiting

    def write(self, frames: np.ndarray) -> int:
        self.play()
        return self.put(frames)

    def put(self, frames: np.ndarray) -> int:
        count = min(len(frames), len(self._data) - self.waiting)
        self._data[np.arange(self._written, self._written + count) % len(self._data)] = frames[:count]
        self._written += count
        return count

    def take(self, count: int) -> np.ndarray:
        frames = self._data[np.arange(self._read, self._read + count) % len(self._data)]
        self._read += count
        return frames

    def get_read_buffers(self, count: int) -> tuple[int, Any, Any]:
        start = self._read % len(self._data)
        first = min(count, len(self._data) - start)
        return count, self._data[start : start + first].data, self._data[: count - first].data

    def readinto(self, out: np.ndarray) -> int:
        count = min(len(out), self.read_available)
        out[:count] = self.take(count)
        return count

    def flush(self) -> None:
        self._read = self._written


class StagedMixer:
    """`rtmixer.Mixer`: what a callback in C does is done whenever somebody looks, for the time that has passed."""

    latency = 0.02

    def __init__(self, clock: TurnedClock, device: StagedDevice, samplerate: int) -> None:
        self._clock, self._device, self._rate = clock, device, samplerate
        self._lock = threading.Lock()
        self._losses = device.losses
        self._started = False
        self._ring: StagedRing | None = None
        self._action: object | None = None
        self._at = self._dropped_at = clock.now()
        self._owed = 0.0  # frames of the time that has passed
        self._last: np.ndarray | None = None
        self._underflows = 0

    @property
    def _alive(self) -> bool:
        return self._device.losses == self._losses

    def start(self) -> None:
        with self._device.answers():
            if not self._alive:
                raise DeviceError(f"{self._device.name} was unplugged")
            self._started, self._at = True, self._clock.now()

    def stop(self) -> None:
        self._started = False

    def close(self) -> None:
        self._started = False

    @property
    def active(self) -> bool:
        self._play()
        return self._started and self._alive

    @property
    def actions(self) -> tuple[object, ...]:
        self._play()
        return () if self._action is None else (self._action,)

    def play_ringbuffer(self, ring: StagedRing) -> object:
        self._play()
        self._ring, self._action, ring.play = ring, object(), self._play
        return self._action

    def fetch_and_reset_stats(self) -> object:
        underflows, self._underflows = self._underflows, 0
        return SimpleNamespace(stats=SimpleNamespace(output_underflows=underflows))

    def _play(self) -> None:
        with self._lock:
            now, device, ring = self._clock.now(), self._device, self._ring
            passed, self._at = now - self._at, now
            if not self._started or device.hangs or not self._alive or ring is None or self._action is None:
                self._last = None
                return
            self._owed += passed * self._rate * device.speed
            wanted = int(self._owed)
            self._owed -= wanted
            frames = ring.take(min(wanted, ring.waiting))
            if len(frames) < wanted:
                self._action = None  # rtmixer ends the action when the ring is empty
            if device.drops and now - self._dropped_at > DROP_SECONDS:
                self._dropped_at, self._last = now, None
                self._underflows += 1
                return
            if device.captured is not None:
                device.captured.append(frames.copy())
            if len(frames):
                if self._last is not None:
                    frames = np.concatenate([self._last, frames])
                steps = np.abs(np.diff(frames, axis=0))
                device.largest_step = max(device.largest_step, float(steps.max(initial=0.0)))
                device.loudest = max(device.loudest, float(np.abs(frames).max()))
                device.frames += len(frames)
                self._last = None if self._action is None else frames[-1:]


class StagedRecorder:
    """`rtmixer.Recorder` that hears what the test says, its first channels."""

    active = True
    latency = 0.005

    def __init__(self, device: StagedDevice, channels: int) -> None:
        self._device = device
        self._channels = channels
        self._action: object | None = None

    def record_ringbuffer(self, ring: StagedRing) -> object:
        def come_in() -> None:
            while self._device.incoming:
                ring.put(self._device.incoming.pop(0)[:, : self._channels])

        ring.play = come_in
        self._action = object()
        return self._action

    @property
    def actions(self) -> tuple[object, ...]:
        return () if self._action is None else (self._action,)

    def start(self) -> None:
        with self._device.answers():
            pass

    def close(self) -> None:
        self.active = False


class StagedSound:
    """`jbdiff_live.audio.portaudio`, with the devices that the test adds."""

    JACK = portaudio.JACK

    def __init__(self, clock: TurnedClock) -> None:
        self.clock = clock
        self.devices_by_name: dict[str, StagedDevice] = {}
        self.open_streams = 0

    def add(self, name: str) -> StagedDevice:
        return self.devices_by_name.setdefault(name, StagedDevice(name))

    # As portaudio

    def devices(self, kind: str) -> list[portaudio.Device]:
        return [
            portaudio.Device(index, name, "Staged", device.channels, RATE)
            for index, (name, device) in enumerate(self.devices_by_name.items())
            if device.there
        ]

    def find_device(self, name: str | None, kind: str) -> portaudio.Device:
        for device in self.devices(kind):
            if name in (None, device.name):
                return device
        raise DeviceError(f"no sound {kind} {name!r}")

    def best_rate(self, device: portaudio.Device, kind: str, channels: int, wanted: int) -> int:
        return wanted

    def mixer_library(self) -> object:
        return SimpleNamespace(Mixer=self._mixer, Recorder=self._recorder, RingBuffer=StagedRing)

    def _mixer(
        self, device: int, channels: int, samplerate: int, latency: str, blocksize: int
    ) -> StagedMixer:
        chosen = list(self.devices_by_name.values())[device]
        with chosen.answers():
            return StagedMixer(self.clock, chosen, samplerate)

    def _recorder(self, device: int, channels: int, **_: object) -> StagedRecorder:
        chosen = list(self.devices_by_name.values())[device]
        with chosen.answers():
            return StagedRecorder(chosen, channels)

    @contextlib.contextmanager
    def calling(self, what: str) -> Iterator[None]:
        yield

    def patiently(self, what: str, call: Callable[[], T], late: Callable[[T], object] | None = None) -> T:
        return call()

    def stream_opened(self) -> None:
        self.open_streams += 1

    def stream_closed(self) -> None:
        self.open_streams -= 1

    def abandon(self, stream: object) -> None:
        self.stream_closed()

    def lost_one(self) -> None:
        """Nothing to remember: devices are looked up anew each time."""

    def refresh(self) -> bool:
        return True


@contextlib.contextmanager
def staged(clock: TurnedClock) -> Iterator[StagedSound]:
    """Every module of `jbdiff_live.audio` that uses PortAudio uses this one meanwhile."""
    sound = StagedSound(clock)
    with contextlib.ExitStack() as stack:
        for user in USERS:
            stack.enter_context(mock.patch(f"jbdiff_live.audio.{user}.portaudio", sound))
        yield sound
