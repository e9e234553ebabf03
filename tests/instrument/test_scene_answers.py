"""What the player reads after each change of a scene."""

from __future__ import annotations

from scene_rig import SceneRig


def test_each_change_of_a_scene_is_answered_with_what_is_true_now() -> None:
    """The answers were commands, such as "clear scene 3"."""
    rig = SceneRig()
    rig.two_scenes()
    rig.scenes.rename(1, "calm")
    rig.scenes.set_program(1, 5)
    rig.scenes.copy(1, 3)
    rig.scenes.leave_out(3, frozenset())
    rig.scenes.clear(3)
    assert rig.said[-5:] == [
        "scene 1 is called calm",
        "a program change to 5 recalls scene 1",
        "scene 3 is a copy of scene 1",
        "scene 3 leaves out: nothing",
        "scene 3 is empty now",
    ]
    rig.scenes.capture(3)
    assert rig.said[-1] == "scene 3 has the knobs as they stand now"
    assert rig.history.labels == ("capture scene 3", "")
