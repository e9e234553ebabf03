"""The input's channel strip: high-pass, trim, meter and gate. No device, no thread: the drain thread calls it.

The gate opens above its threshold and closes 6 dB below it, so that a sound at the threshold does not make it flutter.
Its gain also says whether somebody plays: `InputStrip.process` returns it for each frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jbdiff_live.audio.master.filters import BlockFilter, high_pass
from jbdiff_live.block import Audio
from jbdiff_live.knobs.of_input import GATE_OFF_DB
from jbdiff_live.parameters import ParameterSnapshot

HIGH_PASS_HZ = 40.0  # takes out rumble and constant voltages, and leaves the lowest string of a bass
HYSTERESIS_DB = 6.0
FALL_DB_PER_SECOND = 60.0  # of the level that the gate looks at: a gap between two notes does not close it
OPEN_SECONDS, CLOSE_SECONDS = 0.002, 0.1  # fades of the gate
METER_FALL_DB_PER_SECOND = 24.0
CLIP = 0.999  # a converter's full scale
FLOOR_DB = -120.0


class InputStrip:
    """The strip. `peak`, `clipped` and `open` are plain values that any thread may read."""

    def __init__(
        self, sample_rate: int, channels: int, longest_chunk: int, high_pass_hz: float = HIGH_PASS_HZ
    ) -> None:
        """high_pass_hz: 0 is no high-pass."""
        self.peak = 0.0  # linear, after trim, before the gate; falls slowly
        self.clipped = False  # held: the converter was at full scale since `forget_clip`
        self.open = False
        self._rate = sample_rate
        self._filter = BlockFilter([high_pass(high_pass_hz, sample_rate)], channels) if high_pass_hz else None
        self._gain = 1.0
        self._level = FLOOR_DB
        self._presence = 0.0  # gain of the gate at the last frame
        self._sound = np.zeros((longest_chunk, channels), np.float32)
        self._gate = np.zeros(longest_chunk, np.float32)
        self._index = np.arange(1, longest_chunk + 1, dtype=np.float64)
        self._level_db = np.zeros(longest_chunk)

    def forget_clip(self) -> None:
        self.clipped = False

    def process(self, frames: Audio, knobs: ParameterSnapshot | None) -> tuple[Audio, NDArray[np.float32]]:
        """Return the sound `[frames, channels]` and the gate's gain `[frames]`, valid until the next call.

        knobs: None leaves the sound as it is, with an open gate. NaN and infinite samples become silence.
        """
        count = len(frames)
        sound, gate = self._sound[:count], self._gate[:count]
        if not count:
            return sound, gate
        np.copyto(sound, frames)
        np.nan_to_num(sound, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        self.clipped = self.clipped or _peak(sound) >= CLIP
        if knobs is not None:
            if self._filter is not None:
                self._filter.apply(sound, sound)
            self._trim(sound, 10.0 ** (knobs["input_trim"] / 20.0))
        self._meter(sound)
        if knobs is None:
            gate[:] = self._presence = 1.0
            self.open = True
        elif knobs["input_gate"] <= GATE_OFF_DB:
            self._fade_gate(gate, np.ones(count, np.bool_))
            self._close_by(sound, gate)
        else:
            self._fade_gate(gate, self._wanted(sound, knobs["input_gate"]))
            self._close_by(sound, gate)
        return sound, gate

    def _close_by(self, sound: Audio, gate: NDArray[np.float32]) -> None:
        if gate.min() < 1.0:  # an open gate leaves every sample as it is
            sound *= gate[:, None]

    def _trim(self, sound: Audio, gain: float) -> None:
        """Multiply by the gain. A new gain is reached at the end of the chunk."""
        if gain != self._gain:
            ramp = self._gain + (gain - self._gain) / len(sound) * self._index[: len(sound)]
            sound *= ramp.astype(np.float32)[:, None]
            self._gain = gain
        elif gain != 1.0:
            sound *= np.float32(gain)

    def _meter(self, sound: Audio) -> None:
        fallen = self.peak * 10.0 ** (-METER_FALL_DB_PER_SECOND / 20.0 * len(sound) / self._rate)
        self.peak = max(_peak(sound), fallen if fallen > 1e-6 else 0.0)

    def _wanted(self, sound: Audio, threshold_db: float) -> NDArray[np.bool_]:
        """Return for each frame whether the gate is to be open.

        The level is the highest peak so far, falling evenly in dB: a running maximum of a tilted line.
        """
        level = self._level_db[: len(sound)]
        np.max(np.abs(sound), axis=1, out=level)
        np.maximum(level, 10.0 ** (FLOOR_DB / 20.0), out=level)
        np.log10(level, out=level)
        level *= 20.0
        tilt = FALL_DB_PER_SECOND / self._rate * self._index[: len(sound)]
        level += tilt
        level[0] = max(level[0], self._level)
        np.maximum.accumulate(level, out=level)
        level -= tilt
        self._level = max(FLOOR_DB, float(level[-1]))
        # The newest frame that opened or closed the gate decides.
        opens, closes = level >= threshold_db, level < threshold_db - HYSTERESIS_DB
        newest = np.maximum.accumulate(np.where(opens | closes, np.arange(len(level)), -1))
        return np.where(newest < 0, self.open, opens[newest])

    def _fade_gate(self, gate: NDArray[np.float32], wanted: NDArray[np.bool_]) -> None:
        """Write the gate's gain, which follows `wanted` by fades."""
        turns = np.flatnonzero(wanted[1:] != wanted[:-1]) + 1
        start = 0
        for end in (*turns.tolist(), len(wanted)):
            steps = self._index[: end - start]
            seconds = OPEN_SECONDS if wanted[start] else -CLOSE_SECONDS
            gate[start:end] = np.clip(self._presence + steps / (seconds * self._rate), 0.0, 1.0)
            self._presence = float(gate[end - 1])
            start = end
        self.open = bool(wanted[-1])


def _peak(sound: Audio) -> float:
    return max(float(sound.max()), -float(sound.min()))
