"""Changes that wait for the next beat or bar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from jbdiff_live.audio.output import OutputStage
from jbdiff_live.beat.bar_clock import BarClock
from jbdiff_live.beat.held import HeldChanges
from jbdiff_live.beat.line import BeatLine
from jbdiff_live.parameters import Origin, ParameterStore
from jbdiff_live.ring import RingBuffer

RATE = 44_100


class Rig:
    """A store whose changes are held by a clock of 120 beats a minute; bars are at even seconds. `now` is turned."""

    def __init__(self, unit: int) -> None:
        self.now = 0.5
        self.playing = True
        self.store = ParameterStore()
        self.clock = BarClock()
        self.clock.music(BeatLine(0.0, 0.0, 120))
        self.held = HeldChanges(self.store.snapshot, self.clock, lambda: self.now, lambda: self.playing)
        self.store.subscribe(self.held.hear)
        self.store.set("hold_changes", unit, Origin.UI)

    def set(self, name: str, value: float) -> None:
        self.store.set(name, value, Origin.UI)

    def settle(self, now: float) -> None:
        self.now = now
        self.held.settle(now)


@pytest.fixture
def rig() -> Callable[[int], Rig]:
    return Rig


OFF, BEAT, BAR = 0, 1, 2


def test_changes_pass_at_once_while_nothing_is_held(rig: Callable[[int], Rig]) -> None:
    r = rig(OFF)
    r.set("noise_step", 0.9)
    assert r.held.snapshot["noise_step"] == 0.9
    assert r.held.waiting == ()


@pytest.mark.parametrize(("unit", "due"), [(BEAT, 1.0), (BAR, 2.0)])
def test_a_change_waits_for_its_beat_or_bar(rig: Callable[[int], Rig], unit: int, due: float) -> None:
    r = rig(unit)
    r.set("gain", -12)
    assert r.store.snapshot["gain"] == -12  # the knob stands where it was turned to
    assert r.held.snapshot["gain"] == 0
    assert r.held.countdown(r.now) == pytest.approx(due - 0.5)
    r.settle(due - 0.01)
    assert r.held.snapshot["gain"] == 0
    r.settle(due)
    assert r.held.snapshot["gain"] == -12
    assert r.held.countdown(r.now) is None


def test_the_latest_value_counts_at_the_bar_that_was_promised(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.set("gain", -12)
    r.now = 1.5
    r.set("gain", -20)
    assert [(h.value, h.due) for h in r.held.waiting] == [(-20, pytest.approx(2.0))]


def test_a_knob_that_is_turned_back_waits_for_nothing(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.set("gain", -12)
    r.set("gain", 0)
    assert r.held.waiting == ()


def test_actions_wait_too_and_keep_their_order(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.store.trigger("home", Origin.UI)
    r.set("seed", 5)
    r.store.trigger("reroll", Origin.UI)
    assert [held.name for held in r.held.waiting] == ["home", "seed", "reroll"]
    assert r.held.snapshot.counts["reroll"] == 0
    r.settle(2.0)
    assert (r.held.snapshot.counts["reroll"], r.held.snapshot.counts["home"]) == (1, 1)
    assert r.held.snapshot["seed"] == 5


def test_a_panic_is_never_held_and_takes_back_what_waits(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.set("gain", -12)
    r.set("seed", 5)
    r.store.trigger("reroll", Origin.UI)
    r.store.trigger("panic", Origin.UI)
    assert r.held.snapshot.counts["panic"] == 1
    assert r.held.waiting == ()
    assert dict(r.held.take_undone()) == {"gain": 0, "seed": 1}
    assert dict(r.held.take_undone()) == {}
    r.store.set_many({"gain": 0, "seed": 1}, Origin.SESSION)
    assert r.held.waiting == ()
    r.settle(4.0)
    assert r.held.snapshot["gain"] == 0 and r.held.snapshot.counts["reroll"] == 0


def test_the_block_that_holds_the_bar_gets_the_change(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    assert r.held.for_block(1.5)["seed"] == 1
    r.set("seed", 5)
    assert r.held.for_block(1.9)["seed"] == 1
    assert r.held.for_block(2.3)["seed"] == 5


def test_a_bar_inside_a_block_in_work_is_missed_and_the_next_one_is_waited_for(
    rig: Callable[[int], Rig],
) -> None:
    r = rig(BAR)
    r.held.for_block(2.3)
    r.set("seed", 5)
    r.set("gain", -12)  # that is made by the output, which has not come so far
    assert [(held.name, held.due) for held in r.held.waiting] == [
        ("seed", pytest.approx(4.0)),
        ("gain", pytest.approx(2.0)),
    ]


def test_the_output_makes_its_changes_at_the_second_of_the_bar(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.set("gain", -12)
    r.set("seed", 5)
    assert r.held.at(1.9, 1.95)["gain"] == 0
    assert r.held.next_instant(1.95) == pytest.approx(2.0)
    assert r.held.at(2.0, 2.1)["gain"] == -12
    assert r.held.at(2.0, 2.1)["seed"] == 1
    assert r.held.next_instant(2.1) is None
    r.set("mute", 1)  # the bar at 2 s is rendered already
    assert r.held.waiting[-1].due == pytest.approx(4.0)


@pytest.mark.parametrize("chunk", [100, 256, 700])
def test_in_the_sound_a_held_mute_begins_at_the_frame_of_the_bar(
    rig: Callable[[int], Rig], chunk: int
) -> None:
    r, ring = rig(BAR), RingBuffer(2 * RATE, 2)
    ring.write(np.full((2 * RATE, 2), 0.25, np.float32))
    stage = OutputStage(ring, lambda: r.held.snapshot, RATE, r.held)
    r.set("mute", 1)
    out = np.zeros((int(1.2 * RATE), 2), np.float32)
    for start in range(0, len(out), chunk):
        stage.render(out[start : start + chunk], 1.0 + start / RATE)
    changed = np.flatnonzero(out[2000:, 0] != 0.25)[0] + 2000
    assert abs(changed - RATE) <= 1  # the bar is at second 2
    assert out[changed + round(0.011 * RATE) :].max() == 0


def test_waiting_changes_move_with_the_clock(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.set("gain", -12)
    r.clock.music(BeatLine(0.0, 0.0, 100))  # bars of 2.4 s now
    r.settle(1.0)
    assert r.held.waiting[0].due == pytest.approx(2.4)


def test_without_a_running_clock_nothing_waits(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.set("gain", -12)
    r.clock.music(BeatLine(0.6, 1.0, 120, moves=False))
    r.settle(0.7)
    assert r.held.snapshot["gain"] == -12
    r.set("gain", -20)
    assert r.held.snapshot["gain"] == -20


def test_nothing_waits_while_nothing_plays(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.playing = False
    r.set("gain", -12)
    assert r.held.snapshot["gain"] == -12


def test_holding_no_longer_lets_everything_pass(rig: Callable[[int], Rig]) -> None:
    r = rig(BAR)
    r.set("gain", -12)
    r.set("hold_changes", OFF)
    assert r.held.snapshot["gain"] == -12
    assert r.held.waiting == ()
    before = r.held.snapshot.version
    r.set("gain", 0)
    assert r.held.snapshot.version > before


def test_a_snapshot_has_the_version_of_its_newest_change(rig: Callable[[int], Rig]) -> None:
    """A take's log compares the versions of blocks and changes."""
    r = rig(OFF)
    r.store.set_many({"noise_step": 0.9, "seed": 7, "guidance": 2.0}, Origin.PATCH)
    assert r.held.snapshot.version == r.store.snapshot.version
    r.set("hold_changes", BAR)
    r.set("seed", 8)
    before = r.held.snapshot.version
    assert before < r.store.snapshot.version
    r.held.for_block(r.now + 2.0)
    assert r.held.snapshot["seed"] == 8
    assert r.held.snapshot.version == r.store.snapshot.version
