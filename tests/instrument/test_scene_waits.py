"""Scenes that change while a recall of theirs waits for its bar."""

from __future__ import annotations

import pytest
from scene_rig import SceneRig

from jbdiff_live.parameters import Origin


@pytest.mark.parametrize(("seconds", "memory"), [(0.0, 0.8), (2.0, 0.2)])
def test_a_scene_that_is_cleared_while_it_waits_waits_no_more_after_its_bar(
    seconds: float, memory: float
) -> None:
    """A recall without a morph has given its values away already. A morph has nowhere to go."""
    rig = SceneRig()
    rig.two_scenes()
    rig.set(Origin.PATCH, scene_start="bar", scene_time=seconds)
    rig.scenes.recall(2)
    assert rig.scenes.status().pending == 2
    rig.scenes.clear(2)
    rig.turn(2.5)
    status = rig.scenes.status()
    assert (status.pending, status.morph, rig["memory"]) == (None, None, memory)
    assert status.active != 2, "an empty scene cannot be the one that plays"
