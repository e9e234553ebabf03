"""The library of patches and sounds: the list, favourites, tags, and the player's own files."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jbdiff_live.browse.entry import Entry, Kind
from jbdiff_live.browse.favourites import Favourites
from jbdiff_live.browse.listing import Library
from jbdiff_live.browse.own_files import file_name, rename_file, trash_file
from jbdiff_live.parameters import BY_NAME, PARAMETERS, ParameterStore
from jbdiff_live.patch import Patch, PatchError, factory_patches, load_patch, save_patch

NONE: frozenset[str] = frozenset()
WHAT_TO_TURN = re.compile(r"\b(turn|press|load|keeps?|change)\b", re.IGNORECASE)

# A patch as the first version wrote it, and one from before there were scenes, tags and a stage.
FIRST = """
format = 1
name = "drift"
description = "a slow walk: each block grows from its neighbour"
stack = "pocket"

[values]
noise_style = "walk"
noise_step = 0.22
seed = 1
hold = false
resample = 0.0
guidance = 1.5
context_source = "own"
init_source = "own"

[bindings]
noise_step = ["CC 1/33 14-bit", "CC 74"]
gain = "CC 7"
mute = "note D#1"
panic = ["CC 120", "note E1"]
"""
SECOND = """
format = 1
name = "lock"
stack = "pocket"
program = 2

[values]
anchor = 0.5
clock = "tempo"
tempo = 95.7
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "patches"
    folder.mkdir()
    return folder


def entries(own: Path | None, favourites: frozenset[str] = NONE) -> dict[str, Entry]:
    return {entry.key: entry for entry in Library().entries(own, favourites)}


# ---------------------------------------------------------------------- the factory's


def test_sixteen_factory_patches_have_a_sentence_that_says_what_to_turn_and_tags_of_their_own() -> None:
    found = [entry for entry in Library().entries(None, NONE) if entry.kind is Kind.PATCH]
    assert len(found) >= 16 and not [entry for entry in found if entry.problem or entry.sound is None]
    for entry in found:
        assert WHAT_TO_TURN.search(entry.description) and len(entry.tags) >= 3, entry
    assert len({frozenset(entry.tags) for entry in found}) == len(found)
    assert len({entry.program for entry in found}) == len(found)


def test_a_factory_patch_sounds_the_same_whatever_played_before_it() -> None:
    """Fails where a patch changes a knob of the sound that another one does not name."""
    patches = [load_patch(path) for path in factory_patches().values()]
    named = {name for patch in patches for name in patch.values if not name.startswith("scene_")}
    for before, patch in itertools.permutations(patches, 2):
        store = ParameterStore()
        before.apply(store)
        after = patch.apply(store)
        alone = patch.apply(ParameterStore())
        assert {n: after[n] for n in named} == {n: alone[n] for n in named}, (before.name, patch.name)


# ---------------------------------------------------------------------- no knob is lost


@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
def test_every_knob_is_kept_by_saving_and_loading(own: Path, place: float) -> None:
    values = {p.name: p.plain(p.clamp(p.from_normal(place))) for p in PARAMETERS}
    save_patch(own / "all.toml", Patch("all", values=values, tags=("slow", "no beat")))
    loaded = load_patch(own / "all.toml")
    assert loaded.tags == ("slow", "no beat") and loaded.values.keys() == BY_NAME.keys()
    store = ParameterStore()
    after = loaded.apply(store)
    for parameter in PARAMETERS:
        wanted = parameter.parse(values[parameter.name])
        assert after[parameter.name] == pytest.approx(wanted, abs=0.005), (
            parameter.name
        )  # tempo has two decimals


@pytest.mark.parametrize("text", [FIRST, SECOND])
def test_a_patch_of_an_older_version_brings_its_knobs_and_leaves_the_others(own: Path, text: str) -> None:
    (own / "old.toml").write_text(text)
    patch = load_patch(own / "old.toml")
    store = ParameterStore()
    before = store.snapshot
    after = patch.apply(store)
    assert patch.values and patch.tags == ()
    for name in BY_NAME:
        assert after[name] == patch.numbers.get(name, before[name]), name
    assert entries(own)["own:old"].problem == ""


def test_tags_are_cleaned_and_wrong_ones_named(own: Path) -> None:
    head = 'format = 1\nname = "x"\n'
    (own / "x.toml").write_text(head + 'tags = [" no  beat", "slow", "slow", ""]\n')
    assert load_patch(own / "x.toml").tags == ("no beat", "slow")
    (own / "x.toml").write_text(head + 'tags = "slow"\n')
    with pytest.raises(PatchError, match="line 3: tags: expected `array`"):
        load_patch(own / "x.toml")


# ---------------------------------------------------------------------- the list


def test_a_bad_own_patch_is_listed_with_its_reason_and_hides_no_other(own: Path) -> None:
    save_patch(own / "good.toml", Patch("good", "turn Noise"))
    (own / "bad.toml").write_text("format = 1\nname = = 3\n")
    (own / "deep.toml").write_text("a = " + "[" * 500 + "]" * 500)
    (own / "gone.toml").write_text('format = 1\nname = "gone"\ncontext = "nowhere.wav"\n')
    (own / "lost.toml").symlink_to(own / "nothing")
    (own / "folder.toml").mkdir()
    found = entries(own)
    assert found["own:good"].usable and found["own:good"].description == "turn Noise"
    assert "line 2" in found["own:bad"].problem and not found["own:bad"].usable
    assert "nested too deeply" in found["own:deep"].problem
    assert found["own:gone"].usable and "its sound is missing" in found["own:gone"].problem
    assert found["own:gone"].sound is None
    assert {key for key in found if key.startswith("factory:") and "/" not in key} == {
        f"factory:{name}" for name in factory_patches()
    }


def test_a_file_is_read_again_only_when_it_has_changed(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_patch(own / "mine.toml", Patch("mine", "one"))
    library = Library()
    library.entries(own, NONE)
    read: list[Path] = []

    def load(path: Path) -> Patch:
        read.append(path)
        return load_patch(path)

    monkeypatch.setattr("jbdiff_live.browse.listing.load_patch", load)
    library.entries(own, NONE)
    assert read == []
    save_patch(own / "mine.toml", Patch("mine", "another"))
    found = {entry.key: entry for entry in library.entries(own, NONE)}
    assert read == [own / "mine.toml"] and found["own:mine"].description == "another"


def test_sounds_are_listed_and_other_files_are_not(own: Path) -> None:
    (own / "sounds").mkdir()
    soundfile.write(own / "sounds" / "loop.wav", np.zeros(100), 44_100)
    (own / "sounds" / "notes.txt").write_text("x")
    (own / "sounds" / ".hidden.wav").write_text("x")
    found = {key: entry for key, entry in entries(own).items() if entry.kind is Kind.SOUND}
    assert "own:sounds/loop.wav" in found and "factory:sounds/drift.ogg" in found
    assert not [key for key in found if "notes" in key or "hidden" in key]


def test_a_search_finds_every_word_in_name_sentence_tags_and_what_it_is() -> None:
    entry = Entry(
        "own:a", Kind.PATCH, "Night bus", Path("a"), False, "turn Noise", ("no beat",), favourite=True
    )
    for text in ("", "night", "BUS noise", "beat own", "favourite patch"):
        assert entry.matches(text), text
    assert not entry.matches("night factory") and not entry.matches("buss")


# ---------------------------------------------------------------------- favourites


def test_favourites_are_kept_in_the_players_configuration_and_not_in_the_patch(own: Path) -> None:
    path, text = own.parent / "favourites.toml", factory_patches()["drift"].read_bytes()
    favourites = Favourites(path)
    favourites.mark("factory:drift", True)
    favourites.mark("own:mine", True)
    assert Favourites(path).keys == {"factory:drift", "own:mine"}
    favourites.rename("own:mine", "own:yours")
    favourites.mark("factory:drift", False)
    assert Favourites(path).keys == {"own:yours"}
    assert factory_patches()["drift"].read_bytes() == text
    assert entries(own, frozenset({"factory:drift"}))["factory:drift"].favourite


@pytest.mark.parametrize("text", ["favourites = 3", "favourites = [1]", "= ="])
def test_a_file_of_favourites_that_cannot_be_read_is_not_written_over(own: Path, text: str) -> None:
    path = own.parent / "favourites.toml"
    path.write_text(text)
    favourites = Favourites(path)
    assert favourites.keys == NONE and "mend the file, or delete it" in favourites.problem
    with pytest.raises(PatchError, match="mend the file"):
        favourites.mark("factory:drift", True)
    assert path.read_text() == text


def test_favourites_without_a_folder_last_until_the_end() -> None:
    favourites = Favourites(None)
    favourites.mark("factory:drift", True)
    assert favourites.keys == {"factory:drift"}


# ---------------------------------------------------------------------- own files


def test_a_renamed_patch_keeps_its_comments_and_gets_its_new_name_inside(own: Path) -> None:
    (own / "mine.toml").write_text(
        '# by hand\nformat = 1\nname = "mine"\nprogram = 9\n[values]\nseed = 4  # good\n'
    )
    new = rename_file(own / "mine.toml", "  night   bus ")
    assert new == own / "night bus.toml" and not (own / "mine.toml").exists()
    assert load_patch(new).name == "night bus" and load_patch(new).program == 9
    assert "# by hand" in new.read_text() and "# good" in new.read_text()
    (own / "other.toml").write_text("not toml at all")
    with pytest.raises(PatchError, match="a patch 'night bus' already"):
        rename_file(own / "other.toml", "night bus")
    assert rename_file(own / "other.toml", "bad").read_text() == "not toml at all"


@pytest.mark.parametrize(
    "name", ["", "  ", "a/b", "a\\b", "..", ".hidden", "con", "x" * 61, "a\x07", "what?", "end."]
)
def test_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(PatchError):
        file_name(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/b/c", "'a/b/c': a file name cannot hold '/'; leave it out"),
        ("a\\b", "'a\\b': a file name cannot hold '\\'; leave it out"),
        ("a/b:c/d", "'a/b:c/d': a file name cannot hold '/', ':'; leave them out"),
        ("a\x07", "'a\N{REPLACEMENT CHARACTER}': a file name cannot hold '\\x07'; leave it out"),
    ],
)
def test_what_a_name_cannot_hold_is_listed_once_and_as_it_was_typed(name: str, said: str) -> None:
    with pytest.raises(PatchError) as refused:
        file_name(name)
    assert str(refused.value) == said


def test_the_trash_keeps_every_patch(own: Path) -> None:
    for text in ("one", "two"):
        (own / "mine.toml").write_text(text)
        trash_file(own / "mine.toml")
    assert sorted(path.read_text() for path in (own / "trash").iterdir()) == ["one", "two"]
    assert not [key for key in entries(own) if key.startswith("own:")]
