"""What happens to the frames of the live input: channels, rate, strip, memory, dry sound, watch on feedback.

Threads: the input's drain thread calls `begin` and `take`. Any thread may read the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.audio.live.feedback import LOOK_SECONDS, FeedbackWatch
from jbdiff_live.audio.live.monitor import DrySound, SentSound
from jbdiff_live.audio.live.past import InputPast, Mono
from jbdiff_live.audio.live.strip import InputStrip
from jbdiff_live.beat.frame_time import FrameTime
from jbdiff_live.block import CHANNELS, Audio
from jbdiff_live.parameters import ParameterSnapshot

PAST_SECONDS = 600.0
PIECE = 4096  # frames that the strip gets at once


class InputChain:
    """The chain. Mono and stereo devices of any rate become stereo at the engine's rate."""

    def __init__(
        self,
        sample_rate: int,
        knobs: Callable[[], ParameterSnapshot] | None = None,
        seconds: float = PAST_SECONDS,
        channels: Sequence[int] = (),
        dry: DrySound | None = None,
        sent: SentSound | None = None,
    ) -> None:
        """knobs: None leaves the sound as it is. channels: one or two channels of the device, from 1 on; empty: the
        first two. dry: gets the sound for the output. sent: what the output plays, for the watch on feedback.
        """
        if len(channels) > CHANNELS or any(channel < 1 for channel in channels):
            raise ValueError(f"input channels {list(channels)}: name one or two, from 1 on")
        self.past = InputPast(seconds, sample_rate, CHANNELS)
        self.strip = InputStrip(sample_rate, CHANNELS, PIECE)
        self.watch = FeedbackWatch(sample_rate)
        self.wanted_channels = max(channels, default=CHANNELS)  # of the device
        self.latency_seconds = 0.0  # of the device
        self._rate = sample_rate
        self._knobs = knobs
        self._channels = tuple(channel - 1 for channel in channels)
        self._dry, self._sent = dry, sent
        self._raw = InputPast(4.0, sample_rate, CHANNELS)  # before the strip: feedback hides behind no gate
        self._time = FrameTime(sample_rate)
        self._resampler: Any = None  # Any: soxr has no types
        self._looked = 0
        self._stereo = np.zeros((PIECE, CHANNELS), np.float32)

    def begin(self, rate: int, latency_seconds: float, another: bool) -> None:
        """Prepare for a device that was opened. another: it is not the device of the frames before."""
        self.latency_seconds = latency_seconds
        self._time.restart()
        self._resampler = None
        if rate != self._rate:
            import soxr

            self._resampler = soxr.ResampleStream(rate, self._rate, CHANNELS, dtype="float32")
        if another:
            self.past.begin_anew()
            self.watch.forget()
        self._raw.begin_anew()

    def missing(self, channels: int) -> str:
        """Return words for chosen channels that a device of so many channels lacks, or an empty text."""
        lacks = [channel + 1 for channel in self._channels if channel >= channels]
        return f"it has {channels} channels, not channel {lacks[0]}" if lacks else ""

    def take(self, frames: NDArray[np.float32], now: float) -> None:
        """Take the new frames `[frames, channels of the device]`, read at second `now`."""
        for start in range(0, len(frames), PIECE):
            stereo = self._picked(frames[start : start + PIECE])
            if self._resampler is not None:
                stereo = self._resampler.resample_chunk(stereo)
            for begin in range(0, len(stereo), PIECE):
                self._keep(stereo[begin : begin + PIECE])
        if len(frames):
            self._time.see(self.past.frames, now)
            self._look()

    def _picked(self, frames: NDArray[np.float32]) -> Audio:
        """Return the chosen channels as stereo. A mono choice, or a mono device, sounds on both sides."""
        stereo = self._stereo[: len(frames)]
        last = frames.shape[1] - 1
        chosen = self._channels or (0, 1)
        for side in range(CHANNELS):
            stereo[:, side] = frames[:, min(last, chosen[min(side, len(chosen) - 1)])]
        return stereo

    def _keep(self, stereo: Audio) -> None:
        sound, presence = self.strip.process(stereo, None if self._knobs is None else self._knobs())
        self._raw.write(stereo, presence)
        self.past.write(sound, presence)
        if self._dry is not None:
            self._dry.duck = self.watch.duck
            self._dry.write(sound)

    def _look(self) -> None:
        if self._sent is None or self._raw.frames - self._looked < LOOK_SECONDS * self._rate:
            return
        self._looked = self._raw.frames
        self.watch.look(self._sent.latest(self.watch.frames), self._raw.mono(self.watch.frames)[0])

    # ------------------------------------------------------------------ any thread

    def piece(self, frames: int, end: int | None = None) -> tuple[Mono, Mono]:
        """Return mono frames that end before `end`, None for the newest, and how present the player is in each."""
        sound, presence = self.past.mono(frames, end)
        presence *= np.float32(self.watch.duck)
        return sound, presence

    def came_at(self, frame: int) -> float | None:
        """Return the second at which a frame was at the input; None if no frame came since the device was opened."""
        seen = self._time.time_of(frame)
        return None if seen is None else seen - self.latency_seconds
