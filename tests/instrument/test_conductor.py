"""The beat of blocks that are made ahead, aligned with an outer clock by the delay until they are heard."""

from __future__ import annotations

import numpy as np
import pytest

from jbdiff_live.beat.bar_clock import BarClock, ClockMessage
from jbdiff_live.beat.clock_out import CLOCK, START, ClockOut
from jbdiff_live.beat.conductor import Conductor
from jbdiff_live.beat.line import BeatLine, ClockSource, ClockState, Unit
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.block import Block
from jbdiff_live.engine.block_settings import block_settings
from jbdiff_live.parameters import BY_NAME, Origin, ParameterStore

RATE, BLOCK = 44_100, 44_100
DELAY = 0.15  # seconds from the queue's end to the air


class Stage:
    """A session whose sound began at second 100: the frame that is heard is known from the time."""

    def __init__(self, source: ClockSource = ClockSource.INTERNAL) -> None:
        self.now = 100.0
        self.store = ParameterStore()
        self.clock = BarClock(source)
        self.out = ClockOut(RATE)
        self.conductor = Conductor(
            self.store, self.clock, RATE, lambda: self.now, self.frame_at, out=self.out
        )

    def frame_at(self, when: float) -> float:
        return (when - 100 - DELAY) * RATE

    def rack(self, tempo: float) -> None:
        """A rack whose first beat is at second 90."""
        self.clock.midi("rack", ClockMessage.START, 90.0)
        for number in range(int((self.now - 90) * tempo / 60 * 24) + 1):
            self.clock.midi("rack", ClockMessage.TICK, 90 + number * 60 / tempo / 24)

    def make(self, number: int, beat: tuple[float, float] | None) -> None:
        """Ask for a block's knobs and put it into the queue."""
        snapshot = self.conductor.knobs(number * BLOCK, BLOCK)
        samples = np.zeros((BLOCK, 2), np.float32)
        self.conductor.made(Block(samples, number, number * BLOCK, snapshot, "", 0.1, beat=beat))


def test_a_block_gets_the_place_in_the_bar_at_which_it_will_be_heard() -> None:
    stage = Stage(ClockSource.MIDI)
    stage.rack(97)
    snapshot = stage.conductor.knobs(3 * BLOCK, BLOCK)  # three blocks ahead
    heard = 100 + DELAY + 3
    settings = block_settings(snapshot)
    assert settings.tempo == pytest.approx(97, abs=1e-6)
    assert settings.beat == pytest.approx((heard - 90) * 97 / 60 % 4, abs=1e-6)
    assert stage.store.snapshot.choice("clock") == "context"  # the knob stays where it was


@pytest.mark.parametrize(("outer", "played"), [(45.0, 90.0), (240.0, 120.0)])
def test_a_clock_beyond_what_the_model_plays_is_followed_at_half_or_twice_its_tempo(
    outer: float, played: float
) -> None:
    stage = Stage(ClockSource.MIDI)
    stage.rack(outer)
    settings = block_settings(stage.conductor.knobs(0, BLOCK))
    assert settings.tempo == pytest.approx(played, abs=1e-3)
    assert settings.beat == pytest.approx((10 + DELAY) * played / 60 % 4, abs=1e-3)


def test_without_an_outer_clock_the_knobs_count_alone() -> None:
    stage = Stage()
    assert block_settings(stage.conductor.knobs(0, BLOCK)).beat is None
    stage = Stage(ClockSource.MIDI)  # and none was received yet
    assert block_settings(stage.conductor.knobs(0, BLOCK)).tempo is None


def test_a_player_who_wants_no_beat_gets_none_from_a_rack_either() -> None:
    stage = Stage(ClockSource.MIDI)
    stage.rack(97)
    stage.store.set("clock", BY_NAME["clock"].parse("off"), Origin.UI)
    assert block_settings(stage.conductor.knobs(0, BLOCK)).tempo == 0


def test_a_stopped_rack_gives_its_tempo_and_no_place() -> None:
    stage = Stage(ClockSource.MIDI)
    stage.rack(97)
    stage.clock.midi("rack", ClockMessage.STOP, stage.now)
    settings = block_settings(stage.conductor.knobs(0, BLOCK))
    assert settings.tempo == pytest.approx(97, abs=1e-3)
    assert settings.beat is None


def test_the_musics_own_beat_is_the_clock_when_there_is_no_other() -> None:
    stage = Stage()
    per_frame = 120 / 60 / RATE
    stage.make(0, (1.0, per_frame))
    line = stage.clock.line(stage.now)
    assert line is not None
    assert line.beat_at(100 + DELAY) == pytest.approx(1.0)
    stage.make(1, (3.0, per_frame))
    stage.make(2, (1.0, per_frame))  # the next bar
    line = stage.clock.line(stage.now)
    assert line is not None
    assert line.beat_at(100 + DELAY + 2) == pytest.approx(5.0)
    stage.now += DELAY + 2
    assert stage.conductor.status().text() == "120.0 BPM, bar 2.2, own beat"


def test_a_block_that_repeats_older_sound_goes_on_at_the_pace_before_it() -> None:
    stage = Stage()
    stage.make(0, (0.0, 120 / 60 / RATE))
    stage.make(1, None)
    line = stage.clock.line(stage.now)
    assert line is not None and line.beat_at(100 + DELAY + 1.5) == pytest.approx(3.0)


def test_the_bar_count_follows_the_block_that_sounds_and_goes_on_after_music_without_a_beat() -> None:
    """A comparison with the saved patch changes the tempo, or takes the beat away and brings it back."""
    stage = Stage()

    def shown() -> float:
        status = stage.conductor.status()
        return 4.0 * (status.bar - 1) + status.beat - 1

    for number in range(2):
        stage.make(number, (2.0 * number, 2 / RATE))
    stage.now = 100 + DELAY + 0.6
    assert shown() == 1
    stage.make(2, (0.0, 1 / RATE))  # half as fast, in 1.4 s
    assert shown() == 1, "what is queued does not sound yet"
    stage.now = 100 + DELAY + 2.5
    assert shown() == 4
    stage.store.set("clock", 0, Origin.UNDO)
    stage.make(3, None)
    assert stage.conductor.status().tempo == 0
    stage.store.set("clock", 1, Origin.UNDO)
    stage.make(4, (1.0, 1 / RATE))
    stage.now = 100 + DELAY + 4.0
    assert shown() in (5, 6), "it counts on from the last beat, and not from the first bar"


def test_taps_set_the_tempo_and_the_place_until_a_knob_is_turned() -> None:
    stage = Stage()
    for _ in range(3):
        stage.store.trigger("tap", Origin.MIDI)
        stage.now += 0.5
    stage.conductor.settle(stage.now)
    assert stage.store.snapshot["tempo"] == pytest.approx(120)
    assert stage.store.snapshot.choice("clock") == "tempo"
    settings = block_settings(
        stage.conductor.knobs(0, BLOCK)
    )  # heard at 100.15: .3 beats after the first tap
    assert (settings.tempo, settings.beat) == (pytest.approx(120), pytest.approx(0.3))
    stage.store.set("tempo", 90, Origin.UI)
    assert block_settings(stage.conductor.knobs(0, BLOCK)).beat is None


def test_clock_out_follows_what_is_heard() -> None:
    stage = Stage()
    for number in range(2):
        stage.make(number, (2.0 * number, 120 / 60 / RATE))
    assert stage.conductor.settle(100 + DELAY - 0.01) == []
    messages = [sent.message for sent in stage.conductor.settle(100 + DELAY)]
    assert messages.count(START) == 1 and messages.count(CLOCK) == 1
    messages = [s.message for ms in range(1, 1001) for s in stage.conductor.settle(100 + DELAY + ms / 1000)]
    assert messages.count(CLOCK) == 48
    end = 100 + DELAY + 1
    assert stage.conductor.silent(end) and stage.conductor.silent(end) == []


def test_what_a_panic_takes_back_goes_into_the_store_again() -> None:
    stage = Stage()
    stage.make(0, (0.0, 120 / 60 / RATE))
    stage.store.set("hold_changes", 2, Origin.UI)
    stage.store.set("gain", -12, Origin.UI)
    assert stage.conductor.held.snapshot["gain"] == 0
    stage.store.trigger("panic", Origin.UI)
    stage.conductor.settle(stage.now)
    assert stage.store.snapshot["gain"] == 0


def test_a_block_in_the_log_keeps_the_outer_clock() -> None:
    """So that a take is rendered again with the same beat."""
    stage = Stage(ClockSource.MIDI)
    stage.rack(97)
    values = stage.conductor.knobs(0, BLOCK).values
    assert values["tempo"] == pytest.approx(97, abs=1e-3) and 0 <= values["clock_beat"] < 4


def test_blocks_output_and_window_follow_the_lfos_and_a_held_change_moves_their_middle() -> None:
    stage = Stage(ClockSource.MIDI)
    stage.rack(120)
    stage.conductor.modulation.put("gain", Lfo(depth=0.0, offset=-0.25))
    stage.store.set("hold_changes", BY_NAME["hold_changes"].parse("bar"), Origin.UI)
    stage.store.set("gain", -6, Origin.UI)  # the next bar is at second 102

    def seen(when: float) -> list[float]:
        now = stage.conductor.at(when, when + 0.01), stage.conductor.sounding
        return [round(each["gain"], 6) for each in now]

    quarter = (BY_NAME["gain"].high - BY_NAME["gain"].low) / 4
    assert seen(101) == [-quarter, -quarter]
    assert stage.conductor.knobs(0, BLOCK)["gain"] == pytest.approx(-quarter)
    assert stage.conductor.next_instant(101) == pytest.approx(102)
    assert seen(102.1) == [round(-6 - quarter, 6), -quarter], "the output is ahead of the clock's thread"
    assert stage.store.snapshot["gain"] == -6


def test_an_lfo_of_the_tempo_does_not_pull_the_music_off_an_outer_clock() -> None:
    stage = Stage(ClockSource.MIDI)
    stage.conductor.modulation.put("tempo", Lfo(depth=0.0, offset=0.3))
    stage.rack(97)
    assert block_settings(stage.conductor.knobs(0, BLOCK)).tempo == pytest.approx(97, abs=1e-6)


def test_lfos_in_bars_count_with_the_clock_and_its_bars() -> None:
    stage = Stage(ClockSource.MIDI)
    stage.store.set("clock", BY_NAME["clock"].parse("tempo"), Origin.UI)
    stage.store.set("tempo", 90, Origin.UI)
    assert stage.conductor.beats_per_second() == 1.5, "the knob's, until a clock is there"
    stage.rack(97)
    assert stage.conductor.beats_per_second() == pytest.approx(97 / 60, abs=1e-6)
    three = BarClock(beats_per_bar=3)
    conductor = Conductor(stage.store, three, RATE, lambda: stage.now, stage.frame_at)
    conductor.modulation.put("motion", Lfo(bars=1, depth=0.5))
    stage.now += 0.5  # of the two seconds that three beats take at 90
    assert conductor.sounding["motion"] == pytest.approx(0.5 * 2)


def test_a_function_does_not_wait_for_a_bar_of_music_that_has_ended() -> None:
    plays = True
    clock = BarClock()
    clock.music(BeatLine(90.0, 0.0, 120))
    conductor = Conductor(ParameterStore(), clock, RATE, lambda: 100.5, lambda when: 0.0, lambda: plays)
    assert conductor.hold_function("record", Unit.BAR).startswith("waits for the next bar")
    plays = False
    assert conductor.hold_function("start", Unit.BAR) == ""
    clock.tap(99.0)
    clock.tap(99.5)
    clock.tap(100.0)
    clock.tap(100.5)
    assert conductor.hold_function("start", Unit.BAR).startswith("waits"), "a tapped beat goes on"


def test_the_bar_counter_stands_still_while_the_sound_does() -> None:
    """At READY the first block is made and nothing sounds; after a stop nothing sounds either."""
    stage, plays, frame = Stage(), False, 0.0
    stage.conductor = Conductor(
        stage.store, stage.clock, RATE, lambda: stage.now, lambda when: frame, lambda: plays
    )
    stage.make(0, (0.0, 2 / RATE))

    def shown() -> tuple[int, int, str]:
        status = stage.conductor.status()
        return status.bar, status.beat, status.state.value

    assert shown() == (1, 1, "stopped")
    stage.now += 7.3
    assert shown() == (1, 1, "stopped"), "at READY"
    plays = True
    assert stage.conductor.status().state is ClockState.RUNNING
    plays, frame = False, 2.6 * RATE
    for _ in range(2):
        stage.now += 3.1
        assert shown() == (2, 2, "stopped"), "after a stop: at the last beat that was heard"
    for number in range(4):
        stage.clock.tap(stage.now - 3 + 0.5 * number)
    first = shown()
    stage.now += 0.5
    assert shown() != first, "a tapped beat goes on"


def test_music_that_waited_for_its_start_begins_in_its_first_bar() -> None:
    """The blocks are made at READY, and the player presses Space half a minute later."""
    stage, plays, began = Stage(), False, float("inf")

    def frame_at(when: float) -> float:
        return max(0.0, when - began) * RATE

    stage.conductor = Conductor(stage.store, stage.clock, RATE, lambda: stage.now, frame_at, lambda: plays)
    for number in range(3):
        stage.make(number, (2.0 * number, 2 / RATE))
    stage.now += 30.3
    plays, began = True, stage.now
    status = stage.conductor.status()
    assert (status.bar, status.beat) == (1, 1)
    assert stage.clock.next(Unit.BAR, stage.now) == pytest.approx(began + 2)
    stage.now += 1.2
    stage.store.set("hold_changes", 2, Origin.UI)
    stage.store.set("memory", 0.9, Origin.UI)
    countdown = stage.conductor.status().countdown
    assert countdown == pytest.approx(2.8), "the bar at 2 s lies in blocks that are made already"


def test_a_hole_in_the_sound_moves_the_beat_behind_it() -> None:
    stage, hole = Stage(), 0.0
    stage.conductor = Conductor(
        stage.store, stage.clock, RATE, lambda: stage.now, lambda when: (when - 100 - hole) * RATE
    )
    stage.make(0, (0.0, 2 / RATE))
    stage.now += 0.5
    hole = 0.7
    stage.conductor.settle(stage.now)
    assert stage.clock.next(Unit.BAR, stage.now) == pytest.approx(100.7), "the first bar is still to come"
    hole += 0.01
    stage.conductor.settle(stage.now)
    assert stage.clock.next(Unit.BAR, stage.now) == pytest.approx(100.7), "what is measured moves a little"
