"""The noise path: its distances are those of the noise itself, whatever the knobs do; and it is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from demo_states import play
from demo_transport import DemoTransport
from pytestqt.qtbot import QtBot

from jbdiff.config import NoiseStyle
from jbdiff.diffusion.noise import NoiseIdentity, NoiseSettings, draw
from jbdiff.diffusion.noise_pair import NoisePair, morphed
from jbdiff_live.block import Block, NoiseDrawn
from jbdiff_live.parameters import ParameterSnapshot, ParameterStore
from jbdiff_live.ui.drawing import theme
from jbdiff_live.ui.drawing.noise_path import NoisePath
from jbdiff_live.ui.drawing.noise_walk import NoiseWalk
from jbdiff_live.ui.window import MainWindow

CHANNELS, TOKENS = 64, 256  # long enough that the distance is within 0.03 of the rule's
FRAMES = 100
USUAL = NoiseSettings(seed=1, seed_b=2, step=0.4)


def snapshot_of(settings: NoiseSettings) -> ParameterSnapshot:
    usual = ParameterStore().snapshot
    values: Mapping[str, float] = MappingProxyType({**usual.values, "seed_b": float(settings.seed_b)})
    presses = {"reroll": settings.reroll, "home": settings.home, "advance": settings.advance}
    return ParameterSnapshot(0, values, MappingProxyType({**usual.counts, **presses}))


def block_of(
    identity: NoiseIdentity, settings: NoiseSettings, number: int, again: int | None = None
) -> Block:
    noise = NoiseDrawn(**{**vars(identity), "style": identity.style.value})
    samples = np.zeros((FRAMES, 2), np.float32)
    return Block(samples, number, number * FRAMES, snapshot_of(settings), noise, 0.1, again=again)


def home_of(settings: NoiseSettings, epoch: int) -> np.ndarray:
    one, other = (
        draw((1, CHANNELS, TOKENS), seed, "level2", epoch, -1) for seed in (settings.seed, settings.seed_b)
    )
    home = morphed(one, other, settings.morph if settings.morphs else 0.0)
    return np.asarray(home).ravel()


def distance(noise: np.ndarray, home: np.ndarray) -> float:
    """That of two noises, as a share of that of two unrelated ones."""
    return float(np.linalg.norm(noise - home) / (math.sqrt(2) * np.linalg.norm(home)))


WAYS: dict[str, list[dict[str, object]]] = {
    "a walk": [{}] * 6,
    "a region": [{}] + [{"style": NoiseStyle.REGION}] * 3,
    "random, and a walk from there": [{}] + [{"style": NoiseStyle.RANDOM}] * 2 + [{}] * 2,
    "held, and stepped": [{}, {}, {"hold": True}, {"hold": True, "advance": 1}, {"hold": True, "advance": 1}],
    "constant, and stepped": [{"style": NoiseStyle.CONSTANT}] * 2
    + [{"style": NoiseStyle.CONSTANT, "advance": 1, "hold": True}] * 2
    + [{"style": NoiseStyle.CONSTANT, "advance": 1}],
    "a re-roll, and home": [
        {},
        {},
        {"reroll": 1},
        {"reroll": 1},
        {"reroll": 1, "home": 1},
        {"reroll": 1, "home": 1},
    ],
    "a morph": [{"morph": 0.3}] * 4,
    "a morph, and another seed B": [{"morph": 0.5}] * 3 + [{"morph": 0.5, "seed_b": 9}] * 2,
    "a morph that ends at seed B": [{"morph": 0.5}] * 2 + [{"morph": 1.0}] * 2,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_distance_is_that_of_the_noise_itself(way: str) -> None:
    pair, walk, blocks = NoisePair.fresh("level2", CHANNELS, TOKENS), NoiseWalk(32), []
    for number, changes in enumerate(WAYS[way]):
        settings = replace(USUAL, **changes)
        noise, identity, pair = pair.next(settings)
        blocks.append(block_of(identity, settings, number))
        walk.feed(blocks)
        measured = distance(np.asarray(noise).ravel(), home_of(settings, identity.epoch))
        found = walk.places[-1].distance
        assert found is not None and found == pytest.approx(measured, abs=0.03), (number, changes)


def walked(count: int) -> list[Block]:
    pair, blocks = NoisePair.fresh("level2", 1, 4), []
    for number in range(count):
        _, identity, pair = pair.next(USUAL)
        blocks.append(block_of(identity, USUAL, number))
    return blocks


def test_what_the_rule_does_not_tell_is_not_known() -> None:
    blocks = walked(4)
    walk = NoiseWalk(8)
    walk.feed(blocks[2:])
    assert [place.distance for place in walk.places] == [None, None], "the beginning was not seen"
    walk.feed([*blocks, replace(blocks[3], index=4, start_frame=400, noise="repeated")])
    assert walk.places[-1].distance is None, "older sound once more has no noise"
    noise = blocks[3].noise
    assert isinstance(noise, NoiseDrawn)
    loop = replace(noise, style="register", slot=2, index=4)
    walk = NoiseWalk(8)
    walk.feed([*blocks, replace(blocks[3], index=4, start_frame=400, noise=loop)])
    assert walk.places[-1].distance is None and walk.places[-1].slot == 2


def test_music_that_plays_again_has_its_own_place_and_goes_on_from_there() -> None:
    blocks = walked(5)
    walk = NoiseWalk(16)
    walk.feed(blocks)
    first = [place.distance for place in walk.places]
    again = replace(blocks[1], again=1, start_frame=500)
    after = replace(blocks[2], start_frame=600)
    walk.feed([*blocks, again, after])
    assert [place.distance for place in walk.places][-2:] == first[1:3]


def test_the_path_is_shown_in_the_workshop(window: MainWindow, demo: DemoTransport) -> None:
    empty = window.noise_path.grab().toImage()
    demo.set_parameter("noise_style", 3)
    demo.start()
    play(demo, 3.0)
    window.look()
    path = window.noise_path
    assert (
        path.isVisible()
        and path.texts()[0].startswith("slot")
        and path.value_text() in path.accessibleDescription()
    )
    assert path.grab().toImage() != empty
    demo.stop()
    window.look()
    assert path.texts()[0] == "nothing plays"


def test_the_place_after_a_re_roll_fits_the_smallest_window(qtbot: QtBot) -> None:
    """It was cut to "re… 1"."""
    pair = NoisePair.fresh("level2", 1, 4)
    _, _, pair = pair.next(USUAL)
    rolled = replace(USUAL, reroll=1)
    _, identity, _ = pair.next(rolled)
    path = NoisePath()
    qtbot.addWidget(path)
    path.show_blocks([block_of(identity, rolled, 0)], 0)
    assert path.texts()[0] == "at re-roll 1"
    width = path.minimumWidth() - 10
    assert any(theme.metrics(12).horizontalAdvance(text) <= width for text in path.texts())
