"""An engine on the test's thread that records a take: stacks, sounds, live input, jumps, cheaper blocks, a panic."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from past_rig import PastRig

from jbdiff.audio.beat import found_beat
from jbdiff_live.audio.live.monitor import DrySound
from jbdiff_live.audio.output import OutputStage
from jbdiff_live.audio.switch import HEADROOM_DB
from jbdiff_live.block import Block, Mono, Rung, Saved
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.engine.timing.timekeeper import Attempt, Timekeeper
from jbdiff_live.engine.voices.sources import FileSource
from jbdiff_live.parameters import Change, Origin, ParameterSnapshot
from jbdiff_live.record.again.states import StateBefore
from jbdiff_live.record.events import BlockEvent
from jbdiff_live.record.heard import HeardTap
from jbdiff_live.record.running import RunningTake
from jbdiff_live.record.take import Take, TakeInfo, open_take
from jbdiff_live.replay.options import ReplayOptions
from jbdiff_live.replay.render import Replayed, replay
from jbdiff_live.stack_choice import StackChoice, take_details

RATE = 44_100
PATIENCE = 120.0
LONG = 30 * RATE  # a queue that lets a stack take over at once


class Recorded(PastRig):
    """The rig. `rungs`: the rung of blocks by their number, counted from 1. `start_at`: the take begins so late.

    heard_at: the place in all that was heard at which its sound begins; 0 is before the first sound, as in a kept take.
    sound: that the take has; with "stems" noise plays into the input.
    """

    def __init__(
        self,
        choice: StackChoice,
        folder: Path,
        start_at: int = 0,
        heard_at: int | None = None,
        sound: str = "both",
    ) -> None:
        self.reads = itertools.count()
        self.turning = False
        self.input = np.random.default_rng(2).uniform(-0.3, 0.3, 90 * RATE).astype(np.float32)
        self.loaded = threading.Event()
        self.model = ModelGenerator(
            choice, self._live, threads=1, on_ready=self.loaded.set, newest=self._newest
        )
        super().__init__(self.model)
        self.rungs: dict[int, Rung] = {}
        self.folder, self.start_at, self.heard_at, self.sound = folder, start_at, heard_at, sound
        self.take: RunningTake | None = None
        self.early: list[tuple[Block, Saved | None]] = []
        self.tap = HeardTap(RATE, 2)
        dry = DrySound(RATE, 2, 512, round(0.01 * RATE), self.tap.put_input) if sound == "stems" else None
        self.dry = dry
        self.stage = OutputStage(
            self.ring,
            lambda: self.store.snapshot,
            RATE,
            heard=self.tap.put,
            headroom_db=HEADROOM_DB,
            dry=dry,
        )
        self.past._kept = self._kept
        self.engine._new_times = self._times  # type: ignore[method-assign]
        self.engine._queued = lambda: LONG if self.loaded.is_set() else self.ring.available
        self.store.subscribe(self._changed)

    # ------------------------------------------------------------------ what the engine asks for

    def _newest(self) -> ParameterSnapshot:
        """The knobs of a step; while `turning`, a hand that does not end repetitions turns one at every third step."""
        number = next(self.reads)
        if self.turning and number % 3 == 1:
            self.store.set("guidance", 0.5 + number % 7 / 2, Origin.CV)
        return self.store.snapshot

    def _live(self, frames: int, ahead: int, beat: float) -> tuple[Mono, Mono]:
        """An input that runs beside the music, with a gate that closes now and then."""
        end = 20 * RATE + self.ring.frames_written // 2
        gate = np.clip(np.sin(np.arange(end - frames, end) / 20_000) + 0.7, 0, 1).astype(np.float32)
        return self.input[end - frames : end], np.round(gate * 255).astype(np.float32) / 255

    def _times(self) -> Timekeeper:
        times = Timekeeper(self.model, self.engine._queued, self.ring.capacity, self.engine._clock, False)
        begin = times.begin_block

        def chosen(wanted: Callable[[], bool], delivered: int) -> Attempt:
            rung = self.rungs.get(len(self.blocks) + 1, Rung.FULL)
            return replace(begin(wanted, delivered), rung=rung, rung_seconds=dict.fromkeys(Rung, 1.0))

        times.begin_block = chosen  # type: ignore[method-assign]
        return times

    # ------------------------------------------------------------------ what is recorded

    def _made(self, block: Block) -> None:
        super()._made(block)
        if self.model._playing.handover is not None:
            self.loaded.clear()
        if self.take is None and block.end_frame <= self.start_at:
            return
        if self.take is None:
            details = {**take_details(block.stack), "machine": self.model.machine}
            values = dict(self.store.snapshot.values)
            info = TakeInfo(RATE, 2, self.start_at, "now", details=details, values=values, sound=self.sound)
            self.take = RunningTake(self.folder, info, self.tap, heard_at=self.heard_at)
        self.take.write_block(block)

    def _kept(self, block: Block, before: Saved) -> None:
        if self.take is not None:
            self.take.write_state(StateBefore(block.index, block.start_frame, before))

    def _changed(self, change: Change) -> None:
        if self.take is not None:
            self.take.write_change(change, self.stage.frames_passed)

    def _after(self) -> None:
        chunk = np.empty((512, 2), np.float32)
        while self.ring.available - self.left_queued >= len(chunk):
            if self.dry is not None:
                at = self.tap.written % (len(self.input) - len(chunk))
                self.dry.write(np.repeat(self.input[at : at + len(chunk), None], 2, axis=1))
            self.stage.render(chunk)
        if self.take is not None:
            self.take.look()
        self._script.get(len(self.blocks), lambda: None)()
        if len(self.blocks) >= self._until:
            self.engine._stop.set()

    # ------------------------------------------------------------------ the test's hands

    def give(self, role: str, seed: int, seconds: float = 3.0) -> None:
        """Load a sound file of noise."""
        sound = np.random.default_rng(seed).uniform(-0.4, 0.4, int(seconds * RATE)).astype(np.float32)
        setattr(self.model, f"{role}_file", FileSource(Path(role), sound, "", found_beat(sound, RATE)))

    def change_stack(self, choice: StackChoice) -> None:
        """Load another stack, and let it take over with the next block."""
        self.model.choose(choice)
        assert self.loaded.wait(PATIENCE), self.model.status

    def recorded(self, until: int, script: Mapping[int, Callable[[], object]]) -> Take:
        """Play so many blocks, and close everything. Return the take."""
        try:
            self.play(until, script)
            assert self.take is not None
            self.take.finish(self.stage.frames_passed)
        finally:
            self.model.close()
        return open_take(self.take.folder)


def blocks_of(take: Take) -> list[BlockEvent]:
    return [event for event in take.events() if isinstance(event, BlockEvent)]


def engine(take: Take) -> np.ndarray:
    return soundfile.read(take.folder / "engine.wav", dtype="float32", always_2d=True)[0]


def again(take: Take, out: Path, **options: object) -> tuple[Replayed, Take]:
    done = replay(take.folder, out, ReplayOptions(**options))  # type: ignore[arg-type]
    return done, open_take(done.folder)
