"""The time machine in a take, with real stacks, and in the whole instrument."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from past_rig import FRAMES, Chain, PastRig, same
from small_stacks import write_small_stack
from stage_rig import stage
from test_session import eventually, take_folder
from tone_generator import ToneGenerator
from turned_clock import TurnedClock

from jbdiff_live.block import Generated, KeepGoing, Rung
from jbdiff_live.clock import NEVER
from jbdiff_live.engine.generator import ModelGenerator
from jbdiff_live.parameters import ParameterSnapshot
from jbdiff_live.record.events import BlockEvent, JumpEvent
from jbdiff_live.record.take import TakeInfo, open_take
from jbdiff_live.record.writer import FADE_FRAMES, TakeWriter
from jbdiff_live.session import Session, SessionOptions
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.stage_word import Word
from jbdiff_live.start.headless import obey

# Takes


def test_a_take_with_jumps_can_be_made_again_from_its_log(tmp_path: Path) -> None:
    rig = PastRig()
    script: dict[int, Callable[[], object]] = {
        6: lambda: rig.past.ask(3), 8: lambda: rig.set(seed=7), 10: lambda: rig.past.ask(5),
        12: lambda: rig.past.ask(-20),
    }  # fmt: skip
    blocks = rig.play(15, script)
    writer = TakeWriter(tmp_path, TakeInfo(44_100, 2, 0, "now"))
    for block in blocks:
        writer.write_block(block)
    writer.finish(None, 0, "", 0)
    take = open_take(writer.folder)
    sound, states, state, edges = take.read(), {}, Chain(), []
    for event in take.events():
        if isinstance(event, JumpEvent):
            state = Chain() if event.after is None else states[event.after]
            edges.append(event)
        elif isinstance(event, BlockEvent):
            made, state = state.block(event.values["seed"], event.counts["reroll"])
            states[event.index] = state
            fades = {edge.frame - event.start_frame: edge.fade_frames for edge in edges}
            begin, end = fades.get(0, 0), FADE_FRAMES
            there = sound[event.start_frame + begin : event.start_frame + FRAMES - end]
            assert np.array_equal(there, made[begin : FRAMES - end]), event.index
    assert [edge.index for edge in edges] == [6, 10, 12]
    assert all(0 < edge.fade_frames <= FADE_FRAMES for edge in edges)
    for edge in edges:
        assert np.abs(sound[edge.frame - 1 : edge.frame + 1]).max() < 1e-4, "silent at the edge: no click"


# Real stacks


def test_a_stack_of_three_levels_plays_again_and_a_knob_leads_on_bit_for_bit(tmp_path: Path) -> None:
    choice = StackChoice(str(write_small_stack(tmp_path / "small")), hop=32)
    generator = ModelGenerator(choice, threads=1)
    try:
        turns = PastRig(generator)
        expected = turns.play(3, {2: lambda: turns.set(finisher_seed=7)})
        both = PastRig(generator)
        found = both.play(5, {3: lambda: both.past.ask(1), 4: lambda: both.set(finisher_seed=7)})
        assert [b.again for b in found] == [None, None, None, 1, None]
        assert same(found[3], found[1]) and same(found[4], expected[2]) and not same(found[4], found[2])
    finally:
        generator.close()


def test_pocket_plays_again_and_goes_on_bit_for_bit() -> None:
    """The shipped stack, with anchor, memory, governor, loudness and the spectral finisher: its whole state returns."""
    generator = ModelGenerator(StackChoice("pocket", steps=1, hop=48), threads=1)
    try:
        plain = PastRig(generator).play(4)
        jumps = PastRig(generator)
        blocks = jumps.play(6, {3: lambda: jumps.past.ask(1)})
        assert [b.again for b in blocks] == [None, None, None, 1, 2, None]
        assert same(blocks[3], blocks[1]) and same(blocks[4], blocks[2]) and same(blocks[5], plain[3])
    finally:
        generator.close()


# The whole instrument


def test_a_key_brings_the_music_back_and_a_knob_leads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    session = Session(
        SessionOptions(device="null", midi=(), takes=tmp_path / "takes"), ToneGenerator(block_frames=8192)
    )
    try:
        session.open()
        session.record_from_first_block()
        session.jump("back")
        eventually(lambda: session.answers.newest.startswith("Back: nothing plays"), "a refusal in words")
        session.start()
        eventually(lambda: len(session.recent_blocks()) > 12, "twelve blocks")
        obey(session, "<")
        eventually(lambda: session.status().past.ago is not None, "music that plays again")
        assert session.answers.newest.startswith("Back: older music plays again")
        session.set_parameter("seed", 9)
        eventually(lambda: session.status().past.ago is None, "new music")
        eventually(lambda: (h := session.status().heard) is not None and h["seed"] == 9, "its sound")
        folder = take_folder(session)
        session.stop()
    finally:
        session.close()
    events = list(open_take(folder).events())
    (jump,) = [event for event in events if isinstance(event, JumpEvent)]
    again = [event for event in events if isinstance(event, BlockEvent) and event.again is not None]
    assert again and again[0].index == jump.index and again[0].again == (jump.after or 0) + 1
    assert session.store.snapshot["seed"] == 9


class Stiff(ToneGenerator):
    """A stack whose work cannot be broken off, as a step of a model cannot. The test sets how long it takes."""

    def __init__(self, clock: TurnedClock) -> None:
        super().__init__(block_frames=44_100)
        self.seconds = 0.3
        self.works = self.free = False  # free: the test has ended, and no block takes time any more
        self._clock = clock

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        self.works, until = True, self._clock.now() + self.seconds
        while self._clock.now() < until and not self.free:
            self._clock.wait_until(until, NEVER)
        self.works = False
        return super().next_block(snapshot, keep_going, rung)


def test_back_is_heard_before_the_queue_is_empty_although_the_model_is_busy(tmp_path: Path) -> None:
    """A busy machine: a step takes longer than the queue lasts. The block that plays again is made already."""
    clock = TurnedClock()
    stack = Stiff(clock)
    with stage(tmp_path, stack, clock, ladder=False) as rig:
        session = rig.session
        rig.play()
        rig.clock.run_until(lambda: len(session.recent_blocks()) > 6, rig.describe)
        stack.seconds = 3.0
        rig.clock.run_until(lambda: stack.works and session.status().seconds_queued < 0.2, rig.describe)
        before = session.status().audio.short_frames
        session.perform_past("back")
        rig.clock.run(0.9)
        status = session.status()
        assert stack.works, "the model is still busy"
        assert status.past.ago is not None and rig.word.word is Word.PLAYING
        assert status.audio.short_frames == before, "no silence"
        assert rig.device.largest_step < 0.1, "no click"
        stack.free = True
