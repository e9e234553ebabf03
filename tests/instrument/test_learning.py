"""Learning: which control the player means."""

from __future__ import annotations

import pytest
from hands import Hands, cc, event, note, status, texts
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.control.controller_map import ControllerMap
from jbdiff_live.control.learning import PAIR_SECONDS
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import EventKind
from jbdiff_live.parameters import BY_NAME


def test_the_next_knob_is_learned_and_moves_nothing_while_it_is() -> None:
    hands = Hands()
    hands.controls.learn("noise_step")
    assert hands.controls.learning == "noise_step"
    before = hands.store.snapshot
    hands.send(cc(74, 40))
    assert hands.controls.learning is None and texts(hands) == {"noise_step": "ch 1 CC 74"}
    value = BY_NAME["noise_step"].text(before["noise_step"])
    assert status(hands).note == f"Noise learned ch 1 CC 74; turn it past {value}, and it moves the knob."
    hands.send(cc(74, 100))
    assert hands.store.snapshot is before, "the first message after learning moves nothing"
    hands.send(cc(74, 20))
    assert hands["noise_step"] == BY_NAME["noise_step"].from_normal(20 / 127), "it passed the value"


@pytest.mark.parametrize("order", [(1, 33), (33, 1)])
def test_two_halves_back_to_back_are_learned_as_a_pair(order: tuple[int, int]) -> None:
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(cc(order[0], 50, time=1.0))
    hands.clock.now = 1.0
    assert hands.controls.learning == "noise_step"
    hands.send(cc(order[1], 7, time=1.02))
    assert texts(hands)["noise_step"] == "ch 1 CC 1/33 14-bit"


def test_a_faderbank_of_sixteen_with_fine_halves_is_learned_as_pairs() -> None:
    """The 16n sends CC 40 with the fine half CC 72, if it is asked for 14 bits."""
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(cc(40, 50, time=1.0), cc(72, 7, time=1.001))
    assert texts(hands)["noise_step"] == "ch 1 CC 40/72 14-bit"


def test_a_low_cc_that_repeats_without_its_partner_is_a_plain_one() -> None:
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(cc(1, 50, time=1.0), cc(1, 51, time=1.01))
    assert texts(hands)["noise_step"] == "ch 1 CC 1"


def test_a_low_cc_whose_partner_never_comes_is_a_plain_one_after_a_moment() -> None:
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(cc(1, 50, time=1.0))
    hands.settle(1.0 + PAIR_SECONDS * 0.9)
    assert hands.controls.learning == "noise_step"
    hands.settle(1.0 + PAIR_SECONDS * 1.5)
    assert hands.controls.learning is None and texts(hands)["noise_step"] == "ch 1 CC 1"


def test_a_partner_that_comes_too_late_is_none() -> None:
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(cc(1, 50, time=1.0), cc(33, 50, time=2.0))
    assert texts(hands)["noise_step"] == "ch 1 CC 1"


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=60))
def test_a_jittering_converter_does_not_steal_the_learning(jitter: list[int]) -> None:
    hands = Hands()
    hands.send(cc(90, 60))
    hands.controls.learn("noise_step")
    hands.send(*(cc(90, 60 + wobble, time=n * 0.01) for n, wobble in enumerate(jitter)))
    assert hands.controls.learning == "noise_step"
    hands.send(cc(74, 40, time=9.0))
    assert texts(hands)["noise_step"] == "ch 1 CC 74"


def test_the_fine_half_of_a_jittering_converter_does_not_steal_the_learning() -> None:
    hands = Hands()
    hands.send(cc(2, 60), cc(34, 5))
    hands.controls.learn("noise_step")
    for n, fine in enumerate((3, 120, 64, 0, 99)):
        hands.send(cc(2, 60, time=n * 0.05), cc(34, fine, time=n * 0.05 + 0.001))
    assert hands.controls.learning == "noise_step"
    hands.send(cc(2, 70, time=1.0), cc(34, 1, time=1.001))
    assert texts(hands)["noise_step"] == "ch 1 CC 2/34 14-bit"


@pytest.mark.parametrize("number", [0, 6, 32, 38, 96, 97, 98, 99, 100, 101, *range(120, 128)])
def test_what_no_knob_sends_is_never_learned(number: int) -> None:
    """Fails where learning takes CC 120, 121, 123, bank select or the address of a parameter for a knob."""
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(*(cc(number, value, time=n) for n, value in enumerate((0, 40, 90, 127, 0))))
    assert hands.controls.learning == "noise_step"
    if number in (0, 6, 32, 38, 96, 97):
        assert f"plain = [{number}]" in hands.controls.complaint, "a fader that sends it needs a remedy"
    hands.send(cc(74, 40, time=9.0))
    assert texts(hands) == {"noise_step": "ch 1 CC 74"} and hands.controls.complaint == ""


def test_a_bank_select_before_a_program_is_no_complaint() -> None:
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(cc(0, 1), cc(32, 5), event(EventKind.PROGRAM, 7))
    assert hands.controls.complaint == "" and hands.controls.learning == "noise_step"


def test_a_controller_whose_map_has_plain_faders_there_can_be_learned() -> None:
    shelf = MapShelf(None)
    shelf.put("box", ControllerMap("box", ("box",), plain=frozenset({0})))
    hands = Hands(shelf=shelf)
    hands.controls.learn("noise_step")
    hands.send(cc(0, 40, 1.0), cc(0, 90, 1.01))
    assert texts(hands) == {"noise_step": "ch 1 CC 0"}


@pytest.mark.parametrize("registered", [False, True])
def test_a_parameter_is_learned_as_one_control_and_played(registered: bool) -> None:
    hands = Hands()
    high, low = (101, 100) if registered else (99, 98)

    def turn(value: int, time: float) -> None:
        hands.send(cc(high, 2, time), cc(low, 44, time), cc(6, value >> 7, time), cc(38, value & 127, time))

    hands.controls.learn("seed")
    turn(5, 1.0)
    kind = "RPN" if registered else "NRPN"
    assert texts(hands) == {"seed": f"ch 1 {kind} 300"}
    turn(0, 2.0)
    turn(16383, 3.0)
    assert hands["seed"] == 16383


def test_a_parameter_of_seven_bits_is_learned_and_played() -> None:
    hands = Hands()
    hands.controls.learn("resample")
    hands.send(cc(99, 0, 1.0), cc(98, 5, 1.0), cc(6, 10, 1.0))
    hands.settle(2.0)
    assert texts(hands) == {"resample": "ch 1 NRPN 5"}
    hands.send(*(cc(6, value, 3.0 + n) for n, value in enumerate((0, 64, 127))))
    assert hands["resample"] == 1


@pytest.mark.parametrize(
    ("target", "events", "text"),
    [
        (
            "brightness",
            [event(EventKind.BEND, 0, 8192 + 100), event(EventKind.BEND, 0, 12000)],
            "ch 1 pitch bend",
        ),
        ("resample", [event(EventKind.PRESSURE, 0, 2), event(EventKind.PRESSURE, 0, 60)], "ch 1 pressure"),
        ("resample", [note(60), event(EventKind.KEY_PRESSURE, 60, 60)], "ch 1 pressure C3"),
        ("resample", [note(60), event(EventKind.PRESSURE, 0, 60)], "ch 1 pressure"),
        ("resample", [note(60), note(60, 0, on=False)], "ch 1 note C3 velocity"),
        ("hold", [note(60)], "ch 1 note C3"),
        ("reroll", [note(60)], "ch 1 note C3"),
        ("noise_style", [event(EventKind.PROGRAM, 5, 0)], "ch 1 program 5"),
        ("play", [event(EventKind.CLOCK, 0)], "MIDI start"),
        ("stop", [event(EventKind.CLOCK, 2)], "MIDI stop"),
        ("record", [cc(45, 127)], "ch 1 CC 45"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_every_kind_of_control_is_learned(target: str, events: list, text: str) -> None:
    """Fails where only CCs and notes are heard, and where start and record cannot be learned."""
    hands = Hands()
    hands.controls.learn(target)
    hands.send(*events)
    hands.settle(5.0)
    assert texts(hands) == {target: text}
    assert hands.store.snapshot.counts["reroll"] == 0 and hands.performed == []


@pytest.mark.parametrize("sent", [event(EventKind.PROGRAM, 5, 0), event(EventKind.CLOCK, 0)])
def test_a_button_is_not_offered_to_something_continuous(sent) -> None:
    hands = Hands()
    hands.controls.learn("guidance")
    assert hands.controls.handle(sent) is False
    assert hands.controls.learning == "guidance"


def test_the_press_that_is_learned_does_not_trigger_the_action() -> None:
    hands = Hands()
    hands.controls.learn("reroll")
    hands.send(cc(80, 127), cc(80, 0))
    assert hands.store.snapshot.counts["reroll"] == 0
    hands.send(cc(80, 127))
    assert hands.store.snapshot.counts["reroll"] == 1


def test_learning_can_be_called_off_and_a_control_let_go() -> None:
    hands = Hands(("gain", "CC 7"))
    hands.controls.learn("noise_step")
    hands.controls.learn(None)
    hands.send(cc(74, 3))
    assert texts(hands) == {"gain": "CC 7"}
    hands.controls.unbind("gain")
    assert texts(hands) == {}


def test_learning_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="noise_step"):
        Hands().controls.learn("noise_stp")
