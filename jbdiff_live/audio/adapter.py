"""Convert the engine's frames to a device's rate and channels. Feeder only."""

from __future__ import annotations

from typing import Any

import numpy as np

from jbdiff_live.block import Audio


class FrameAdapter:
    """A converter to `channels` at `rate`. The first `sound_channels` of them carry the sound."""

    def __init__(
        self, engine_rate: int, engine_channels: int, rate: int, channels: int, sound_channels: int, most: int
    ) -> None:
        """most: the usual maximum of frames in one call."""
        self.ratio = rate / engine_rate
        self._resampler: Any = None  # Any: soxr has no types
        if rate != engine_rate:
            import soxr

            self._resampler = soxr.ResampleStream(engine_rate, rate, engine_channels, dtype="float32")
        self.channels = channels
        self._sound_channels = sound_channels
        self._adapted = np.zeros((most, channels), np.float32)

    @property
    def resamples(self) -> bool:
        return self._resampler is not None

    def clear(self) -> None:
        """Forget the frames that the resampler keeps back."""
        if self._resampler is not None:
            self._resampler.clear()

    def adapt(self, frames: Audio) -> Audio:
        """Return float32 `[frames of the device, channels]`. The result is valid until the next call."""
        if self._resampler is not None:
            # Resampling may overshoot the limiter's ceiling. Frames that would clip in the device are clipped here.
            frames = np.clip(self._resampler.resample_chunk(frames), -1.0, 1.0)
        return self._spread(frames)

    def _spread(self, frames: Audio) -> Audio:
        """Map engine channels to device channels, C-contiguous: mono goes to both, stereo to one as the mean.

        Channels after the sound are silent here.
        """
        if frames.shape[1] == self.channels:
            return np.ascontiguousarray(frames)
        if len(frames) > len(self._adapted):
            self._adapted = np.zeros((len(frames), self.channels), np.float32)
        adapted = self._adapted[: len(frames)]
        if self.channels == 1:
            np.mean(frames, axis=1, keepdims=True, out=adapted)
            return adapted
        sound = self._sound_channels
        adapted[:, :sound] = frames if frames.shape[1] == sound else frames[:, :1]
        adapted[:, sound:] = 0.0
        return adapted
