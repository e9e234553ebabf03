"""Short of time the music loops, says so, and comes back: a turned clock, and a stack that takes time on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from instrument.stage_rig import StageRig, stage
from misbehaving import SlowStack
from turned_clock import TurnedClock

from jbdiff_live.block import Rung
from jbdiff_live.engine.timing.ladder import TRY_AFTER, Ladder
from jbdiff_live.stage_word import Word

SOME_BLOCKS = 12  # within which full work is back on a free machine
MEASURED_BUSY = {Rung.FULL: 6.0, Rung.FEWER_STEPS: 3.6, Rung.LOOP: 1.6, Rung.REPEAT: 0.005}
TRUE = {Rung.FULL: 0.6, Rung.FEWER_STEPS: 0.36, Rung.LOOP: 0.16, Rung.REPEAT: 0.005}


def climb(
    ladder: Ladder, queued: float, blocks: int, measured: dict[Rung, float] = MEASURED_BUSY
) -> list[Rung]:
    """The rungs of so many blocks, each begun with `queued` seconds, on a machine that needs `TRUE` seconds."""
    rungs = []
    while len(rungs) < blocks:
        rung = ladder.choose(queued, measured)
        if TRUE[rung] <= ladder.budget(queued, measured):
            ladder.made(rung, None if rung is Rung.REPEAT else TRUE[rung], measured)
            rungs.append(rung)
        else:
            ladder.broken_off(rung, TRUE[rung], measured)
    return rungs


@pytest.mark.parametrize("queued", [0.8, 2.2], ids=["nothing but repeats fit", "a loop fits"])
def test_times_that_were_measured_on_a_busy_machine_are_measured_again(queued: float) -> None:
    """A warm-up that took ten times too long does not keep the music on a lower rung for ever."""
    rungs = climb(Ladder(), queued, 3 * SOME_BLOCKS)
    assert rungs[0] in (Rung.REPEAT, Rung.LOOP), "by the measurements nothing better fits"
    first = rungs.index(Rung.FULL)
    assert first <= SOME_BLOCKS and set(rungs[first:]) == {Rung.FULL}


def test_a_trial_leaves_time_for_the_rung_that_fits() -> None:
    ladder = Ladder()
    measured = {Rung.FULL: 3.0, Rung.LOOP: 1.6, Rung.REPEAT: 0.005}  # and they are right
    rungs, tried = [], 0
    while len(rungs) < 40:
        queued = 2.2
        rung = ladder.choose(queued, measured)
        budget = ladder.budget(queued, measured)
        if rung is Rung.FULL:
            tried += 1
            assert budget <= queued - 1.6
            ladder.broken_off(rung, 3.0, measured)
            rung = ladder.choose(queued - budget, measured)
        ladder.made(rung, measured[rung], measured)
        rungs.append(rung)
    assert set(rungs) == {Rung.LOOP}, "the loop is heard, and never a plain repeat because of a trial"
    assert 40 // (TRY_AFTER + 2) <= tried <= 40 // TRY_AFTER


def test_a_block_of_two_stacks_that_seems_too_long_is_tried_too() -> None:
    """With a full queue the change of stacks goes on, however long its blocks are thought to take."""
    ladder = Ladder()
    measured = {Rung.FULL: 15.0, Rung.REPEAT: 0.005}
    rungs = []
    for _ in range(10):
        rungs.append(ladder.choose(11.8, measured))
        ladder.made(rungs[-1], None, measured)
    assert rungs == [Rung.REPEAT] * TRY_AFTER + [Rung.FULL] * (10 - TRY_AFTER)


def test_what_a_trial_took_says_nothing_about_another_stack() -> None:
    ladder = Ladder()
    climb(ladder, 2.2, SOME_BLOCKS)
    assert ladder.choose(2.2, MEASURED_BUSY) is Rung.FULL
    ladder.new_stack()
    assert ladder.choose(2.2, MEASURED_BUSY) is Rung.LOOP


@pytest.fixture
def stack() -> SlowStack:
    return SlowStack(TurnedClock(), warm_up=8.0)


@pytest.fixture
def rig(tmp_path: Path, stack: SlowStack) -> Iterator[StageRig]:
    assert isinstance(stack._clock, TurnedClock)
    with stage(tmp_path, stack, stack._clock) as rig:
        yield rig


def test_after_a_warm_up_on_a_busy_machine_full_work_is_soon_back(rig: StageRig, stack: SlowStack) -> None:
    """The first blocks are slow too, so that all that was ever measured is ten times too much."""
    stack.step_seconds = 0.3
    rig.session.start()
    rig.clock.run_until(lambda: rig.session.status().engine.rung >= Rung.LOOP, rig.describe)
    stack.step_seconds = 0.02
    assert stack.rung_seconds[Rung.FULL] > 2
    looping = rig.session.status().engine.blocks_made
    rig.clock.run_until(lambda: rig.session.status().engine.rung is Rung.FULL, rig.describe)
    assert rig.session.status().engine.blocks_made - looping <= SOME_BLOCKS
    rig.wait_for_sound()
    rig.clock.run(5.0)
    rungs = [block.rung for block in rig.session.recent_blocks()[-5:]]
    assert set(rungs) == {Rung.FULL} and rig.device.largest_step < 0.1


def test_a_loop_is_called_looping_and_a_knob_is_not_heard_in_it(rig: StageRig, stack: SlowStack) -> None:
    """A knob counts as heard when a new block with it is heard, and not before."""
    stack._measured = 0.2
    rig.session.start()
    rig.clock.run_until(lambda: rig.session.status().engine.blocks_made >= 6, rig.describe)
    stack.step_seconds = 5.0
    rig.wait_for(Word.LOOPING)
    assert not rig.word.alarm and "the last sound plays again" in rig.word.why
    rig.session.set_parameter("seed", 12)
    rig.clock.run(4.0)
    status = rig.session.status()
    assert rig.word.word is Word.LOOPING and status.rung in (Rung.LOOP, Rung.REPEAT)
    assert status.heard is not None and status.heard["seed"] == 1, "not heard yet"
    assert status.engine.made is not None and status.engine.made["seed"] == 1
    rig.session.stop()
    assert rig.session.status().engine.rung is Rung.FULL, "music that has stopped does not loop"
    rig.session.start()
    stack.step_seconds = 0.02
    rig.wait_for(Word.PLAYING)
    rig.clock.run_until(
        lambda: (heard := rig.session.status().heard) is not None and heard["seed"] == 12, "it"
    )
    assert rig.session.status().audio.short_frames == 0, "sound throughout"
