"""A generator without a model: a tone whose pitch follows the seed. For tests of everything but the model.

Engine thread only. Sample-exact and stateless but for its phase, so that tests can predict every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from jbdiff_live.block import SAMPLE_RATE, Generated, KeepGoing, Preparing, Rung, Saved
from jbdiff_live.parameters import ParameterSnapshot


@dataclass(frozen=True)
class SavedTone:
    """The phase between two blocks."""

    phase: float
    nbytes: int = 8

    def compact(self, before: SavedTone | None) -> SavedTone:
        return self


class ToneGenerator:
    """Sine at 110 * 2^(seed mod 24 / 12) Hz, louder with noise_step, phase-continuous across blocks."""

    def __init__(self, sample_rate: int = SAMPLE_RATE, channels: int = 2, block_frames: int = 16_384) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.block_frames = block_frames
        self._phase = 0.0

    @property
    def switch_seconds(self) -> float | None:
        return None

    @property
    def mixing_seconds(self) -> float | None:
        return None

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        return {Rung.FULL: 0.0}

    def prepare(self, report: Callable[[Preparing], None], keep_going: Callable[[], bool]) -> bool:
        report(Preparing("tuning the test tone", warming=True))
        return True

    def switch(self) -> None:
        """There is nothing to switch to."""

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        if not keep_going():
            return None
        hertz = 110.0 * 2.0 ** (int(snapshot["seed"]) % 24 / 12)
        step = 2 * np.pi * hertz / self.sample_rate
        wave = np.sin(self._phase + step * np.arange(self.block_frames))
        self._phase = float((self._phase + step * self.block_frames) % (2 * np.pi))
        loud = 0.1 + 0.4 * snapshot["noise_step"]
        samples = np.repeat((loud * wave).astype(np.float32)[:, None], self.channels, axis=1)
        return Generated(samples, f"tone {hertz:.2f} Hz")

    def save(self) -> SavedTone:
        return SavedTone(self._phase)

    def fits(self, saved: Saved) -> bool:
        return isinstance(saved, SavedTone)

    def restore(self, saved: Saved, present: Saved) -> None:
        assert isinstance(saved, SavedTone)
        self._phase = saved.phase

    def reset(self, keep_going: Callable[[], bool]) -> None:
        self._phase = 0.0

    def close(self) -> None:
        self._phase = 0.0
