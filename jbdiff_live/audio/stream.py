"""One open output device: a short ring that a callback in C plays, and the adapter of rate and channels.

Threads: `__init__` and `close` run on the thread that opens and closes, and block on the sound system. The rest runs on
the feeder, without waiting and without a lock. The C callback reads the short ring. If it finds the ring empty, rtmixer
ends its action, and the feeder arms it again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jbdiff_live.audio import portaudio
from jbdiff_live.audio.adapter import FrameAdapter
from jbdiff_live.audio.closing import let_go
from jbdiff_live.audio.cv_out import CvOut, CvSlopes
from jbdiff_live.audio.marks import FrameMarks
from jbdiff_live.audio.rate import RateMeter
from jbdiff_live.audio.short_ring import ShortRingLength
from jbdiff_live.audio.sink import DeviceError
from jbdiff_live.beat.frame_time import FrameTime
from jbdiff_live.block import Audio
from jbdiff_live.clock import Clock

STALLED_SECONDS = 2.5  # longer than PulseAudio's measured pauses of its callback, 1.3 s
STATS_SECONDS = 0.5
REARM_FADE_SECONDS = 0.005


class OutputStream:
    """A device opened by name, at `sample_rate` if it supports that; else at its own rate, with resampling."""

    def __init__(
        self,
        name: str | None,
        sample_rate: int,
        channels: int,
        short_ring_frames: int,
        clock: Clock,
        cv: CvOut | None = None,
    ) -> None:
        """cv: the voltages on the channels after the sound, as far as the device has them."""
        device = portaudio.find_device(name, "output")
        self.name = device.name
        self.host = device.host
        sound_channels = min(2, device.channels)
        wanted = 0 if cv is None else cv.channels
        self.channels = max(sound_channels, min(wanted, device.channels))
        self._cv = None if cv is None else CvSlopes(cv, self.channels)
        self.no_cv = (
            "" if cv is None else cv.missing(self.channels)
        )  # words for the sends without a channel on the device
        self.rate = portaudio.best_rate(device, "output", self.channels, sample_rate)
        self.ran_dry = 0  # times the callback found the short ring empty
        self.device_underruns = 0  # the device's own count; on JACK it includes other clients' lateness
        self._adapter = FrameAdapter(
            sample_rate, channels, self.rate, self.channels, sound_channels, short_ring_frames
        )
        # A faster device empties its ring sooner: the ring keeps its length in time.
        usual = short_ring_frames << max(0, math.ceil(math.log2(self._adapter.ratio) - 0.3))
        self.length = ShortRingLength(usual, clock)
        self._left = np.zeros((0, self.channels), np.float32)  # resampled and not yet in the short ring
        rtmixer = portaudio.mixer_library()
        with portaudio.calling(f"cannot open {device.name}"):
            self._mixer = rtmixer.Mixer(
                device=device.index,
                channels=self.channels,
                samplerate=self.rate,
                latency="high",  # "low" is 9 ms on ALSA, and underran on a busy machine; "high" is 35 ms, beside our 93
                blocksize=0,
            )
            self._ring = rtmixer.RingBuffer(4 * self.channels, self.length.most)
            portaudio.stream_opened()
        self.latency_seconds = float(self._mixer.latency)
        self._action: Any = None  # Any: rtmixer has no types
        self._stats: Any = None  # Any: rtmixer has no types
        self._stats_at = 0.0
        self._clock = clock
        self._meter = RateMeter(self.rate, clock)
        self._time = FrameTime(self.rate)
        self._moved_at: float | None = None  # second of the last taken frame; None before the start
        self._last_played = -1
        self._written = 0
        self._dead = self._hangs = False
        self._marks = FrameMarks()

    # ------------------------------------------------------------------ feeder

    @property
    def queued(self) -> int:
        """Device frames in the short ring. Any thread."""
        return int(self._ring.read_available)

    @property
    def capacity(self) -> int:
        """Device frames that the short ring may hold now. Any thread."""
        return self.length.frames

    @property
    def holes(self) -> int:
        """Holes in the sound so far. Any thread. Under JACK the device's own count includes other clients' lateness."""
        return self.ran_dry + (0 if self.host == portaudio.JACK else self.device_underruns)

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the device last took frames. Any thread."""
        moved_at = self._moved_at
        return 0.0 if moved_at is None else max(0.0, self._clock.now() - moved_at)

    @property
    def wrong_rate(self) -> str:
        """Words for a device that takes frames at a wrong rate, or an empty text. Any thread."""
        measured = self._meter.measured
        if not measured:
            return ""
        return (
            f"{self.name} takes {measured:.0f} frames a second and was opened for {self.rate}, so the pitch is wrong; "
            "choose another output, or set the device to that rate"
        )

    def heard(self) -> int:
        """Return the last frame of the engine's ring that the callback has taken. Any thread."""
        return self._marks.find(self._written - self.queued)

    def heard_at(self, when: float) -> int:
        """Return the engine's ring frame that leaves the device at second `when`, with the device's own latency.

        The callback takes frames by the period; the returned frame moves on evenly. Any thread.
        """
        taken = self._time.frame_at(when - self.latency_seconds)
        return (
            self.heard() if taken is None else self._marks.find(int(min(taken, self._written - self.queued)))
        )

    def next_heard(self) -> float | None:
        """Return the second at which the next written frame leaves the device; None if unknown."""
        self.see()
        taken = self._time.time_of(self._written + len(self._left))
        return None if taken is None else taken + self.latency_seconds

    def see(self) -> int:
        """Read the device's position. Call it often: it moves in jumps. Return the frames in the short ring."""
        queued = self.queued
        if self._moved_at is not None:
            self._time.see(self._written - queued, self._clock.now())
        return queued

    def begin_at(self, ring_frames: int) -> None:
        """Set the frame of the engine's ring after which the next written frames come."""
        self._marks.restart(self._written, ring_frames)

    def room_for(self, frames: int) -> bool:
        """Return True if `frames` at the engine's rate fit now."""
        if not self._adapter.resamples:
            return self.capacity - self.queued >= frames
        return not self._flush_left() and self.capacity - self.queued >= frames * self._adapter.ratio

    def write(self, frames: Audio, ring_frames: int) -> None:
        """Give float32 `[frames, channels of the engine]` to the device. Call `room_for` before.

        `ring_frames` is the frame of the engine's ring behind the last of them.
        """
        frames = self._adapter.adapt(frames)
        if self._cv is not None:
            self._cv.fill(frames, ring_frames)
        count = self._ring.write(frames) if len(frames) else 0
        self._written += count
        self._left = frames[count:].copy() if count < len(frames) else self._left[:0]
        self._marks.add(self._written + len(self._left), ring_frames)

    def _flush_left(self) -> int:
        """Write the frames left from earlier resampling. Return the number that still wait."""
        if len(self._left):
            count = self._ring.write(self._left)
            self._written += count
            self._left = self._left[count:]
        return len(self._left)

    def start(self) -> None:
        """Start the device on the short ring's frames. DeviceError if it does not start."""
        self._arm()
        portaudio.patiently(f"cannot start {self.name}", self._mixer.start)
        self._moved_at = self._stats_at = self._clock.now()
        self._meter.restart()
        self._time.restart()

    def keep_playing(self, count: bool = True) -> None:
        """If the short ring ran dry, arm the callback again, count it, and let the ring grow.

        Call it after filling. count: False if the ring was meant to run dry.
        """
        if self._action in self._mixer.actions:
            return
        if self._action is not None:
            self._meter.restart()
            self._time.restart()
            if count:
                self.ran_dry += 1
                # This machine stalls for longer than the ring lasts. A slower knob is better than another hole.
                self.length.ran_dry()
            # The ring has no reader until the callback is armed again.
            fade_in_place(self._ring, self.channels, round(REARM_FADE_SECONDS * self.rate))
        self._arm()

    def _arm(self) -> None:
        if self._action is None or self._action not in self._mixer.actions:
            self._action = self._mixer.play_ringbuffer(self._ring)

    def check(self) -> str:
        """Return why the device no longer plays, or an empty text. Also read the device's counters."""
        if not self._mixer.active:
            return "it stopped"
        now = self._clock.now()
        played = self._written - self.queued
        if played != self._last_played or not self.queued:
            self._last_played, self._moved_at = played, now
        elif self.stalled_seconds > STALLED_SECONDS:
            return "it takes no sound any more"
        self._meter.see(played)
        if self._stats is not None and self._stats not in self._mixer.actions:
            self.device_underruns += int(self._stats.stats.output_underflows)
            self._stats = None
        if self._stats is None and now - self._stats_at > STATS_SECONDS:
            self._stats_at = now
            self._stats = self._mixer.fetch_and_reset_stats()
        return ""

    # ------------------------------------------------------------------ the closing thread

    def stop(self) -> None:
        """Stop a living device at once, and detect a dead one. The queued frames must have played before.

        DeviceError if its server hangs. The stream is then abandoned: `close` does not call the server again.
        """
        self._moved_at = None
        if not self._mixer.active:
            self._dead = True
            return
        try:
            portaudio.patiently(f"cannot stop {self.name}", self._mixer.stop)
        except DeviceError:
            self._hangs = True
            raise

    def rewind(self) -> None:
        """Empty the short ring of a stopped device, ready for `start`."""
        self._ring.flush()
        self._left = self._left[:0]
        self._adapter.clear()
        self._written = 0
        self._last_played = -1

    def close(self, dead: bool = False) -> None:
        """Close the device. One that hangs, or died under JACK, is abandoned, since closing it would hang."""
        let_go(self.name, self.host, self._mixer, self._ring, dead or self._dead, self._hangs)


def fade_in_place(ring: Any, channels: int, most: int) -> None:
    """Fade in the first `most` frames of a ring of rtmixer, in place. No thread may read it meanwhile."""
    count = min(int(ring.read_available), most)
    _, *parts = ring.get_read_buffers(count)
    done = 0
    for part in parts:
        frames = np.frombuffer(part, np.float32).reshape(-1, channels)
        phase = np.arange(done + 1, done + len(frames) + 1, dtype=np.float32)[:, None] / (count + 1)
        frames *= 0.5 - 0.5 * np.cos(np.pi * phase)
        done += len(frames)
