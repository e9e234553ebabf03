"""From a message to a value: what bindings do, whose message it is, and what a controller may never do by itself."""

from __future__ import annotations

import itertools

import pytest
from hands import Hands, cc, event, note
from hypothesis import example, given
from hypothesis import strategies as st

from jbdiff_live.binding import TakeoverMode
from jbdiff_live.control.play import value_at
from jbdiff_live.control.receiver import DUMP_CONTROLS, PANIC_SECONDS, QUIET_SECONDS
from jbdiff_live.control.source import EventKind
from jbdiff_live.parameters import BY_NAME, PARAMETERS, Origin

JUMP = TakeoverMode.JUMP
PARAMETER_NAMES = [p.name for p in PARAMETERS]


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
@pytest.mark.parametrize("full", [127, 16383])
def test_turning_up_never_turns_down_and_both_ends_are_reached(parameter, full: int) -> None:
    values = [value_at(parameter, v, full) for v in range(full + 1)]
    assert all(a <= b for a, b in itertools.pairwise(values))
    assert (values[0], values[-1]) == (parameter.low, parameter.high)


@given(st.sampled_from(PARAMETER_NAMES), st.integers(0, 127), st.integers(0, 127))
@example("gain", 64, 65)
def test_every_cc_value_moves_the_parameter_in_order(name: str, one: int, other: int) -> None:
    hands = Hands((name, "CC 74"), takeover=JUMP)
    hands.send(cc(74, 64), cc(74, 0))  # the first tells where the knob stands, the second moves it
    seen = []
    for value in sorted((one, other)):
        hands.send(cc(74, value))
        seen.append(hands[name])
    assert seen[0] <= seen[1]
    assert all(BY_NAME[name].clamp(v) == v for v in seen)


def test_a_list_gets_equal_shares_of_the_knob() -> None:
    style = BY_NAME["noise_style"]
    shares = [value_at(style, v, 127) for v in range(128)]
    assert [shares.count(float(i)) for i in range(5)] == [26, 26, 25, 26, 25]  # of 128


def test_midi_is_named_as_the_origin() -> None:
    hands = Hands(("gain", "CC 7"), ("reroll", "ch 1 note C1"), takeover=JUMP)
    origins = []
    hands.store.subscribe(lambda change: origins.append(change.origin))
    hands.send(cc(7, 100), cc(7, 12), note(36))
    assert origins == [Origin.MIDI, Origin.MIDI]


def test_a_switch_is_on_from_the_middle_of_a_cc() -> None:
    hands = Hands(("hold", "CC 64"))
    for value, on in ((63, False), (64, True), (127, True), (0, False)):
        hands.send(cc(64, value))
        assert hands.store.snapshot.on("hold") is on


def test_a_pedal_that_stands_low_says_nothing_about_a_switch_that_is_on() -> None:
    hands = Hands(("hold", "CC 64"))
    hands.store.set("hold", 1, Origin.UI)
    hands.send(cc(64, 0))
    assert hands.store.snapshot.on("hold")
    hands.send(cc(64, 127), cc(64, 0))
    assert not hands.store.snapshot.on("hold")


def test_a_cc_of_a_button_flips_a_switch_and_steps_a_list_as_a_note_does() -> None:
    hands = Hands(("mute", "CC 46 button"), ("clock", "CC 47 button"))
    press = [cc(46, 127), cc(46, 0)]
    hands.send(*press)
    assert hands.store.snapshot.on("mute")
    hands.send(*press)
    assert not hands.store.snapshot.on("mute")
    before = int(hands["clock"])
    hands.send(cc(47, 127), cc(47, 0), cc(47, 127), cc(47, 0))
    assert hands["clock"] == (before + 2) % 3


def test_a_note_flips_a_switch_and_its_release_does_nothing() -> None:
    hands = Hands(("mute", "ch 1 note C1"))
    hands.send(note(36), note(36, 0, on=False))
    assert hands.store.snapshot.on("mute")
    hands.send(note(36))
    assert not hands.store.snapshot.on("mute")


def test_a_note_steps_through_a_list_and_around() -> None:
    hands = Hands(("context_source", "ch 1 note C1"))
    seen = []
    for _ in range(4):
        hands.send(note(36))
        seen.append(hands.store.snapshot.choice("context_source"))
    assert seen == ["file", "live", "own", "file"]


def test_a_note_sets_a_value_by_how_hard_it_is_struck() -> None:
    hands = Hands(("resample", "ch 1 note C1 velocity"))
    hands.send(note(36, 127), note(36, 0, on=False))
    assert hands["resample"] == 1
    hands.send(note(36, 32))
    assert hands["resample"] == pytest.approx(32 / 127)


def test_an_action_happens_once_when_a_cc_rises_through_the_middle() -> None:
    hands = Hands(("reroll", "CC 20"))
    hands.send(*(cc(20, value) for value in (10, 63, 64, 100, 127, 80, 0, 127)))
    assert hands.store.snapshot.counts["reroll"] == 2


def test_an_action_happens_once_per_note_on() -> None:
    hands = Hands(("panic", "ch 1 note E1"))
    hands.send(note(40), note(40, 0, on=False), note(40), note(40, 64, on=False))
    assert hands.store.snapshot.counts["panic"] == 2


@pytest.mark.parametrize(
    ("text", "first", "then", "value"),
    [
        ("pitch bend", event(EventKind.BEND, 0, 0), event(EventKind.BEND, 0, 16383), 1.0),
        ("pressure", event(EventKind.PRESSURE, 0, 0), event(EventKind.PRESSURE, 0, 127), 1.0),
        ("pressure C3", event(EventKind.KEY_PRESSURE, 60, 0), event(EventKind.KEY_PRESSURE, 60, 127), 1.0),
        ("pitch bend", event(EventKind.BEND, 0, 16383), event(EventKind.BEND, 0, 0), 0.0),
    ],
)
def test_bend_and_pressure_reach_their_ends(text: str, first, then, value: float) -> None:
    """Fails where pitch bend and aftertouch are not heard at all."""
    hands = Hands(("resample", text), takeover=JUMP)
    hands.store.set("resample", 0.5, Origin.UI)
    hands.send(first, then)
    assert hands["resample"] == value


def test_a_bend_that_rests_in_its_middle_is_the_middle_of_a_knob_that_goes_both_ways() -> None:
    hands = Hands(("brightness", "pitch bend"), takeover=JUMP)
    hands.send(event(EventKind.BEND, 0, 0), event(EventKind.BEND, 0, 8192))
    assert hands["brightness"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("text", "sent"), [
    ("program 7", event(EventKind.PROGRAM, 7, 0)), ("MIDI start", event(EventKind.CLOCK, 0)),
])  # fmt: skip
def test_programs_and_midi_start_are_buttons_and_load_no_patch_then(text: str, sent) -> None:
    hands = Hands(("reroll", text))
    assert hands.controls.handle(sent) is True
    assert hands.store.snapshot.counts["reroll"] == 1
    assert hands.controls.handle(event(EventKind.PROGRAM, 8, 0)) is False, "left to the patches"


def test_functions_of_the_session_are_asked_for_and_change_no_value() -> None:
    hands = Hands(("play", "CC 41"), ("record", "ch 1 note C1"), ("stop", "MIDI stop"))
    before = hands.store.snapshot
    hands.send(cc(41, 127), cc(41, 0), note(36), note(36, on=False), event(EventKind.CLOCK, 2))
    assert hands.performed == ["play", "record", "stop"]
    assert hands.store.snapshot is before


def test_another_channel_is_not_heard() -> None:
    hands = Hands(("resample", "ch 2 CC 71"), takeover=JUMP)
    hands.send(cc(71, 0), cc(71, 127))
    assert hands["resample"] == 0
    hands.send(cc(71, 0, channel=2), cc(71, 127, channel=2))
    assert hands["resample"] == 1


# ---------------------------------------------------------------------- takeover


def test_a_knob_does_not_jump_and_a_dump_at_plug_in_moves_nothing() -> None:
    """Fails where Noise at .30 jumps to .94, and where nine values move when a controller is plugged in."""
    every = [(p.name, f"CC {n}") for n, p in enumerate(PARAMETERS, 10)]
    hands = Hands(*every, ("reroll", "CC 60"), ("panic", "CC 61"), ("home", "CC 62"))
    before = hands.store.snapshot
    for start in (0, 127, 3, 90):
        hands.controls.port("box", True)
        hands.send(*(cc(number, (start * number + start) % 128) for number in range(1, 120)))
        hands.controls.port("box", False)
    assert hands.store.snapshot is before


@pytest.mark.parametrize("value", [0, 127])
def test_a_late_dump_of_all_positions_moves_no_knob_and_presses_no_more_than_its_first_buttons(
    value: int,
) -> None:
    """A controller may send its positions a while after it was plugged in; then the first ones look like a hand."""
    every = [(p.name, f"CC {n}") for n, p in enumerate(PARAMETERS, 10)]
    hands = Hands(*every, ("reroll", "CC 60"), ("panic", "CC 61"))
    before = hands.store.snapshot
    hands.controls.port("box", True)
    late = QUIET_SECONDS + 20
    hands.send(*(cc(number, value, late + number * 1e-4) for number in range(5, 120)))
    assert hands.store.snapshot is before and DUMP_CONTROLS <= 5


def test_a_sweep_across_the_value_takes_over_however_fast_it_is() -> None:
    hands = Hands(("resample", "CC 71"))
    hands.store.set("resample", 0.5, Origin.UI)
    hands.sweep(71, 10, 20, 30)
    assert hands["resample"] == 0.5
    hands.sweep(71, 120)
    assert hands["resample"] == pytest.approx(120 / 127)


def test_a_knob_waits_again_after_the_mouse_a_patch_and_a_return() -> None:
    hands = Hands(("resample", "CC 71"))
    moved_by = {
        "mouse": lambda: hands.store.set("resample", 0.5, Origin.UI),
        "patch": lambda: hands.store.set_many({"resample": 0.5}, Origin.PATCH),
        "reconnect": lambda: (
            hands.store.set("resample", 0.5, Origin.UI),
            hands.controls.port("box", False),
            hands.controls.port("box", True),
            hands.settle(0.0),
        ),
    }
    late = QUIET_SECONDS + 1
    for what, move in moved_by.items():
        hands.sweep(71, 0, 127, 20, time=late)
        assert hands["resample"] == pytest.approx(20 / 127), what
        move()
        hands.sweep(71, 10, 25, time=late)
        assert hands["resample"] == 0.5, what


def test_two_knobs_of_one_value_do_not_fight() -> None:
    hands = Hands(("resample", "CC 71"))
    hands.sweep(71, 0, 127, device="a")
    hands.sweep(71, 5, 10, device="b")
    assert hands["resample"] == 1
    hands.sweep(71, 127, 20, device="b")
    hands.sweep(71, 126, device="a")
    assert hands["resample"] == pytest.approx(20 / 127)


def test_a_control_may_have_a_takeover_of_its_own() -> None:
    hands = Hands(("gain", "CC 7 jump"), ("resample", "CC 71"))
    hands.sweep(7, 0, 64)
    hands.sweep(71, 20, 64)
    assert hands["gain"] == pytest.approx(-60 + 66 * 64 / 127) and hands["resample"] == 0


def test_where_the_hardware_stands_is_told_until_it_has_taken_over() -> None:
    hands = Hands(("resample", "CC 71"))
    hands.store.set("resample", 0.5, Origin.UI)
    status = hands.controls.status(status_of_nothing())
    assert status.hardware == {}
    hands.sweep(71, 10, 20)
    ghost = hands.controls.status(status_of_nothing()).hardware["resample"]
    assert (ghost.position, ghost.taken) == (pytest.approx(20 / 127), False)
    hands.sweep(71, 100)
    assert hands.controls.status(status_of_nothing()).hardware["resample"].taken
    hands.store.set("resample", 0.1, Origin.UI)
    assert not hands.controls.status(status_of_nothing()).hardware["resample"].taken, (
        "the mouse moved it away"
    )
    hands.controls.port("box", False)
    assert hands.controls.status(status_of_nothing()).hardware == {}, "it is not there any more"


def status_of_nothing():
    from jbdiff_live.status import ControlStatus

    return ControlStatus()


# ---------------------------------------------------------------------- panic


@pytest.mark.parametrize(("number", "value"), [(120, 0), (120, 127), (123, 0)])
def test_all_sound_off_is_panic_without_a_binding(number: int, value: int) -> None:
    """Fails where CC 120 has to rise through the middle: as a controller sends it, its value is 0."""
    hands = Hands()
    hands.send(cc(number, value, time=1.0, channel=5))
    assert hands.store.snapshot.counts["panic"] == 1


def test_all_sound_off_on_sixteen_channels_is_one_panic() -> None:
    hands = Hands()
    hands.send(*(cc(number, 0, 1.0 + c * 1e-3, channel=c) for c in range(1, 17) for number in (120, 123)))
    assert hands.store.snapshot.counts["panic"] == 1
    hands.send(cc(120, 0, 2.0 + PANIC_SECONDS))
    assert hands.store.snapshot.counts["panic"] == 2


@pytest.mark.parametrize("number", [121, 122, 124, 125, 126, 127])
def test_other_channel_mode_messages_change_nothing(number: int) -> None:
    hands = Hands(("gain", f"CC {number}"), ("panic", f"CC {number}"))
    before = hands.store.snapshot
    hands.send(cc(number, 0), cc(number, 127), cc(number, 0))
    assert hands.store.snapshot is before


# ---------------------------------------------------------------------- what a patch suggests


def test_a_patchs_note_without_a_channel_listens_to_no_keyboard() -> None:
    """Fails where the lowest keys of every keyboard hold, mute and panic."""
    hands = Hands(("panic", "note E1"), ("mute", "note D#1"), ("hold", "ch 10 note D1"))
    before = hands.store.snapshot
    hands.send(*(note(number, channel=c) for number in range(128) for c in range(1, 10)))
    assert hands.store.snapshot is before
    hands.send(note(38, channel=10))
    assert hands.store.snapshot.on("hold")


def test_panic_keeps_its_control_in_a_patch_that_has_none() -> None:
    from jbdiff_live.binding import Binding

    hands = Hands(("panic", "ch 10 note E1"))
    hands.controls.suggest([Binding.parse("gain", "CC 7")])
    hands.send(note(40, channel=10))
    assert hands.store.snapshot.counts["panic"] == 1
    hands.controls.suggest([Binding.parse("panic", "ch 1 note C1")])
    hands.send(note(40, channel=10))
    assert hands.store.snapshot.counts["panic"] == 1, "it has another one now"
