"""Range, curve, inversion and hold of a control: how they are written, and what they do to values and lights."""

from __future__ import annotations

import pytest
from hands import Hands, note

from jbdiff_live.beat.line import Unit
from jbdiff_live.binding import Bend, Binding, BindingKind, TakeoverMode
from jbdiff_live.control.outgoing.feedback import Views
from jbdiff_live.control.response import position_of, travel_of
from jbdiff_live.parameters import BY_NAME, Change, Origin


@pytest.mark.parametrize(
    "text",
    [
        "ch 2 CC 74 pickup from 0.2 to 0.8 curve slow inverted hold bar",
        "CC 1/33 14-bit curve fast",
        "CC 21 relative 1/127 from 0 to 0.5 inverted",
        "pitch bend inverted hold off",
        "OSC /1/fader3 scale from 0.25 to 1",
        "CV 3 from 0.1 to 0.9",
        "CC 8 from 0.00001 to 0.5",
    ],
)
def test_what_is_written_is_read_again(text: str) -> None:
    binding = Binding.parse("resample", text)
    assert binding.text == text
    assert Binding.parse("resample", binding.text) == binding


def test_settings_may_stand_in_any_order() -> None:
    binding = Binding.parse("gain", "CC 7 hold beat inverted from -20 to 0 jump")
    assert (binding.hold, binding.inverted, binding.span) == (Unit.BEAT, True, (-20.0, 0.0))
    assert binding.takeover is TakeoverMode.JUMP


@pytest.mark.parametrize(
    ("target", "text", "words"),
    [
        ("panic", "note C1 hold bar", "Panic never waits"),
        ("tap", "note C1 hold bar", "Tap never waits"),
        ("gain", "CC 7 from 0 to -20", "write the lower value first, between -60 and 6"),
        ("gain", "CC 7 from 0 to 20", "between -60 and 6"),
        ("gain", "CC 7 from 0 to 0.0000000001", "too narrow"),
        ("seed", "CC 7 from 0.1 to 0.4", "too narrow"),
        ("noise_style", "CC 7 from 0 to 1", "for a knob that sets a number"),
        ("reroll", "note C1 curve slow", "for a knob that sets a number"),
        ("reroll", "note C1 inverted", "has a position"),
        ("noise_style", "CC 46 button inverted", "has a position"),
        ("gain", "CC 7 pickup jump", "keep one of them"),
        ("gain", "CC 7 hold tomorrow", "'hold bar'"),
    ],
)
def test_what_does_not_suit_a_control_is_refused_with_the_reason(target: str, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Binding.parse(target, text)


@pytest.mark.parametrize("bend", Bend)
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("span", [None, (-40.0, -10.0)])
def test_the_way_back_is_the_inverse(bend: Bend, inverted: bool, span: tuple[float, float] | None) -> None:
    binding = Binding("gain", BindingKind.CC, 7, span=span, bend=bend, inverted=inverted)
    travels = [travel_of(binding, n / 20) for n in range(21)]
    assert [position_of(binding, travel) for travel in travels] == pytest.approx([n / 20 for n in range(21)])
    assert travels == sorted(travels, reverse=inverted)
    low, high = span or (-60.0, 6.0)
    ends = [BY_NAME["gain"].from_normal(travel) for travel in (travels[0], travels[-1])]
    assert sorted(ends) == pytest.approx([low, high])
    middle = min(travels) + (max(travels) - min(travels)) / 2
    finer_at = {Bend.LINEAR: 0, Bend.SLOW: -1, Bend.FAST: 1}[bend]
    assert (travel_of(binding, 0.5) > middle + 1e-9) - (travel_of(binding, 0.5) < middle - 1e-9) == finer_at


def test_a_control_reaches_only_its_range_and_turns_round_if_inverted() -> None:
    hands = Hands(("resample", "CC 20 jump from 0.2 to 0.6 inverted"))
    hands.sweep(20, 64, 0)
    assert hands["resample"] == pytest.approx(0.6)
    hands.sweep(20, 127)
    assert hands["resample"] == pytest.approx(0.2)


def test_a_control_picks_a_value_up_where_its_range_has_it() -> None:
    hands = Hands(("resample", "CC 20 from 0.2 to 0.6"))
    hands.store.set("resample", 0.5, Origin.UI)  # three quarters of the range: 95 of 127
    before = hands.store.snapshot
    hands.sweep(20, 10, 50, 90)
    assert hands.store.snapshot is before, "it has not come to the value yet"
    hands.sweep(20, 100)
    assert hands["resample"] == pytest.approx(0.2 + 0.4 * 100 / 127)


def test_an_encoder_stays_in_its_range() -> None:
    hands = Hands(("resample", "CC 20 relative 1/127 from 0.2 to 0.6 inverted"))
    hands.store.set("resample", 0.3, Origin.UI)
    hands.sweep(20, *[1] * 60)
    assert hands["resample"] == pytest.approx(0.2)
    hands.sweep(20, *[127] * 300)
    assert hands["resample"] == pytest.approx(0.6)


def test_a_pedal_that_is_inverted_switches_on_when_it_is_let_go() -> None:
    hands = Hands(("hold", "CC 64 inverted"))
    hands.sweep(64, 0, 127)
    assert hands["hold"] == 0
    hands.sweep(64, 0)
    assert hands["hold"] == 1


def test_velocity_follows_range_and_curve() -> None:
    hands = Hands(("resample", "ch 1 note C3 velocity from 0.5 to 0.9"))
    hands.send(note(60, 127))
    assert hands["resample"] == pytest.approx(0.9)


def test_a_ring_of_lights_stands_where_the_control_would_set_the_value() -> None:
    from jbdiff_live.control.controller_map import ControllerMap
    from jbdiff_live.control.outgoing.lights import read_lights
    from jbdiff_live.control.shelf import MapShelf

    shelf = MapShelf(None)
    ring = read_lights((), "set", {"resample": "own"}, lambda words: None)
    bound = (Binding.parse("resample", "ch 1 CC 20 from 0 to 0.5"),)
    shelf.put("box", ControllerMap("box", ("box",), bound, lights=ring))
    hands = Hands(shelf=shelf)
    hands.store.set("resample", 0.25, Origin.UI)
    now = hands.store.snapshot
    sent = hands.controls.feedback("box", Views(now, now), 0.0)
    assert sent == [bytes((0xB0, 20, 64))], "half of its range is half of its travel"


def test_a_control_passes_its_hold_on_and_other_changes_have_none() -> None:
    hands = Hands(
        ("resample", "CC 20 jump hold bar"), ("reroll", "ch 1 note C3 hold off"), ("gain", "CC 7 jump")
    )
    changes: list[Change] = []
    hands.store.subscribe(changes.append)
    hands.sweep(20, 1, 90)
    hands.send(note(60))
    hands.sweep(7, 1, 90)
    assert {change.name: change.hold for change in changes} == {
        "resample": Unit.BAR, "reroll": Unit.OFF, "gain": None,
    }  # fmt: skip


def test_a_function_is_asked_for_with_its_hold() -> None:
    from jbdiff_live.control.map import ControlMap
    from jbdiff_live.parameters import ParameterStore

    asked: list[tuple[str, Unit | None]] = []
    bound = [Binding.parse("record", "ch 1 note C3 hold bar"), Binding.parse("play", "ch 1 note D3")]
    controls = ControlMap(ParameterStore(), bound, perform=lambda name, hold: asked.append((name, hold)))
    for number in (60, 62):
        controls.handle(note(number))
    assert asked == [("record", Unit.BAR), ("play", None)]
