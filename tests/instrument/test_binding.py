"""Bindings as text: what a person writes is what is read, and what makes no sense is refused with words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.binding import (
    HIGHEST_14,
    HIGHEST_COARSE,
    WITHOUT_CHANNEL,
    Binding,
    BindingKind,
    Encoding,
    TakeoverMode,
    binding_table,
    checksum,
    takes_notes,
)
from jbdiff_live.parameters import ACTIONS, FUNCTIONS, PARAMETERS

TRIGGERS = (
    BindingKind.NOTE, BindingKind.PROGRAM, BindingKind.CLOCK, BindingKind.GATE, BindingKind.KEY,
)  # fmt: skip
NUMBERS = {
    BindingKind.CC14: st.integers(0, HIGHEST_COARSE),
    BindingKind.NRPN: st.integers(0, HIGHEST_14),
    BindingKind.RPN: st.integers(0, HIGHEST_14),
    BindingKind.BEND: st.just(0),
    BindingKind.PRESSURE: st.just(0),
    BindingKind.PROGRAM: st.integers(1, 128),
    BindingKind.CLOCK: st.integers(0, 2),
    BindingKind.CV: st.integers(1, 64),
    BindingKind.GATE: st.integers(1, 64),
}
NAMES = {
    BindingKind.OSC: st.from_regex(r"/[A-Z0-9][A-Z0-9/_]{0,20}", fullmatch=True),
    BindingKind.KEY: st.sampled_from(["F5", "X", "CTRL+5", "."]),
}  # in capitals: the text is read back in capitals too, and a name keeps its letters


@st.composite
def bindings(draw: st.DrawFn) -> Binding:
    kind = draw(st.sampled_from(BindingKind))
    velocity = kind is BindingKind.NOTE and draw(st.booleans())
    steps = [p.name for p in PARAMETERS if takes_notes(p)]
    happens = [a.name for a in (*ACTIONS, *FUNCTIONS)]
    all_ = [p.name for p in PARAMETERS]
    targets = all_ if velocity else [*steps, *happens] if kind in TRIGGERS else [*all_, *happens]
    target = draw(st.sampled_from(targets))
    name = draw(NAMES[kind]) if kind in NAMES else ""
    number = checksum(name) if name else draw(NUMBERS.get(kind, st.integers(0, 127)))
    encoding = None
    if kind is BindingKind.CC and target in all_:
        encoding = draw(st.sampled_from([None, *Encoding]))
    button = kind is BindingKind.CC and target in steps and encoding is None and draw(st.booleans())
    channel = None if kind in WITHOUT_CHANNEL else draw(st.one_of(st.none(), st.integers(1, 16)))
    mode = draw(st.sampled_from([None, *TakeoverMode]))
    return Binding(target, kind, number, channel, encoding, velocity, button, mode, name)


@given(bindings())
def test_a_binding_reads_back_from_its_own_text(binding: Binding) -> None:
    assert Binding.parse(binding.target, binding.text) == binding
    assert Binding.parse(binding.target, binding.text.upper()) == binding


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        (Binding("noise_step", BindingKind.CC, 74), "CC 74"),
        (Binding("noise_step", BindingKind.CC14, 1), "CC 1/33 14-bit"),
        (Binding("reroll", BindingKind.NOTE, 60), "note C3"),
        (Binding("gain", BindingKind.CC, 74, 2), "ch 2 CC 74"),
        (Binding("seed", BindingKind.NRPN, 300), "NRPN 300"),
        (Binding("seed", BindingKind.RPN, 1), "RPN 1"),
        (Binding("brightness", BindingKind.BEND), "pitch bend"),
        (Binding("resample", BindingKind.PRESSURE, channel=4), "ch 4 pressure"),
        (Binding("resample", BindingKind.KEY_PRESSURE, 61), "pressure C#3"),
        (Binding("guidance", BindingKind.NOTE, 36, velocity=True), "note C1 velocity"),
        (Binding("home", BindingKind.PROGRAM, 7), "program 7"),
        (Binding("start", BindingKind.CLOCK, 0), "MIDI start"),
        (Binding("tempo", BindingKind.CC, 21, encoding=Encoding.OFFSET_64), "CC 21 relative 65/63"),
        (Binding("noise_style", BindingKind.CC, 46, button=True), "CC 46 button"),
        (Binding("noise_step", BindingKind.CV, 3), "CV 3"),
        (Binding("hold", BindingKind.GATE, 4), "gate 4"),
        (Binding("gain", BindingKind.OSC, checksum("/1/fader3"), name="/1/fader3"), "OSC /1/fader3"),
        (Binding("reroll", BindingKind.KEY, checksum("F5"), name="F5"), "key F5"),
        (Binding("gain", BindingKind.CC, 7, takeover=TakeoverMode.JUMP), "CC 7 jump"),
    ],
)
def test_bindings_are_written_as_a_person_would(binding: Binding, text: str) -> None:
    assert binding.text == text
    assert Binding.parse(binding.target, text) == binding


@pytest.mark.parametrize(
    "text",
    ["CC 128", "CC 1/34 14-bit", "CC 90/122", "note H2", "ch 17 CC 1", "knob 3", "", "NRPN 16384", "NRPN",
     "CC 1/33 14-bit relative 1/127", "pitch bend velocity", "CC 4 relative 2/3", "CC 7 button", "program 0"],
)  # fmt: skip
def test_a_binding_that_makes_no_sense_is_refused_with_words(text: str) -> None:
    with pytest.raises(ValueError, match="gain"):
        Binding.parse("gain", text)


@pytest.mark.parametrize("name", ["noise_step", "gain", "seed"])
@pytest.mark.parametrize("text", ["note C3", "program 4", "MIDI stop"])
def test_a_button_cannot_turn_something_continuous(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="needs a knob"):
        Binding.parse(name, text)


@pytest.mark.parametrize("text", ["CC 21 relative 1/127", "note C3 velocity", "CC 21 button"])
def test_an_action_needs_a_press(text: str) -> None:
    with pytest.raises(ValueError, match="reroll"):
        Binding.parse("reroll", text)


def test_an_unknown_target_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="next_patch"):
        Binding.parse("next_pach", "CC 1")


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("CC 74", "CC 74", True),
        ("CC 74", "ch 2 CC 74", True),
        ("ch 1 CC 74", "ch 2 CC 74", False),
        ("CC 1/33 14-bit", "CC 33", True),
        ("CC 1/33 14-bit", "CC 2", False),
        ("NRPN 5", "RPN 5", False),
        ("NRPN 5", "NRPN 5", True),
        ("pressure", "pressure C3", False),
        ("CC 6", "NRPN 5", False),
    ],
)
def test_two_bindings_overlap_if_a_message_would_move_both(one: str, other: str, overlap: bool) -> None:
    assert Binding.parse("gain", one).overlaps(Binding.parse("seed", other)) is overlap


def test_the_table_of_a_file_has_a_list_only_where_several_controls_move_one_target() -> None:
    made = [Binding.parse(*b) for b in (("gain", "CC 7"), ("hold", "CC 64"), ("hold", "ch 10 note C1"))]
    assert binding_table(made) == {"gain": "CC 7", "hold": ["CC 64", "ch 10 note C1"]}
