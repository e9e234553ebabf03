"""Undo and redo, the comparison with the saved patch, and the return to it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from scene_rig import SceneRig

from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.binding import Binding
from jbdiff_live.desks.history import MOST_STEPS
from jbdiff_live.parameters import BY_NAME, Origin

ONE = 'format = 1\nname = "one"\n[values]\nmemory = 0.1\nguidance = 2.0\n[bindings]\nmemory = "CC 20"\n'
TWO = 'format = 1\nname = "two"\n[values]\nmemory = 0.9\n[lfo.anchor]\nrate = 1.0\n'


@pytest.fixture
def rig() -> SceneRig:
    return SceneRig()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "one.toml", tmp_path / "two.toml"
    for path, text in zip(paths, (ONE, TWO), strict=True):
        path.write_text(text)
    return paths


def steps(rig: SceneRig) -> int:
    """How many steps can be taken back."""
    count = 0
    while rig.history.back() is not None:
        count += 1
    return count


# Gestures


def test_one_turn_of_a_knob_is_one_step(rig: SceneRig) -> None:
    for place in (0.6, 0.7, 0.8):
        rig.set(Origin.MIDI, memory=place)
        rig.turn(0.9)
    rig.turn(1.0)
    rig.set(Origin.MIDI, memory=0.9)
    assert rig.undo.status().undo == "Memory 0.90"
    rig.undo.undo()
    assert rig["memory"] == 0.8
    rig.undo.undo()
    assert rig["memory"] == BY_NAME["memory"].default
    rig.undo.redo()
    assert rig["memory"] == 0.8 and rig.undo.status().redo == "Memory 0.90"
    rig.undo.redo()
    rig.undo.redo()
    assert rig["memory"] == 0.9 and rig.said[-1] == "there is nothing to redo"


def test_two_hands_on_two_knobs_make_two_steps(rig: SceneRig) -> None:
    for place in range(10):
        rig.set(memory=0.5 + place / 100, anchor=0.5 - place / 100)
        rig.turn(0.05)
    assert steps(rig) == 2


def test_a_knob_that_was_turned_back_leaves_no_step(rig: SceneRig) -> None:
    rig.set(memory=0.6)
    rig.set(memory=BY_NAME["memory"].default)
    assert rig.undo.status().undo == ""


@pytest.mark.parametrize(
    "origin", [o for o in Origin if o not in (Origin.UI, Origin.MIDI, Origin.OSC, Origin.KEY)]
)
def test_what_no_hand_did_makes_no_step(rig: SceneRig, origin: Origin) -> None:
    rig.store.set("memory", 0.9, origin)
    assert rig.undo.status().undo == ""
    rig.set(memory=1.0)
    rig.undo.undo()
    assert rig["memory"] == 0.9, "the hand's change alone is taken back"


def test_a_new_change_drops_what_could_be_made_again(rig: SceneRig) -> None:
    rig.set(memory=0.6)
    rig.undo.undo()
    rig.set(anchor=0.2)
    assert rig.undo.status().redo == ""


def test_the_steps_are_bounded(rig: SceneRig) -> None:
    for turn in range(MOST_STEPS + 40):
        rig.now += 2
        rig.set(seed=turn + 2)
    assert steps(rig) == MOST_STEPS == 200


def test_undo_acts_at_once_also_on_a_change_that_waits_for_its_bar(rig: SceneRig) -> None:
    rig.set(hold_changes="bar")
    rig.set(memory=0.9)
    rig.undo.undo()
    assert rig["memory"] == BY_NAME["memory"].default and rig.conductor.held.waiting == ()


# Scenes


def test_undo_takes_back_everything_in_any_order_and_redo_makes_it_again(rig: SceneRig) -> None:
    """A random evening: turns, captures, recalls, morphs, names. Fails where a step forgets a part."""
    rng = random.Random(11)
    knobs = ["memory", "anchor", "seed", "noise_step", "noise_style", "hold", "guidance", "scene_morph"]
    states = [(dict(rig.store.snapshot.values), rig.scenes.kept.scenes)]
    for _ in range(60):
        rig.turn(1.5)
        filled = [n for n in range(1, 9) if rig.scenes.kept[n] is not None]
        deed = rng.choice(["turn", "turn", "capture", "recall", "recall", "rename", "clear", "store", "lfo"])
        if deed == "turn":
            name = rng.choice(knobs)
            rig.set(
                **{name: BY_NAME[name].from_normal(rng.random()) if name != "hold" else rng.randint(0, 1)}
            )
        elif deed == "capture":
            rig.scenes.capture(rng.randint(1, 4))
        elif deed == "store":
            rig.set(scene_store=1 - rig["scene_store"])
        elif deed == "lfo":
            rig.undo.set_lfo("memory", Lfo(depth=rng.random()))
        elif filled and deed == "recall":
            rig.scenes.recall(rng.choice(filled))
        elif filled and deed == "rename":
            rig.scenes.rename(rng.choice(filled), f"name {rng.random()}")
        elif filled:
            rig.scenes.clear(rng.choice(filled))
        rig.turn(0.05)
        states.append((dict(rig.store.snapshot.values), rig.scenes.kept.scenes))
    last = states[-1]
    while rig.undo.status().undo:
        rig.undo.undo()
        assert (dict(rig.store.snapshot.values), rig.scenes.kept.scenes) in states
    assert (dict(rig.store.snapshot.values), rig.scenes.kept.scenes) == states[0]
    assert not rig.conductor.modulation.lfos
    while rig.undo.status().redo:
        rig.undo.redo()
    assert (dict(rig.store.snapshot.values), rig.scenes.kept.scenes) == last


def test_a_recall_is_one_step_with_the_scene_that_it_stored(rig: SceneRig) -> None:
    rig.two_scenes()
    rig.set(scene_store=1)
    rig.turn(2)
    rig.set(memory=0.3)
    rig.scenes.recall(2)
    assert rig.undo.status().undo == "scene 2"
    rig.undo.undo()
    scene = rig.scenes.kept[1]
    assert scene is not None and scene.values["memory"] == 0.2
    assert (rig["memory"], rig["noise_step"], rig.scenes.status().active) == (0.3, 0.1, 1)
    rig.undo.redo()
    assert (rig["memory"], rig.scenes.status().active) == (0.8, 2)


def test_a_knob_turned_while_a_recall_waits_leaves_the_recalls_step_whole(rig: SceneRig) -> None:
    rig.two_scenes()
    rig.store.set("scene_start", 2, Origin.PATCH)
    rig.scenes.recall(2)
    rig.set(memory=0.5)
    rig.undo.undo()
    assert rig["memory"] == 0.8
    rig.undo.undo()
    assert (rig["memory"], rig["noise_step"]) == (0.2, 0.1)


def test_undo_ends_a_morph_and_the_morphs_steps_are_no_steps(rig: SceneRig) -> None:
    rig.two_scenes()
    rig.set(scene_time=4)
    rig.turn(2)
    rig.scenes.recall(2)
    rig.turn(2)
    rig.undo.undo()
    assert rig["memory"] == 0.2
    rig.turn(3)
    assert rig["memory"] == 0.2 and rig.scenes.status().morph is None
    rig.undo.undo()
    assert rig["scene_time"] == 0 and rig.undo.status().undo == ""


def test_a_morph_by_hand_is_one_step_with_all_the_knobs_that_it_moved(rig: SceneRig) -> None:
    rig.two_scenes()
    before = dict(rig.store.snapshot.values)
    for place in (0.1, 0.4, 0.7):
        rig.set(Origin.MIDI, scene_morph=place)
        rig.turn(0.1)
    after = dict(rig.store.snapshot.values)
    rig.undo.undo()
    assert dict(rig.store.snapshot.values) == before and rig.undo.status().undo == ""
    rig.turn(0.2)
    assert dict(rig.store.snapshot.values) == before
    rig.undo.redo()
    assert dict(rig.store.snapshot.values) == after
    rig.history.forget()
    rig.set(Origin.CV, scene_morph=1)
    rig.turn(0.1)
    assert rig.undo.status().undo == "", "a voltage moves all the time"


# Patches


def test_loading_a_patch_is_one_step_with_values_bindings_lfos_and_scenes(
    rig: SceneRig, files: tuple[Path, Path]
) -> None:
    one, two = files
    rig.patches.load(one)
    assert rig.undo.status().undo == "", "there is no patch before the first one"
    rig.scenes.capture(3)
    rig.turn(2)
    rig.set(memory=0.15)
    rig.patches.load(two)
    assert (rig.controls.suggested, rig.scenes.kept[3], rig.patches.name) == ((), None, "two")
    rig.undo.undo()
    assert (rig["memory"], rig["guidance"], rig.patches.name) == (0.15, 2.0, "one")
    assert rig.controls.suggested == (Binding.parse("memory", "CC 20"),)
    assert rig.scenes.kept[3] is not None and not rig.conductor.modulation.lfos
    assert rig.undo.status().modified
    rig.undo.redo()
    assert (rig["memory"], rig.patches.name, rig.undo.status().modified) == (0.9, "two", False)
    assert rig.conductor.modulation.lfos == {"anchor": Lfo(rate=1.0)}


@pytest.mark.parametrize("what", ["knob", "scene", "lfo"])
def test_modified_until_it_is_saved_undone_or_reverted(
    rig: SceneRig, files: tuple[Path, Path], what: str
) -> None:
    def change() -> None:
        rig.turn(2)
        if what == "knob":
            rig.set(memory=0.7)
        elif what == "scene":
            rig.scenes.capture(1)
        else:
            rig.undo.set_lfo("memory", Lfo())

    rig.patches.load(files[0])
    rig.set(gain=-3)
    assert not rig.undo.status().modified, "the patch does not name the gain"
    change()
    assert rig.undo.status().modified
    rig.undo.undo()
    assert not rig.undo.status().modified
    change()
    rig.undo.revert()
    assert not rig.undo.status().modified and rig["gain"] == -3
    rig.undo.undo()
    assert rig.undo.status().modified, "the return to the saved patch is a step"
    rig.patches.save(files[0], "one")
    assert not rig.undo.status().modified


def test_compare_swaps_to_the_saved_patch_and_back(rig: SceneRig, files: tuple[Path, Path]) -> None:
    rig.patches.load(files[0])
    rig.undo.compare()
    assert not rig.undo.status().comparing and "nothing differs" in rig.said[-1]
    rig.set(memory=0.7)
    rig.undo.set_lfo("anchor", Lfo())
    for _ in range(2):
        rig.undo.compare()
        assert rig["memory"] == 0.1 and rig.undo.status().comparing and not rig.conductor.modulation.lfos
        rig.undo.compare()
        assert rig["memory"] == 0.7 and not rig.undo.status().comparing
        assert rig.conductor.modulation.lfos
    rig.undo.compare()
    rig.undo.undo()
    assert rig["memory"] == 0.7 and not rig.undo.status().comparing, "undo ends the comparison first"
    rig.undo.undo()
    rig.undo.undo()
    assert rig["memory"] == 0.1


def test_a_comparison_ends_a_morph(rig: SceneRig, files: tuple[Path, Path]) -> None:
    rig.patches.load(files[0])
    rig.two_scenes()
    rig.set(scene_time=4)
    rig.scenes.recall(2)
    rig.turn(1)
    there = rig["memory"], rig["noise_step"]
    rig.undo.compare()
    rig.turn(1)
    assert (rig["memory"], rig["noise_step"]) == (0.1, there[1])
    rig.undo.compare()
    assert (rig["memory"], rig["noise_step"]) == there


def test_a_knob_turned_during_a_comparison_loses_nothing(rig: SceneRig, files: tuple[Path, Path]) -> None:
    rig.patches.load(files[0])
    rig.set(memory=0.7)
    rig.undo.compare()
    rig.set(guidance=5)
    assert not rig.undo.status().comparing and rig["memory"] == 0.1
    rig.undo.undo()
    assert (rig["guidance"], rig["memory"]) == (2.0, 0.1)
    rig.undo.undo()
    assert rig["memory"] == 0.7
