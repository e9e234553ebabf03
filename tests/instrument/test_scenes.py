"""Scenes: captured, recalled on time, moved from one to another."""

from __future__ import annotations

import math
import random
import threading
from dataclasses import replace

import pytest
from scene_rig import SceneRig

from jbdiff_live.beat.line import BeatLine
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.binding import Binding
from jbdiff_live.parameters import ACTIONS_BY_NAME, BY_NAME, FUNCTIONS_BY_NAME, SCENES, Origin
from jbdiff_live.scenes.blend import Blend, shaped
from jbdiff_live.scenes.scene import GROUPS, NEVER, Kept, Scene, held_by_scenes
from jbdiff_live.scenes.seeds import Seeds, SeedWay


@pytest.fixture
def rig() -> SceneRig:
    rig = SceneRig()
    rig.two_scenes()
    return rig


# What a scene holds


def test_a_scene_holds_every_knob_but_those_of_the_groups_that_it_leaves_out(rig: SceneRig) -> None:
    scene = rig.scenes.kept[1]
    assert scene is not None
    assert set(scene.values) == set(BY_NAME) - NEVER - GROUPS["output"]
    assert not set(held_by_scenes(frozenset({"noise"}))) & GROUPS["noise"]
    named = [name for names in GROUPS.values() for name in names]
    assert len(named) == len(set(named)) and set(named) <= set(BY_NAME), "a knob has one group"
    assert "panic" in ACTIONS_BY_NAME and "panic" not in scene.values


def test_a_group_that_is_left_out_stays_where_it_is_and_joins_with_its_present_values(rig: SceneRig) -> None:
    rig.scenes.leave_out(2, frozenset({"noise", "output"}))
    rig.scenes.recall(2)
    rig.turn()
    assert (rig["memory"], rig["noise_step"]) == (0.8, 0.1)
    rig.set(gain=-9)
    rig.scenes.leave_out(2, frozenset())
    scene = rig.scenes.kept[2]
    assert scene is not None and (scene.values["gain"], scene.values["noise_step"]) == (-9, 0.1)
    with pytest.raises(ValueError, match="no group 'drums'; known: noise, memory"):
        rig.scenes.leave_out(2, frozenset({"drums"}))


def test_scenes_are_renamed_copied_and_cleared(rig: SceneRig) -> None:
    rig.scenes.rename(1, "  calm\n sea ")
    rig.scenes.set_program(1, 21)
    rig.scenes.copy(1, 4)
    kept = rig.scenes.kept
    assert kept[1] is not None and kept[4] is not None
    assert (kept[4].name, kept[4].values, kept[4].program) == ("calm sea", kept[1].values, None)
    assert kept.of_program(21) == 1
    rig.scenes.set_program(2, 21)
    assert rig.scenes.kept.of_program(21) == 2, "a program recalls one scene"
    rig.scenes.clear(1)
    assert rig.scenes.kept[1] is None and rig.scenes.status().active is None
    with pytest.raises(ValueError, match="scene 1 is empty; capture it first: Shift"):
        rig.scenes.rename(1, "x")
    with pytest.raises(ValueError, match="scene 9: there are scenes 1 to 8"):
        rig.scenes.capture(9)
    with pytest.raises(ValueError, match="program 0: MIDI has programs 1 to 128"):
        rig.scenes.set_program(2, 0)


def test_an_empty_scene_says_how_it_is_filled_and_moves_nothing(rig: SceneRig) -> None:
    before = rig.store.snapshot
    rig.scenes.recall(7)
    assert rig.store.snapshot is before and "Shift+7" in rig.said[-1]


def test_capture_catches_the_scene_that_is_chosen_next_and_gives_up_after_a_while(rig: SceneRig) -> None:
    rig.scenes.arm_capture()
    assert rig.scenes.status().capturing
    rig.set(memory=0.33)
    rig.scenes.press(3)
    scene = rig.scenes.kept[3]
    assert scene is not None and scene.values["memory"] == 0.33
    assert not rig.scenes.status().capturing
    rig.scenes.arm_capture()
    rig.turn(11)
    rig.scenes.press(1)
    assert rig["memory"] == 0.2, "it was recalled"
    rig.scenes.arm_capture()
    rig.scenes.arm_capture()
    assert not rig.scenes.status().capturing


# When it lands


def test_a_recall_is_one_swap_with_its_own_origin(rig: SceneRig) -> None:
    before = rig.store.snapshot.version
    rig.scenes.recall(2)
    assert rig.store.snapshot.version == before + 1
    assert {change.origin for change in rig.changes} == {Origin.SCENE}
    assert (rig["memory"], rig.store.snapshot.choice("noise_style")) == (0.8, "random")
    assert rig.conductor.sounding["memory"] == 0.8
    assert (rig.scenes.status().active, rig.scenes.status().pending) == (2, None)


@pytest.mark.parametrize(("start", "due"), [("beat", 101.0), ("bar", 102.0)])
def test_a_recall_lands_whole_on_its_beat_or_bar(rig: SceneRig, start: str, due: float) -> None:
    rig.scenes.leave_out(2, frozenset())
    scene = rig.scenes.kept[2]
    assert scene is not None
    rig.scenes.put(rig.scenes.kept.put(2, scene.stored({"gain": -20.0})))
    rig.set(scene_start=start)
    rig.scenes.recall(2)
    assert rig["memory"] == 0.8, "the knob stands where the scene put it"
    assert rig.conductor.sounding["memory"] == 0.2
    status = rig.scenes.status()
    assert (status.active, status.pending) == (1, 2)
    assert status.lands_in == pytest.approx(due - rig.now)
    rig.turn(due - rig.now - 0.01)
    assert rig.conductor.sounding["gain"] == 0 and rig.scenes.status().pending == 2
    rig.turn(0.02)
    assert (rig.conductor.sounding["memory"], rig.conductor.sounding["gain"]) == (0.8, -20)
    assert (rig.scenes.status().active, rig.scenes.status().pending) == (2, None)


def test_a_bar_inside_a_block_in_work_is_missed_by_the_whole_scene(rig: SceneRig) -> None:
    """Fails where gain, which the output makes, lands a bar before the noise."""
    rig.scenes.leave_out(2, frozenset())
    rig.set(scene_start="bar", gain=-12)
    rig.conductor.held.for_block(102.3)
    rig.scenes.recall(2)
    assert {round(held.due, 6) for held in rig.conductor.held.waiting} == {104.0}
    assert {held.name for held in rig.conductor.held.waiting} >= {"gain", "memory"}


def test_held_changes_hold_scenes_too_unless_scene_start_says_more(rig: SceneRig) -> None:
    rig.set(hold_changes="bar")
    rig.scenes.recall(2)
    assert rig.conductor.sounding["memory"] == 0.2
    assert rig.scenes.status().lands_in == pytest.approx(1.5)
    rig.set(scene_start="beat")
    rig.scenes.recall(1)
    rig.scenes.recall(2)
    assert rig.scenes.status().lands_in == pytest.approx(0.5)


def test_without_a_clock_there_is_no_bar_to_wait_for(rig: SceneRig) -> None:
    rig.clock.music(None)
    rig.set(scene_start="bar", scene_time=2)
    rig.scenes.recall(2)
    assert rig.scenes.status().morph == 0
    rig.set(scene_time=0)
    rig.scenes.recall(1)
    assert rig.conductor.sounding["memory"] == 0.2 and rig.scenes.status().active == 1


def test_a_newer_recall_takes_the_place_of_one_that_waits(rig: SceneRig) -> None:
    rig.set(memory=0.5)
    rig.scenes.capture(3)
    rig.scenes.leave_out(3, frozenset({"noise", "output"}))
    rig.scenes.recall(1)
    rig.set(scene_start="bar")
    rig.scenes.recall(2)
    rig.scenes.recall(3)
    assert rig["noise_step"] == 0.1, "nothing of scene 2 is left"
    rig.turn(2)
    assert (rig["memory"], rig["noise_step"], rig.scenes.status().active) == (0.5, 0.1, 3)


def test_a_panic_drops_what_waits_and_ends_a_morph(rig: SceneRig) -> None:
    rig.set(scene_start="bar")
    rig.scenes.recall(2)
    rig.store.trigger("panic", Origin.UI)
    rig.turn(3)
    assert (rig["memory"], rig.scenes.status().active, rig.scenes.status().pending) == (0.2, 1, None)
    rig.set(scene_start="now", scene_time=2)
    rig.scenes.recall(2)
    rig.turn(1)
    rig.store.trigger("panic", Origin.UI)
    there = rig["memory"]
    rig.turn(2)
    assert rig["memory"] == there and 0.2 < there < 0.8


# Morph


def test_a_morph_turns_knobs_step_by_step_and_changes_switches_half_way(rig: SceneRig) -> None:
    rig.set(scene_time=4)
    rig.changes.clear()
    rig.scenes.recall(2)
    rig.turn(1.99)
    assert rig["memory"] == pytest.approx(0.5, abs=0.01)
    assert rig.store.snapshot.choice("noise_style") == "walk" and not rig.store.snapshot.on("hold")
    assert rig.scenes.status().morph == pytest.approx(0.5, abs=0.02)
    rig.turn(0.05)
    assert rig.store.snapshot.choice("noise_style") == "random" and rig.store.snapshot.on("hold")
    rig.turn(2)
    assert (rig["memory"], rig["noise_step"], rig.scenes.status().morph) == (0.8, 0.9, None)
    way = [change.value for change in rig.changes if change.name == "memory"]
    assert way == sorted(way) and len(way) > 60
    assert max(b - a for a, b in zip([0.2, *way], way, strict=False)) < 0.6 * 0.06 / 4
    assert {change.origin for change in rig.changes} == {Origin.SCENE}


def test_equal_times_turn_a_knob_equally_far_whatever_its_curve() -> None:
    noise = BY_NAME["noise_step"]
    blend = Blend({"noise_step": 0.0}, {"noise_step": 1.0})
    places = [noise.to_normal(blend.at(n / 4)["noise_step"]) for n in range(5)]
    assert places == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_the_shapes_begin_and_end_where_they_should() -> None:
    assert [shaped(x, 0) for x in (-1, 0, 0.25, 1, 2)] == [0, 0, 0.25, 1, 1]
    assert [shaped(x, 1) for x in (0, 0.5, 1)] == [0, 0.5, 1]
    assert shaped(0.1, 1) < 0.05 and shaped(0.9, 1) > 0.95
    values = [shaped(n / 100, 1) for n in range(101)]
    assert values == sorted(values)


def test_a_morph_in_bars_follows_the_tempo_and_begins_on_the_bar(rig: SceneRig) -> None:
    rig.set(scene_time=2, scene_unit="bars", scene_start="bar")
    rig.scenes.recall(2)
    assert rig["memory"] == 0.2 and rig.scenes.status().lands_in == pytest.approx(1.5)
    rig.turn(1.5 + 2.0)
    assert rig["memory"] == pytest.approx(0.5, abs=0.015), "a bar of two seconds has passed"
    rig.clock.music(BeatLine(rig.now, 0.0, 60))
    rig.turn(2.0)
    assert rig["memory"] == pytest.approx(0.65, abs=0.015), "half of a bar of four seconds"


def test_a_touched_knob_leaves_the_morph(rig: SceneRig) -> None:
    rig.set(scene_time=4)
    rig.scenes.recall(2)
    rig.turn(1)
    rig.set(Origin.MIDI, memory=0.05)
    rig.turn(4)
    assert (rig["memory"], rig["noise_step"]) == (0.05, 0.9)


def test_a_hand_and_a_morph_that_write_at_once_leave_the_hands_value(rig: SceneRig) -> None:
    rig.set(scene_time=64)
    rig.scenes.recall(2)
    done = threading.Event()

    def morph() -> None:
        now = rig.now
        while not done.is_set():
            now += 0.05
            rig.scenes.step(now)

    thread = threading.Thread(target=morph, name="morph")
    thread.start()
    try:
        for turn in range(200):
            rig.store.set("memory", turn / 1000, Origin.MIDI)
    finally:
        done.set()
        thread.join(20)
    assert rig["memory"] == 0.199


def test_capturing_in_the_middle_of_a_morph_ends_it_there(rig: SceneRig) -> None:
    rig.set(scene_time=4)
    rig.scenes.recall(2)
    rig.turn(2)
    rig.scenes.capture(5)
    there = rig["memory"]
    rig.turn(4)
    assert rig["memory"] == there and rig.scenes.status().active == 5


def noise(seeds: Seeds) -> dict[float, float]:
    """The share of each seed's noise, as `jbdiff.diffusion.noise_pair.morphed` mixes them."""
    angle = seeds.morph * math.pi / 2
    if seeds.end is not None:
        return {seeds.at(seeds.end): 1.0}
    return {seeds.a: math.cos(angle), seeds.b: math.sin(angle)}


def test_seeds_go_by_slerp_and_a_register_changes_its_seed_only_while_it_is_silent() -> None:
    rng = random.Random(4)

    def seeds() -> Seeds:
        a, b = rng.sample(range(5), 2)
        return Seeds(a, b, rng.choice([0.0, 0.0, 1.0, rng.random()]))

    for _ in range(300):
        start, target = seeds(), seeds()
        way = SeedWay(start, target)
        assert way.at(0) == start
        assert noise(way.at(1)) == pytest.approx(noise(target))
        before = start
        for step in range(1, 61):
            now = way.at(step / 60)
            one, other = noise(before), noise(now)
            assert all(abs(one.get(seed, 0) - other.get(seed, 0)) < 0.2 for seed in {*one, *other}), (
                "no jump of the noise"
            )
            if now.a != before.a:
                assert min(before.morph, now.morph) > 0.8 or now.morph == 1 or target == now
            before = now


def test_the_noise_of_the_model_never_jumps_on_the_way() -> None:
    """Fails where a register gets its next seed while it is heard: it begins again at that seed's home noise."""
    from jbdiff.diffusion.noise import NoiseSettings
    from jbdiff.diffusion.noise_pair import NoisePair

    rng = random.Random(2)
    for start in (Seeds(1, 2, 0.0), Seeds(1, 2, 1.0), Seeds(1, 2, 0.4)):
        here = start
        pair, before = NoisePair.fresh("level2", 16, 64), None
        settings = NoiseSettings(step=0.05)
        for goal in (
            Seeds(3, 4, 0.0),
            Seeds(5, 6, 1.0),
            Seeds(7, 5, 0.6),
            Seeds(*rng.sample(range(9), 2), 0.0),
        ):
            way = SeedWay(here, goal)
            for share in range(41):
                here = way.at(share / 40)
                now = replace(settings, seed=int(here.a), seed_b=int(here.b), morph=here.morph)
                noise_now, _, pair = pair.next(now)
                if before is not None:
                    step = float((noise_now - before).std())
                    assert step < 0.35, "a jump to other noise would be 1.4"
                before = noise_now


def test_a_morph_of_scenes_takes_the_seed_along(rig: SceneRig) -> None:
    rig.set(scene_time=2)
    rig.scenes.recall(2)
    rig.turn(1)
    assert (rig["seed"], rig["seed_b"]) == (5, 6) and rig["seed_morph"] == pytest.approx(0.5, abs=0.03)
    rig.turn(1.1)
    assert (rig["seed_b"], rig["seed_morph"]) == (6, 1)


# Morph by hand


def test_the_morph_knob_moves_everything_between_two_scenes_and_names_the_scene_at_its_ends(
    rig: SceneRig,
) -> None:
    rig.set(Origin.MIDI, scene_morph=0.5)
    rig.turn(0.01)
    assert rig["memory"] == pytest.approx(0.5)
    assert rig.scenes.status().active is None
    rig.set(Origin.CV, scene_morph=1)
    rig.turn(0.01)
    assert (rig["memory"], rig["noise_step"], rig.scenes.status().active) == (0.8, 0.9, 2)
    rig.set(Origin.OSC, scene_morph=0)
    rig.turn(0.01)
    assert (rig["memory"], rig["seed"], rig.scenes.status().active) == (0.2, 5, 1)


def test_a_knob_touched_during_a_morph_by_hand_joins_again_after_an_end(rig: SceneRig) -> None:
    for place in (0.3, 0.4):
        rig.set(scene_morph=place)
        rig.turn(0.01)
    rig.set(memory=0.01)
    rig.set(scene_morph=1)
    rig.turn(0.01)
    assert (rig["memory"], rig["noise_step"]) == (0.01, 0.9)
    rig.set(scene_morph=0.5)
    rig.turn(0.01)
    assert rig["memory"] == pytest.approx(0.5)


def test_a_patch_that_names_the_morph_moves_no_other_knob_and_an_empty_scene_neither(rig: SceneRig) -> None:
    rig.store.set("scene_morph", 1, Origin.PATCH)
    rig.turn(0.1)
    assert rig["memory"] == 0.2
    rig.set(scene_b=8, scene_morph=0.5)
    rig.turn(0.1)
    assert rig["memory"] == 0.2 and "scene 8 is empty" in rig.said[-1]


def test_an_lfo_morphs_too(rig: SceneRig) -> None:
    rig.conductor.modulation.put("scene_morph", Lfo(depth=0.0, offset=0.5))
    rig.turn(0.1)
    assert rig["memory"] == pytest.approx(0.5) and rig["scene_morph"] == 0


# Leaving a scene


def test_leaving_a_scene_stores_it_only_if_the_switch_says_so(rig: SceneRig) -> None:
    rig.set(memory=0.3)
    rig.scenes.recall(2)
    rig.scenes.recall(1)
    assert rig["memory"] == 0.2
    rig.set(scene_store=1, memory=0.3)
    rig.scenes.recall(2)
    rig.scenes.recall(1)
    assert rig["memory"] == 0.3
    rig.set(memory=0.4)
    rig.scenes.recall(1)
    assert rig["memory"] == 0.3, "the pad of the active scene goes back to what is stored"


def test_a_scene_left_in_the_middle_of_its_morph_stores_only_what_a_hand_moved(rig: SceneRig) -> None:
    rig.set(scene_store=1, scene_time=4)
    rig.scenes.recall(2)
    rig.turn(1)
    rig.set(memory=0.05)
    rig.set(scene_time=0)
    rig.scenes.recall(1)
    scene = rig.scenes.kept[2]
    assert scene is not None and (scene.values["memory"], scene.values["noise_step"]) == (0.05, 0.9)


# Controllers


def test_a_recall_arms_takeover_anew(rig: SceneRig) -> None:
    rig.controls.suggest([Binding.parse("memory", "CC 20")])
    rig.midi(20, 0, 20, 40, 60)
    assert rig["memory"] == pytest.approx(60 / 127)
    rig.scenes.recall(2)
    rig.midi(20, 61, 62, 90)
    assert rig["memory"] == 0.8, "the knob has to come for it"
    rig.midi(20, 110)
    assert rig["memory"] == pytest.approx(110 / 127)


def test_every_scene_has_a_function_for_notes_keys_and_triggers() -> None:
    assert {f"scene_{n}" for n in range(1, SCENES + 1)} <= set(FUNCTIONS_BY_NAME)
    assert {"undo", "redo", "compare", "revert", "capture_scene"} <= set(FUNCTIONS_BY_NAME)


def test_scenes_of_a_patch_keep_one_scene_for_each_program() -> None:
    kept = Kept().put(1, Scene("a", program=3)).put(2, Scene("b", program=3))
    assert kept[1] is not None and kept[1].program is None and kept.of_program(3) == 2
