"""Tap tempo, Link, the bar clock and MIDI clock out, with times that the test gives."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest

from jbdiff_live.beat.bar_clock import BarClock, ClockMessage
from jbdiff_live.beat.clock_out import CLOCK, START, STOP, ClockOut, Gates, Segment
from jbdiff_live.beat.frame_time import FrameTime
from jbdiff_live.beat.line import BeatLine, ClockSource, ClockState, Unit
from jbdiff_live.beat.link import LinkClock, LinkError
from jbdiff_live.beat.tap import TapTempo

RATE = 44_100

# ---------------------------------------------------------------------- tap tempo


def test_four_taps_give_the_tempo_and_the_beat() -> None:
    taps = TapTempo()
    assert taps.tap(10.0) is None
    assert [taps.tap(10.0 + 0.5 * n) for n in (1, 2, 3)] == pytest.approx([120.0] * 3)
    assert taps.line is not None
    assert taps.line.beat_at(12.0) == pytest.approx(4.0)


def test_one_bad_tap_changes_nothing() -> None:
    taps = TapTempo()
    for when in (10.0, 10.5, 11.0, 11.5, 12.3, 12.8, 13.3):
        tempo = taps.tap(when)
    assert tempo == pytest.approx(120.0)


def test_a_pause_of_two_seconds_begins_a_new_tempo() -> None:
    taps = TapTempo()
    for when in (10.0, 10.5, 11.0):
        taps.tap(when)
    assert taps.tap(13.1) is None
    assert taps.tap(14.1) == pytest.approx(60.0)


def test_a_press_that_bounces_is_one_tap() -> None:
    taps = TapTempo()
    taps.tap(10.0)
    taps.tap(10.5)
    assert taps.tap(10.51) == pytest.approx(120.0)
    assert taps.tap(11.0) == pytest.approx(120.0)


# ---------------------------------------------------------------------- the bar clock


def send(clock: BarClock, device: str, tempo: float, ticks: int, begin: float) -> float:
    """Start and so many ticks. Return the second of the tick that would come next."""
    clock.midi(device, ClockMessage.START, begin)
    for number in range(ticks):
        clock.midi(device, ClockMessage.TICK, begin + number * 60 / tempo / 24)
    return begin + ticks * 60 / tempo / 24


def test_the_next_beat_and_bar_of_a_midi_clock() -> None:
    clock = BarClock(ClockSource.MIDI)
    assert clock.next(Unit.BAR, 10.0) is None
    now = send(clock, "rack", 120, 6 * 24, 10.0)
    assert clock.next(Unit.BEAT, now + 0.1) == pytest.approx(13.5)
    assert clock.next(Unit.BAR, now + 0.1) == pytest.approx(14.0)
    assert clock.next(Unit.BAR, 14.0) == pytest.approx(16.0)  # a bar that is reached is no next one
    status = clock.status(13.75)
    assert (status.bar, status.beat, round(status.tempo), status.state) == (2, 4, 120, ClockState.LOST)
    assert status.text() == "120.0 BPM, bar 2.4, MIDI clock lost"
    assert clock.status(now).detail == "MIDI clock from rack", "read alone, below the state word"
    for state, origin in ((ClockState.STOPPED, "MIDI clock, stopped"), (ClockState.RUNNING, "MIDI clock")):
        assert replace(status, state=state).text() == f"120.0 BPM, bar 2.4, {origin}"


def test_three_beats_a_bar() -> None:
    clock = BarClock(ClockSource.MIDI, beats_per_bar=3)
    send(clock, "rack", 120, 6 * 24, 10.0)
    assert clock.next(Unit.BAR, 13.1) == pytest.approx(14.5)
    with pytest.raises(ValueError, match="needs 1 or more"):
        BarClock(beats_per_bar=0)


def test_a_second_clock_is_followed_only_when_the_first_one_is_silent() -> None:
    clock = BarClock(ClockSource.MIDI)
    send(clock, "one", 120, 48, 10.0)
    send(clock, "two", 90, 16, 10.9)
    line = clock.line(11.0)
    assert line is not None and line.tempo == pytest.approx(120)
    send(clock, "two", 90, 48, 13.0)
    line = clock.line(14.0)
    assert line is not None and line.tempo == pytest.approx(90)


def test_a_stopped_clock_has_no_next_bar() -> None:
    clock = BarClock(ClockSource.MIDI)
    now = send(clock, "rack", 120, 48, 10.0)
    clock.midi("rack", ClockMessage.STOP, now)
    assert clock.state(now) is ClockState.STOPPED
    assert clock.next(Unit.BAR, now) is None


def test_an_offset_moves_a_midi_clock() -> None:
    clock = BarClock(ClockSource.MIDI, offset=-0.02)
    send(clock, "rack", 120, 48, 10.0)
    assert clock.next(Unit.BAR, 11.0) == pytest.approx(11.98)


def test_inside_the_musics_beat_counts_until_somebody_taps() -> None:
    clock = BarClock()
    assert clock.state(10.0) is ClockState.NONE
    clock.music(BeatLine(10.0, 2.5, 100))
    assert not clock.outer
    assert clock.next(Unit.BAR, 10.0) == pytest.approx(10.9)
    clock.tap(11.0)
    clock.tap(11.5)
    assert clock.outer
    assert clock.next(Unit.BEAT, 11.5) == pytest.approx(12.0)
    clock.forget_taps()
    assert not clock.outer


# ---------------------------------------------------------------------- Link


def test_link_gives_tempo_and_bar_of_its_session() -> None:
    class Library:
        """aalink, as far as it is used."""

        class Link:
            def __init__(self, tempo: float) -> None:
                self.tempo, self.beat, self.num_peers, self.enabled, self.quantum = tempo, 5.5, 2, False, 0.0

    link = LinkClock(100, 4, lambda: Library)
    try:
        clock = BarClock(ClockSource.LINK, link=link)
        assert clock.next(Unit.BAR, 20.0) == pytest.approx(20.0 + 2.5 * 0.6)
        assert clock.status(20.0).detail == "Link with 2 other programs"
        assert clock.outer
        link._link.num_peers = 0
        assert clock.status(20.0).detail == "Link: no other program is there yet"
    finally:
        link.close()


def test_without_aalink_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aalink", None)
    with pytest.raises(LinkError, match=r"pip install 'jbdiff-live\[link\]'"):
        LinkClock(120, 4)


def test_a_real_link_session_runs() -> None:
    pytest.importorskip("aalink")
    link = LinkClock(111, 4)
    try:
        line = link.line(10.0)
        assert line.tempo == pytest.approx(111)
        assert line.moves
    finally:
        link.close()
        link.close()


# ---------------------------------------------------------------------- frames and seconds


@pytest.mark.parametrize("period", [256, 1024])
def test_a_position_that_jumps_by_the_period_is_known_to_a_fraction_of_it(period: int) -> None:
    time, found = FrameTime(RATE), []
    for visit in range(1000):
        now = visit * 0.0057
        taken = int(now * RATE) // period * period + period  # a callback at 0 takes the first period
        time.see(taken, now)
        if visit > 200:
            late = time.time_of(100_000)
            assert late is not None
            found.append(late - (100_000 - period) / RATE)
    assert max(map(abs, found)) < 0.001


def test_a_device_that_was_opened_anew_is_measured_anew() -> None:
    time = FrameTime(RATE)
    time.see(10_000, 5.0)
    time.restart()
    assert time.time_of(0) is None and time.frame_at(5.0) is None
    time.see(0, 9.0)
    assert time.frame_at(9.5) == pytest.approx(RATE / 2)


# ---------------------------------------------------------------------- clock out

BLOCK = 98_304


def music(tempo: float, blocks: int, beat: float) -> list[Segment]:
    """Blocks whose beat goes on from each to the next."""
    per_frame = tempo / 60 / RATE
    starts = [BLOCK * number for number in range(blocks)]
    return [Segment(start, start + BLOCK, beat + start * per_frame, per_frame) for start in starts]


def played(out: ClockOut, until: int, step: int = 128) -> list[tuple[float, bytes]]:
    return [(s.frame, s.message) for frame in range(0, until, step) for s in out.played(frame)]


def test_ticks_go_out_evenly_across_blocks_and_start_with_the_first_bar() -> None:
    out = ClockOut(RATE)
    for segment in music(97, 4, 2.3):
        out.block(segment)
    sent = played(out, 4 * BLOCK)
    ticks = [frame for frame, message in sent if message == CLOCK]
    per_tick = RATE * 60 / 97 / 24
    assert [b - a for a, b in pairwise(ticks)] == pytest.approx([per_tick] * (len(ticks) - 1))
    ((begin, place),) = [(frame, place) for place, (frame, message) in enumerate(sent) if message == START]
    assert begin == pytest.approx(1.7 * RATE * 60 / 97)
    assert sent[place + 1 :][0][1] == Gates().on(48) and sent[place + 2][1] == CLOCK
    bars = [frame for frame, message in sent if message == Gates().on(48)]
    assert [b - a for a, b in pairwise(bars)] == pytest.approx([4 * 24 * per_tick] * (len(bars) - 1))


def test_every_block_opens_a_gate_and_closes_it() -> None:
    out = ClockOut(RATE, gates=Gates(channel=3, block=60))
    for segment in music(97, 3, 0.0):
        out.block(segment)
    sent = played(out, 3 * BLOCK)
    assert [frame for frame, message in sent if message == bytes((0x92, 60, 100))] == [0, BLOCK, 2 * BLOCK]
    ends = [frame for frame, message in sent if message == bytes((0x82, 60, 0))]
    assert ends == pytest.approx([0.02 * RATE + BLOCK * n for n in range(3)])


def test_a_device_that_stalls_stalls_the_clock() -> None:
    out = ClockOut(RATE)
    out.block(music(97, 1, 0.0)[0])
    assert out.played(5000)
    assert out.played(5000) == []


def test_stop_is_sent_once_and_closes_the_gates() -> None:
    out = ClockOut(RATE)
    out.block(music(97, 1, 0.0)[0])
    out.played(10)
    assert [sent.message for sent in out.silent(10)] == [Gates().off(36), Gates().off(48), STOP]
    assert out.silent(10) == []


def test_music_that_begins_again_after_a_panic_opens_with_its_gate_and_its_beat() -> None:
    """The panic drops most of the first block. The clock's thread looks some frames after the new beginning."""
    out, (old, new) = ClockOut(RATE), music(97, 2, 0.0)
    out.block(old)
    played(out, 1000)
    out.block(replace(new, beat=4.0, anew=True))
    found = [(sent.frame, sent.message) for sent in out.played(new.start + 90)]
    opening = [Gates().on(36), Gates().on(48), CLOCK]
    assert [(frame, message) for frame, message in found if message in opening] == [
        (new.start, message) for message in opening
    ]


def test_blocks_without_a_beat_have_gates_and_no_ticks() -> None:
    out = ClockOut(RATE)
    out.block(Segment(0, BLOCK, 0.0, 0.0))
    assert [sent.message for sent in out.played(100)] == [Gates().on(36)]


def test_a_beat_that_was_steered_a_little_sends_no_tick_twice() -> None:
    out, segments = ClockOut(RATE), music(97, 3, 0.0)
    moved = [Segment(s.start, s.end, s.beat - 0.004 * n, s.per_frame) for n, s in enumerate(segments)]
    for segment in moved:
        out.block(segment)
    ticks = [frame for frame, message in played(out, 3 * BLOCK) if message == CLOCK]
    per_tick = RATE * 60 / 97 / 24
    gaps = [(b - a) / per_tick for a, b in pairwise(ticks)]
    assert min(gaps) > 0.8 and max(gaps) < 1.2


def test_the_link_stub_is_told_of_the_bar() -> None:
    made = SimpleNamespace(tempo=0.0, beat=0.0, num_peers=0, enabled=False, quantum=0.0)
    link = LinkClock(100, 3, lambda: SimpleNamespace(Link=lambda tempo: made))
    assert (made.quantum, made.enabled) == (3.0, True)
    link.close()
    assert not made.enabled
