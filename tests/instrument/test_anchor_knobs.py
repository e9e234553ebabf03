"""The anchor's knobs: what a block reads from them, which stacks heed them, and logs from before there were any."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from small_stacks import SMALL

from jbdiff.config import POCKET
from jbdiff.stream.stream import BlockSettings
from jbdiff_live.binding import Binding
from jbdiff_live.block import Rung
from jbdiff_live.control.map import ControlMap
from jbdiff_live.control.source import ControlEvent, EventKind
from jbdiff_live.engine.block_settings import block_settings
from jbdiff_live.parameters import BY_NAME, OF_THE_ANCHOR, Origin, ParameterStore, TakesEffect
from jbdiff_live.patch import factory_patches, load_patch
from jbdiff_live.record.take import EVENTS, BlockEvent, Take, TakeInfo


def test_a_block_reads_the_anchors_knobs() -> None:
    store = ParameterStore()
    store.set_many({"anchor": 0.25, "brightness": -0.5, "motion": 0.75}, Origin.UI)
    settings = block_settings(store.snapshot)
    assert (settings.anchor, settings.brightness, settings.motion) == (0.25, -0.5, 0.75)
    assert {BY_NAME[name].takes_effect for name in OF_THE_ANCHOR} == {TakesEffect.NEXT_BLOCK}


def test_untouched_knobs_say_what_the_library_does_by_itself() -> None:
    settings, own = block_settings(ParameterStore().snapshot), BlockSettings()
    for name in ("anchor", "tempo", "brightness", "motion"):
        assert getattr(settings, name) == getattr(own, name), name


@pytest.mark.parametrize(("clock", "tempo"), [("off", 0.0), ("context", None), ("tempo", 93.5)])
def test_the_clock_says_whose_tempo_is_kept(clock: str, tempo: float | None) -> None:
    store = ParameterStore()
    store.set_many({"clock": BY_NAME["clock"].parse(clock), "tempo": 93.5}, Origin.UI)
    assert block_settings(store.snapshot).tempo == tempo


def test_a_tempo_is_read_as_beats_a_minute() -> None:
    assert BY_NAME["tempo"].text(129.2) == "129.2 BPM"


def test_only_stacks_that_were_made_for_it_can_be_told_of_an_anchor() -> None:
    assert POCKET.anchored
    assert not SMALL.anchored


def test_factory_knobs_reach_the_anchor() -> None:
    store = ParameterStore()
    controls = ControlMap(store)
    patch = load_patch(factory_patches()["lock"])
    patch.apply(store)
    controls.suggest(patch.bindings)
    assert store.snapshot.choice("clock") == "tempo"
    for number, (name, value) in enumerate(
        {"anchor": 0.0, "brightness": -1.0, "motion": -1.0, "tempo": 60.0}.items(), 76
    ):
        assert Binding.parse(name, f"CC {number}") in patch.bindings
        for travel in (127, 0):  # passes the value, and takes over
            controls.handle(ControlEvent("box", EventKind.CC, 1, number, travel))
        assert store.snapshot[name] == value


def test_a_log_from_before_the_anchor_is_read_with_its_defaults(tmp_path: Path) -> None:
    store = ParameterStore()
    values = {name: value for name, value in store.snapshot.values.items() if name not in OF_THE_ANCHOR}
    old = BlockEvent(
        0, 0, 1000, "walk 1 0 0", 0.1, Rung.FULL.name, 3, {**values, "seed": 7.0}, {"reroll": 2, "home": 0}
    )
    (tmp_path / EVENTS).write_bytes(msgspec.json.encode(old) + b"\n")
    (event,) = Take(tmp_path, TakeInfo(44_100, 2, 0, "2026-01-01T00:00:00"), ()).events()
    assert isinstance(event, BlockEvent) and OF_THE_ANCHOR.isdisjoint(event.values)
    settings = block_settings(event.snapshot)
    assert (settings.seed, settings.reroll) == (7, 2)
    assert (settings.anchor, settings.tempo, settings.brightness, settings.motion) == (1.0, None, 0.0, 0.0)
