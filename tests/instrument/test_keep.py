"""Always recording: "keep that" makes a take of what was heard, ending at the press."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from keep_rig import SEGMENT, Rig, short_segments
from stage_rig import stage
from test_record import until
from test_takes import RATE, SNAPSHOT, Stage, ramp

from jbdiff_live.block import Block, Given, Jump, StoredState
from jbdiff_live.parameters import Change, Origin
from jbdiff_live.record import always, info
from jbdiff_live.record.again.sounds import KeptSounds
from jbdiff_live.record.again.states import StateBefore, kept_states, state_bytes
from jbdiff_live.record.always import AlwaysRing
from jbdiff_live.record.events import JumpEvent
from jbdiff_live.record.info import take_info
from jbdiff_live.record.keep import keep
from jbdiff_live.record.recorder import Recorder
from jbdiff_live.record.running import Facts
from jbdiff_live.record.take import (
    BlockEvent,
    ChangeEvent,
    MarkerEvent,
    PlaceEvent,
    StateEvent,
    open_take,
)
from jbdiff_live.stack_choice import StackParts, StackPlaying
from jbdiff_live.system.takes_folder import AlwaysOptions


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with short_segments(tmp_path, monkeypatch) as made:
        yield made


def test_keep_that_gives_the_last_minutes_sample_for_sample_ending_at_the_press(rig: Rig) -> None:
    for _ in range(9):
        rig.play(2000)
    minutes = 7000 / RATE / 60
    take = rig.keep(17_000, minutes)
    assert np.array_equal(take.read(), ramp(10_000, 7000))
    assert (take.info.start_frame, take.info.patch, take.info.closed_cleanly) == (10_000, "drift", True)
    assert [e for e in take.events() if isinstance(e, PlaceEvent)] == [PlaceEvent(0, 10_000, True)]
    assert take.info.values == dict(SNAPSHOT.values)
    rig.play(2000)
    longer = rig.keep(rig.stage.made - 1000, 10.0)
    heard = rig.stage.out
    assert np.array_equal(longer.read(), heard[: len(longer.read())]), (
        "from the first sound on, if it is shorter"
    )


def test_a_kept_take_has_the_moment_of_the_press(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is the newest in the browser, also if it began before another take."""

    class Evening(datetime):
        hour_now = 20

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Evening:
            return cls(2026, 5, 1, cls.hour_now, 30, tzinfo=tz)

    monkeypatch.setattr(info, "datetime", Evening)
    rig.play(6000)
    Evening.hour_now = 22
    take = rig.keep(5000, None)
    assert take.folder.name == "2026-05-01_22-30-00" and take.info.started.startswith("2026-05-01T22:30:00")


def test_a_hole_in_the_sound_and_all_events_are_kept(rig: Rig) -> None:
    rig.play(6000)
    rig.stage.store.set("gain", -6.0, Origin.MIDI)
    rig.stage.store.trigger("marker", Origin.KEY)
    rig.stage.render(1000)  # late
    rig.play(6000)
    take = rig.keep(11_000, None)
    begin = rig.stage.tap.position_of(11_000)
    assert np.array_equal(take.read(), rig.stage.out[:begin])
    events = list(take.events())
    assert [e.start_frame for e in events if isinstance(e, BlockEvent)] == [0, 6000]
    assert [(e.name, e.origin) for e in events if isinstance(e, ChangeEvent)] == [("gain", "midi")]
    assert len([e for e in events if isinstance(e, MarkerEvent)]) == 1
    for position in (500, 5000, 7000, 9000):
        (before,) = rig.stage.tap.places(position, position + 1)
        assert take.frame_at(position) == before.frame


def test_keep_all_begins_where_the_music_last_started(rig: Rig) -> None:
    rig.play(6000)
    rig.recorder.stopped()
    rig.settle()
    began = rig.stage.tap.written
    rig.play(6000)
    take = rig.keep(11_500, None)
    end = rig.stage.tap.position_of(11_500)
    assert np.array_equal(take.read(), rig.stage.out[began:end])


def test_the_ring_keeps_to_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(always, "SEGMENT_SECONDS", SEGMENT / RATE)
    rig = Rig(tmp_path, minutes=3 * SEGMENT / RATE / 60)
    try:
        for _ in range(20):
            rig.play(2000)
        (ring,) = rig.ring.iterdir()
        assert len(always.segments(ring)) <= 4
        assert 2 * SEGMENT <= rig.recorder.status().always_seconds * RATE <= 4 * SEGMENT, (
            "what the window shows"
        )
        take = rig.keep(40_000 - 500, None)
        assert SEGMENT <= take.frames <= 5 * SEGMENT
        assert np.array_equal(take.read()[-100:], ramp(39_400, 100))
    finally:
        rig.recorder.close()


def test_the_ring_gets_shorter_is_switched_off_and_on_while_it_is_recorded(rig: Rig) -> None:
    ring = rig.recorder.always
    for _ in range(10):
        rig.play(2000)
    (folder,) = rig.ring.iterdir()
    assert len(always.segments(folder)) >= 5
    ring.choose(AlwaysOptions(rig.ring, minutes=2 * SEGMENT / RATE / 60))
    until(lambda: len(always.segments(folder)) <= 3)
    take = rig.keep(19_500, None)
    assert take.frames <= 3 * SEGMENT and np.array_equal(take.read()[-100:], ramp(19_400, 100))

    ring.choose(None)
    assert not ring.on
    with pytest.raises(RuntimeError, match="nothing to keep"):
        rig.recorder.keep(rig.folder / "takes", 20_000, None, {})
    until(lambda: not ring.awake)
    assert open_take(always.segments(folder)[-1]).info.closed_cleanly and ring.seconds == 0
    rig.play(2000)

    ring.choose(AlwaysOptions(rig.ring))
    assert ring.on
    began = rig.stage.tap.written
    for _ in range(4):
        rig.play(2000)
    take = rig.keep(29_000, None)
    end = rig.stage.tap.position_of(29_000)
    assert np.array_equal(take.read(), rig.stage.out[began:end]), "nothing from before"
    assert not folder.exists(), "the old ring is gone"


def test_a_ring_that_is_switched_on_before_the_music_has_all_of_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.recorder = Recorder(RATE, 2, tap=rig.stage.tap, say=rig.said.append)  # as with --always-minutes 0
    try:
        assert not rig.recorder.always.on
        rig.recorder.always.choose(AlwaysOptions(rig.ring))
        for _ in range(3):
            rig.play(2000)
        take = rig.keep(5000, None)
        assert [e.start_frame for e in take.events() if isinstance(e, BlockEvent)] == [0, 2000, 4000]
        assert np.array_equal(take.read(), rig.stage.out[: len(take.read())]) and take.frames > 4000
    finally:
        rig.recorder.close()


def test_a_ring_that_the_disk_ended_begins_again_if_it_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "ring").write_text("no folder")
    rig = Rig(tmp_path)
    try:
        rig.play(2000)
        until(lambda: "always recording has ended" in rig.recorder.status().warning)
        rig.recorder.always.choose(AlwaysOptions(tmp_path / "other"))
        for _ in range(2):
            rig.play(2000)
        assert rig.recorder.status().warning == "" and rig.recorder.status().always_seconds > 0
    finally:
        rig.recorder.close()


def test_a_take_and_the_ring_are_recorded_side_by_side(rig: Rig) -> None:
    rig.play(4000)
    rig.recorder.start(rig.folder / "mine", 3000, {})
    rig.play(4000)
    rig.recorder.stop(7000)
    (folder,) = (rig.folder / "mine").iterdir()
    assert np.array_equal(open_take(folder).read(), ramp(3000, 4000))
    kept = rig.keep(7000, 4000 / RATE / 60)
    assert np.array_equal(kept.read(), ramp(3000, 4000))


def test_a_ring_whose_folder_is_refused_ends_alone(tmp_path: Path) -> None:
    (tmp_path / "ring").write_text("no folder")
    rig = Rig(tmp_path)
    try:
        rig.play(2000)
        until(lambda: "always recording has ended" in rig.recorder.status().warning)
        said = rig.recorder.status().warning
        assert (
            f"{tmp_path / 'ring'} is a file, where a folder must be; move it away, then choose LAST" in said
        )
        rig.recorder.start(tmp_path / "takes", 0, {})
        rig.recorder.stop(1500)
        assert open_take(rig.takes()[0]).frames == 1500
        with pytest.raises(RuntimeError, match="nothing to keep"):
            rig.recorder.keep(tmp_path / "takes", 0, None, {})
    finally:
        rig.recorder.close()


def test_what_cannot_be_kept_is_said(rig: Rig) -> None:
    rig.play(2000)
    (rig.folder / "file").write_text("")
    rig.recorder.keep(rig.folder / "file", 1500, None, {})
    until(lambda: any(text.startswith("Keep: ") for text in rig.said), 20)
    assert f"{rig.folder / 'file'} is a file and no folder; move it away, or choose another" in rig.said[-1]
    assert "choose another folder" in rig.said[-1].lower()


def alone(folder: Path, stage: Stage) -> AlwaysRing:
    """A ring whose segments begin when the test says so."""
    facts = partial(take_info, RATE, 2)
    return AlwaysRing(
        AlwaysOptions(folder), stage.tap, lambda: Facts(0, {"device": "a"}),
        lambda frame: facts(Path(), frame, {}, (), "heard"), RATE,
    )  # fmt: skip


def test_a_take_has_the_blocks_that_a_jump_dropped_unheard(tmp_path: Path) -> None:
    """The music may go on from such a block later, so it belongs to the log. Here a segment ends at the jump."""
    stage = Stage()
    ring = alone(tmp_path / "ring", stage)
    for index in range(3):
        stage.make(2000)
        ring.write_block(Block(ramp(2000 * index, 2000), index, 2000 * index, SNAPSHOT, "tone", 0.1))
    for _ in range(6):
        stage.render(500)
    ring.look()
    ring.write_block(Block(ramp(6000, 2000), 3, 6000, SNAPSHOT, "tone", 0.1, again=0, jump=Jump(None)))
    stage.ring.write(ramp(6000, 2000), joins=True)
    stage.made = 8000
    stage.render(500)
    ring.look()
    ring._turn()
    for _ in range(3):
        stage.render(500)
    ring.look()
    folder = keep(ring.span(7000, None), tmp_path / "takes")
    ring.close()
    take = open_take(folder)
    events = list(take.events())
    assert [e.start_frame for e in events if isinstance(e, BlockEvent)] == [0, 2000, 4000, 6000]
    assert [(e.frame, e.index) for e in events if isinstance(e, JumpEvent)] == [(6000, 3)]
    assert [e.name for e in events if isinstance(e, StateEvent)] == ["device"], "each state once"
    assert take.frame_at(take.frames) == 7000, "the sound is placed to the frame behind the jump"


def test_a_change_that_is_noted_after_its_sound_is_kept(tmp_path: Path) -> None:
    """The audible frame lies behind the rendered one, so a change may be logged in the segment after its sound."""
    stage = Stage()
    ring = alone(tmp_path / "ring", stage)
    stage.play(4000)
    ring.look()
    ring._turn()
    change = Change("gain", -6.0, Origin.MIDI, 1)
    ring.write_change(change, 2000)
    stage.play(4000)
    ring.look()
    take = open_take(keep(ring.span(3000, None), tmp_path / "takes"))
    ring.close()
    assert [e.frame for e in take.events() if isinstance(e, ChangeEvent)] == [2000]
    assert np.array_equal(take.read(), stage.heard[: take.frames]) and take.frame_at(take.frames) == 3000


def test_keep_is_a_function_of_the_session_and_says_what_it_did(tmp_path: Path) -> None:
    with stage(tmp_path, always=AlwaysOptions(tmp_path / "ring", keep_minutes=1.0)) as rig:
        rig.play()
        rig.clock.run(1.0)
        rig.session.perform("keep")
        until(lambda: rig.session.answers.newest.startswith("kept"))
        (take,) = rig.closed_takes()
        assert take.frames > RATE / 2 and (take.folder / "patch.toml").exists()


def test_without_a_ring_keep_says_how_to_get_one(tmp_path: Path) -> None:
    with stage(tmp_path) as rig, pytest.raises(RuntimeError, match="always-minutes"):
        rig.session.keep()


@dataclass(frozen=True)
class Saved:
    """A state of the music, as a recorder takes it."""

    name: str
    nbytes: int = 0

    @property
    def stack(self) -> StackPlaying:
        return StackPlaying("s", (2,), False, "id", 0, StackParts("s", (2,), False))

    def compact(self, before: object) -> Saved:
        return self

    def stored(self) -> StoredState:
        return StoredState(self.name.encode(), 7, 0, (ramp(0, 100),))


def test_a_kept_part_has_what_a_replay_needs(rig: Rig) -> None:
    """A state at or before its first block, the blocks from there on, and the sounds that they were made from."""
    began, piece = np.arange(500, dtype=np.float32), np.linspace(0, 1, 3000, dtype=np.float32)
    for number in range(9):
        start = rig.stage.made
        live = (piece[number * 100 :][:800], np.ones(800, np.float32))
        given = Given(began if number in (2, 5) else None, live=(live,))
        block = Block(ramp(start, 2000), number, start, SNAPSHOT, "tone", 0.1, given=given)
        rig.recorder.offer(block)
        rig.recorder.offer_state(StateBefore(number, start, Saved(f"state {number}")))
        rig.settle()
        rig.stage.play(2000)
        ring = rig.recorder.always
        until(lambda ring=ring: ring.read_to == rig.stage.tap.written, 20)
    take = rig.keep(17_000, 7000 / RATE / 60)
    blocks = [event for event in take.events() if isinstance(event, BlockEvent)]
    states = kept_states(take.folder)
    assert take.info.start_frame == 10_000 and blocks[0].start_frame <= 10_000 and blocks[0].index in states
    assert [block.index for block in blocks] == list(range(blocks[0].index, 9))
    facts = states[blocks[0].index]
    assert state_bytes(take.folder, facts) == f"state {blocks[0].index}".encode()
    assert (facts.position, facts.levels, facts.heard_frames) == (7, [2], 0)
    sounds = KeptSounds(take.folder)
    for block in blocks:
        assert block.given is not None
        found = sounds.sound(block.given.began)
        assert (found is not None) == (block.index == 5) and (found is None or np.array_equal(found, began))
        heard = sounds.live(block.given.live[0])
        assert heard is not None and np.array_equal(heard[0], piece[block.index * 100 :][:800])
