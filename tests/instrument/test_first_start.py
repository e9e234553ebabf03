"""The stack is loaded and warm before the player starts, so that the first press of start sounds at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from misbehaving import BadStack
from stage_rig import GENEROUS, stage
from turned_clock import TurnedClock

from jbdiff_live.block import Preparing
from jbdiff_live.session import Session
from jbdiff_live.stage_word import Word
from jbdiff_live.status import EngineState


class Gate(BadStack):
    """A stack that loads only when the test opens its gate. It counts how often it was prepared and its blocks."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__(clock)
        self.gate, self.free = threading.Event(), threading.Event()
        self.free.set()
        self.holds = 0  # the block of this number waits until `free` is set
        self.held = threading.Event()
        self.prepared = self.blocks = 0

    def prepare(self, report: Callable[[Preparing], None], keep_going: Callable[[], bool]) -> bool:
        report(Preparing("loading the model"))
        while not self.gate.wait(0.01):
            if not keep_going():
                return False
        self.prepared += 1
        return super().prepare(report, keep_going)

    def next_block(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        self.blocks += 1
        if self.blocks == self.holds:
            self.held.set()
            assert self.free.wait(GENEROUS)
        return super().next_block(*args, **kwargs)  # type: ignore[arg-type]


def first_block(session: Session) -> np.ndarray:
    return session.tape.recent[0].samples


def test_it_gets_ready_without_a_sound_and_then_starts_at_once(tmp_path: Path) -> None:
    clock = TurnedClock()
    stack = Gate(clock)
    with stage(tmp_path, stack, clock) as rig:
        session = rig.session
        session.prepare()
        assert rig.word.text == "GETTING READY 1 of 3" and not session.status().engine.plays
        stack.gate.set()
        rig.wait_for(Word.READY)
        assert not session.plays and session.status().engine.state is EngineState.READY
        clock.run(2.0)
        assert rig.word.word is Word.READY and rig.device.loudest == 0 and session.status().frame == 0
        blocks = stack.blocks
        session.start()
        assert session.audio.sounds, "the sound device plays before another block is made"
        assert stack.blocks == blocks and stack.prepared == 1
        assert rig.wait_for_sound() < 1.0
        assert session.status().frame < len(first_block(session)) and session.plays


def test_a_start_before_it_is_ready_sounds_as_soon_as_it_is(tmp_path: Path) -> None:
    clock = TurnedClock()
    stack = Gate(clock)
    with stage(tmp_path, stack, clock) as rig:
        rig.session.prepare()
        rig.session.start()
        assert rig.word.word is Word.GETTING_READY and rig.session.status().engine.plays
        stack.gate.set()
        rig.wait_for_sound()
        assert stack.prepared == 1


def test_a_knob_that_was_turned_meanwhile_is_in_the_first_sound(tmp_path: Path) -> None:
    clock = TurnedClock()
    stack = Gate(clock)
    stack.gate.set()
    with stage(tmp_path, stack, clock) as rig:
        session = rig.session
        session.prepare()
        rig.wait_for(Word.READY)
        session.set_parameter("gain", -6.0)  # acts behind the blocks: no block is made again for it
        session.set_parameter("noise_step", 0.9)
        session.start()
        rig.wait_for_sound()
        heard = session.status().heard
        assert heard is not None and heard["noise_step"] == 0.9


def test_a_block_that_is_in_work_at_the_start_is_not_heard_if_a_knob_was_turned_before(
    tmp_path: Path,
) -> None:
    clock = TurnedClock()
    stack = Gate(clock)
    stack.gate.set()
    stack.free.clear()
    stack.holds = 2
    with stage(tmp_path, stack, clock) as rig:
        session = rig.session
        session.prepare()
        assert stack.held.wait(GENEROUS)
        rig.wait_for(Word.READY)
        session.set_parameter("noise_step", 0.9)
        session.start()
        stack.free.set()
        rig.wait_for_sound()
        heard = session.status().heard
        assert heard is not None and heard["noise_step"] == 0.9


def test_a_knob_that_was_turned_while_the_first_block_was_made_is_in_the_first_sound(tmp_path: Path) -> None:
    clock = TurnedClock()
    stack = Gate(clock)
    stack.gate.set()
    stack.free.clear()
    stack.holds = 1
    with stage(tmp_path, stack, clock) as rig:
        session = rig.session
        session.prepare()
        assert stack.held.wait(GENEROUS)
        session.set_parameter("noise_step", 0.9)
        stack.free.set()
        rig.wait_for(Word.READY)
        session.start()
        rig.wait_for_sound()
        heard = session.status().heard
        assert heard is not None and heard["noise_step"] == 0.9


def test_after_a_stop_a_start_plays_again_and_prepare_disturbs_nothing(tmp_path: Path) -> None:
    with stage(tmp_path) as rig:
        session = rig.session
        session.prepare()
        rig.wait_for(Word.READY)
        rig.play()
        session.prepare()
        assert session.plays
        session.stop()
        assert rig.word.word is Word.STOPPED
        rig.play()
        rig.clock.run(1.0)
        assert rig.word.word is Word.PLAYING, GENEROUS
