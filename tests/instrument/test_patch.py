"""Patches: read, written by hand, saved again, and refused with words."""

from __future__ import annotations

import codecs
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jbdiff_live.binding import Binding
from jbdiff_live.parameters import BY_NAME, OF_THE_ANCHOR, Origin, ParameterStore
from jbdiff_live.patch import (
    Patch,
    PatchError,
    factory_patches,
    load_patch,
    own_patches,
    patch_programs,
    save_patch,
)
from jbdiff_live.stack_choice import StackChoice
from jbdiff_live.system.patch_folders import user_patches_folder

BY_HAND = """# my patch
format = 1
name = "mine"  # the name

# what it sounds like
[values]
noise_style = "walk"  # slow
noise_step = 0.25  # a quarter
hold = true

[bindings]
noise_step = "CC 74"  # the big knob
reroll = ["note C1", "CC 20"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "p.toml"
    path.write_text(text)
    return path


def test_a_patch_sets_the_store_in_one_change_and_leaves_the_rest(tmp_path: Path) -> None:
    store = ParameterStore()
    store.set("gain", -12, Origin.UI)
    origins = []
    store.subscribe(lambda change: origins.append(change.origin))
    before = store.snapshot.version
    after = load_patch(written(tmp_path, BY_HAND)).apply(store)
    assert after.version == before + 1
    assert (after["noise_step"], after.on("hold"), after["gain"]) == (0.25, True, -12)
    assert set(origins) == {Origin.PATCH}


def test_saving_again_keeps_comments_and_the_order(tmp_path: Path) -> None:
    path = written(tmp_path, BY_HAND)
    patch = load_patch(path)
    save_patch(path, patch)
    kept = [line for line in path.read_text().splitlines() if line and not line.startswith(("desc", "stack"))]
    assert kept == [line for line in BY_HAND.splitlines() if line]
    save_patch(path, replace(patch, values={**patch.values, "noise_step": 0.5, "hold": False}))
    text = path.read_text()
    for comment in ("# my patch", "# the name", "# what it sounds like", "# a quarter", "# the big knob"):
        assert comment in text
    again = load_patch(path)
    assert (again.values["noise_step"], again.values["hold"]) == (0.5, False)


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    values = {p.name: p.plain(p.from_normal(0.37)) for p in BY_NAME.values()}
    controls = (Binding.parse("seed", "ch 3 CC 16/48 14-bit"), Binding.parse("home", "note C#1"))
    patch = Patch("new", "from nothing", values, controls, StackChoice("v1", (2, 1), finisher=False))
    path = tmp_path / "folder" / "new.toml"
    save_patch(path, patch)
    assert replace(load_patch(path), values=dict(load_patch(path).values)) == patch
    assert [p.name for p in path.parent.iterdir()] == ["new.toml"]


@pytest.mark.parametrize("name", ["drift", "lock", "quick", "region", "resampler", "wild"])
def test_every_factory_patch_loads_and_plays(name: str) -> None:
    patch = load_patch(factory_patches()[name])
    assert patch.name == name and patch.description and patch.choice is not None
    assert patch.choice.stack == "pocket"
    assert (patch.choice.hop is not None) == (name == "quick"), "short blocks are asked for by name"
    store = ParameterStore()
    patch.apply(store)
    assert {"gain", "mute"}.isdisjoint(patch.values)
    assert {*patch.values} >= OF_THE_ANCHOR, "one patch must not play in the style that another was held to"
    bound = [b.target for b in patch.bindings]
    assert {
        "noise_step",
        "resample",
        "guidance",
        "anchor",
        "brightness",
        "motion",
        "tempo",
        "seed",
        "gain",
        "reroll",
        "home",
        "hold",
        "mute",
        "panic",
    } <= {*bound}
    overlapping = [(a, b) for a in patch.bindings for b in patch.bindings if a is not b and a.overlaps(b)]
    assert not overlapping


def test_a_patch_names_the_stack_its_levels_and_its_finisher(tmp_path: Path) -> None:
    head = 'name = "mine"  # the name\n'
    assert load_patch(written(tmp_path, BY_HAND)).choice is None, "an old patch leaves the stack that plays"
    text = BY_HAND.replace(head, f'{head}stack = "v1"\nlevels = [1, 2]  # two\nfinisher = false\n')
    path = written(tmp_path, text)
    patch = load_patch(path)
    assert patch.choice == StackChoice("v1", (2, 1), finisher=False)
    save_patch(path, replace(patch, choice=StackChoice("v1")))
    assert "levels" not in path.read_text() and "finisher" not in path.read_text()
    assert load_patch(path).choice == StackChoice("v1")
    save_patch(path, replace(patch, choice=StackChoice("v1", (2,))))
    assert load_patch(path).choice == StackChoice("v1", (2,))


def test_a_patch_from_before_the_anchor_loads_and_leaves_its_knobs(tmp_path: Path) -> None:
    store = ParameterStore()
    before = store.snapshot
    old = load_patch(written(tmp_path, BY_HAND))
    assert OF_THE_ANCHOR.isdisjoint(old.values)
    after = old.apply(store)
    assert {name: after[name] for name in OF_THE_ANCHOR} == {name: before[name] for name in OF_THE_ANCHOR}


def test_anchor_and_clock_are_written_in_words_and_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, BY_HAND)
    values = {"anchor": 0.25, "brightness": -0.5, "motion": 1.0, "clock": "tempo", "tempo": 93.5}
    save_patch(path, replace(load_patch(path), values=values))
    assert 'clock = "tempo"' in path.read_text()
    store = ParameterStore()
    after = load_patch(path).apply(store)
    assert after.choice("clock") == "tempo"
    assert {name: BY_NAME[name].plain(after[name]) for name in values} == values
    with pytest.raises(PatchError, match="clock = 'on': needs one of off, context, tempo"):
        load_patch(written(tmp_path, BY_HAND.replace("hold = true", 'clock = "on"')))


def test_factory_patches_are_clean_toml_and_differ() -> None:
    seen = [tuple(load_patch(path).values.items()) for path in factory_patches().values()]
    assert len(set(seen)) == len(seen) >= 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("noise_step = 0.25", "noise_stp = 0.25"), r"noise_stp.*did you mean 'noise_step'"),
        (("noise_step = 0.25", "noise_step = 7"), r"\[values\] noise_step = 7 is outside 0 to 1"),
        (("noise_step = 0.25", "noise_step = true"), "noise_step = True: needs a number"),
        (("noise_step = 0.25", "noise_step = nan"), "noise_step"),
        (('"walk"', '"wlak"'), "one of random, constant, region, walk"),
        (("format = 1", "format = 2"), "format = 2.*update"),
        (("format = 1", ""), "format"),
        (("format = 1", 'format = "one"'), "format.*int"),
        (("noise_step = 0.25", "noise_step = [1]"), "values"),
        (("[bindings]", "[bindngs]"), "unknown key bindngs; did you mean 'bindings'"),
        (('"CC 74"', '"CC 740"'), r"\[bindings\] noise_step"),
        (('"CC 74"', '"note C3"'), "needs a knob"),
        (("reroll", "rerol"), "did you mean 'reroll'"),
        (("# what", "levels = [2, 1]\n# what"), 'line 5: levels without a stack.*stack = "pocket"'),
        (("# what", 'stack = "v1"\nlevels = [2, 3]\n# what'), "line 6: levels 2, 3: choose among 2, 1 and 0"),
        (("# what", 'stack = "v1"\nlevels = []\n# what'), "line 6: levels none"),
        (("# what", 'stack = "v1"\nlevels = "21"\n# what'), "line 6: levels: expected `array.*got `str`"),
        (("# what", 'stack = "v1"\nfinisher = 1\n# what'), "line 6: finisher: expected `bool.*got `int`"),
        (("# what", "stack = 5\n# what"), "line 5: stack: expected `str.*got `int`"),
        (("# what", 'stack = ""\n# what'), "line 5: a stack without a name"),
        (("# what", 'stak = "v1"\n# what'), "unknown key stak; did you mean 'stack'"),
        (("hold = true", "hold = = true"), "line 9"),
        (("hold = true", "noise_step = 1.0"), "noise_step"),
    ],
)
def test_a_wrong_patch_names_file_place_and_remedy(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(PatchError, match=words) as caught:
        load_patch(written(tmp_path, BY_HAND.replace(*change, 1)))
    assert "p.toml" in str(caught.value)


def test_a_patch_that_is_not_there_and_one_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="check the path"):
        load_patch(tmp_path / "none.toml")
    (tmp_path / "file").write_text("")
    with pytest.raises(PatchError, match="another folder"):
        save_patch(tmp_path / "file" / "p.toml", Patch("x"))


def test_saving_over_something_that_is_no_patch_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "not toml at all")
    with pytest.raises(PatchError):
        save_patch(path, Patch("x"))
    assert path.read_text() == "not toml at all"


def test_a_sound_beside_the_patch_moves_with_it(tmp_path: Path) -> None:
    there = tmp_path / "there"
    (there / "sounds").mkdir(parents=True)
    sound = there / "sounds" / "start.ogg"
    sound.write_bytes(b"not read here")
    save_patch(there / "mine.toml", Patch("mine", context=sound))
    assert 'context = "sounds/start.ogg"' in (there / "mine.toml").read_text()
    moved = there.rename(tmp_path / "elsewhere")
    assert load_patch(moved / "mine.toml").context == moved / "sounds" / "start.ogg"


def test_every_factory_patch_has_a_sound_to_begin_from() -> None:
    for path in factory_patches().values():
        context = load_patch(path).context
        assert context is not None and context.is_file(), path


def test_a_hop_and_steps_are_kept_and_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "quick.toml"
    path.write_text('format = 1\nname = "quick"\nstack = "pocket"\nhop = 48\nsteps = 4\n')
    patch = load_patch(path)
    assert patch.choice == StackChoice("pocket", hop=48, steps=4)
    save_patch(path, replace(patch, choice=StackChoice("pocket", hop=96)))
    assert load_patch(path).choice == StackChoice("pocket", hop=96)
    assert "steps" not in path.read_text()
    path.write_text('format = 1\nname = "quick"\nstack = "pocket"\nhop = 8\n')
    with pytest.raises(PatchError, match=r"line 4: a hop of 8 tokens: 16 is the shortest"):
        load_patch(path)
    path.write_text('format = 1\nname = "quick"\nhop = 48\n')
    with pytest.raises(PatchError, match="hop without a stack"):
        load_patch(path)
    path.write_text('format = 1\nname = "quick"\nstack = "pocket"\nsteps = 99999999999\n')
    with pytest.raises(PatchError, match=r"line 4: 99999999999 steps: goes from 1 to 1000"):
        load_patch(path)


# ---------------------------------------------------------------------- whatever an editor or an accident put there


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + BY_HAND.encode(),
        BY_HAND.encode("utf-16"),
        BY_HAND.encode("utf-32"),
        codecs.BOM_UTF32_BE + BY_HAND.encode("utf-32-be"),
        BY_HAND.replace("\n", "\r\n").encode(),
        BY_HAND.replace("\n", "\r").encode(),
    ],
)
def test_a_patch_is_read_in_every_encoding_that_editors_save(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(data)
    patch = load_patch(path)
    assert (patch.name, patch.values["noise_step"], len(patch.bindings)) == ("mine", 0.25, 3)
    save_patch(path, replace(patch, values={**patch.values, "noise_step": 0.75}))
    assert load_patch(path).values["noise_step"] == 0.75
    assert "# the big knob" in path.read_text(encoding="utf-8")
    assert patch_programs({"p": path}) == {}


BROKEN = {
    "about 401 digits": b'format = 1\nname = "x"\n[values]\nseed = 1' + b"0" * 400,
    "toml: a number of thousands of digits; 19": b'format = 1\nname = "x"\n[values]\nseed = 1' + b"0" * 9000,
    "digits; 19 are the most": b'format = 1\nname = "x"\nprogram = 0x' + b"f" * 9000,
    "nested too deeply": b'format = 1\nname = "x"\n[values]\nseed = ' + b"[" * 30_000,
    "nested too deeply; is it a patch": b'format = 1\nname = "x"\nvalues' + b".a" * 20_000 + b" = 1",
    "larger than 256 kB": b"# long\n" * 100_000,
    "line 1: the text is not UTF-8": b'name = "caf\xe9"\n',
    "not TOML": b"\0\0\0\0",
}  # fmt: skip


@pytest.mark.parametrize("words", BROKEN)
def test_a_patch_without_sense_is_an_error_with_words_wherever_it_is_read(words: str, tmp_path: Path) -> None:
    """To load it, to list its program and to save over it: none of them ends in a traceback."""
    path = tmp_path / "p.toml"
    path.write_bytes(BROKEN[words])
    with pytest.raises(PatchError, match=words) as caught:
        load_patch(path)
    assert "p.toml" in str(caught.value) and len(str(caught.value)) < 600
    assert patch_programs({"p": path}) == {}
    with pytest.raises(PatchError):
        save_patch(path, Patch("x"))
    assert path.read_bytes() == BROKEN[words]


def test_one_bad_patch_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--list` and a program change look at all of them."""
    own = tmp_path / "jbdiff-live" / "patches"
    own.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for number, data in enumerate(BROKEN.values()):
        (own / f"bad{number}.toml").write_bytes(data)
    (own / "folder.toml").mkdir()
    os.mkfifo(own / "pipe.toml")
    (own / "good.toml").write_text('format = 1\nname = "good"\nprogram = 99\n')
    found = own_patches(user_patches_folder())
    assert {"good", "bad0"} <= set(found) and not {"folder", "pipe"} & set(found)
    assert patch_programs(found) == {"good": 99}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ('name = "mine"', 'name = "mine"\ntempo = 120 #'),
            r"line 4: tempo: belongs below \[values\]; move the line",
        ),
        (('name = "mine"', 'name = "mine"\nreroll = "CC 1" #'), r"reroll: belongs below \[bindings\]"),
        (("hold = true", 'stack = "v1"'), r"\[values\] stack: belongs at the top, above \[values\]"),
        (("hold = true", 'hold = "maybe"'), "hold = 'maybe': needs on or off"),
        (("noise_step = 0.25", 'noise_step = "0.25"'), "needs a number, without quotation marks"),
    ],
)
def test_a_line_at_the_wrong_place_is_told_where_it_belongs(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    with pytest.raises(PatchError, match=words):
        load_patch(written(tmp_path, BY_HAND.replace(*change, 1)))


@pytest.mark.parametrize(("word", "value"), [("on", True), ("off", False), ("ON", True), ("yes", True)])
def test_a_switch_may_be_written_in_words(word: str, value: bool, tmp_path: Path) -> None:
    path = written(tmp_path, BY_HAND.replace("hold = true", f'hold = "{word}"'))
    assert load_patch(path).values["hold"] is value


def test_a_home_in_a_patch_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = BY_HAND.replace('name = "mine"', 'name = "mine"\ncontext = "~/sounds/x.ogg" #')
    assert load_patch(written(tmp_path, text)).context == tmp_path / "sounds" / "x.ogg"


def test_a_user_without_a_home_has_no_own_patches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any number may be the user in a container, and no list may know it."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(Path, "expanduser", lambda self: unknown())
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert user_patches_folder() is None and own_patches(None) == {}
    text = BY_HAND.replace('name = "mine"', 'name = "mine"\ncontext = "~/x.ogg" #')
    with pytest.raises(PatchError, match="no home folder is known here; write the whole path"):
        load_patch(written(tmp_path, text))


def test_a_sound_whose_name_is_not_utf8_cannot_be_written_into_a_patch_and_that_is_said(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.toml"
    with pytest.raises(PatchError, match=r"is not UTF-8.*rename that file"):
        save_patch(path, Patch("x", context=tmp_path / "na\udcefve.wav"))
    assert list(tmp_path.iterdir()) == []


def test_a_tapped_tempo_is_saved_with_two_decimals(tmp_path: Path) -> None:
    path = tmp_path / "tapped.toml"
    save_patch(path, Patch("tapped", values={"tempo": 117.18749999999937, "noise_step": 0.708661417}))
    assert "tempo = 117.19\n" in path.read_text()
    assert load_patch(path).values == {"tempo": 117.19, "noise_step": 0.708661417}


def test_a_copy_of_a_factory_patch_finds_its_sound_wherever_the_program_lies(tmp_path: Path) -> None:
    original = load_patch(factory_patches()["lock"])
    path = tmp_path / "mine.toml"
    save_patch(path, replace(original, name="mine"))
    assert 'context = "factory:sounds/lock.ogg"' in path.read_text()
    assert load_patch(path).context == original.context
