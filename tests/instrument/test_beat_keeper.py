"""The thread of the beat: an error of one look is shown, and leaves when the looks go well again."""

from __future__ import annotations

import threading

import pytest

from jbdiff_live.beat.bar_clock import BarClock
from jbdiff_live.beat.conductor import Conductor
from jbdiff_live.beat.line import ClockSource
from jbdiff_live.control.midi.beat_keeper import LOOK_SECONDS, SHOWN_SECONDS, BeatKeeper
from jbdiff_live.parameters import ParameterStore

PATIENCE = 120.0  # real seconds


class Steps:
    """A clock that each wait of the beat's thread moves on. It notes the problem after each look."""

    def __init__(self) -> None:
        self.time = 100.0
        self.problems: list[tuple[float, str]] = []
        self.ended = threading.Event()
        self.keeper: BeatKeeper | None = None

    def now(self) -> float:
        return self.time

    def wait_until(self, when: float, stop: threading.Event) -> None:
        assert self.keeper is not None
        self.problems.append((self.time, self.keeper.status().problem))
        self.time = when
        if self.time > 100 + SHOWN_SECONDS + 2:
            self.ended.set()
            stop.wait(PATIENCE)


def test_an_error_that_has_passed_is_shown_for_ten_seconds_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Steps()

    def also(now: float) -> None:
        if now < 100.5:
            raise RuntimeError("the morph failed")

    store, bars = ParameterStore(), BarClock(ClockSource.INTERNAL)
    conductor = Conductor(store, bars, 44_100, clock.now, lambda when: 0.0)
    clock.keeper = BeatKeeper(conductor, clock, lambda: True, None, None, also)
    clock.keeper.start()
    try:
        assert clock.ended.wait(PATIENCE)
    finally:
        clock.keeper.stop()
    shown = [time for time, problem in clock.problems if problem == "the morph failed"]
    assert shown[0] == 100 and shown[-1] == pytest.approx(100.5 + SHOWN_SECONDS, abs=3 * LOOK_SECONDS)
    assert len(shown) < len(clock.problems) and clock.problems[-1][1] == ""
    assert [record.getMessage() for record in caplog.records] == ["keeping the beat"]
