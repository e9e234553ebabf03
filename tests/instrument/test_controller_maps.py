"""A controller's map: kept across patches, restarts and returns, ready for known controllers, safe from bad files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hands import Hands, cc, note

from jbdiff_live.binding import Binding, TakeoverMode
from jbdiff_live.control.controller_map import ControllerMap, MapError, read_map, write_map
from jbdiff_live.control.names import KEYBOARD, OSC_SENDERS
from jbdiff_live.control.shelf import READY_MAPS, MapShelf
from jbdiff_live.parameters import BY_NAME, Origin
from jbdiff_live.patch import factory_patches, load_patch
from jbdiff_live.status import ControlStatus

BY_HAND = """# my box
format = 1
name = "the box"  # the name
inputs = ["Box"]
note_channel = 10
takeover = "scale"
plain = [6]

[bindings]
noise_step = "CC 21"  # the big knob
reroll = ["note C1", "CC 20"]
gain = []  # never

[programs]
5 = "wild"
"""


def written(folder: Path, text: str, name: str = "box.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def shelf(folder: Path | None) -> MapShelf:
    made = MapShelf(folder)
    made.load()
    return made


def learned(hands: Hands, target: str, number: int, device: str = "Box:knobs") -> None:
    hands.controls.learn(target)
    hands.send(cc(number, 127, device=device), cc(number, 0, device=device))
    hands.settle(1.0)


# ---------------------------------------------------------------------- the file


def test_a_map_says_what_a_person_wrote(tmp_path: Path) -> None:
    found, wrong = read_map(written(tmp_path, BY_HAND))
    assert wrong == []
    assert found.bindings == tuple(
        Binding.parse(*b) for b in (("noise_step", "CC 21"), ("reroll", "ch 10 note C1"), ("reroll", "CC 20"))
    )
    assert (found.silent, found.plain, found.takeover) == ({"gain"}, {6}, TakeoverMode.SCALE)
    assert dict(found.programs) == {5: "wild"}


def test_saving_keeps_comments_order_and_lines_that_could_not_be_read(tmp_path: Path) -> None:
    text = BY_HAND.replace("gain = []  # never", 'gain = []  # never\nfuture = "CC 9"  # of a later version')
    path = written(tmp_path, text)
    found, wrong = read_map(path)
    assert len(wrong) == 1 and "future" in wrong[0]
    write_map(path, found)
    assert path.read_text() == text
    write_map(path, ControllerMap(found.name, found.inputs, found.bindings[1:], found.silent, path=path))
    assert path.read_text() == text.replace('noise_step = "CC 21"  # the big knob\n', "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("CC 21", "CC 210"), "noise_step"),
        (("noise_step", "noise_stp"), "did you mean 'noise_step'"),
        (("note_channel = 10\n", ""), "would listen to every keyboard; write 'ch 10 note C1'"),
        (('"scale"', '"jmup"'), "choose one of jump, pickup, scale"),
        (("5 = ", "500 = "), "MIDI has programs 1 to 128"),
    ],
)
def test_a_wrong_line_is_named_and_hides_nothing_else(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    found, wrong = read_map(written(tmp_path, BY_HAND.replace(*change, 1)))
    assert len(wrong) == 1 and words in wrong[0] and "box.toml" in wrong[0]
    assert len(found.bindings) + len(found.programs) >= 3


@pytest.mark.parametrize(
    "text",
    ["not toml", BY_HAND.replace("format = 1", "format = 9"), BY_HAND.replace('"the box"', "5"),
     BY_HAND.replace("inputs", "inptus"), BY_HAND.replace('name = "the box"', "")],
)  # fmt: skip
def test_a_file_that_is_no_map_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(MapError, match=r"box\.toml"):
        read_map(written(tmp_path, text))


@pytest.mark.parametrize("junk", [b"\xff\xfe\x00", b"format = = 1", b"[bindings\n"])
def test_a_corrupt_map_is_named_kept_aside_and_hides_nothing_else(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "box.toml").write_bytes(junk)
    written(tmp_path, BY_HAND.replace('["Box"]', '["Other"]'), "other.toml")
    hands = Hands(shelf=shelf(tmp_path))
    problem = hands.controls.status(ControlStatus()).problem
    assert "box.toml" in problem and "kept as box.toml.unreadable" in problem
    assert (tmp_path / "box.toml.unreadable").read_bytes() == junk
    hands.sweep(21, 0, 127, device="Other:knobs")
    assert hands["noise_step"] == 1, "the other controller plays"
    learned(hands, "resample", 30, "box")
    hands.controls.save_maps()
    assert read_map(tmp_path / "box.toml")[0].bindings[0].target == "resample", "a new map has its place"
    (tmp_path / "box.toml").write_bytes(junk)
    shelf(tmp_path)
    assert (tmp_path / "box.toml.unreadable2").read_bytes() == junk, "nothing is overwritten"


ODD_LINES = {
    "[programs] ²": '[programs]\n"²" = "drift"\n',
    "[programs] 9999": f'[programs]\n"{"9" * 5000}" = "drift"\n',
    "[cv] ²": '[cv."²"]\nlow = 0.0\nhigh = 1.0\n',
    "[cv] 9999": f'[cv."{"9" * 5000}"]\nlow = 0.0\nhigh = 1.0\n',
}


@pytest.mark.parametrize("words", ODD_LINES)
def test_a_number_that_is_none_is_named_and_hides_nothing_else(tmp_path: Path, words: str) -> None:
    head = 'format = 1\nname = "box"\ninputs = ["Box"]\n[bindings]\nnoise_step = "CC 21"\n'
    found, wrong = read_map(written(tmp_path, head + ODD_LINES[words]))
    assert len(found.bindings) == 1 and len(wrong) == 1 and words in wrong[0]


def test_a_channel_that_midi_does_not_have_is_named_and_the_map_can_be_saved(tmp_path: Path) -> None:
    text = (
        'format = 1\nname = "box"\ninputs = ["Box"]\nnote_channel = 99\n'
        '[bindings]\npanic = "note C3"\nnoise_step = "CC 21"\n'
    )
    found, wrong = read_map(written(tmp_path, text))
    assert [b.target for b in found.bindings] == ["noise_step"]
    assert len(wrong) == 1 and "panic: channel 99" in wrong[0]
    write_map(tmp_path / "box.toml", found)
    assert 'panic = "note C3"' in (tmp_path / "box.toml").read_text()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_map_is_read_in_every_encoding_that_editors_save(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "box.toml"
    path.write_bytes(BY_HAND.replace("\n", end).encode(encoding))
    assert read_map(path)[0].name == "the box"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes of this kind")
def test_a_pipe_and_a_folder_hold_up_no_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "folder.toml").mkdir()
    written(tmp_path, BY_HAND)
    maps = shelf(tmp_path)
    assert len(maps.problems) >= 2 and maps.find("Box:knobs").bindings


def test_a_map_that_the_disk_refuses_is_said_and_plays_on(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("not a folder")
    hands = Hands(shelf=shelf(place))
    learned(hands, "resample", 30)
    hands.controls.save_maps()
    assert "the map of Box:knobs is not kept" in hands.controls.status(ControlStatus()).problem
    place.unlink()
    hands.controls.save_maps()
    assert hands.controls.status(ControlStatus()).problem == ""
    assert len(list(place.glob("*.toml"))) == 1


# ---------------------------------------------------------------------- kept


def test_what_is_learned_stays_across_patches_restarts_and_returns(tmp_path: Path) -> None:
    """Fails where a program change or the end of the program loses what was learned."""
    hands = Hands(("noise_step", "CC 74"), shelf=shelf(tmp_path))
    learned(hands, "noise_step", 21)
    for path in factory_patches().values():
        hands.controls.suggest(load_patch(path).bindings)
        assert hands.controls.texts()["noise_step"] == "ch 1 CC 21", path
    hands.controls.port("Box:knobs", False)
    hands.controls.port("Box:knobs", True)
    assert hands.controls.texts()["noise_step"] == "ch 1 CC 21"
    hands.controls.save_maps()
    again = Hands(("noise_step", "CC 74"), shelf=shelf(tmp_path))
    again.controls.port("Box:knobs #2", True)
    assert again.controls.texts()["noise_step"] == "ch 1 CC 21"
    again.sweep(21, 0, 127, time=9.0, device="Box:knobs #2")
    assert again["noise_step"] == 1


def test_a_patch_suggests_only_what_the_map_leaves_free() -> None:
    hands = Hands(("noise_step", "CC 74"), ("gain", "CC 21"), ("resample", "CC 71"))
    learned(hands, "noise_step", 21)
    assert hands.controls.status(ControlStatus()).question is not None
    hands.controls.answer("replace")
    assert dict(hands.controls.texts()) == {"noise_step": "ch 1 CC 21", "resample": "CC 71"}
    hands.sweep(74, 0, 127, device="another")
    assert hands["noise_step"] == 1, "a controller without a map takes what the patch suggests"


def test_equal_controllers_share_a_map_and_each_has_its_own_position(tmp_path: Path) -> None:
    hands = Hands(shelf=shelf(tmp_path))
    learned(hands, "resample", 21, "Box:knobs")
    hands.store.set("resample", 0.5, Origin.UI)
    hands.sweep(21, 0, 10, time=2.0, device="Box:knobs")
    hands.sweep(21, 20, 127, time=2.0, device="Box:knobs #2")
    assert hands["resample"] == 1
    hands.sweep(21, 11, time=3.0, device="Box:knobs")
    assert hands["resample"] == 1, "the first one waits again"


def test_a_program_of_the_controllers_own_list_is_told() -> None:
    from hands import event

    from jbdiff_live.control.source import EventKind

    made = MapShelf(None)
    made.put("box", ControllerMap("box", ("box",), programs={5: "wild"}))
    hands = Hands(shelf=made)
    assert hands.controls.program_patch(event(EventKind.PROGRAM, 5, 0)) == "wild"
    assert hands.controls.program_patch(event(EventKind.PROGRAM, 6, 0)) is None


def test_the_table_of_bindings_names_controller_control_and_source() -> None:
    hands = Hands(("gain", "CC 7"))
    learned(hands, "reroll", 80)
    rows = [(row.device, row.label, row.control, row.source) for row in hands.controls.rows()]
    assert rows == [
        ("every input", "Panic", "CC 120 or CC 123 (all off)", "always"),
        ("Box:knobs", "Re-roll", "ch 1 CC 80", "map"),
        ("Box:knobs", "Gain", "CC 7", "patch"),
    ]


# ---------------------------------------------------------------------- ready maps


def control_change(number: int, *values: int, channel: int = 1) -> bytes:
    return b"".join(bytes((0xB0 | channel - 1, number, value)) for value in values)


def press(number: int, channel: int) -> bytes:
    return bytes((0x90 | channel - 1, number, 127, 0x80 | channel - 1, number, 0))


def button(number: int, channel: int = 1) -> bytes:
    return control_change(number, 127, 0, channel=channel)


# The input's name on one system or another; knobs: parameter -> CC, on a channel; presses: what -> bytes.
READY: dict[str, tuple[str, int, dict[str, int], dict[str, bytes]]] = {
    "nanokontrol2": (
        "nanoKONTROL2:nanoKONTROL2 nanoKONTROL2 _ CTRL",
        1,
        {"noise_step": 0, "resample": 1, "tempo": 6, "gain": 7, "seed": 16, "finisher_seed": 23},
        {"reroll": button(48), "home": button(64), "panic": button(46), "hold": button(32), "mute": button(55),
         "play": button(41), "stop": button(42), "record": button(45), "next_patch": button(59)},
    ),
    "launch-control-xl": (
        "Launch Control XL 2",
        9,
        {"seed": 13, "finisher_strength": 29, "finisher_style": 32, "noise_step": 77, "gain": 84},
        {"reroll": press(41, 9), "home": press(42, 9), "hold": press(43, 9), "mute": press(60, 9),
         "panic": press(92, 9), "play": press(73, 9), "record": press(74, 9), "next_patch": button(107, 9)},
    ),
    "x-touch-mini": (
        "X-TOUCH MINI:X-TOUCH MINI MIDI 1",
        11,
        {"noise_step": 1, "motion": 6, "seed": 8, "noise_style": 11, "finisher_style": 18, "gain": 9},
        {"reroll": press(8, 11), "home": press(9, 11), "hold": press(10, 11), "mute": press(12, 11),
         "panic": press(15, 11), "play": press(16, 11), "record": press(17, 11), "next_patch": press(23, 11)},
    ),
    "16n": ("16n:16n MIDI 1", 1, {"noise_step": 32, "brightness": 38, "finisher_seed": 44, "gain": 47}, {}),
    "faderfox-ec4": (
        "Faderfox EC4:Faderfox EC4 MIDI 1",
        1,
        {"noise_step": 0, "brightness": 6, "seed": 2, "tempo": 9, "gain": 15},
        {"reroll": press(0, 1), "home": press(2, 1), "hold": press(3, 1), "panic": press(14, 1), "mute": press(15, 1),
         "play": press(12, 1), "record": press(13, 1)},
    ),
    "fh-2": ("FH-2:FH-2 MIDI 1", 1, {"noise_step": 0, "tempo": 6, "gain": 7}, {}),
    "keyboard": (
        "USB Keyboard:USB Keyboard MIDI 1",
        1,
        {"noise_step": 1, "guidance": 11, "gain": 7},
        {"hold": control_change(64, 127)},
    ),
}  # fmt: skip


def test_every_ready_map_is_played_here_and_says_where_its_numbers_are_from() -> None:
    files = {path.stem: path for path in READY_MAPS.glob("*.toml")}
    assert set(files) == set(READY)
    for path in files.values():
        found, wrong = read_map(path)
        assert wrong == [] and found.bindings and len(path.read_text().split("source = ")[1]) > 40
        overlapping = [(a, b) for a in found.bindings for b in found.bindings if a is not b and a.overlaps(b)]
        assert not overlapping, path


@pytest.mark.parametrize("name", READY)
def test_a_ready_map_plays_from_the_bytes_that_its_controller_sends(name: str) -> None:
    device, channel, knobs, presses = READY[name]
    hands = Hands(shelf=shelf(None))
    hands.controls.port(device, True)
    hands.clock.now = time = 10.0
    for target, number in knobs.items():
        parameter = BY_NAME[target]
        hands.bytes(control_change(number, 0, 127, 0, 127, channel=channel), device, time)
        hands.settle(time + 1)
        assert hands[target] == parameter.high, target
        hands.bytes(control_change(number, 64, 0, channel=channel), device, time + 2)
        hands.settle(time + 3)
        assert hands[target] == parameter.low, target
        time += 5
    before = hands.store.snapshot
    for n, (target, sent) in enumerate(presses.items()):
        hands.bytes(sent, device, time + n)
        if target in before.counts:
            assert hands.store.snapshot.counts[target] == 1, target
        elif target in before.values:
            assert hands.store.snapshot.on(target), target
        else:
            assert hands.performed[-1] == target
    assert set(hands.performed) <= set(presses)


def test_a_keyboards_keys_do_nothing_with_its_ready_map_and_any_factory_patch() -> None:
    """Fails where a keyboard's lowest keys hold, mute and panic."""
    hands = Hands(shelf=shelf(None))
    for path in factory_patches().values():
        hands.controls.suggest(load_patch(path).bindings)
        before = hands.store.snapshot
        for channel in range(1, 10):
            hands.send(*(note(number, channel=channel, device="USB Keyboard") for number in range(128)))
        assert hands.store.snapshot is before, path


def test_a_players_own_map_goes_before_the_ready_one_and_starts_as_its_copy(tmp_path: Path) -> None:
    hands = Hands(shelf=shelf(tmp_path))
    learned(hands, "guidance", 102, "nanoKONTROL2 MIDI 1")
    hands.controls.save_maps()
    (path,) = tmp_path.glob("*.toml")
    text = path.read_text()
    assert "KORG nanoKONTROL2 in its CC mode" in text and 'guidance = "ch 1 CC 102"' in text
    assert shelf(tmp_path).find("nanoKONTROL2:nanoKONTROL2 MIDI 1").path == path, "on another system too"


def test_a_folder_that_may_not_be_written_leaves_the_corrupt_file_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "not toml")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    assert "it stays where it is (Permission denied)" in shelf(tmp_path).problems[0] and path.exists()


def test_the_computer_keyboard_and_osc_get_no_ready_map(tmp_path: Path) -> None:
    """Its name contains that of the map for keyboards with keys to play."""
    shelf = MapShelf(tmp_path)
    shelf.load()
    assert shelf.find("USB MIDI keyboard").bindings
    assert not shelf.find(KEYBOARD).bindings and not shelf.find(OSC_SENDERS).bindings
