"""How long a knob takes, from readings and leads of known length; the same in the running engine is in test_engine."""

from __future__ import annotations

import pytest

from jbdiff_live.engine.timing.knob_delay import KnobDelay as Reach


def test_a_turn_waits_for_the_next_reading_and_then_for_its_sound() -> None:
    reach = Reach()
    for block in range(40):
        reach.block(read_at=2.0 * block, lead=0.5)
    # Turned at any moment of the two seconds between readings: 0.5 s at best, 2.5 s at worst.
    assert reach.median == pytest.approx(1.5, abs=0.01)
    assert 2.3 < reach.p99 <= 2.5


def test_nothing_is_said_before_two_blocks_and_a_new_beginning_is_no_waiting() -> None:
    reach = Reach()
    reach.block(0.0, 0.5)
    assert reach.median == reach.p99 == 0
    reach.begin()
    reach.block(100.0, 0.5)
    assert reach.p99 == 0
    reach.block(101.0, 0.5)
    assert reach.p99 < 1.5
