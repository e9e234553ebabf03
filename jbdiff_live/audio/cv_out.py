"""Control voltages on the output channels after the sound: one slope a chunk, so that no voltage jumps.

Threads: `CvOut` is immutable. A `CvSlopes` belongs to one stream and to its writer, the feeder. It writes
into the frames for the device, and makes no arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jbdiff_live.block import Audio
from jbdiff_live.modular.movement import NOTHING, At
from jbdiff_live.modular.sends import CvSend

CHUNK_FRAMES = 1024


@dataclass(frozen=True)
class CvOut:
    """The sends and their channels. at: gives the moment of a frame of the engine's ring."""

    sends: tuple[CvSend, ...]
    at: At

    @property
    def channels(self) -> int:
        """Channels that the device needs."""
        return max((send.channel for send in self.sends), default=0)

    def missing(self, channels: int) -> str:
        """Return words for the sends that have no channel on the device; empty if it plays all."""
        lost = [f"{send.measure.value} (CV {send.channel})" for send in self.sends if send.channel > channels]
        if not lost:
            return ""
        return (
            f"the output has {channels} channels, and no place for {', '.join(lost)}; choose another output"
        )


class CvSlopes:
    """The voltages of one stream."""

    def __init__(self, out: CvOut, channels: int) -> None:
        self._at = out.at
        self._sends: Sequence[CvSend] = [send for send in out.sends if send.channel <= channels]
        self._levels = [send.low for send in self._sends]
        self._count = np.arange(1, CHUNK_FRAMES + 1, dtype=np.float32)
        self._slope = np.zeros(CHUNK_FRAMES, np.float32)
        self._frame = -1

    def fill(self, frames: Audio, ring_frame: int) -> None:
        """Write every voltage into its channel of float32 `[frames, channels]`.

        ring_frame: the engine's ring frame behind the last of these frames. If it stands still, no sound plays and the
        voltages go to 0.
        """
        moment = self._at(ring_frame) if ring_frame != self._frame else NOTHING
        self._frame = ring_frame
        for start in range(0, len(frames), CHUNK_FRAMES):
            chunk = frames[start : start + CHUNK_FRAMES]
            share = len(chunk) / (len(frames) - start)
            for index, send in enumerate(self._sends):
                target = send.low + moment[send.measure] * (send.high - send.low)
                before = self._levels[index]
                after = before + share * (target - before)
                slope = self._slope[: len(chunk)]
                np.multiply(self._count[: len(chunk)], (after - before) / len(chunk), out=slope)
                np.add(slope, before, out=slope)
                chunk[:, send.channel - 1] = slope
                self._levels[index] = after
