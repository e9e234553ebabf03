"""The clock is chosen while the music plays: what waits lands by the new clock, and nothing waits for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stage_rig import stage
from test_beat_clock import RATE, music
from test_clock_session import Rack
from test_conductor import Stage
from tone_generator import ToneGenerator

from jbdiff_live.beat.bar_clock import BarClock, ClockMessage
from jbdiff_live.beat.clock_out import CLOCK, START, STOP, ClockOut, Gates
from jbdiff_live.beat.line import BeatLine, ClockSource, ClockState, Unit
from jbdiff_live.beat.link import LinkError
from jbdiff_live.beat.modulation import Lfo, Modulation
from jbdiff_live.block import Generated, KeepGoing, Rung
from jbdiff_live.control.midi import beat_keeper, out_ports
from jbdiff_live.control.midi.out_ports import find_output, output_names
from jbdiff_live.desks import clock_desk
from jbdiff_live.parameters import Origin, ParameterSnapshot
from jbdiff_live.stage_word import Word


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    made = Rack(tmp_path)
    yield made
    made.session.close()


# ---------------------------------------------------------------------- what waits


def own_beat() -> Stage:
    """Music with a beat of its own at 120 BPM, a rack at 100, and a Gain that waits for the music's bar."""
    stage = Stage()
    stage.rack(100)
    stage.make(0, (0.0, 2 / RATE))
    stage.store.set("hold_changes", 2, Origin.UI)
    stage.store.set("gain", -20, Origin.UI)
    return stage


def test_a_held_change_waits_for_the_bar_of_the_new_clock() -> None:
    stage = own_beat()
    stage.conductor.hold_function("record")
    stage.conductor.choose_clock(ClockSource.MIDI)
    (held,), (function,) = stage.conductor.held.waiting, stage.conductor.functions.waiting
    bar = 90 + 5 * 4 * 0.6
    assert held.due == pytest.approx(bar) and function.due == pytest.approx(bar)
    stage.now = bar - 0.1
    for number in range(int((stage.now - 100) / 0.025)):
        stage.clock.midi("rack", ClockMessage.TICK, 100 + (number + 1) * 0.025)
    stage.conductor.settle(stage.now)
    assert stage.conductor.sounding["gain"] == 0
    stage.now = bar + 0.01
    stage.conductor.settle(stage.now)
    assert stage.conductor.sounding["gain"] == -20 and not stage.conductor.functions.waiting


def test_nothing_waits_for_a_clock_without_a_beat() -> None:
    stage = Stage()
    stage.make(0, (0.0, 2 / RATE))
    stage.store.set("hold_changes", 2, Origin.UI)
    stage.store.set("gain", -20, Origin.UI)
    stage.conductor.hold_function("record")
    assert stage.conductor.held.waiting and stage.conductor.functions.waiting
    stage.conductor.choose_clock(ClockSource.MIDI)
    assert stage.conductor.status().detail == "waiting for MIDI clock"
    stage.conductor.settle(stage.now)
    assert stage.conductor.sounding["gain"] == -20 and not stage.conductor.functions.waiting


def test_the_own_beat_goes_on_when_it_is_chosen_again() -> None:
    stage = own_beat()
    before = stage.clock.line(stage.now)
    stage.conductor.choose_clock(ClockSource.MIDI)
    stage.conductor.choose_clock(ClockSource.INTERNAL)
    assert stage.clock.line(stage.now) == before and not stage.clock.outer


def test_taps_are_forgotten_and_a_tap_under_midi_clock_sets_nothing() -> None:
    stage = Stage()
    for second in (100.0, 100.5):
        stage.now = second
        stage.store.trigger("tap", Origin.UI)
    stage.conductor.settle(stage.now)
    stage.conductor.choose_clock(ClockSource.MIDI)
    tempo = stage.store.snapshot["tempo"]
    for second in (101.0, 101.7):
        stage.now = second
        stage.store.trigger("tap", Origin.UI)
    stage.conductor.settle(stage.now)
    assert stage.store.snapshot["tempo"] == tempo
    stage.conductor.choose_clock(ClockSource.INTERNAL)
    assert stage.clock.tapped is None


def test_a_midi_clock_that_was_silent_before_it_was_chosen_is_waited_for() -> None:
    stage = Stage()
    stage.rack(100)
    stage.now += 60
    stage.conductor.choose_clock(ClockSource.MIDI)
    assert stage.clock.state(stage.now) is ClockState.NONE
    stage.clock.midi("rack", ClockMessage.TICK, stage.now)
    stage.clock.midi("rack", ClockMessage.TICK, stage.now + 0.025)
    assert stage.clock.state(stage.now + 0.03) is ClockState.RUNNING


def test_a_bar_of_other_length_moves_what_waits_and_leaves_the_lfos_where_they_are() -> None:
    stage = own_beat()
    stage.conductor.modulation.put("seed", Lfo(bars=4))
    stage.now += 0.3
    before = stage.conductor.modulation.applied(stage.store.snapshot)["seed"]
    stage.conductor.count_bars(3)
    (held,) = stage.conductor.held.waiting
    line = stage.clock.line(stage.now)
    assert line is not None and line.beat_at(held.due) % 3 == pytest.approx(0, abs=1e-6)
    assert stage.conductor.modulation.applied(stage.store.snapshot)["seed"] == before
    assert stage.conductor.status().beats_per_bar == 3
    with pytest.raises(ValueError, match="0 beats a bar"):
        stage.conductor.count_bars(0)


def test_an_lfo_in_bars_follows_the_new_length() -> None:
    now = [0.0]
    modulation = Modulation(lambda: now[0], lambda: 2.0)
    now[0] = 1.0
    modulation.count_bars(2)
    now[0] = 2.0
    assert modulation._counted(now[0]) / modulation.beats_per_bar == pytest.approx(0.5 + 1.0)


def test_the_offset_moves_the_beat_at_once() -> None:
    clock = BarClock(ClockSource.MIDI)
    for number in range(49):
        clock.midi("rack", ClockMessage.TICK, 10 + number / 48)
    before = clock.next(Unit.BEAT, 11.2)
    clock.choose_offset(0.02)
    after = clock.next(Unit.BEAT, 11.2)
    assert before is not None and after == pytest.approx(before + 0.02)


# ---------------------------------------------------------------------- Link


class FakeLink:
    """`LineSource`."""

    peers = 0

    def __init__(self, *_: object) -> None:
        self.closed, self.beats = False, 0

    def line(self, now: float) -> BeatLine:
        return BeatLine(now, 1.0, 90)

    def count_bars(self, beats: int) -> None:
        self.beats = beats

    def close(self) -> None:
        self.closed = True


def test_link_is_joined_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeLink] = []
    monkeypatch.setattr(
        "jbdiff_live.beat.conductor.LinkClock", lambda *given: made.append(FakeLink(*given)) or made[-1]
    )
    stage = own_beat()
    stage.conductor.choose_clock(ClockSource.LINK)
    assert stage.conductor.status().tempo == 90
    stage.conductor.count_bars(5)
    assert made[0].beats == 5
    stage.conductor.choose_clock(ClockSource.INTERNAL)
    assert made[0].closed and stage.conductor.status().source is ClockSource.INTERNAL


# ---------------------------------------------------------------------- clock out


def test_the_next_output_begins_with_a_bar_while_the_music_plays_on() -> None:
    out = ClockOut(RATE)
    for segment in music(120, 4, 0.0):
        out.block(segment)
    first = [sent.message for frame in range(0, RATE, 128) for sent in out.played(frame)]
    assert START in first
    assert out.leave()[-1].message == STOP
    second = [sent.message for frame in range(RATE, 4 * RATE, 128) for sent in out.played(frame)]
    ticks = second[: second.index(START)].count(CLOCK)
    assert ticks == pytest.approx(48, abs=1), "it starts with the bar two beats later, and ticks before it"


def test_a_whole_name_wins_and_the_numbers_of_the_system_do_not_count() -> None:
    ports = ["jbdiff-live:in 130:0", "Box:Out 10 20:0", "Box:Out 1 21:0", "Box:Out 1 22:0"]
    assert output_names(ports) == ["Box:Out 10", "Box:Out 1", "Box:Out 1 #2"]
    found = [find_output(name, ports) for name in ("Box:Out 1", "Box:Out 1 #2", "out 10", "live", "Moog")]
    assert found == [2, 3, 1, None, None]


# ---------------------------------------------------------------------- the whole instrument


class Port:
    """`ClockPort` in memory."""

    made: list[Port]

    def __init__(self, name: str, api: str | None = None) -> None:
        self.name, self.sent, self.closed, self.problem = name, [], False, ""
        Port.made.append(self)

    def send(self, messages: list[bytes], now: float) -> None:
        self.sent += messages

    def close(self) -> None:
        self.closed = True


def test_the_clock_changes_in_the_music_without_a_gap_and_is_kept(rack: Rack) -> None:
    session = rack.session
    session.set_parameter("hold_changes", 2)
    session.choose_clock(ClockSource.INTERNAL)
    assert session.ports.clock == "internal" and session.status().note == "clock: own beat"
    session.start()
    rack.run(2.0)
    begun = rack.clock.now()
    assert session.status().clock.source is ClockSource.INTERNAL
    session.choose_clock(ClockSource.MIDI)
    clock = session.status().clock
    assert (clock.state, round(clock.tempo), clock.bar) == (ClockState.RUNNING, 120, 2)
    session.set_parameter("mute", 1)
    rack.run(0.5)
    bar = rack.begin + 4
    assert session.status().clock.waiting == 1
    rack.run(bar + 0.3 - rack.clock.now())
    assert rack.peak_at(bar - 0.1) > 0.1 and rack.peak_at(bar + 0.1) == 0.0
    first = min(time - 512 * number / 44_100 for number, time in enumerate(rack.times))
    sound = np.concatenate(rack.heard)
    around = sound[round((begun - first) * 44_100) : round((bar - 0.1 - first) * 44_100)]
    assert np.abs(np.diff(around, axis=0)).max() < 0.2 and session.status().audio.underruns == 0
    assert session.session_desk.look().ports.clock == "midi"


def test_a_change_lands_when_its_clock_is_taken_away(rack: Rack) -> None:
    session = rack.session
    session.set_parameter("hold_changes", 2)
    session.start()
    rack.run(2.3)
    session.set_parameter("gain", -20)
    assert session.status().clock.waiting == 1
    session.choose_clock(ClockSource.INTERNAL)
    rack.clock.run_until(lambda: session.status().clock.waiting == 0, "the change")
    assert session.conductor.held.snapshot["gain"] == -20


def test_clock_goes_out_where_the_player_chooses(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    session, Port.made = rack.session, []
    monkeypatch.setattr(beat_keeper, "ClockPort", Port)
    session.clock_desk.outputs = lambda: ["Drums", "Moog"]
    session.start()
    rack.run(1.0)
    session.choose_clock_out("Drums")
    rack.run(0.5)
    session.choose_clock_out("Moog")
    rack.run(0.5)
    drums, moog = Port.made
    assert (drums.name, drums.closed, moog.closed) == ("Drums", True, False)
    assert session.status().clock.out == "Moog" and session.ports.clock_out == "Moog"
    with pytest.raises(ValueError, match=r"Theremin is gone; .*: Drums, Moog, virtual"):
        session.choose_clock_out("Theremin")
    assert session.ports.clock_out == "Moog" and not moog.closed
    session.choose_clock_out("")
    rack.run(0.1)
    assert moog.closed and session.ports.clock_out is None and session.status().clock.out == ""


class Beating(ToneGenerator):
    """A tone whose blocks begin with a bar of 120 beats a minute."""

    def next_block(
        self, snapshot: ParameterSnapshot, keep_going: KeepGoing, rung: Rung = Rung.FULL
    ) -> Generated | None:
        made = super().next_block(snapshot, keep_going, rung)
        return None if made is None else replace(made, beat=(0.0, 2 / self.sample_rate))


@pytest.mark.parametrize("turned", [False, True], ids=["as it was made", "a knob is turned at READY"])
def test_clock_out_begins_with_the_first_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    """The first block waits at READY. Its gate, start and its clock go out when it sounds, and nothing before."""
    Port.made = []
    monkeypatch.setattr(beat_keeper, "ClockPort", Port)
    opening = [Gates().on(Gates.block), START, Gates().on(Gates.bar), CLOCK]
    with stage(tmp_path, Beating(block_frames=4 * RATE), clock_out="Drums") as rig:
        rig.session.prepare()
        rig.wait_for(Word.READY)
        rig.clock.run_until(lambda: Port.made, "the output")
        rig.clock.run(1.0)
        (drums,) = Port.made
        assert drums.sent == [], "nothing sounds"
        if turned:
            rig.session.set_parameter("seed", 12)
        for _ in range(2):
            rig.session.start()
            rig.clock.run_until(lambda: len(drums.sent) >= len(opening), "the opening")
            assert drums.sent[: len(opening)] == opening
            rig.session.stop()
            rig.clock.run_until(lambda: STOP in drums.sent, "the stop")
            drums.sent.clear()


def test_the_first_block_is_made_again_for_another_clock(rack: Rack) -> None:
    before = rack.session._choices()
    rack.session.choose_clock(ClockSource.INTERNAL)
    assert rack.session._choices() != before


def test_what_cannot_be_chosen_is_refused_with_the_remedy(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = rack.session
    monkeypatch.setitem(sys.modules, "aalink", None)
    refused: list[tuple[type[Exception], str, Callable[[], None]]] = [
        (
            LinkError,
            r"run: pip install 'jbdiff-live\[link\]'",
            lambda: session.choose_clock(ClockSource.LINK),
        ),
        (ValueError, "choose -200 to 200", lambda: session.choose_clock_offset(201)),
        (ValueError, "choose -200 to 200", lambda: session.choose_clock_offset(float("nan"))),
        (ValueError, "choose 1 to 16", lambda: session.choose_beats_per_bar(17)),
    ]
    before = session.ports
    for kind, words, choose in refused:
        with pytest.raises(kind, match=words):
            choose()
    monkeypatch.setattr(clock_desk.platform, "system", lambda: "Windows")
    with pytest.raises(ValueError, match="install loopMIDI"):
        session.choose_clock_out("virtual")
    assert session.ports == before and session.status().clock.source is ClockSource.MIDI


def test_offset_and_beats_are_kept(rack: Rack) -> None:
    session = rack.session
    session.choose_clock_offset(-5)
    session.choose_beats_per_bar(3)
    clock = session.status().clock
    assert (clock.offset, clock.beats_per_bar) == (-0.005, 3)
    assert (session.ports.clock_offset, session.ports.beats_per_bar) == (-5, 3)


def test_without_a_midi_system_the_outputs_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: object) -> list[tuple[str, int]]:
        raise RuntimeError("no server")

    monkeypatch.setattr(out_ports.RtOutPorts, "list", none)
    with pytest.raises(ValueError, match="no MIDI"):
        out_ports.list_midi_outputs("UNIX_JACK")
