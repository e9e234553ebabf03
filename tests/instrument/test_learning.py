"""Learning: which control the player means, what it may take away, and encoders that have no ends."""

from __future__ import annotations

import pytest
from hands import Hands, cc, event, note
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.binding import Encoding
from jbdiff_live.control.controller_map import ControllerMap
from jbdiff_live.control.learning import PAIR_SECONDS
from jbdiff_live.control.relative import Recognition, steps
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control.source import EventKind
from jbdiff_live.control_view import Waiting
from jbdiff_live.parameters import BY_NAME, Origin
from jbdiff_live.status import ControlStatus


def status(hands: Hands) -> ControlStatus:
    return hands.controls.status(ControlStatus())


def texts(hands: Hands) -> dict[str, str]:
    return dict(hands.controls.texts())


# ---------------------------------------------------------------------- which control


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


@pytest.mark.parametrize("number", [0, 6, 32, 38, 98, 99, 100, 101, *range(120, 128)])
def test_what_no_knob_sends_is_never_learned(number: int) -> None:
    """Fails where learning takes CC 120, 121, 123, bank select or the address of a parameter for a knob."""
    hands = Hands()
    hands.controls.learn("noise_step")
    hands.send(*(cc(number, value, time=n) for n, value in enumerate((0, 40, 90, 127, 0))))
    assert hands.controls.learning == "noise_step"
    if number in (0, 6, 32, 38):
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


# ---------------------------------------------------------------------- what it may take away


def bound(*pairs: tuple[str, int]) -> Hands:
    """Controls that were learned, one after the other."""
    hands = Hands()
    for n, (target, number) in enumerate(pairs):
        hands.controls.learn(target)
        hands.send(cc(number, 127, 10.0 * n), cc(number, 0, 10.0 * n + 1))
    return hands


def test_learning_replaces_the_old_control_of_the_target() -> None:
    hands = bound(("gain", 80), ("mute", 81), ("gain", 82))
    assert texts(hands) == {"gain": "ch 1 CC 82", "mute": "ch 1 CC 81"}


def test_a_control_that_moves_something_is_not_taken_without_asking() -> None:
    """Fails where learning takes CC 80 from Gain without a word."""
    hands = bound(("gain", 80))
    hands.controls.learn("resample")
    hands.send(cc(80, 60, 50.0))
    asked = status(hands)
    assert asked.question is not None and asked.learning is None
    assert (asked.question.target, asked.question.others) == ("resample", ("gain",))
    assert "CC 80 moves Gain already" in asked.question.text
    assert texts(hands) == {"gain": "ch 1 CC 80"}
    hands.send(cc(80, 127, 51.0), cc(80, 0, 52.0), cc(80, 127, 53.0))
    assert hands["gain"] == 6, "the old binding plays on until the question is answered"


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ("replace", {"resample": "ch 1 CC 80"}),
        ("both", {"gain": "ch 1 CC 80", "resample": "ch 1 CC 80"}),
        ("cancel", {"gain": "ch 1 CC 80"}),
    ],
)
@pytest.mark.parametrize("suggested", [False, True])
def test_the_question_is_answered_with_replace_both_or_cancel(
    how: str, left: dict[str, str], suggested: bool
) -> None:
    hands = Hands(("gain", "ch 1 CC 80")) if suggested else bound(("gain", 80))
    hands.controls.learn("resample")
    hands.send(cc(80, 60, 50.0))
    hands.controls.answer(how)
    assert texts(hands) == left and status(hands).question is None
    hands.send(*(cc(80, value, 60.0 + n) for n, value in enumerate((64, 127, 0, 127))))
    assert hands["gain"] == (6 if "gain" in left else 0)
    assert hands["resample"] == (1 if "resample" in left else 0)


def test_an_answer_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="replace, both, cancel"):
        Hands().controls.answer("maybe")


def test_panic_does_not_lose_its_last_control_silently() -> None:
    hands = bound(("panic", 80))
    hands.controls.learn("mute")
    hands.send(cc(80, 127, 50.0))
    question = status(hands).question
    assert question is not None and "Panic would have no control left" in question.text
    hands.send(cc(80, 0, 51.0), cc(80, 127, 52.0))
    assert hands.store.snapshot.counts["panic"] == 1, "it works on meanwhile"
    hands.controls.answer("replace")
    assert "Panic has no control" in status(hands).note


@pytest.mark.parametrize("how", ["unbind", "unlearn"])
def test_letting_go_of_the_last_panic_is_said(how: str) -> None:
    hands = bound(("panic", 80))
    if how == "unbind":
        hands.controls.unbind("panic")
    else:
        hands.controls.unlearn()
        hands.send(cc(80, 127, 50.0))
    assert texts(hands) == {} and "Panic has no control" in status(hands).note
    hands.settle(51.0)
    hands.settle(70.0)
    assert status(hands).note == "", "a note does not stand there for ever"


def test_a_target_that_was_let_go_stays_so_when_another_patch_suggests_a_control() -> None:
    hands = Hands(("gain", "CC 7"))
    hands.controls.port("box", True)
    hands.controls.unbind("gain")
    hands.controls.suggest(hands.controls.suggested)
    assert texts(hands) == {}


# ---------------------------------------------------------------------- row, unlearn, locate


def test_a_row_is_learned_one_after_the_other_without_letting_go_of_a_knob() -> None:
    hands = Hands()
    hands.controls.learn_row(["resample", "guidance", "gain"])
    assert status(hands).row == ("resample", "guidance", "gain")
    hands.sweep(71, 40, 44, 50, 90, time=1.0)  # still being turned when the next one is waited for
    assert status(hands).learning == "guidance"
    hands.controls.skip()
    hands.sweep(71, 60, 20, time=2.0)
    hands.sweep(72, 40, 44, time=3.0)
    assert texts(hands) == {"resample": "ch 1 CC 71", "gain": "ch 1 CC 72"}
    assert status(hands).waiting is Waiting.NOTHING


def test_a_row_goes_on_after_a_question() -> None:
    hands = bound(("gain", 80))
    hands.controls.learn_row(["resample", "guidance"])
    hands.send(cc(80, 60, 50.0))
    assert status(hands).learning is None
    hands.controls.answer("both")
    assert status(hands).learning == "guidance"
    hands.send(cc(81, 60, 52.0))
    assert set(texts(hands)) == {"gain", "resample", "guidance"}


def test_unlearn_lets_go_of_what_the_touched_control_moves() -> None:
    hands = bound(("gain", 80), ("resample", 81))
    hands.controls.unlearn()
    assert status(hands).waiting is Waiting.UNLEARN
    hands.send(cc(80, 64, 50.0))
    assert texts(hands) == {"resample": "ch 1 CC 81"}
    assert status(hands).waiting is Waiting.NOTHING and "it no longer moves Gain" in status(hands).note


def test_locate_tells_what_a_control_moves_and_moves_nothing() -> None:
    hands = bound(("gain", 80), ("panic", 81))
    hands.controls.locate()
    before = hands.store.snapshot
    for n, (number, targets) in enumerate(
        ((80, ("gain",)), (81, ("panic",)), (99, ("panic",)), (80, ("gain",)))
    ):
        hands.sweep(number, 127, 0, 64, time=50.0 + n)
        assert status(hands).touched == targets, "CC 99 is no control"
    assert hands.store.snapshot is before
    hands.controls.learn(None)
    assert status(hands).waiting is Waiting.NOTHING
    hands.sweep(80, 66, time=60.0)
    assert hands.store.snapshot is before, "it was moved meanwhile, and has to come for the value again"


# ---------------------------------------------------------------------- encoders


@pytest.mark.parametrize(
    ("encoding", "up", "down"),
    [
        (Encoding.TWOS_COMPLEMENT, [1, 2, 7], [127, 126, 121]),
        (Encoding.OFFSET_64, [65, 66, 71], [63, 62, 57]),
        (Encoding.SIGN_BIT, [1, 2, 7], [65, 66, 71]),
    ],
)
def test_what_an_encoder_sends_is_steps(encoding: Encoding, up: list[int], down: list[int]) -> None:
    """The values are those that a Behringer X-Touch Mini sends in its three relative settings."""
    assert [steps(encoding, value) for value in up] == [1, 2, 7]
    assert [steps(encoding, value) for value in down] == [-1, -2, -7]


ENCODERS = {
    Encoding.TWOS_COMPLEMENT: ([1, 1, 1, 2], [127, 127, 126]),
    Encoding.OFFSET_64: ([65, 65, 65, 66], [63, 63, 62]),
    Encoding.SIGN_BIT: ([1, 1, 1, 2], [65, 65, 66]),
}


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("first", ["up", "down", "both"])
@pytest.mark.parametrize("target", ["resample", "seed", "noise_style"])
def test_an_encoder_is_recognised_while_it_is_learned(encoding: Encoding, first: str, target: str) -> None:
    """Turned one way, two encodings may fit. The first turn the other way puts it right."""
    up, down = ENCODERS[encoding]
    hands = Hands()
    parameter = BY_NAME[target]
    hands.store.set(target, parameter.from_normal(0.5), Origin.UI)
    before = hands.store.snapshot
    hands.controls.learn(target)
    learn = {
        "up": up[:3],
        "down": [down[0]] * (8 if down[0] == 127 else 3),
        "both": [up[0], down[0], up[0], down[0]],
    }[first]
    hands.sweep(90, *learn)
    assert hands.store.snapshot is before, "nothing moves before it is clear what it is"
    hands.sweep(90, *down, time=1.0)
    hands.sweep(90, *up, time=2.0)
    hands.store.set(target, parameter.from_normal(0.5), Origin.UI)
    start = hands[target]
    assert texts(hands)[target] == f"ch 1 CC 90 relative {encoding.value}"
    hands.sweep(90, up[0], time=3.0)
    higher = hands[target]
    hands.sweep(90, down[0], down[0], time=4.0)
    assert hands[target] < start < higher
    if target != "resample":
        assert (higher, hands[target]) == (start + 1, start - 1), "one step is one count, or one entry"


@given(st.integers(0, 127), st.lists(st.integers(-3, 3).filter(bool), min_size=12, max_size=60))
def test_a_knob_is_never_taken_for_an_encoder(start: int, moves: list[int]) -> None:
    """A knob sends another value each time, near the last one."""
    recognition, value = Recognition(), start
    for move in moves:
        found = recognition.feed(value)
        assert not isinstance(found, Encoding)
        if found or not 0 <= value + move <= 127:
            break
        value += move


def test_a_knob_that_repeats_its_highest_value_is_a_knob() -> None:
    recognition = Recognition()
    assert [recognition.feed(value) for value in (127, 127, 127, 127, 100)] == [False] * 4 + [True]


def test_a_button_that_is_learned_for_a_list_steps_it() -> None:
    hands = Hands()
    hands.controls.learn("noise_style")
    hands.send(cc(90, 127, 1.0), cc(90, 0, 1.1))
    assert texts(hands) == {"noise_style": "ch 1 CC 90 button"}
    before = int(hands["noise_style"])
    hands.send(cc(90, 127, 2.0), cc(90, 0, 2.1))
    assert hands["noise_style"] == (before + 1) % 5


def test_a_control_that_stays_unclear_is_a_knob() -> None:
    hands = Hands()
    hands.store.set("resample", 5 / 127, Origin.UI)
    hands.controls.learn("resample")
    hands.send(cc(90, 2, 1.0), cc(90, 3, 1.1), cc(90, 2, 9.0))
    assert texts(hands) == {"resample": "ch 1 CC 90"}
    hands.sweep(90, 3, 8, time=10.0)
    assert hands["resample"] == pytest.approx(8 / 127)


def test_an_encoding_is_corrected_by_hand() -> None:
    hands = Hands()
    hands.controls.learn("resample")
    hands.sweep(90, 1, 1, 1)
    assert texts(hands)["resample"] == "ch 1 CC 90 relative 1/127"
    hands.controls.correct("box", "resample", "ch 1 CC 90 relative 1/65")
    assert texts(hands)["resample"] == "ch 1 CC 90 relative 1/65"
    with pytest.raises(ValueError, match="write 'CC 74'"):
        hands.controls.correct("box", "resample", "CC 90 relative")
