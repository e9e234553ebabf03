"""Following MIDI clock: jitter, lost ticks, jumps of the tempo, a clock that vanishes, and where the bars lie."""

from __future__ import annotations

import math
import random

import pytest

from jbdiff_live.beat.follower import MidiFollower
from jbdiff_live.beat.line import BeatLine, ClockState

BEGIN = 100.0


def seconds(tempo: float) -> float:
    """A tick's length."""
    return 60 / tempo / 24


def following(tempo: float, ticks: int) -> tuple[MidiFollower, float]:
    """A follower of an exact clock, and the second of the tick that would come next."""
    follower = MidiFollower()
    follower.start()
    for number in range(ticks):
        follower.tick(BEGIN + number * seconds(tempo))
    return follower, BEGIN + ticks * seconds(tempo)


def the_line(follower: MidiFollower) -> BeatLine:
    line = follower.line()
    assert line is not None
    return line


@pytest.mark.parametrize("tempo", [30.0, 97.0, 240.0])
def test_an_exact_clock_is_known_after_one_beat(tempo: float) -> None:
    follower, now = following(tempo, 24)
    line = the_line(follower)
    assert line.tempo == pytest.approx(tempo, rel=1e-6)
    assert line.beat_at(now) == pytest.approx(1.0, abs=1e-6)
    assert follower.state(now) is ClockState.RUNNING


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_3_ms_of_jitter_and_lost_ticks_move_the_beat_by_less_than_2_ms(seed: int) -> None:
    chance, follower, late, tempi = random.Random(seed), MidiFollower(), [], []
    follower.start()
    for number in range(60 * 97 * 24 // 60):
        if number > 100 and chance.random() < 0.004:
            continue
        follower.tick(BEGIN + number * seconds(97) + chance.gauss(0, 0.003))
        if number > 192:
            line, beat = the_line(follower), round(number / 24)
            late.append(abs(line.time_of(beat) - BEGIN - beat * 60 / 97))
            tempi.append(abs(line.tempo - 97))
    assert len(late) > 1000
    assert max(late) < 0.002
    assert max(tempi) < 0.1


def through_a_server(
    tempo: float, frames: int, jitter: float, stalls: float = 0.0, seconds_long: float = 60.0
) -> list[float]:
    """Errors of the beat in seconds, behind a sound server that gives the messages of a period one time.

    stalls: stalls a second, of one to four periods each. The ticks of these periods come late, all at once.
    """
    chance, follower, period = random.Random(1), MidiFollower(), frames / 44_100
    ticks = [
        number * seconds(tempo) + chance.gauss(0, jitter)
        for number in range(int(seconds_long / seconds(tempo)))
    ]
    ticks.sort(reverse=True)
    follower.start()
    now, errors = -1.0, []
    while ticks:
        while ticks and ticks[-1] < now + period:
            ticks.pop()
            follower.tick(BEGIN + now + period / 2, period)
            if now > 12:
                errors.append((the_line(follower).time_of(tempo / 60 * now) - BEGIN) - now)
        now += period * (1 + (chance.randint(1, 4) if chance.random() < stalls * period else 0))
    return errors


@pytest.mark.parametrize("frames", [64, 256, 512, 1024])
@pytest.mark.parametrize("tempo", [60.0, 97.0, 107.4, 140.0, 180.0])
@pytest.mark.parametrize("jitter", [0.0005, 0.003])
def test_the_coarse_times_of_a_sound_server_are_no_lost_ticks(
    frames: int, tempo: float, jitter: float
) -> None:
    errors = through_a_server(tempo, frames, jitter)
    assert len(errors) > 1000
    # Where period and tick are almost as long, all ticks of seconds lie on one side of their true times.
    assert max(map(abs, errors)) < 0.0055 + 0.45 * frames / 44_100
    assert math.sqrt(sum(error**2 for error in errors) / len(errors)) < 0.003 + 0.35 * frames / 44_100


@pytest.mark.parametrize("frames", [256, 512])
@pytest.mark.parametrize("tempo", [60.0, 97.0])
def test_ticks_that_come_late_after_a_stall_are_not_counted_twice(frames: int, tempo: float) -> None:
    errors = through_a_server(tempo, frames, 0.003, stalls=0.6)
    assert abs(sum(errors)) / len(errors) < 0.003
    assert abs(errors[-1]) < 0.01


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_lost_ticks_shift_no_bar(lost: int) -> None:
    follower, now = following(120, 48)
    for number in range(lost, lost + 12):
        follower.tick(now + number * seconds(120))
    assert the_line(follower).beat_at(now) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("tempo", [30.0, 55.0, 80.0, 97.0, 140.0, 240.0])
def test_a_jump_of_the_tempo_is_followed_within_one_beat(tempo: float) -> None:
    chance, (follower, now) = random.Random(5), following(120, 300)
    for number in range(25):
        follower.tick(now + number * seconds(tempo) + chance.gauss(0, 0.0003))
    line = the_line(follower)
    assert line.tempo == pytest.approx(tempo, rel=0.03)
    assert line.beat_at(now) == pytest.approx(300 / 24, abs=0.02)


def test_a_slow_change_of_tempo_is_followed() -> None:
    follower, now = following(100, 200)
    chance, tempo = random.Random(2), 100.0
    for _ in range(24 * 16):
        follower.tick(now + chance.gauss(0, 0.001))
        now += seconds(tempo)
        tempo += 20 / (24 * 16)
    line = the_line(follower)
    assert line.tempo == pytest.approx(tempo, abs=1.0)
    assert abs(line.beat_at(now) - (200 + 24 * 16) / 24) * 60 / tempo < 0.006


def test_a_clock_that_vanishes_keeps_its_tempo_and_comes_back_in_its_place() -> None:
    follower, now = following(97, 96)
    assert follower.state(now + 0.3) is ClockState.RUNNING
    assert follower.state(now + 0.6) is ClockState.LOST
    line = the_line(follower)
    assert line.beat_at(now + 60 / 97) == pytest.approx(5.0, abs=1e-6)
    back = now + 2 * 60 / 97
    for number in range(12):
        follower.tick(back + number * seconds(97))
    assert follower.state(back + 0.2) is ClockState.RUNNING
    assert the_line(follower).beat_at(back) == pytest.approx(6.0, abs=1e-3)


def test_a_clock_that_comes_back_after_a_minute_is_measured_anew() -> None:
    follower, now = following(97, 96)
    for number in range(48):
        follower.tick(now + 60 + number * seconds(140))
    assert the_line(follower).tempo == pytest.approx(140, rel=1e-3)


def test_stop_holds_the_place_and_continue_goes_on_there() -> None:
    follower, now = following(120, 54)  # two beats and a quarter
    follower.stop()
    assert follower.state(now) is ClockState.STOPPED
    assert the_line(follower).beat_at(now + 9) == pytest.approx(54 / 24)
    for _ in range(7):  # the clock may go on while the transport stands
        follower.tick(now)
        now += seconds(120)
    assert the_line(follower).beat_at(now) == pytest.approx(54 / 24)
    follower.resume()
    follower.tick(now)
    line = the_line(follower)
    assert follower.state(now) is ClockState.RUNNING
    assert line.beat_at(now) == pytest.approx(54 / 24, abs=1e-3)


def test_start_begins_the_bars_anew_and_song_position_moves_them() -> None:
    follower, now = following(120, 50)
    follower.start()
    follower.tick(now)
    assert the_line(follower).beat_at(now) == pytest.approx(0.0, abs=1e-6)
    follower.stop()
    follower.song_position(9)  # sixteenths
    follower.resume()
    follower.tick(now + seconds(120))
    assert the_line(follower).beat_at(now + seconds(120)) == pytest.approx(9 / 4, abs=1e-6)


def test_a_clock_that_never_sent_start_runs_from_its_first_tick() -> None:
    follower = MidiFollower()
    assert follower.state(BEGIN) is ClockState.NONE
    for number in range(25):
        follower.tick(BEGIN + number * seconds(120))
    assert the_line(follower).beat_at(BEGIN) == pytest.approx(0.0, abs=1e-6)


def test_after_start_the_next_tick_is_the_first_beat_even_before_it_has_come() -> None:
    follower, now = following(120, 50)
    follower.start()
    assert the_line(follower).beat_at(now) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("period", [0.0, 256 / 44_100, 1024 / 44_100], ids=["exact", "256", "1024"])
@pytest.mark.parametrize("ticks", [48, 300])
@pytest.mark.parametrize("clock_stays", [True, False], ids=["beside the clock", "in its place"])
def test_a_flood_of_ticks_moves_no_beat(ticks: int, period: float, clock_stays: bool) -> None:
    """A broken device sends five thousand ticks a second, beside the clock of the same input or in its place."""
    follower, sent = MidiFollower(), 0

    def received(when: float) -> None:
        """Send a tick through a server, which gives all ticks of a period one time; 0: each has its own time."""
        follower.tick(((when - BEGIN) // period + 0.5) * period + BEGIN if period else when, period)

    follower.start()
    for number in range(ticks):
        received(BEGIN + number * seconds(120))
    begun = BEGIN + ticks * seconds(120)
    tempo = the_line(follower).tempo
    for number in range(5000):
        now = begun + number * 0.0002
        if clock_stays and now >= begun + sent * seconds(120):
            received(now)
            sent += 1
        received(now)
        assert the_line(follower).tempo == pytest.approx(tempo, rel=0.002 if not period else 0.06)
    assert the_line(follower).tempo == pytest.approx(tempo, rel=0.002)
    assert the_line(follower).beat_at(now) == pytest.approx((now - BEGIN) * 2, abs=0.005 + period)
    for number in range(sent, sent + 96):
        received(begun + max(number, 49) * seconds(120))
    end = begun + max(number, 49) * seconds(120)
    assert the_line(follower).tempo == pytest.approx(120, rel=0.02)
    # A tick of the flood's end that is lost looks like a coarse time if a tick is no longer than a period.
    assert the_line(follower).beat_at(end) == pytest.approx((end - BEGIN) * 2, abs=0.005 + 2.2 * period)


def test_a_line_is_not_fitted_to_each_tick_of_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    for begun in (0, 48):
        follower, now = following(120.0, begun)
        fits: list[int] = []
        fit = follower._fit
        monkeypatch.setattr(follower, "_fit", lambda fits=fits, fit=fit: (fits.append(1), fit()))
        for _ in range(5000):
            follower.tick(now)
            now += 0.0002
        assert len(fits) < 100
        for _ in range(48):
            follower.tick(now)
            now += seconds(90.0)
        assert the_line(follower).tempo == pytest.approx(90.0, rel=1e-3)


@pytest.mark.parametrize("sixteenths", [0, 16_383])
def test_song_position_reaches_both_ends(sixteenths: int) -> None:
    follower, now = following(120.0, 48)
    follower.song_position(sixteenths)
    for number in range(24):
        follower.tick(now + number * seconds(120.0))
    line = the_line(follower)
    assert line.tempo == pytest.approx(120.0)
    assert line.beat_at(now) == pytest.approx(sixteenths / 4, abs=1e-3)
    follower.stop()
    follower.song_position(0)
    follower.resume()
    follower.tick(now + 24 * seconds(120.0))
    assert the_line(follower).beat_at(now + 24 * seconds(120.0)) == pytest.approx(0.0, abs=1e-3)


def test_a_clock_of_twice_the_speed_is_followed_and_back() -> None:
    """Two devices send a clock into one input, and then one of them is switched off."""
    follower, now = following(120.0, 96)
    for tempo in (240.0, 120.0):
        for _ in range(96):
            follower.tick(now)
            now += seconds(tempo)
        assert the_line(follower).tempo == pytest.approx(tempo, rel=1e-3)
