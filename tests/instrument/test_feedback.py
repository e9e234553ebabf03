"""Feedback: rings and motors show the value, and never fight the hand that moves them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hands import Hands, cc, event, note

from jbdiff_live.control.outgoing.feedback import HOLD_SECONDS, MOST_MESSAGES, Views
from jbdiff_live.control.outgoing.lights import Lights, read_lights
from jbdiff_live.control.shelf import READY_MAPS, MapShelf
from jbdiff_live.control.source import EventKind
from jbdiff_live.parameters import BY_NAME, Origin
from jbdiff_live.status import ControlStatus

NOISE = BY_NAME["noise_step"]
MAP = """format = 1
name = "the box"
inputs = ["box"]
note_channel = 1
SHOWS

[bindings]
noise_step = "CC 21"
seed = "CC 1/33 14-bit"
resample = "CC 22 relative 1/127"
hold = "note C1"
record = "note D1"
guidance = "CC 23"

[feedback]
all = "own"
hold = "own on 60 off 12"
gain = "ch 9 CC 7"
"""


class Rig(Hands):
    """A box with motors. `moment` is when things happen; `due` takes what the box is sent then."""

    def __init__(self, folder: Path, shows: str = "") -> None:
        folder.mkdir(exist_ok=True)
        (folder / "box.toml").write_text(MAP.replace("SHOWS", shows))
        super().__init__(shelf=MapShelf(folder))
        self.controls.load_maps()
        self.moment = 0.0
        self.states: dict[str, bool] = {"record": False}
        self.heard = self.store.snapshot
        self.controls.port("box", True)
        self.moment = 10.0

    def due(self) -> list[str]:
        views = Views(self.store.snapshot, self.heard, self.states)
        return [data.hex(" ") for data in self.controls.feedback("box", views, self.moment)]

    def all_due(self) -> list[str]:
        """Everything that is sent, over as many times as it takes."""
        found = []
        while sent := self.due():
            found += sent
        return found


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path / "maps")
    made.all_due()
    return made


def test_a_controller_that_comes_is_sent_every_value_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "maps")
    seed = round(BY_NAME["seed"].to_normal(1) * 16383)
    gain = round(BY_NAME["gain"].to_normal(0) * 127)
    guidance = round(1.5 / 6 * 127)
    noise = round(NOISE.to_normal(0.3) * 127)
    assert sorted(rig.all_due()) == sorted(
        [
            f"b0 15 {noise:02x}", f"b0 01 {seed >> 7:02x}", f"b0 21 {seed & 127:02x}", "b0 16 00",
            "90 24 0c", "90 26 00", f"b0 17 {guidance:02x}", f"b8 07 {gain:02x}",
        ]
    )  # fmt: skip
    assert rig.all_due() == []


def test_only_what_changed_is_sent(rig: Rig) -> None:
    rig.store.set("guidance", 6, Origin.UI)
    rig.states["record"] = True
    assert sorted(rig.all_due()) == ["90 26 7f", "b0 17 7f"]


def test_a_moved_control_is_left_alone_until_the_hand_is_off_it(rig: Rig) -> None:
    """Fails where a motor is sent the value while it is moved: it would pull at the hand."""
    rig.send(cc(21, 40, rig.moment), cc(21, 41, rig.moment))  # over the value of .3: taken over
    assert rig["noise_step"] == pytest.approx(NOISE.from_normal(41 / 127))
    rig.store.set("noise_step", 1.0, Origin.PATCH)
    assert rig.all_due() == []
    rig.moment += HOLD_SECONDS - 0.01
    assert rig.all_due() == []
    rig.moment += 0.02
    assert rig.all_due() == ["b0 15 7f"]


@pytest.mark.parametrize("again", ["learn", "patch", "on request"])
def test_a_moved_control_is_left_alone_also_when_everything_is_sent_again(rig: Rig, again: str) -> None:
    rig.send(cc(21, 40, rig.moment), cc(21, 41, rig.moment))
    rig.store.set("noise_step", 1.0, Origin.PATCH)
    match again:
        case "learn":
            rig.controls.correct("box", "guidance", "CC 24")
        case "patch":
            rig.controls.suggest(())
        case "on request":
            rig.controls.send_all()
    assert not [data for data in rig.all_due() if data.startswith("b0 15")]
    rig.moment += 2 * HOLD_SECONDS
    assert rig.all_due() == ["b0 15 7f"]


def test_its_own_value_is_no_echo(rig: Rig) -> None:
    rig.send(cc(21, 40, rig.moment), cc(21, 41, rig.moment))
    rig.moment += 2 * HOLD_SECONDS
    assert rig.all_due() == []


def test_a_control_that_did_not_take_over_goes_back_to_the_value(rig: Rig) -> None:
    rig.store.set("noise_step", 0.9, Origin.MIDI)
    rig.controls.port("box", True)
    rig.moment = 20.0
    rig.send(cc(21, 2, rig.moment))
    rig.moment += 2 * HOLD_SECONDS
    assert f"b0 15 {round(NOISE.to_normal(0.9) * 127):02x}" in rig.all_due()


def test_a_motor_that_was_moved_to_the_value_moves_it_at_the_next_touch(rig: Rig) -> None:
    """Pickup would wait: but the fader stands at the value already, because its motor went there."""
    rig.store.set("noise_step", 0.8, Origin.UI)
    assert rig.all_due() == [f"b0 15 {round(NOISE.to_normal(0.8) * 127):02x}"]
    rig.send(cc(21, 100, rig.moment))
    assert rig["noise_step"] == pytest.approx(NOISE.from_normal(100 / 127))


def test_an_encoder_without_ends_is_sent_its_ring_while_it_turns(rig: Rig) -> None:
    rig.send(cc(22, 1, rig.moment), cc(22, 1, rig.moment))
    assert rig.all_due() == ["b0 16 02"]


def test_a_button_is_sent_its_light_after_each_press(rig: Rig) -> None:
    rig.send(note(36, 100, True, rig.moment))
    assert rig.all_due() == ["90 24 3c"]
    rig.send(note(36, 0, False, rig.moment + 0.1))  # its own light goes out with the finger
    assert rig.all_due() == ["90 24 3c"]


def test_the_heard_value_is_shown_if_the_map_says_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "maps", 'shows = "heard"')
    rig.all_due()
    rig.store.set("guidance", 6, Origin.UI)
    assert rig.all_due() == []
    rig.heard = rig.store.snapshot
    assert rig.all_due() == ["b0 17 7f"]


@pytest.mark.parametrize("again", ["reconnect", "patch", "on request"])
def test_everything_is_sent_again(rig: Rig, again: str) -> None:
    assert rig.all_due() == []
    match again:
        case "reconnect":
            rig.controls.port("box", False)
            rig.controls.port("box", True)
        case "patch":
            rig.controls.suggest(())
        case "on request":
            rig.controls.send_all()
    assert len(rig.all_due()) == 8


def test_a_flood_of_changes_is_sent_in_turn_and_in_pieces(tmp_path: Path) -> None:
    """Fails where the first lights of a map keep the others waiting for ever."""
    shelf = MapShelf(None)
    hands = Hands(shelf=shelf)
    hands.controls.load_maps()
    hands.controls.port("EC4", True)
    seen: set[str] = set()
    for turn in range(40):
        hands.store.set_many(
            {n: p.from_normal(turn % 2) for n, p in BY_NAME.items() if not p.toggle}, Origin.UI
        )
        sent = hands.controls.feedback("EC4", Views(hands.store.snapshot, hands.store.snapshot), 10.0 + turn)
        assert len(sent) <= MOST_MESSAGES + 1
        seen |= {data[:2].hex() for data in sent if data[0] == 0xB0}
    assert seen == {f"b0{number:02x}" for number in range(16)}


def test_nothing_that_comes_in_goes_out(rig: Rig) -> None:
    """MIDI thru is off: notes and CCs that nothing is bound to are not sent on."""
    rig.send(note(100, time=rig.moment), cc(90, 5, rig.moment), event(EventKind.BEND, 0, 9000, rig.moment))
    rig.moment += 1
    assert rig.all_due() == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"nois_step": "own"}, "did you mean 'noise_step'"),
        ({"hold": "own on 200"}, "values go from 0 to 127"),
        ({"hold": "light 5"}, "write 'CC 74'"),
        ({"hold": "program 5"}, "cannot be sent; write a CC"),
        ({"all": "CC 5"}, "write 'own'"),
    ],
)
def test_a_wrong_line_is_named_and_left_out(line: dict[str, str], words: str) -> None:
    said: list[str] = []
    assert not read_lights((), "set", line, said.append).any
    assert len(said) == 1 and words in said[0]


def test_a_wrong_word_for_what_is_shown_is_named() -> None:
    said: list[str] = []
    assert read_lights((), "sound", {}, said.append) == Lights()
    assert "choose one of set, heard" in said[0]


def test_the_ready_maps_have_feedback_where_the_manuals_say_that_the_device_has_it() -> None:
    hands = Hands()
    hands.controls.load_maps()
    assert len(list(READY_MAPS.glob("*.toml"))) >= 7
    names = ("nanoKONTROL2", "Launch Control XL", "X-TOUCH MINI", "EC4", "16n", "FH-2")
    assert {name for name in names if hands.controls.outputs_of(name)} == {
        "nanoKONTROL2", "Launch Control XL", "X-TOUCH MINI", "EC4",
    }  # fmt: skip
    assert hands.controls.status(ControlStatus()).problem == ""  # every line of every map can be used
