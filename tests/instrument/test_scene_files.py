"""Scenes in the file of a patch: written by hand, saved again, refused with words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jbdiff_live.parameters import SCENES, ParameterStore
from jbdiff_live.patch import Patch, PatchError, factory_patches, load_patch, save_patch
from jbdiff_live.scenes.scene import NO_SCENES, Kept, Scene

HEAD = 'format = 1\nname = "mine"\n'
BY_HAND = f"""{HEAD}
[values]
memory = 0.5

# the quiet one
[[scene]]
name = "calm"  # like the sea
[scene.values]
memory = 0.2  # little
noise_style = "walk"

[[scene]]
slot = 4
program = 21
leaves_out = []
[scene.values]
gain = -6
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "p.toml"
    path.write_text(text)
    return path


def test_scenes_written_by_hand_are_read(tmp_path: Path) -> None:
    scenes = load_patch(written(tmp_path, BY_HAND)).scenes
    assert [number for number, scene in enumerate(scenes, 1) if scene is not None] == [1, 4]
    calm, loud = scenes[0], scenes[3]
    assert calm is not None and loud is not None
    assert (calm.name, dict(calm.values), calm.leaves_out) == (
        "calm", {"memory": 0.2, "noise_style": 3.0}, frozenset({"output"}),
    )  # fmt: skip
    assert (loud.program, dict(loud.values), loud.leaves_out) == (21, {"gain": -6.0}, frozenset())


def test_saving_keeps_the_comments_of_scenes_and_brings_all_of_them_back(tmp_path: Path) -> None:
    path = written(tmp_path, BY_HAND)
    patch = load_patch(path)
    store = ParameterStore()
    kept = Kept(patch.scenes).put(2, Scene("new").captured(store.snapshot.values))
    calm = kept[1]
    assert calm is not None
    kept = kept.put(1, replace(calm.stored({"memory": 0.25}), program=9)).cleared(4)
    save_patch(path, replace(patch, scenes=kept.scenes))
    again = load_patch(path)
    assert again.scenes == kept.scenes
    text = path.read_text()
    for comment in ("# the quiet one", "# like the sea", "# little"):
        assert comment in text
    save_patch(path, again)
    assert path.read_text() == text, "what has not changed is written as it was"
    save_patch(path, replace(again, scenes=NO_SCENES))
    assert "scene" not in path.read_text() and load_patch(path).scenes == NO_SCENES


def test_eight_full_scenes_come_back_from_a_new_file(tmp_path: Path) -> None:
    store = ParameterStore()
    full = Scene(leaves_out=frozenset()).captured(store.snapshot.values)
    scenes = tuple(replace(full, name=f"s{n}", program=n) for n in range(1, 9))
    save_patch(tmp_path / "new.toml", Patch("new", scenes=scenes))
    assert load_patch(tmp_path / "new.toml").scenes == scenes


def test_factory_patches_are_saved_unchanged_with_scenes_and_without(tmp_path: Path) -> None:
    patches = {name: load_patch(factory) for name, factory in factory_patches().items()}
    assert [name for name, patch in patches.items() if patch.scenes != NO_SCENES] == ["verse"]
    for name, factory in factory_patches().items():
        patch = patches[name]
        path = tmp_path / f"{name}.toml"
        path.write_text(factory.read_text())
        save_patch(path, replace(patch, context=None, init=None))
        assert path.read_text() == factory.read_text()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("slot = 9", "[[scene]] slot = 9: needs a number from 1 to 8"),
        ("slot = 1\n[[scene]]\nslot = 1", "slot = 1: another scene has it"),
        ("[[scene]]\n" * 8, "number 9 of the file: a patch has 8 scenes; remove one"),
        ("nam = 'x'", "[[scene]] 1 nam: no such setting; did you mean 'name'?"),
        ("memory = 0.5", "[[scene]] 1 memory: belongs below [scene.values]"),
        ("name = 3", "[[scene]] 1 name = 3: needs text"),
        ("program = 0", "[[scene]] 1 program = 0: MIDI has programs 1 to 128"),
        ("program = 5\n[[scene]]\nprogram = 5", "[[scene]] 2 program = 5: scene 1 has it"),
        ("leaves_out = 'noise'", "leaves_out = 'noise': needs a list of groups"),
        ("leaves_out = ['nois']", "leaves_out 'nois': no such group; did you mean 'noise'?"),
        ("values = 3", "values = 3: needs a table"),
        ("[scene.values]\nmemry = 0.5", "memry: no such parameter; did you mean 'memory'?"),
        ("[scene.values]\nmemory = 2", "[[scene]] 1 memory = 2 is outside 0 to 1"),
        ("[scene.values]\ngain = -6", "gain: the scene leaves out its group, output; remove the line"),
        ("[scene.values]\nhold_changes = 'bar'", "hold_changes: no scene holds it"),
    ],
)
def test_a_bad_scene_is_refused_with_the_remedy(tmp_path: Path, lines: str, words: str) -> None:
    with pytest.raises(PatchError) as refused:
        load_patch(written(tmp_path, f"{HEAD}[[scene]]\n{lines}\n"))
    assert words in str(refused.value) and "p.toml" in str(refused.value)


@pytest.mark.parametrize("lines", ["slot = 'x'", "slot = [1]", "slot = 9", "slot = 1\n[[scene]]\nslot = 1"])
def test_a_file_with_a_bad_scene_can_be_saved_over(tmp_path: Path, lines: str) -> None:
    path = written(tmp_path, f"{HEAD}[[scene]]\n{lines}\n")
    scenes = (Scene("calm", {"memory": 0.25}), *[None] * (SCENES - 1))
    save_patch(path, Patch("p", scenes=scenes))
    assert load_patch(path).scenes == scenes


def test_a_scene_that_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="scene"):
        load_patch(written(tmp_path, f"{HEAD}[scene]\nslot = 1\n"))
