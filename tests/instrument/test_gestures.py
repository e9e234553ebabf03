"""Gestures of the noise from notes, gates, pedals and buttons of a controller."""

from __future__ import annotations

import pytest
from hands import Hands, cc, note

from jbdiff_live.binding import Binding

PRESSES = ("reroll", "home", "advance", "write", "erase", "reset_context", "panic")


@pytest.mark.parametrize("action", PRESSES)
def test_every_press_is_bound_to_a_note_and_to_a_button(action: str) -> None:
    hands = Hands((action, "ch 10 note C1"), (action, "CC 20"))
    for on in (True, False):
        hands.controls.handle(note(36, on=on, channel=10))
    assert hands.store.snapshot.counts[action] == 1, "the end of a note is no press"
    for time, value in enumerate((127, 0, 127), 1):
        hands.controls.handle(cc(20, value, time))
    assert hands.store.snapshot.counts[action] == 3


def test_a_gate_freezes_the_noise_as_long_as_it_is_held() -> None:
    hands = Hands(("hold", "ch 10 note D1 gate"))
    seen = []
    for on in (True, False, True, False):
        hands.controls.handle(note(38, on=on, channel=10))
        seen.append(hands.store.snapshot.on("hold"))
    assert seen == [True, False, True, False]


def test_a_note_without_gate_still_switches_over() -> None:
    hands = Hands(("hold", "ch 10 note D1"))
    seen = []
    for on in (True, False, True, False):
        hands.controls.handle(note(38, on=on, channel=10))
        seen.append(hands.store.snapshot.on("hold"))
    assert seen == [True, True, False, False]


def test_a_pedal_freezes_the_noise_as_long_as_it_is_down() -> None:
    hands = Hands(("hold", "CC 64"))
    seen = []
    for time, value in enumerate((127, 0, 100, 20)):
        hands.controls.handle(cc(64, value, float(time)))
        seen.append(hands.store.snapshot.on("hold"))
    assert seen == [True, False, True, False]


def test_an_unplugged_controller_lets_go_of_its_gate() -> None:
    hands = Hands(("hold", "ch 10 note D1 gate"))
    hands.controls.handle(note(38, channel=10))
    assert hands.store.snapshot.on("hold")
    hands.controls.port("box", False)
    assert not hands.store.snapshot.on("hold")


def test_a_note_end_without_its_beginning_changes_nothing() -> None:
    hands = Hands(("hold", "ch 10 note D1 gate"))
    hands.controls.handle(note(38, channel=10))
    hands.controls.handle(note(38, on=False, channel=10))
    version = hands.store.snapshot.version
    hands.controls.handle(note(38, on=False, channel=10))
    assert hands.store.snapshot.version == version


def test_gate_is_written_as_it_is_read() -> None:
    binding = Binding.parse("hold", "ch 10 note D1 gate")
    assert binding.gate and binding.text == "ch 10 note D1 gate"
    assert not Binding.parse("hold", "ch 10 note D1").gate


@pytest.mark.parametrize(
    ("target", "text"),
    [("reroll", "note C1 gate"), ("noise_style", "note C1 gate"), ("hold", "CC 64 gate")],
)
def test_a_gate_holds_switches_and_nothing_else(target: str, text: str) -> None:
    with pytest.raises(ValueError, match="holds a switch on"):
        Binding.parse(target, text)
