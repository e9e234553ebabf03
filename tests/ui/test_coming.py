"""Changes on their way: each travels on the picture towards now, and its tile counts down to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from demo_states import play
from demo_transport import BLOCK, RATE, DemoTransport

from jbdiff_live.beat.line import ClockSource, ClockState, ClockStatus
from jbdiff_live.beat.modulation import Lfo
from jbdiff_live.block import Jump, Rung
from jbdiff_live.scenes.view import PastStatus
from jbdiff_live.status import Status
from jbdiff_live.ui.coming import Changes, Mark
from jbdiff_live.ui.drawing.scope import HEARD_SECONDS
from jbdiff_live.ui.tiles.strips import SlotsStrip
from jbdiff_live.ui.tiles.tile import ParameterTile
from jbdiff_live.ui.window import MainWindow


@pytest.fixture
def playing(demo: DemoTransport) -> DemoTransport:
    demo.start()
    play(demo, 3.0)
    return demo


def looked(changes: Changes, demo: DemoTransport, **lfos: Lfo) -> Status:
    status = demo.status()
    changes.look(status, demo.recent_blocks(), demo.snapshot(), lfos)
    return status


def test_a_change_waits_at_the_end_of_the_queue_and_then_travels_with_its_block(
    playing: DemoTransport,
) -> None:
    changes = Changes()
    looked(changes, playing)
    assert changes.marks == () and changes.text("resample") == ""
    playing.set_parameter("resample", 0.35)
    status = looked(changes, playing)
    end = playing.blocks[-1].end_frame
    (mark,) = changes.marks
    assert (mark.frame, mark.text, mark.waits) == (end, "Resample 0.35", True)
    assert changes.seconds("resample") == pytest.approx((end - status.frame) / RATE)
    seconds = []
    while changes.names:
        play(playing, 1 / 30)
        looked(changes, playing)
        seconds.append(changes.seconds("resample") or 0.0)
    assert seconds == sorted(seconds, reverse=True), "it only comes nearer"
    (mark,) = changes.marks
    assert (mark.frame, mark.waits) == (end, False) and mark.frame <= playing.frame, (
        "heard, and still on the picture"
    )


def test_a_change_that_comes_while_a_block_is_made_is_heard_one_block_later(playing: DemoTransport) -> None:
    changes = Changes()
    playing.set_status(engine=replace(playing.state.engine, deadline_seconds=60.0))
    playing.set_parameter("noise_step", 0.9)
    looked(changes, playing)
    assert changes.marks[0].frame == playing.blocks[-1].end_frame + BLOCK


def test_while_the_music_loops_a_change_waits_without_a_false_countdown(playing: DemoTransport) -> None:
    changes = Changes()
    playing.set_parameter("resample", 0.35)
    looked(changes, playing)
    assert changes.text("resample").startswith("in ")
    blocks = [*playing.recent_blocks()[:-1], replace(playing.recent_blocks()[-1], rung=Rung.LOOP)]
    changes.look(playing.status(), blocks, playing.snapshot())
    assert changes.text("resample") == "waits" and changes.text("noise_step") == ""


def test_a_held_change_counts_down_to_its_bar_until_its_block_is_there(playing: DemoTransport) -> None:
    """The next-block knobs leave the list of held changes when their block is begun; the countdown goes on."""
    changes = Changes()
    clock = ClockStatus(ClockSource.INTERNAL, ClockState.RUNNING, 120.0, 4, 2, countdown=3.0, waiting=1)
    playing.set_status(clock=clock)
    playing.set_parameter("resample", 0.5)
    looked(changes, playing)
    assert changes.text("resample") == "in 3.0 s"
    playing.set_status(clock=replace(clock, countdown=None, waiting=0))
    looked(changes, playing)
    assert changes.text("resample") == "in 3.0 s"


def test_what_acts_at_once_or_moves_by_itself_is_no_change_on_its_way(playing: DemoTransport) -> None:
    changes = Changes()
    playing.set_parameter("gain", -6.0)
    playing.set_lfo("memory", Lfo(depth=0.5))
    looked(changes, playing, memory=Lfo())
    assert changes.names == frozenset()
    playing.trigger("tap")
    playing.trigger("reroll")
    looked(changes, playing)
    assert changes.names == {"reroll"} and changes.marks[-1].text == "Re-roll"


def test_music_that_plays_again_is_marked_and_promises_no_knob(playing: DemoTransport) -> None:
    changes = Changes()
    first, last = list(playing.blocks)[-2:]
    playing.blocks[-2] = replace(first, again=0, jump=Jump(None))
    playing.set_parameter("resample", 0.35)
    playing.set_status(past=PastStatus(120.0, 30.0))
    looked(changes, playing)
    assert [(mark.frame, mark.text) for mark in changes.marks] == [
        (first.start_frame, "again"), (last.start_frame, "new music"),
    ]  # fmt: skip
    assert changes.text("resample") == "", "the knob waits for no block: the old ones play"


def test_tiles_and_pads_count_down(window: MainWindow, playing: DemoTransport) -> None:
    window.set_parameter("resample", 0.5)
    window.trigger("reroll")
    window.look()
    ring = next(ring for ring in window.stage.rings if ring.name == "resample")
    for tile in (ring, window.tiles["resample"], window.tiles["reroll"]):
        assert tile.coming.startswith("in 1."), tile.coming
    before = ring.grab().toImage()
    play(playing, 0.4)
    window.look()
    assert ring.grab().toImage() != before
    play(playing, 2.0)
    window.look()
    assert ring.coming == "" and ring.heard == 0.5


def test_the_picture_shows_the_names_of_changes(window: MainWindow, playing: DemoTransport) -> None:
    window.look()
    before = window.scope.grab().toImage()
    window.set_parameter("resample", 0.5)
    window.look()
    assert [mark.text for mark in window.scope._marks] == ["Resample 0.50"]
    assert window.scope.grab().toImage() != before
    playing.stop()
    window.look()
    assert window.scope._marks == ()


def test_the_line_of_now_crosses_no_name(window: MainWindow, playing: DemoTransport) -> None:
    """A long name at the right edge stands left of its line, where now may be."""
    window.look()
    scope, at = window.scope, window.scope._playhead_x()
    plain = scope.grab().toImage()
    frames = round(RATE * HEARD_SECONDS / (at - scope._area().x())) * (scope.width() - at)
    scope.show_marks((Mark(scope._frame + frames, "resample", "Resample with a very long name 0.50 " * 3),))
    named = scope.grab().toImage()
    changed = [y for y in range(scope.height()) if named.pixel(at, y) != plain.pixel(at, y)]
    assert len(changed) > 8, "the name lies on the line"


def test_the_register_shows_its_slots_and_the_one_that_plays(
    window: MainWindow, playing: DemoTransport
) -> None:
    tile = window.tiles["noise_length"]
    assert isinstance(tile, SlotsStrip)
    window.set_parameter("noise_style", 4)
    pictures = []
    for _ in range(2):
        play(playing, 0.75)
        window.look()
        block = next(b for b in playing.blocks if b.start_frame <= playing.frame < b.end_frame)
        assert tile.slot == block.index % 8
        pictures.append(tile.grab().toImage())
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize("name", ["resample", "noise_step", "noise_style", "hold"])
def test_a_knob_that_an_lfo_moves_is_marked(window: MainWindow, demo: DemoTransport, name: str) -> None:
    tile = window.tiles[name]
    assert isinstance(tile, ParameterTile)
    plain = tile.grab().toImage()
    demo.set_lfo(name, Lfo())
    window.look()
    assert tile.grab().toImage() != plain
    demo.set_lfo(name, Lfo(on=False))
    window.look()
    assert tile.grab().toImage() == plain
