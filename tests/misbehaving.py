"""A stack that misbehaves when it is asked to: late, NaN, exploding, of the wrong length, silent, failing, hanging."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

import numpy as np
from tone_generator import ToneGenerator

from jbdiff_live.block import Generated, KeepGoing, Rung
from jbdiff_live.clock import NEVER, Clock
from jbdiff_live.parameters import ParameterSnapshot

LOUDNESS = 0.2  # peak of the tone while all is well


class Fault(Enum):
    NONE = "none"
    LATE = "late"  # a block is not ready until the fault is over, and can be broken off
    HANGS = "hangs"  # the same, and cannot be broken off
    RAISES = "raises"
    NAN = "nan"
    EXPLODES = "explodes"
    WRONG_LENGTH = "wrong length"
    WRONG_CHANNELS = "wrong channels"
    EMPTY = "empty"
    SILENT = "silent"


class BadStack(ToneGenerator):
    """A test tone until `fault` is set, and again when it is taken back."""

    def __init__(self, clock: Clock, block_frames: int = 8192) -> None:
        super().__init__(block_frames=block_frames)
        self._clock = clock
        self.fault = Fault.NONE
        self.closed = False
        self.in_block = threading.Event()  # a block is being made

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        self.in_block.set()
        try:
            while self.fault in (Fault.LATE, Fault.HANGS):
                self._clock.wait_until(self._clock.now() + 0.01, NEVER)
                if self.fault is Fault.LATE and not keep_going():
                    return None
        finally:
            self.in_block.clear()
        if self.fault is Fault.RAISES:
            raise RuntimeError("the weights went missing; reload the stack")
        made = super().next_block(snapshot, lambda share=0.0: True)
        assert made is not None
        loud = np.abs(made.samples).max()  # always the same, so that a knob makes no step in the sound
        return replace(made, samples=self._spoilt(made.samples * np.float32(LOUDNESS / loud)))

    def _spoilt(self, samples: np.ndarray) -> np.ndarray:
        match self.fault:
            case Fault.NAN:
                samples[7, 0] = np.nan
            case Fault.EXPLODES:
                samples *= np.float32(1e20)
            case Fault.WRONG_LENGTH:
                samples = samples[:-1]
            case Fault.WRONG_CHANNELS:
                samples = samples[:, :1]
            case Fault.EMPTY:
                samples = samples[:0]
            case Fault.SILENT:
                samples = np.zeros_like(samples)
        return samples

    def close(self) -> None:
        self.closed = True


STEPS = {Rung.FULL: 8, Rung.FEWER_STEPS: 4, Rung.LOOP: 1, Rung.REPEAT: 0}


class SlowStack(ToneGenerator):
    """A stack of eight steps and a decode that takes time on a clock. The test sets how slow the machine is.

    Like a real stack it says what it measured: `warm_up` seconds until a full block was played, then the last one's.
    """

    def __init__(self, clock: Clock, warm_up: float, block_frames: int = 22_050) -> None:
        super().__init__(block_frames=block_frames)
        self.step_seconds = 0.02
        self._clock = clock
        self._measured = warm_up

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        whole = STEPS[Rung.FULL] + 1
        seconds = {rung: self._measured * (steps + 1) / whole for rung, steps in STEPS.items()}
        return {**seconds, Rung.REPEAT: 0.001}

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        began = self._clock.now()
        if rung is not Rung.REPEAT:
            work = STEPS[rung] + 1
            for done in range(1, work + 1):
                until = self._clock.now() + self.step_seconds
                while self._clock.now() < until:
                    self._clock.wait_until(min(until, self._clock.now() + 0.01), NEVER)
                    if not keep_going((done - 1) / work):
                        return None
                if not keep_going(done / work):
                    return None
        if rung is Rung.FULL:
            self._measured = self._clock.now() - began
        made = super().next_block(snapshot, lambda share=0.0: True)
        assert made is not None
        return replace(made, mixed=rung is Rung.REPEAT)
