"""Where parts meet: the time machine beside a change of stack, getting ready and a take; a start beside a stop."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from past_rig import FRAMES, ChainGenerator, PastRig, same
from stage_rig import stage
from turned_clock import TurnedClock

from jbdiff_live.block import Block, Jump, Rung
from jbdiff_live.parameters import ParameterStore
from jbdiff_live.record.events import GapEvent, JumpEvent
from jbdiff_live.record.take import TakeInfo, open_take
from jbdiff_live.record.writer import TakeWriter
from jbdiff_live.stage_word import Word
from jbdiff_live.status import EngineState


class Changing(ChainGenerator):
    """Another stack is ready whenever the test says so. It continues the music of the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = False
        self.switched = 0

    @property
    def switch_seconds(self) -> float | None:
        return 0.0 if self.ready else None

    def switch(self) -> None:
        self.ready = False
        self.switched += 1


def test_a_stack_that_comes_while_music_plays_again_continues_what_is_heard() -> None:
    plain = PastRig().play(20)
    generator = Changing()
    rig = PastRig(generator)
    rig.left_queued = FRAMES * 30  # enough for the switch at once
    blocks = rig.play(
        60, {20: lambda: rig.past.ask(60), 35: lambda: setattr(generator, "ready", True)}
    )  # the jump goes to the first block
    assert generator.switched == 1
    assert [b.again for b in blocks[20:35]] == list(range(15)) and blocks[35].again is None
    assert same(blocks[35], plain[15]), "not the newest music, which nobody hears"
    assert rig.past.status.ago is None


def test_back_before_the_start_is_refused_although_blocks_are_made(tmp_path: Path) -> None:
    with stage(tmp_path) as rig:
        session = rig.session
        session.prepare()
        rig.wait_for(Word.READY)
        blocks = len(session.recent_blocks())
        session.perform_past("back")
        assert session.answers.newest == "Back: nothing plays now; press start"
        rig.play()
        assert all(block.again is None for block in session.recent_blocks()[: blocks + 1])


def test_a_jump_behind_a_gap_of_the_disk_brings_no_old_sound_into_the_gap(tmp_path: Path) -> None:
    sound = np.full((FRAMES, 2), 0.5, np.float32)
    snapshot = ParameterStore().snapshot
    first = Block(sound, 0, 0, snapshot, "tone", 0.1, Rung.FULL)
    late = Block(sound, 2, 2 * FRAMES, snapshot, "tone", 0.1, Rung.FULL, jump=Jump(None))
    writer = TakeWriter(tmp_path, TakeInfo(44_100, 2, 0, "now", sound="engine"))
    writer.write_block(first)
    writer.write_block(late)  # the block between them was dropped
    writer.finish(None)
    take = open_take(writer.folder)
    assert {type(event) for event in take.events()} >= {GapEvent, JumpEvent}
    assert not take.read()[FRAMES : 2 * FRAMES].any()
    assert take.read()[2 * FRAMES :].any()


def test_a_stop_beside_a_start_ends_the_thread_that_is_being_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window loads the model while a pad stops: the stop waits for the thread and ends it."""
    clock = TurnedClock()
    with stage(tmp_path, clock=clock) as rig:
        engine, errors = rig.session.engine, []

        def stop() -> None:
            try:
                engine.stop()
            except RuntimeError as error:
                errors.append(error)

        stopper = threading.Thread(target=stop)
        start = threading.Thread.start

        def started(thread: threading.Thread) -> None:
            if thread.name == "engine":
                start(stopper)
                stopper.join(0.2)  # a stop that does not wait has failed by now
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", started)
        engine.start()
        monkeypatch.undo()
        stopper.join()
        assert not errors and engine.status.state is EngineState.OFFLINE
        rig.play()
