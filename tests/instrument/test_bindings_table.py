"""The whole table of bindings, its edits, and letting go of a control: without a window."""

from __future__ import annotations

from pathlib import Path

import pytest
from hands import Hands, cc

from jbdiff_live.binding import Bend, Binding
from jbdiff_live.control.all_rows import NO_CONTROL, NOT_CONNECTED
from jbdiff_live.control.controller_map import ControllerMap, read_map, write_map
from jbdiff_live.control.names import KEYBOARD
from jbdiff_live.control.shelf import MapShelf
from jbdiff_live.control_view import BindingRow, Waiting
from jbdiff_live.parameters import BY_NAME
from jbdiff_live.status import ControlStatus

PATCH = (("noise_step", "CC 74"), ("gain", "CC 7"), ("panic", "ch 10 note E1"))


def rows(hands: Hands, target: str) -> list[BindingRow]:
    return [row for row in hands.controls.all_rows() if row.target == target and row.source != "always"]


def own(hands: Hands, target: str, text: str) -> Binding:
    hands.controls.port("box", True)
    hands.controls.correct("box", target, text)
    return Binding.parse(target, text)


def texts(hands: Hands) -> dict[str, str]:
    return dict(hands.controls.texts())


def turn(hands: Hands, number: int, *values: int, at: float) -> None:
    hands.sweep(number, *values, time=at)


# ---------------------------------------------------------------------- what it shows


def test_the_table_holds_map_and_patch_and_says_what_is_not_in_use() -> None:
    shelf = MapShelf(None)
    shelf.put("box", ControllerMap("box", ("box",), (Binding.parse("noise_step", "ch 1 CC 21"),)))
    hands = Hands(*PATCH, ("hold", "note C1"), ("guidance", "CC 21"), shelf=shelf)
    hands.controls.port("box", True)
    mine, patch = rows(hands, "noise_step")
    assert (mine.source, mine.control, mine.takeover, mine.unused) == ("map", "CC 21", "pickup", "")
    assert (patch.source, patch.control) == ("patch", "CC 74")
    assert patch.unused == "the map uses CC 21"
    assert rows(hands, "guidance")[0].unused == "in the map this control moves Noise"
    assert rows(hands, "gain")[0].unused == ""
    assert rows(hands, "hold")[0].unused == "a note needs a channel"
    first = hands.controls.all_rows()[0]
    assert (first.target, first.source, first.binding) == ("panic", "always", None)


def test_a_control_that_moves_two_things_is_named_on_both_lines() -> None:
    hands = Hands()
    own(hands, "gain", "ch 1 CC 21")
    own(hands, "resample", "CC 21")
    assert rows(hands, "gain")[0].conflict == "also moves Resample"
    assert rows(hands, "resample")[0].conflict == "also moves Gain"


def test_without_a_controller_the_patch_s_bindings_are_shown_and_edited() -> None:
    hands = Hands(*PATCH)
    (row,) = rows(hands, "gain")
    assert (row.device, row.source, row.unused) == ("every input", "patch", "")
    assert row.binding is not None
    hands.controls.edit(row.device, row.binding, Binding.parse("gain", "CC 9 inverted"))
    hands.controls.remove("every input", Binding.parse("panic", "ch 10 note E1"))
    assert [b.text for b in hands.controls.suggested] == ["CC 74", "CC 9 inverted"]
    assert "panic" not in texts(hands)


def test_a_patch_s_control_is_listed_where_it_can_come_from() -> None:
    hands = Hands(("gain", "CC 7"), ("reroll", "key F5"), ("resample", "OSC /1/fader3"), ("guidance", "CV 3"))
    for device in ("box", KEYBOARD):
        hands.controls.port(device, True)
    found = {row.target: row.device for row in hands.controls.all_rows() if row.source == "patch"}
    assert found == {"gain": "box", "reroll": KEYBOARD, "resample": "every input", "guidance": "every input"}
    cv = rows(hands, "guidance")[0]
    assert cv.takeover == "jump", "a voltage does not wait"


def test_a_key_of_the_computer_brings_no_control_of_the_patch_back() -> None:
    """Fails where the keyboard becomes a controller that has the patch's CCs."""
    hands = Hands(("motion", "CC 78"), ("panic", "ch 10 note E1"), ("gain", "CC 7"))
    hands.controls.learn("motion")
    hands.send(cc(90, 127, 0.0), cc(90, 0, 1.0))
    hands.controls.unbind("panic")
    before = texts(hands)
    assert before == {"motion": "ch 1 CC 90", "gain": "CC 7"}
    hands.controls.port(KEYBOARD, True)
    assert texts(hands) == before
    hands.controls.port("box", False)
    assert texts(hands)["gain"] == "CC 7", "the patch suggests it to a controller that is not connected"
    hands.controls.unbind("gain")
    assert "gain" not in texts(hands)


def test_the_map_of_a_controller_that_is_not_connected_is_shown_and_left_alone(tmp_path: Path) -> None:
    bound = (Binding.parse("gain", "CC 9"),)
    write_map(tmp_path / "box.toml", ControllerMap("my box", ("Box",), bound))
    hands = Hands(shelf=MapShelf(tmp_path, tmp_path / "none"))
    hands.controls.load_maps()
    (row,) = rows(hands, "gain")
    assert (row.device, row.unused) == ("my box", NOT_CONNECTED)
    with pytest.raises(ValueError, match="is not connected; connect it"):
        hands.controls.remove(row.device, bound[0])
    hands.controls.port("Box 1", True)
    assert rows(hands, "gain")[0].unused == ""
    new = Binding.parse("gain", "ch 3 CC 9")
    hands.controls.edit("Box 1", bound[0], new)
    hands.controls.save_maps()
    hands.controls.port("Box 1", False)
    (row,) = rows(hands, "gain")
    assert (row.binding, row.unused) == (new, NOT_CONNECTED), "as it is now"


# ---------------------------------------------------------------------- edits


def test_an_edit_is_used_at_once_and_kept_in_the_map(tmp_path: Path) -> None:
    hands = Hands(*PATCH, shelf=MapShelf(tmp_path, tmp_path / "none"))
    old = own(hands, "resample", "ch 1 CC 21 jump")
    turn(hands, 21, 1, 127, at=1.0)
    assert hands["resample"] == 1.0
    new = Binding.parse("resample", "ch 1 CC 21 jump from 0.2 to 0.6 curve slow hold bar")
    hands.controls.edit("box", old, new)
    turn(hands, 21, 1, 127, at=2.0)
    assert hands["resample"] == pytest.approx(0.6)
    hands.controls.save_maps()
    (file,) = tmp_path.glob("*.toml")
    found, wrong = read_map(file)
    assert not wrong and found.bindings == (new,) and new.bend is Bend.SLOW


@pytest.mark.parametrize("device", ["every input", "box"])
def test_an_edit_of_a_line_that_another_patch_took_away_is_refused_in_words(device: str) -> None:
    hands = Hands(*PATCH)
    if device == "box":
        hands.controls.port(device, True)
    hands.controls.suggest([Binding.parse("gain", "CC 8")])
    with pytest.raises(ValueError, match="CC 7 does not move Gain any more; choose its new line"):
        hands.controls.edit(device, Binding.parse("gain", "CC 7"), Binding.parse("gain", "CC 7 inverted"))
    assert texts(hands)["gain"] == "CC 8"


def test_an_edited_suggestion_becomes_the_map_s_and_its_fellows_stay() -> None:
    hands = Hands(("hold", "CC 64"), ("hold", "ch 10 note D1"), ("gain", "CC 7"))
    hands.controls.port("box", True)
    hands.controls.edit("box", Binding.parse("hold", "CC 64"), Binding.parse("hold", "CC 64 inverted"))
    found = {row.control: row.source for row in rows(hands, "hold") if not row.unused}
    assert found == {"CC 64": "map", "note D1": "map"}
    assert rows(hands, "gain")[0].source == "patch"


def test_a_channel_that_runs_into_another_control_takes_nothing_away() -> None:
    hands = Hands()
    old = own(hands, "gain", "ch 2 CC 21")
    own(hands, "resample", "ch 1 CC 21")
    hands.controls.edit("box", old, Binding.parse("gain", "ch 1 CC 21"))
    assert texts(hands) == {"gain": "ch 1 CC 21", "resample": "ch 1 CC 21"}
    assert rows(hands, "gain")[0].conflict == "also moves Resample"


def test_removing_a_learned_control_lets_the_patch_s_work_again_and_removing_that_one_keeps_it_away() -> None:
    hands = Hands(*PATCH)
    mine = own(hands, "noise_step", "ch 1 CC 21")
    hands.controls.remove("box", mine)
    assert texts(hands)["noise_step"] == "CC 74"
    hands.controls.remove("box", Binding.parse("noise_step", "CC 74"))
    assert "noise_step" not in texts(hands)
    kept, patch = rows(hands, "noise_step")
    assert (kept.control, kept.source, kept.binding) == (NO_CONTROL, "map", None)
    assert patch.unused == "the map keeps CC 74 away"
    hands.controls.allow("box", "noise_step")
    assert texts(hands)["noise_step"] == "CC 74"


def test_removing_the_last_panic_is_said() -> None:
    hands = Hands()
    hands.controls.remove("box", own(hands, "panic", "ch 1 note C1"))
    assert "Panic has no control" in hands.controls.status(ControlStatus()).note


# ---------------------------------------------------------------------- unlearn


def test_after_unlearning_the_factory_control_of_the_patch_works_again() -> None:
    hands = Hands(*PATCH)
    own(hands, "noise_step", "ch 1 CC 21")
    turn(hands, 21, 60, at=1.0)
    hands.controls.unlearn()
    turn(hands, 21, 61, 62, at=10.0)
    assert texts(hands)["noise_step"] == "CC 74"
    note = hands.controls.status(ControlStatus()).note
    assert note == "it no longer moves Noise; CC 74 of the patch moves Noise again"
    turn(hands, 74, 0, 127, at=11.0)
    assert hands["noise_step"] == BY_NAME["noise_step"].high


def test_unlearning_the_factory_control_itself_keeps_it_away() -> None:
    hands = Hands(*PATCH)
    own(hands, "noise_step", "CC 74")  # learned, and the patch has the same
    hands.controls.unlearn()
    turn(hands, 74, 60, 61, at=10.0)
    assert "noise_step" not in texts(hands)
    hands.controls.suggest(hands.controls.suggested)
    assert "noise_step" not in texts(hands), "the player said so"


@pytest.mark.parametrize("values", [(61, 62), (1, 1)], ids=["one step at a time", "an encoder that goes on"])
def test_two_messages_of_a_control_at_rest_are_enough_to_unlearn_it(values: tuple[int, int]) -> None:
    hands = Hands()
    own(hands, "resample", "ch 1 CC 21")
    turn(hands, 21, values[0] - (values[0] != values[1]), at=1.0)
    hands.controls.unlearn()
    turn(hands, 21, *values, at=10.0)
    assert texts(hands) == {}
    assert hands.controls.status(ControlStatus()).waiting is Waiting.NOTHING


def test_neither_a_converter_that_jitters_nor_one_that_drifts_is_unlearned() -> None:
    hands = Hands()
    own(hands, "resample", "ch 1 CC 21")
    own(hands, "gain", "ch 1 CC 22")
    hands.send(cc(22, 60, 0.0))
    for n in range(40):
        hands.send(cc(21, 60 + n % 2, n * 0.05))
    hands.controls.unlearn()
    for n in range(40, 120):
        hands.send(cc(21, 60 + n % 2, n * 0.05))  # jitters all the time
        if n % 40 == 0:
            hands.send(cc(22, 59 + n // 40, n * 0.05))  # one step every two seconds
    assert set(texts(hands)) == {"resample", "gain"}


def test_a_pair_is_unlearned_without_waiting_for_its_other_half() -> None:
    hands = Hands()
    own(hands, "resample", "ch 1 CC 1/33 14-bit")
    hands.send(cc(1, 60, 1.0), cc(33, 0, 1.001))
    hands.controls.unlearn()
    hands.send(cc(1, 61, 10.0), cc(33, 0, 10.001), cc(1, 62, 10.05))
    assert texts(hands) == {}
