"""Learning: encoders, which have no ends, and buttons that step a list."""

from __future__ import annotations

import pytest
from hands import Hands, cc, status, texts
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.binding import Encoding
from jbdiff_live.control.relative import Recognition, steps
from jbdiff_live.parameters import BY_NAME, Origin


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
    assert "turn it past" not in status(hands).note, "an encoder takes over at once"
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
