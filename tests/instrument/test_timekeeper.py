"""When a block is started and on which rung: the generator's times and the clock are set by hand."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import pytest
from tone_generator import ToneGenerator
from turned_clock import TurnedClock

from jbdiff_live.block import Generated, Rung
from jbdiff_live.engine.timing.timekeeper import SWITCH_LEAST_SECONDS, Timekeeper

RATE, BLOCK = 44_100, 44_100
MADE = Generated(np.zeros((BLOCK, 2), np.float32), "noise")


class TimedStack(ToneGenerator):
    """Says of itself what a test sets. `waits`: seconds that the first block of a waiting stack takes."""

    full = 0.3
    waits: float | None = None

    @property
    def rung_seconds(self) -> Mapping[Rung, float]:
        return {Rung.FULL: self.full, Rung.LOOP: self.full / 10, Rung.REPEAT: 0.001}

    @property
    def switch_seconds(self) -> float | None:
        return self.waits


class Rig:
    def __init__(self, cheaper: bool = True) -> None:
        self.stack, self.clock, self.queued = TimedStack(block_frames=BLOCK), TurnedClock(), 0
        self.times = Timekeeper(self.stack, lambda: self.queued, 10 * BLOCK, self.clock, cheaper)

    def block(self, rung: Rung | None = None, delivered: int = BLOCK, taken: float = 0.3) -> Rung:
        """Make one block; return its rung, which a test may expect."""
        attempt = self.times.begin_block(lambda: True, delivered)
        assert rung is None or attempt.rung is rung
        self.times.block_made(attempt, MADE, taken, delivered)
        self.times.delivered(BLOCK)
        return attempt.rung


def test_nothing_can_be_late_before_the_music_plays() -> None:
    rig = Rig()
    rig.block(Rung.FULL, delivered=0)
    assert rig.times.figures.late_blocks == 0
    rig.block(Rung.REPEAT)  # now the queue is dry
    assert rig.times.figures.late_blocks == 1


@pytest.mark.parametrize(("cheaper", "rung"), [(True, Rung.LOOP), (False, Rung.FULL)])
def test_a_short_queue_gets_a_cheaper_block_unless_that_is_switched_off(cheaper: bool, rung: Rung) -> None:
    rig = Rig(cheaper)
    rig.queued = int(0.2 * RATE)  # less than a full block takes
    rig.block(rung)


def test_a_loop_counts_for_no_knobs_delay() -> None:
    rig = Rig()
    rig.queued = int(0.2 * RATE)
    for _ in range(2):
        rig.block(Rung.LOOP, taken=0.03)
    assert rig.times.figures.reach_median == 0
    rig.queued = 2 * BLOCK
    for _ in range(2):
        rig.block(Rung.FULL, delivered=5 * BLOCK)
    assert rig.times.figures.reach_median == pytest.approx(2.0), "the queue is what a knob waits for"


def test_the_wait_until_the_player_starts_is_no_knobs_delay() -> None:
    """The settings showed "at most 33.3 s" after half a minute at READY."""
    rig = Rig()
    for number in range(2):
        rig.queued = number * BLOCK
        rig.block(delivered=rig.queued)
    rig.clock.turn(30.0)
    for delivered in (2, 3, 4):
        rig.queued = BLOCK
        rig.block(delivered=delivered * BLOCK)
        rig.clock.turn(1.0)
    assert 1.0 < rig.times.figures.reach_p99 <= 2.0


def test_a_switch_waits_for_the_queue_and_forgets_what_blocks_took() -> None:
    rig = Rig()
    for _ in range(3):
        rig.block(delivered=0, taken=0.5)
    assert rig.times.figures.block_seconds_p99 == pytest.approx(0.5)
    rig.stack.waits = 1.0
    rig.queued = int(SWITCH_LEAST_SECONDS * RATE)
    assert not rig.times.can_switch()
    rig.queued = 3 * BLOCK
    assert rig.times.can_switch()
    rig.times.switched()
    assert rig.times.figures.block_seconds_p99 == 0.0


def test_a_stop_ends_the_wait_and_a_wake_begins_a_block_early() -> None:
    rig, stop, wake = Rig(), threading.Event(), threading.Event()
    rig.queued = 5 * BLOCK
    wake.set()
    assert rig.times.wait_until_due(stop, wake) and not wake.is_set()
    stop.set()
    assert not rig.times.wait_until_due(stop, wake)
