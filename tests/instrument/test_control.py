"""Bindings, 14-bit pairs, notes and learning, with the real store and a clock that is turned by hand."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jbdiff_live.control.bindings import Binding, BindingKind, ControlMap, takes_notes, value_from_cc
from jbdiff_live.control.events import ControlEvent, EventKind
from jbdiff_live.parameters import ACTIONS, BY_NAME, PARAMETERS, Origin, ParameterStore


def cc(number: int, value: int, time: float = 0.0, channel: int = 1, device: str = "box") -> ControlEvent:
    return ControlEvent(device, EventKind.CC, channel, number, value, True, time)


def note(number: int, velocity: int = 100, on: bool = True, time: float = 0.0) -> ControlEvent:
    return ControlEvent("box", EventKind.NOTE, 1, number, velocity, on, time)


def mapped(*pairs: tuple[str, str]) -> tuple[ParameterStore, ControlMap]:
    store = ParameterStore()
    return store, ControlMap(store, [Binding.parse(name, text) for name, text in pairs], clock=lambda: 0.0)


channels = st.one_of(st.none(), st.integers(1, 16))


@st.composite
def bindings(draw: st.DrawFn) -> Binding:
    kind = draw(st.sampled_from(BindingKind))
    able = [p.name for p in PARAMETERS if kind is not BindingKind.NOTE or takes_notes(p)]
    target = draw(st.sampled_from([*able, *(a.name for a in ACTIONS)]))
    number = draw(st.integers(0, 31 if kind is BindingKind.CC14 else 127))
    return Binding(target, kind, number, draw(channels))


@given(bindings())
def test_a_binding_reads_back_from_its_own_text(binding: Binding) -> None:
    assert Binding.parse(binding.target, binding.text) == binding


def test_bindings_are_written_as_a_person_would() -> None:
    assert Binding("noise_step", BindingKind.CC, 74).text == "CC 74"
    assert Binding("noise_step", BindingKind.CC14, 1).text == "CC 1/33 14-bit"
    assert Binding("reroll", BindingKind.NOTE, 60).text == "note C3"
    assert Binding("gain", BindingKind.CC, 74, 2).text == "ch 2 CC 74"


@pytest.mark.parametrize(
    "text", ["CC 128", "CC 1/34 14-bit", "note H2", "ch 17 CC 1", "knob 3", "CC 40/72", ""]
)
def test_a_binding_that_makes_no_sense_is_refused_with_words(text: str) -> None:
    with pytest.raises(ValueError, match="gain"):
        Binding.parse("gain", text)


@pytest.mark.parametrize("name", ["noise_step", "gain", "seed"])
def test_a_note_cannot_turn_something_continuous(name: str) -> None:
    with pytest.raises(ValueError, match="needs a knob"):
        Binding.parse(name, "note C3")


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
@pytest.mark.parametrize("full", [127, 16383])
def test_turning_up_never_turns_down_and_both_ends_are_reached(parameter, full: int) -> None:
    values = [value_from_cc(parameter, v, full) for v in range(full + 1)]
    assert all(a <= b for a, b in itertools.pairwise(values))
    assert (values[0], values[-1]) == (parameter.low, parameter.high)


@given(st.sampled_from([p.name for p in PARAMETERS]), st.integers(0, 127), st.integers(0, 127))
def test_every_cc_value_moves_the_parameter_in_order(name: str, one: int, other: int) -> None:
    store, controls = mapped((name, "CC 74"))
    seen = []
    for value in sorted((one, other)):
        controls.handle(cc(74, value))
        seen.append(store.snapshot[name])
    assert seen[0] <= seen[1]
    assert all(BY_NAME[name].clamp(v) == v for v in seen)


def test_a_list_gets_equal_shares_of_the_knob() -> None:
    style = BY_NAME["noise_style"]
    shares = [value_from_cc(style, v, 127) for v in range(128)]
    assert [shares.count(float(i)) for i in range(4)] == [32, 32, 32, 32]


def test_midi_is_named_as_the_origin() -> None:
    store, controls = mapped(("gain", "CC 7"), ("reroll", "note C1"))
    origins = []
    store.subscribe(lambda change: origins.append(change.origin))
    controls.handle(cc(7, 12))
    controls.handle(note(36))
    assert origins == [Origin.MIDI, Origin.MIDI]


def test_a_switch_is_on_from_the_middle_of_a_cc() -> None:
    store, controls = mapped(("hold", "CC 64"))
    for value, on in ((63, False), (64, True), (127, True), (0, False)):
        controls.handle(cc(64, value))
        assert store.snapshot.on("hold") is on


def test_a_note_flips_a_switch_and_its_release_does_nothing() -> None:
    store, controls = mapped(("mute", "note C1"))
    controls.handle(note(36))
    controls.handle(note(36, 0, on=False))
    assert store.snapshot.on("mute")
    controls.handle(note(36))
    assert not store.snapshot.on("mute")


def test_a_note_steps_through_a_list_and_around() -> None:
    store, controls = mapped(("context_source", "note C1"))
    seen = []
    for _ in range(4):
        controls.handle(note(36))
        seen.append(store.snapshot.choice("context_source"))
    assert seen == ["file", "live", "own", "file"]


def test_an_action_happens_once_when_a_cc_rises_through_the_middle() -> None:
    store, controls = mapped(("reroll", "CC 20"))
    for value in (10, 63, 64, 100, 127, 80, 0, 127):
        controls.handle(cc(20, value))
    assert store.snapshot.counts["reroll"] == 2


def test_an_action_happens_once_per_note_on() -> None:
    store, controls = mapped(("panic", "note E1"))
    for event in (note(40), note(40, 0, on=False), note(40), note(40, 64, on=False)):
        controls.handle(event)
    assert store.snapshot.counts["panic"] == 2


def test_another_channel_is_not_heard() -> None:
    store, controls = mapped(("resample", "ch 2 CC 71"))
    controls.handle(cc(71, 127, channel=1))
    assert store.snapshot["resample"] == 0
    controls.handle(cc(71, 127, channel=2))
    assert store.snapshot["resample"] == 1


@given(st.integers(0, 16383))
def test_a_pair_reaches_every_one_of_its_16384_values(value: int) -> None:
    store, controls = mapped(("seed", "CC 16/48 14-bit"))
    controls.handle(cc(48, 1))  # a fine half that came alone moves nothing
    controls.handle(cc(16, value >> 7))
    controls.handle(cc(48, value & 127))
    assert store.snapshot["seed"] == value


def test_a_new_coarse_half_starts_with_a_fine_half_of_zero() -> None:
    store, controls = mapped(("seed", "CC 16/48 14-bit"))
    for event in (cc(16, 3), cc(48, 99), cc(16, 4)):
        controls.handle(event)
    assert store.snapshot["seed"] == 4 * 128


def test_a_plain_knob_on_a_pairs_coarse_half_still_reaches_both_ends() -> None:
    store, controls = mapped(("noise_step", "CC 1/33 14-bit"))
    controls.handle(cc(1, 127))
    assert store.snapshot["noise_step"] == 1
    controls.handle(cc(1, 0))
    assert store.snapshot["noise_step"] == 0


def test_two_devices_do_not_mix_their_halves() -> None:
    store, controls = mapped(("seed", "CC 16/48 14-bit"))
    for event in (
        cc(16, 10, device="a"),
        cc(48, 5, device="a"),
        cc(16, 20, device="b"),
        cc(48, 1, device="a"),
    ):
        controls.handle(event)
    assert store.snapshot["seed"] == 10 * 128 + 1


# ---------------------------------------------------------------------- learning


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def learner(*pairs: tuple[str, str]) -> tuple[ParameterStore, ControlMap, Clock]:
    store, clock = ParameterStore(), Clock()
    return store, ControlMap(store, [Binding.parse(n, t) for n, t in pairs], clock), clock


def test_the_next_knob_is_learned_and_moves_nothing_while_it_is() -> None:
    store, controls, _ = learner(("gain", "CC 74"))
    controls.learn("noise_step")
    assert controls.learning == "noise_step"
    controls.handle(cc(74, 127))
    assert controls.learning is None
    assert dict(controls.texts()) == {"noise_step": "ch 1 CC 74"}  # taken from gain
    assert store.snapshot["gain"] == 0
    controls.handle(cc(74, 127))
    assert store.snapshot["noise_step"] == 1


def test_learning_replaces_the_old_control_of_the_target() -> None:
    _, controls, _ = learner(("gain", "CC 7"), ("gain", "CC 8"), ("mute", "note C1"))
    controls.learn("gain")
    controls.handle(cc(80, 1))
    assert dict(controls.texts()) == {"gain": "ch 1 CC 80", "mute": "note C1"}


@pytest.mark.parametrize("order", [(1, 33), (33, 1)])
def test_two_halves_back_to_back_are_learned_as_a_pair(order: tuple[int, int]) -> None:
    _, controls, _ = learner()
    controls.learn("noise_step")
    controls.handle(cc(order[0], 50, time=1.0))
    assert controls.learning == "noise_step"
    controls.handle(cc(order[1], 7, time=1.02))
    assert controls.texts()["noise_step"] == "ch 1 CC 1/33 14-bit"


def test_a_low_cc_that_repeats_without_its_partner_is_a_plain_one() -> None:
    _, controls, _ = learner()
    controls.learn("noise_step")
    controls.handle(cc(1, 50, time=1.0))
    controls.handle(cc(1, 51, time=1.01))
    assert controls.texts()["noise_step"] == "ch 1 CC 1"


def test_a_low_cc_whose_partner_never_comes_is_a_plain_one_after_a_moment() -> None:
    _, controls, clock = learner()
    controls.learn("noise_step")
    controls.handle(cc(1, 50, time=1.0))
    clock.now = 1.1
    assert controls.learning == "noise_step"
    clock.now = 1.2
    assert controls.learning is None
    assert controls.texts()["noise_step"] == "ch 1 CC 1"


def test_a_partner_that_comes_too_late_is_none() -> None:
    _, controls, _ = learner()
    controls.learn("noise_step")
    controls.handle(cc(1, 50, time=1.0))
    controls.handle(cc(33, 50, time=2.0))
    assert controls.texts()["noise_step"] == "ch 1 CC 1"


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=60))
def test_a_jittering_converter_does_not_steal_the_learning(jitter: list[int]) -> None:
    _, controls, _ = learner()
    controls.handle(cc(90, 60))
    controls.learn("noise_step")
    for step, wobble in enumerate(jitter):
        controls.handle(cc(90, 60 + wobble, time=step * 0.01))
    assert controls.learning == "noise_step"
    controls.handle(cc(74, 3, time=9.0))
    assert controls.texts()["noise_step"] == "ch 1 CC 74"


def test_the_fine_half_of_a_jittering_converter_does_not_steal_the_learning() -> None:
    _, controls, _ = learner()
    for event in (cc(2, 60), cc(34, 5)):
        controls.handle(event)
    controls.learn("noise_step")
    for step, fine in enumerate((3, 120, 64, 0, 99)):
        controls.handle(cc(2, 60, time=step * 0.05))
        controls.handle(cc(34, fine, time=step * 0.05 + 0.001))
    assert controls.learning == "noise_step"
    controls.handle(cc(2, 70, time=1.0))
    controls.handle(cc(34, 1, time=1.001))
    assert controls.texts()["noise_step"] == "ch 1 CC 2/34 14-bit"


def test_a_pad_offered_to_a_knob_is_refused_with_words_and_learning_goes_on() -> None:
    _, controls, _ = learner()
    controls.learn("guidance")
    controls.handle(note(60))
    assert controls.learning == "guidance"
    assert "needs a knob" in controls.complaint
    controls.handle(cc(74, 1))
    assert controls.texts()["guidance"] == "ch 1 CC 74"
    assert controls.complaint == ""


def test_the_press_that_is_learned_does_not_trigger_the_action() -> None:
    store, controls, _ = learner()
    controls.learn("reroll")
    for value in (127, 0):
        controls.handle(cc(80, value))
    assert store.snapshot.counts["reroll"] == 0
    controls.handle(cc(80, 127))
    assert store.snapshot.counts["reroll"] == 1


def test_learning_can_be_called_off_and_a_control_let_go() -> None:
    _, controls, _ = learner(("gain", "CC 7"))
    controls.learn("noise_step")
    controls.learn(None)
    controls.handle(cc(74, 3))
    assert dict(controls.texts()) == {"gain": "CC 7"}
    controls.unbind("gain")
    assert controls.bindings == ()


def test_learning_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="noise_step"):
        learner()[1].learn("noise_stp")
